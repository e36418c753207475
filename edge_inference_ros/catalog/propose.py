"""Reads from a network's tensors and metadata what kind of detector it is: a proposal, no proof.

The layouts of detectors differ in where the classes are and in how many boxes there are, and both
show in the shapes. What remains ambiguous is said in the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_inference_ros.errors import ConfigError

STRIDES = {'8-16-32': (8, 16, 32), '8-16-32-64': (8, 16, 32, 64)}
ANCHORS = 3
NAME_KEYS = ('names', 'classes', 'class_names', 'labels')
_LONGEST_TEXT, _LONGEST_NAME, _MOST_NAMES = 1 << 16, 100, 10_000
_FAULTS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)

Tensor = Mapping[str, Any]
"""``tensor``, ``shape`` and ``dtype``, as a manifest says them."""


@dataclass(frozen=True)
class Proposal:
    """Which head reads a network.

    Attributes:
        head: its name.
        why: what it was concluded from.
        classes: how many there must be; 0 if the shapes do not say.
        options: of the head.
        outputs: tensor names in the order the head wants; empty: as they are.
    """

    head: str
    why: str
    classes: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Habits:
    """How the networks of a head are usually shown pictures."""

    order: str = 'rgb'
    fit: str = 'letterbox'
    scale: float = 1 / 255


HABITS = {'yolox': Habits('bgr', scale=1.0), 'detr': Habits(fit='stretch')}
"""By head; YOLOX is trained on BGR from 0 to 255, DETR and its kin on stretched pictures."""


def propose(
    outputs: Sequence[Tensor], *, height_px: int, width_px: int, classes: int = 0, head: str = ''
) -> Proposal:
    """The head that fits the outputs, and the number of classes if that is known.

    Args:
        outputs: of the network.
        height_px: of its input.
        width_px: of its input.
        classes: how many, 0 if nobody said.
        head: what somebody said; it is taken even if another fits.

    Raises:
        ConfigError: none does; names the outputs and what would fit.
    """
    fitting = [p for p in _all(outputs, height_px, width_px) if _agrees(p, classes)]
    if same := [p for p in fitting if head in ('', p.head)]:
        return same[0]
    if head:
        although = f', although {fitting[0].head} fits: {fitting[0].why}' if fitting else ''
        return Proposal(head, f'as said{although}')
    there = ', '.join(f'{t["tensor"]} {list(t["shape"])} {t["dtype"]}' for t in outputs)
    counted = f' of {classes} classes' if classes else ''
    raise ConfigError(
        f'no head{counted} fits the outputs {there}; name one with --head, export the network'
        ' without its own decoding, or write a head (docs/extending.md)'
    )


def class_names(metadata: Mapping[str, str]) -> list[str]:
    """Class names that the exporter left in the file, in order; empty if it left none.

    Read as literals: ``{0: 'person', 1: 'car'}`` as Ultralytics writes them, a list, or words with
    commas. Nothing of it is ever evaluated, and what is too long or no list of names is ignored.
    """
    for key in NAME_KEYS:
        text = metadata.get(key, '')
        if 0 < len(text) <= _LONGEST_TEXT and (found := _names(text)):
            return found
    return []


def picture_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width the network was exported for (``imgsz``), if the file says so."""
    value = _literal(metadata.get('imgsz', '')[:64])
    sizes = [value, value] if isinstance(value, int) else value
    if not isinstance(sizes, (list, tuple)) or len(sizes) != 2:
        return None
    if not all(type(size) is int and 0 < size <= 8192 for size in sizes):
        return None
    return sizes[0], sizes[1]


def layout_of(shape: Sequence[int]) -> str:
    """Where the three colours of a picture's shape are; nchw if that does not show."""
    return 'nhwc' if len(shape) == 4 and shape[3] == 3 and shape[1] != 3 else 'nchw'


def cells(height_px: int, width_px: int, strides: Sequence[int]) -> int:
    """How many cells the grids of these strides have."""
    return sum((height_px // stride) * (width_px // stride) for stride in strides)


def _names(text: str) -> list[str]:
    value = _literal(text)
    if isinstance(value, dict):
        keys = list(value)
        if not all(type(key) is int for key in keys) or sorted(keys) != list(range(len(keys))):
            return []
        value = [value[key] for key in range(len(keys))]
    if value is None and '{' not in text and '[' not in text:
        value = [part.strip() for part in text.replace('\n', ',').split(',')]
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_NAMES:
        return []
    names = [v for v in value if isinstance(v, str) and v.strip() and len(v) <= _LONGEST_NAME]
    return names if len(names) == len(value) == len(set(names)) else []


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except _FAULTS:
        return None


def _agrees(proposal: Proposal, classes: int) -> bool:
    return not classes or not proposal.classes or proposal.classes == classes


def _all(outputs: Sequence[Tensor], height_px: int, width_px: int) -> list[Proposal]:
    """Everything that could be read from these outputs, likeliest first."""
    if len(outputs) == 1:
        return _single(tuple(outputs[0]['shape']), height_px, width_px)
    if len(outputs) == 2:
        return _queries(outputs)
    return _suppressed(outputs) if len(outputs) == 4 else []


def _single(shape: tuple[int, ...], height_px: int, width_px: int) -> list[Proposal]:
    if len(shape) != 3 or shape[0] != 1:
        return []
    _, rows, columns = shape
    found = []
    for said, strides in STRIDES.items():
        count = cells(height_px, width_px, strides)
        where = f'strides {said} make {count} cells'
        if columns == count and rows > 4:
            found.append(Proposal('yolov8', f'[1, 4 + classes, boxes]: {where}', rows - 4))
        if rows == count * ANCHORS and columns > 5:
            why = f'[1, boxes, 5 + classes]: {where}, {ANCHORS} boxes each'
            found.append(Proposal('yolov5', why, columns - 5))
        if rows == count and columns > 5:
            why = (
                f'[1, cells, 5 + classes]: {where}; take --head yolov5 if the network undoes its'
                ' grid itself'
            )
            found.append(Proposal('yolox', why, columns - 5, {'strides': said}))
    if columns == 6:
        found.append(Proposal('yolo_end2end', f'[1, boxes, 6] with {rows} boxes already chosen'))
    return found


def _queries(outputs: Sequence[Tensor]) -> list[Proposal]:
    found = []
    for boxes, logits in (outputs, outputs[::-1]):
        box, logit = tuple(boxes['shape']), tuple(logits['shape'])
        if len(box) == len(logit) == 3 and box[-1] == 4 and box[:2] == logit[:2]:
            order = (logits['tensor'], boxes['tensor'])
            why = '[1, queries, classes] and [1, queries, 4]'
            count = logit[-1]
            found.append(Proposal('detr', why, count, {'scores': 'sigmoid'}, order))
            why = '[1, queries, classes + no object] and [1, queries, 4]'
            found.append(Proposal('detr', why, count - 1, {'scores': 'softmax'}, order))
    # where both are four wide, the one that is called boxes is the boxes
    return sorted(found, key=lambda proposal: 'box' not in proposal.outputs[1].lower())


def _suppressed(outputs: Sequence[Tensor]) -> list[Proposal]:
    """EfficientNMS: a count, boxes, scores and classes."""
    kinds = {
        'count': [t for t in outputs if tuple(t['shape']) in ((1, 1), (1,)) and _whole(t)],
        'boxes': [t for t in outputs if len(t['shape']) == 3 and t['shape'][2] == 4],
        'scores': [t for t in outputs if len(t['shape']) == 2 and not _whole(t)],
        'classes': [
            t for t in outputs if len(t['shape']) == 2 and t['shape'][1] > 1 and _whole(t)
        ],
    }
    if any(len(found) != 1 for found in kinds.values()):
        return []
    order = tuple(str(found[0]['tensor']) for found in kinds.values())
    return [Proposal('efficient_nms', 'count, boxes, scores and classes', outputs=order)]


def _whole(tensor: Tensor) -> bool:
    return str(tensor['dtype']).startswith('int')
