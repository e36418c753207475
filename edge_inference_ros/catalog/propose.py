"""Which heads could read a network, concluded from its tensors and what its exporter says.

Shapes alone are ambiguous: six numbers a row are a chosen box, or a box with the scores of two
classes. So every reading that the shapes allow is listed, likeliest first, and
``catalog/evidence.py`` looks which of them the network's answers to real pictures bear out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_inference_ros.catalog.exported import DETECT, Exported
from edge_inference_ros.errors import ConfigError

STRIDES = {
    '8-16-32': (8, 16, 32),
    '8-16-32-64': (8, 16, 32, 64),
    '4-8-16-32': (4, 8, 16, 32),
    '16-32': (16, 32),
}
ANCHORS = 3
UNSUPPRESSED_ROWS = 1000
"""No network that chooses its boxes itself answers so many."""

MOST_CLASSES = 1000
"""More are no classes but the boxes of another layout."""

RTDETR = 'RTDETRDecoder'
"""What Ultralytics calls the last module of RT-DETR."""

Tensor = Mapping[str, Any]
"""``tensor``, ``shape`` and ``dtype``, as a manifest says them."""

NOTHING = Exported()


@dataclass(frozen=True)
class Proposal:
    """A way to read a network.

    Attributes:
        head: its name.
        why: what it was concluded from.
        classes: how many there must be; 0 if the shapes do not say.
        options: of the head.
        outputs: tensor names in the order the head wants; empty: as they are.
        habits: key of ``HABITS``; empty: those of most networks.
        certain: the exporter says so itself.
    """

    head: str
    why: str
    classes: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    habits: str = ''
    certain: bool = False


@dataclass(frozen=True)
class Habits:
    """How the networks of a family are usually shown pictures."""

    order: str = 'rgb'
    fit: str = 'letterbox'
    scale: float = 1 / 255
    rounding: str = 'nearest'


HABITS = {
    '': Habits(),
    'yolox': Habits('bgr', scale=1.0, rounding='down'),
    'detr': Habits(fit='stretch'),
}
"""YOLOX is trained on BGR from 0 to 255 and rounds down, DETR and its kin stretch pictures."""


def readings(
    outputs: Sequence[Tensor],
    *,
    height_px: int,
    width_px: int,
    classes: int = 0,
    head: str = '',
    exported: Exported = NOTHING,
) -> list[Proposal]:
    """Every way the outputs could be read, likeliest first; never an empty list.

    Args:
        outputs: of the network.
        height_px: of its input.
        width_px: of its input.
        classes: how many, 0 if nobody said.
        head: what somebody said; only its readings are listed, and it is taken even if the
            shapes suggest none.
        exported: what the exporter says.

    Raises:
        ConfigError: none is known; names the outputs and what would fit.
    """
    if exported.task not in ('', DETECT):
        raise ConfigError(
            f'the file says task = {exported.task}: we read boxes; export the detect variant'
        )
    proposals = list(_all(outputs, height_px, width_px, exported))
    fitting = [p for p in proposals if _agrees(p, classes)] or list(_counted(outputs, classes))
    if same := [p for p in fitting if head in ('', p.head)]:
        return same
    if head:
        although = f', although {fitting[0].head} fits: {fitting[0].why}' if fitting else ''
        return [Proposal(head, f'as said{although}')]
    raise ConfigError(_refusal(outputs, proposals, (height_px, width_px), classes))


def layout_of(shape: Sequence[int]) -> str:
    """Where the three colours of a picture's shape are; nchw if that does not show."""
    return 'nhwc' if len(shape) == 4 and shape[3] == 3 and shape[1] != 3 else 'nchw'


def cells(height_px: int, width_px: int, strides: Sequence[int]) -> int:
    """How many cells the grids of these strides have."""
    return sum((height_px // stride) * (width_px // stride) for stride in strides)


def described(outputs: Sequence[Tensor]) -> str:
    """Names, shapes and types of tensors, for people."""
    return ', '.join(f'{t["tensor"]} {list(t["shape"])} {t["dtype"]}' for t in outputs)


def _agrees(proposal: Proposal, classes: int) -> bool:
    return not classes or not proposal.classes or proposal.classes == classes


def _all(
    outputs: Sequence[Tensor], height_px: int, width_px: int, exported: Exported
) -> Iterator[Proposal]:
    """Everything that could be read from these outputs, likeliest first."""
    if len(outputs) == 1:
        shape = tuple(outputs[0]['shape'])
        if len(shape) == 3 and shape[0] == 1:
            yield from _single(shape, (height_px, width_px), exported)
    if len(outputs) == 2:
        yield from _queries(outputs)
    if len(outputs) == 4:
        yield from _suppressed(outputs)


def _single(
    shape: tuple[int, ...], size: tuple[int, int], exported: Exported
) -> Iterator[Proposal]:
    _, rows, columns = shape
    if exported.head == RTDETR and columns > 4:
        if columns == 6:
            yield dataclasses.replace(_chosen_queries(rows), certain=True)
        yield dataclasses.replace(_transformer(columns), certain=True)
        return
    grids = {name: cells(*size, strides) for name, strides in STRIDES.items()}
    yield from _grids(rows, columns, grids, exported)
    if columns == 6 and rows:
        yield from _chosen(rows, exported, one_a_cell=rows in grids.values())
    if 4 < columns < 4 + MOST_CLASSES and not {rows, columns} & set(grids.values()):
        yield _transformer(columns)


def _grids(
    rows: int, columns: int, grids: Mapping[str, int], exported: Exported
) -> Iterator[Proposal]:
    if exported.chosen:
        return
    for name, count in grids.items():
        where = f'strides {name} make {count} cells'
        if columns == count and rows > 4:
            yield Proposal('yolov8', f'[1, 4 + classes, boxes]: {where}', rows - 4)
        if rows == count * ANCHORS and columns > 5:
            why = f'[1, boxes, 5 + classes]: {where}, {ANCHORS} boxes each'
            yield Proposal('yolov5', why, columns - 5)
        if rows == count and columns > 4:
            yield from _one_a_cell(columns, name, where)


def _one_a_cell(columns: int, name: str, where: str) -> Iterator[Proposal]:
    if columns > 5:
        why = f'[1, cells, 5 + classes]: {where}'
        strides = {'strides': name}
        yield Proposal('yolox', why, columns - 5, strides, habits='yolox')
        decoded = {**strides, 'boxes': 'px'}
        why += ', grid undone in the network'
        yield Proposal('yolox', why, columns - 5, decoded, habits='yolox')
        yield Proposal('yolov5', f'{why}, objectness always 1 as in YOLOv6', columns - 5)
    why = f'[1, cells, 4 + classes]: {where}, box first'
    yield Proposal('scored_boxes', why, columns - 4, {'unit': 'px', 'suppression': 'needed'})


def _counted(outputs: Sequence[Tensor], classes: int) -> Iterator[Proposal]:
    """Boxes of strides nobody uses, told by how many classes are named."""
    if not classes or len(outputs) != 1:
        return
    shape = tuple(outputs[0]['shape'])
    if len(shape) != 3 or shape[0] != 1:
        return
    _, rows, columns = shape
    why = f'{classes} classes are named, and {max(rows, columns)} cells are of no usual strides'
    if rows == 4 + classes < columns:
        yield Proposal('yolov8', f'[1, 4 + classes, boxes]: {why}', classes)
    if columns == 5 + classes < rows:
        yield Proposal('yolov5', f'[1, boxes, 5 + classes]: {why}', classes)


def _chosen(rows: int, exported: Exported, *, one_a_cell: bool) -> Iterator[Proposal]:
    """Rows of x1 y1 x2 y2, a score and a class."""
    why = f'[1, boxes, 6] with {rows} boxes'
    if exported.chosen or (rows < UNSUPPRESSED_ROWS and not one_a_cell):
        certain = bool(exported.chosen)
        yield Proposal('yolo_end2end', f'{why} already chosen', certain=certain)
        fraction = {'unit': 'fraction'}
        yield Proposal('yolo_end2end', f'{why} already chosen, in fractions', options=fraction)
        yield _chosen_queries(rows)
    needed = {'suppression': 'needed'}
    why += ' that still overlap'
    yield Proposal('yolo_end2end', why, options=needed)
    yield Proposal('yolo_end2end', f'{why}, in fractions', options={'unit': 'fraction', **needed})


def _chosen_queries(rows: int) -> Proposal:
    return Proposal(
        'yolo_end2end',
        f'[1, queries, 6] with {rows} queries, centres and sides as fractions of a stretched'
        ' picture, as Ultralytics exports RT-DETR',
        options={'unit': 'fraction', 'box': 'centre'},
        habits='detr',
    )


def _transformer(columns: int) -> Proposal:
    return Proposal(
        'scored_boxes',
        '[1, queries, 4 + classes], fractions of a stretched picture, as Ultralytics exported'
        ' RT-DETR before 8.4',
        columns - 4,
        {'unit': 'fraction', 'suppression': 'done'},
        habits='detr',
    )


def _queries(outputs: Sequence[Tensor]) -> list[Proposal]:
    found = []
    for boxes, logits in (outputs, outputs[::-1]):
        box, logit = tuple(boxes['shape']), tuple(logits['shape'])
        if len(box) == len(logit) == 3 and box[-1] == 4 and box[:2] == logit[:2]:
            order = (logits['tensor'], boxes['tensor'])
            for scores, words, classes in (
                ('sigmoid', 'classes', logit[-1]),
                ('softmax', 'classes + no object', logit[-1] - 1),
                ('probability', 'classes, probabilities', logit[-1]),
            ):
                why = f'[1, queries, {words}] and [1, queries, 4]'
                if classes:
                    options = {'scores': scores}
                    found.append(Proposal('detr', why, classes, options, order, habits='detr'))
    # where both are four wide, the one that is called boxes is the boxes
    return sorted(found, key=lambda proposal: 'box' not in proposal.outputs[1].lower())


def _suppressed(outputs: Sequence[Tensor]) -> Iterator[Proposal]:
    """EfficientNMS: a count, boxes, scores and classes."""
    kinds = {
        'count': [t for t in outputs if tuple(t['shape']) in ((1, 1), (1,)) and _whole(t)],
        'boxes': [t for t in outputs if len(t['shape']) == 3 and t['shape'][2] == 4],
        'scores': [t for t in outputs if len(t['shape']) == 2 and not _whole(t)],
        'classes': [
            t for t in outputs if len(t['shape']) == 2 and t['shape'][1] > 1 and _whole(t)
        ],
    }
    if all(len(found) == 1 for found in kinds.values()):
        order = tuple(str(found[0]['tensor']) for found in kinds.values())
        why = 'count, boxes, scores and classes'
        yield Proposal('efficient_nms', why, outputs=order)
        fraction = {'unit': 'fraction'}
        yield Proposal('efficient_nms', f'{why}, boxes in fractions', 0, fraction, order)


def _refusal(
    outputs: Sequence[Tensor], proposals: Sequence[Proposal], size: tuple[int, int], classes: int
) -> str:
    """Why nothing can be read, with what would help."""
    shapes = described(outputs)
    if proposals and classes:
        counts = ' or '.join(str(n) for n in dict.fromkeys(p.classes for p in proposals))
        return f'{classes} classes are named, the network has {counts} ({shapes}); name them all'
    if any(shape and shape[0] > 1 for shape in (tuple(t['shape']) for t in outputs)):
        return f'the outputs are {shapes}: a robot looks at one picture; export with batch 1'
    if len(outputs) > 1 and any(len(t['shape']) == 4 for t in outputs):
        return (
            f'no head fits the outputs {shapes}: maps beside boxes are what networks for'
            ' segmentation write, several maps what a network without its decoding writes;'
            ' export the detect variant, with its decoding'
        )
    if len(outputs) == 1 and len(outputs[0]['shape']) == 2:
        return f'the output {shapes} is that of a classification; export a detect variant'
    strides = ', '.join(STRIDES)
    return (
        f'no head fits the outputs {shapes} of an input {size[1]}x{size[0]}, of which the strides'
        f' {strides} make {", ".join(str(cells(*size, s)) for s in STRIDES.values())} cells;'
        ' name one with --head (yolov8 and yolov5 read any number of boxes), or write a head'
        ' (docs/extending.md)'
    )


def _whole(tensor: Tensor) -> bool:
    return str(tensor['dtype']).startswith('int')
