"""Whether what a network answers to real pictures looks as one way of reading it says it should.

Shapes cannot tell pixels from fractions, corners from centres, probabilities from logits, or boxes
that were chosen from those that were not. The numbers can. A reading that they contradict is not
taken, and what was seen is said.

The network is run in a child with limits, for nobody vouches for it yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.catalog import confined
from edge_inference_ros.catalog.propose import STRIDES
from edge_inference_ros.core import registry
from edge_inference_ros.core.boxes import iou
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, ModelFile, TensorSpec
from edge_inference_ros.core.types import Candidates2D, Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import EdgeInferenceError

UNKNOWN_CLASSES = 1000
"""Stands for the number of classes where neither the shapes nor the metadata say it."""

_ROUNDING = 0.01  # that half floats add to probabilities
_ALIKE = 0.5  # correlation
_FEW = 10  # numbers, of which nothing can be concluded
_SLACK = 0.02  # of rows that may be odd: a network is allowed a few
_TWIN_IOU, _MOST_TWINS, _COMPARED = 0.5, 0.2, 100
_NEAR, _FAR = 0.02, 4.0  # sides of the input that boxes must reach, and must not
_NOWHERE = Origin('', RosNs(0), MonoNs(0))

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Reading:
    """One way to read a network, in types that JSON has.

    Attributes:
        input: an ``InputSpec``.
        outputs: ``TensorSpec``s in the order the head wants.
        head: its name.
        options: of the head.
        classes: how many.
        score_threshold: boxes below are dropped.
        certain: the exporter itself says that the boxes are chosen.
    """

    input: Mapping[str, Any]
    outputs: Sequence[Mapping[str, Any]]
    head: str
    options: Mapping[str, Any]
    classes: int
    score_threshold: float
    certain: bool = False


@dataclass(frozen=True)
class Seen:
    """What was seen with one reading.

    Attributes:
        faults: in words; none if the reading holds.
        found: objects in all pictures, at the threshold.
        most: the same without one.
        highest: best score anywhere.
    """

    faults: tuple[str, ...] = ()
    found: int = 0
    most: int = 0
    highest: float = 0.0


def look(
    file: Path,
    readings: Sequence[Reading],
    pictures: Path,
    backend: str,
    limits: confined.ChildLimits,
) -> list[Seen]:
    """Run the network on pictures and try every reading; what each shows, in the same order.

    Args:
        file: the network.
        readings: to try.
        pictures: an ``.npy`` of (N, H, W, 3) uint8 bgr.
        backend: that runs it.
        limits: of the child it is run in.
    """
    asked = {
        'file': str(file),
        'readings': [asdict(reading) for reading in readings],
        'pictures': str(pictures),
        'backend': backend,
    }
    told = confined.call(f'{__name__}:try_all', asked, str(file), limits)
    return [Seen(**{**row, 'faults': tuple(row['faults'])}) for row in told]


def try_all(
    file: str, readings: Sequence[Mapping[str, Any]], pictures: str, backend: str
) -> list[dict[str, Any]]:
    """In the child: every reading on every picture."""
    shown = [Image(_NOWHERE, np.ascontiguousarray(p), 'bgr') for p in np.load(pictures)]
    tried = [Reading(**row) for row in readings]
    manifests = [_manifest(Path(file), reading) for reading in tried]
    engine = registry.load('backends', backend).open(manifests[0], Path(file))
    try:
        pairs = zip(tried, manifests, strict=True)
        return [asdict(_try(engine, reading, manifest, shown)) for reading, manifest in pairs]
    finally:
        engine.close()


def _manifest(file: Path, reading: Reading) -> Manifest:
    spec: dict[str, Any] = dict(reading.input)
    spec |= {key: tuple(spec[key]) for key in ('shape', 'mean', 'std') if key in spec}
    return Manifest(
        folder=file.parent,
        name=file.stem,
        task='detect2d',
        licence='',
        made_by='',
        classes=tuple(map(str, range(reading.classes))),
        input=InputSpec(**spec),
        outputs=tuple(
            TensorSpec(row['tensor'], tuple(row['shape']), row['dtype']) for row in reading.outputs
        ),
        head=HeadSpec(reading.head, score_threshold=0.0, options=dict(reading.options)),
        files=(ModelFile(file, ''),),
    )


def _try(engine: Any, reading: Reading, manifest: Manifest, pictures: Sequence[Image]) -> Seen:
    try:
        head = registry.load('heads', reading.head).Head(manifest, engine.outputs)
        every, found, most = [], 0, 0
        for picture in pictures:
            fit = head.prepare(picture, engine.inputs)
            engine.run()
            if hasattr(head, 'candidates'):
                every.append(head.candidates(engine.outputs))
            scores = head.decode(engine.outputs, picture, fit).scores
            most += len(scores)
            found += int(np.count_nonzero(scores >= reading.score_threshold))
    except EdgeInferenceError as error:
        return Seen((str(error),))
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return Seen((f'head {reading.head} raises {type(error).__name__}: {error}',))
    refused = faults(every, manifest, certain=reading.certain) if every else []
    if not refused and not most and not reading.certain:
        refused = ['no box is found in any picture, whatever its score']
    highest = max((float(np.nanmax(e.scores, initial=0.0)) for e in every), default=0.0)
    return Seen(tuple(refused), found, most, highest)


def faults(every: Sequence[Candidates2D], manifest: Manifest, *, certain: bool) -> list[str]:
    """What contradicts that these are boxes in pixels of the input with probabilities.

    Args:
        every: candidates of some pictures.
        manifest: its input's size, its number of classes and its head count.
        certain: the exporter says what the network is; what only a trained network shows is not
            asked of it.
    """
    every = [_written(candidates) for candidates in every]
    if not sum(len(candidates.boxes_px) for candidates in every):
        return []
    boxes = np.concatenate([candidates.boxes_px for candidates in every]).astype(np.float64)
    scores = np.concatenate([candidates.scores for candidates in every]).astype(np.float64)
    if wrong := _numbers(boxes, scores):
        return [wrong]
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    said_so_far = [
        _classes(every, len(manifest.classes)),
        _reach(boxes, manifest),
        _grid(every, manifest),
        _objectness(every, manifest.head),
        _certainty(scores, manifest.head),
    ]
    if not certain:
        said_so_far += [_corners(boxes, manifest.head), _twins(every, manifest.head)]
    return [fault for fault in said_so_far if fault]


def _written(candidates: Candidates2D) -> Candidates2D:
    """Without the rows that chosen boxes leave empty."""
    if candidates.class_ids is None:
        return candidates
    kept = (candidates.scores > 0).any(axis=1) | ~np.isfinite(candidates.scores).all(axis=1)
    kept |= candidates.scores[:, 0] < 0
    return Candidates2D(
        candidates.boxes_px[kept],
        candidates.scores[kept],
        candidates.class_ids[kept],
        aligned=candidates.aligned,
    )


def _numbers(boxes: Floats, scores: Floats) -> str:
    odd = 1 - float(np.isfinite(boxes).all(axis=1).mean())
    if odd > _SLACK:
        return f'{odd:.0%} of the boxes are no finite numbers'
    if not np.isfinite(scores).any():
        return 'no score is a finite number'
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return ''
    return (
        f'scores go from {low:.4g} to {high:.4g}, which are no probabilities: these columns hold'
        ' logits (export with the sigmoid) or something else'
    )


def _classes(every: Sequence[Candidates2D], count: int) -> str:
    """Where the network names a class itself, it must be one."""
    named = [candidates.class_ids for candidates in every if candidates.class_ids is not None]
    if not named or not (numbers := np.concatenate(named)).size:
        return ''
    odd = numbers[~(np.isfinite(numbers) & (numbers == np.round(numbers)))]
    if odd.size:
        return f'the last column holds {float(odd[0]):.4g}, which numbers no class'
    if numbers.min() < -1 or numbers.max() >= count:
        return f'class {numbers.max():.0f} is answered, {count} classes are named'
    return ''


def _reach(boxes: Floats, manifest: Manifest) -> str:
    """Boxes lie in the picture, and reach further than one pixel."""
    size = np.array((manifest.input.width_px, manifest.input.height_px) * 2, np.float64)
    reach = float(np.percentile(np.abs(boxes / size).max(axis=1), 90))
    if reach < _NEAR:
        unit = float(np.percentile(np.abs(boxes).max(axis=1), 90))
        return f'boxes reach no further than {unit:.3g} pixels: they are in another unit'
    if reach > _FAR:
        head = manifest.head
        fraction = head.name == 'detr' or head.options.get('unit') == 'fraction'
        words = 'they are pixels, no fractions' if fraction else 'these are no boxes in pixels'
        return f'boxes reach {reach:.3g} times as far as the picture: {words}'
    return ''


def _grid(every: Sequence[Candidates2D], manifest: Manifest) -> str:
    """Boxes of one a cell lie near their cells; it shows whether the network undid its grid."""
    if manifest.head.name not in ('yolox', 'yolov5', 'scored_boxes'):
        return ''
    high, wide = manifest.input.height_px, manifest.input.width_px
    for strides in STRIDES.values():
        cells = _centres(high, wide, strides)
        if any(len(candidates.boxes_px) != len(cells) for candidates in every):
            continue
        shares = [_alike(candidates.boxes_px, cells) for candidates in every]
        if min(shares) < _ALIKE:
            return 'the boxes do not lie where their cells are'
    return ''


def _centres(high: int, wide: int, strides: Sequence[int]) -> Floats:
    """(N, 2) centres of the cells of these strides, pixels."""
    grids = []
    for stride in strides:
        down, across = np.mgrid[: high // stride, : wide // stride].reshape(2, -1)
        grids.append(np.stack((across, down), axis=1) * stride + stride / 2)
    return np.concatenate(grids).astype(np.float64)


def _alike(boxes: Floats, cells: Floats) -> float:
    """Correlation of the centres of boxes with those of cells, the smaller of across and down."""
    centres = (boxes[:, :2] + boxes[:, 2:]).astype(np.float64)
    sane = np.isfinite(centres).all(axis=1)
    with np.errstate(all='ignore'):
        correlations = [np.corrcoef(centres[sane, i], cells[sane, i])[0, 1] for i in (0, 1)]
    return float(np.nan_to_num(correlations).min())


def _objectness(every: Sequence[Candidates2D], head: HeadSpec) -> str:
    """YOLOv6 fills the column of YOLOX's objectness with ones, and is shown other colours."""
    told = [c.objectness for c in every if c.objectness is not None]
    decoded = head.options.get('boxes') == 'px'
    if told and decoded and np.concatenate(told).min() > 1 - _ROUNDING:
        return 'objectness is 1 everywhere, as YOLOv6 writes it'
    return ''


def _certainty(scores: Floats, head: HeadSpec) -> str:
    """The sigmoid of a probability lies between 0.5 and 0.73; that of a logit goes anywhere."""
    if head.options.get('scores') != 'sigmoid' or len(scores) < _FEW:
        return ''
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    if low < 0.5 or high > 0.74:
        return ''
    return 'no logit is below 0 or above 1: they are probabilities already'


def _corners(boxes: Floats, head: HeadSpec) -> str:
    """Boxes are not inside out; and centres with sides are not corners in disguise."""
    sides = boxes[:, 2:] - boxes[:, :2]
    if (inverted := float((sides < 0).any(axis=1).mean())) > _SLACK:
        return (
            f'{inverted:.0%} of the boxes have their right edge left of the left one: they are'
            ' no corners x1 y1 x2 y2'
        )
    usual = 'corners' if head.name in ('yolo_end2end', 'efficient_nms') else 'centre'
    centred = head.options.get('box', usual) == 'centre'
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    if centred and len(boxes) > 1 and (sides > centres).all(axis=1).mean() > 1 - _SLACK:
        return 'every box is wider and higher than its distance from the edge: they are corners'
    return ''


def _twins(every: Sequence[Candidates2D], head: HeadSpec) -> str:
    """Of boxes that were chosen, the sure ones do not lie upon each other.

    Asked of heads that could suppress them; the layouts of others leave no choice.
    """
    usual = {'yolo_end2end': 'done', 'scored_boxes': 'needed'}.get(head.name, 'needed')
    if head.options.get('suppression', usual) == 'needed':
        return ''
    twins = compared = 0
    for candidates in every:
        best, named = candidates.scores.max(axis=1), candidates.class_ids
        ids = candidates.scores.argmax(axis=1) if named is None else named
        sure = np.argsort(-best, kind='stable')[:_COMPARED]
        sure = sure[best[sure] >= HeadSpec('').score_threshold]
        overlap = iou(candidates.boxes_px[sure], candidates.boxes_px[sure])
        overlap[ids[sure][:, None] != ids[sure][None]] = 0
        np.fill_diagonal(overlap, 0)
        twins += int(np.count_nonzero((overlap > _TWIN_IOU).any(axis=1)))
        compared += len(sure)
    if twins <= _MOST_TWINS * compared:
        return ''
    return (
        f'{twins} of the {compared} surest boxes overlap another of their class by more than'
        ' half: nobody has chosen among them'
    )
