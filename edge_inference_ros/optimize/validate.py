"""Runs the same pictures through two backends, precisions or models and says how far they agree.

Two questions are asked: do the numbers that leave the networks agree, and do the objects that are
found. The second decides: a changed last digit is harmless, a lost person is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.boxes import iou
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report
from edge_inference_ros.core.types import Detections2D, Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError

_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png')
_NOWHERE = Origin('', RosNs(0), MonoNs(0))


@dataclass(frozen=True)
class Params:
    """What to compare with what, and how much they must agree."""

    backend: str = param('ort', 'the reference runs on this')
    precision: str = param('', 'of the reference; empty: the first file')
    other_backend: str = param('trt', 'what is judged runs on this')
    other_precision: str = param('', 'of what is judged; empty: the first file')
    other: str = param('', 'model folder of what is judged; empty: the same')
    images: str = param('', 'folder of pictures; empty: patterns, which find few objects')
    count: int = param(50, 'pictures at most', low=1, high=100_000)
    agreement: float = param(0.98, 'least share of objects both find (F1)', low=0.0, high=1.0)
    iou: float = param(0.5, 'overlap that makes two boxes one object', low=0.0, high=1.0)
    score_difference: float = param(
        0.1, 'most that the scores of one object may differ, 95 of 100 times', low=0.0, high=1.0
    )
    sqnr_db: float = param(
        0.0,
        'least ratio of signal to difference of the outputs; 0: not judged',
        low=0.0,
        high=200.0,
    )


@dataclass
class Agreement:
    """What two detectors had in common, summed over pictures.

    Attributes:
        outputs: output tensor → sums needed for its differences.
        score_differences: of objects both found.
    """

    pictures: int = 0
    found: int = 0
    other_found: int = 0
    both: int = 0
    score_differences: list[float] = field(default_factory=list)
    outputs: dict[str, Difference] = field(default_factory=dict)

    @property
    def f1(self) -> float:
        """Share of objects both found; 1 if neither found any."""
        return 2 * self.both / total if (total := self.found + self.other_found) else 1.0

    def score_p95(self) -> float:
        """95 of 100 objects both found have scores no further apart."""
        return float(np.percentile(self.score_differences, 95)) if self.score_differences else 0.0


@dataclass
class Difference:
    """How far the elements of one output are apart."""

    furthest: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    count: int = 0

    def add(self, one: NDArray[Any], other: NDArray[Any]) -> None:
        """Count two tensors of the same shape."""
        plain = one.astype(np.float64)
        apart = plain - other.astype(np.float64)
        self.furthest = max(self.furthest, float(np.abs(apart).max(initial=0.0)))
        self.signal += float(np.square(plain).sum())
        self.noise += float(np.square(apart).sum())
        self.count += apart.size

    @property
    def sqnr_db(self) -> float:
        """Signal to difference, decibels; 200 stands for no difference."""
        if self.noise <= 0:
            return 200.0
        return float(10 * np.log10(max(self.signal, 1e-30) / self.noise))


class Detector:
    """A model on a backend, opened as a node opens it."""

    def __init__(self, manifest: Manifest, backend: str, precision: str, keep: ExitStack) -> None:
        file = manifest.file(backend, precision)
        manifests.verify(file)
        self.manifest, self.name = manifest, f'{file.path} on {backend}'
        self.engine = registry.load('backends', backend).open(manifest, file.path)
        keep.callback(self.engine.close)
        heads = registry.load('heads', manifest.head.name)
        self._head = heads.Head(manifest, self.engine.outputs)

    def __call__(self, sample: Image) -> Detections2D:
        """What is found in one picture."""
        fit = self._head.prepare(sample, self.engine.inputs)
        self.engine.run()
        found: Detections2D = self._head.decode(self.engine.outputs, sample, fit)
        return found


def run(model: Path, out: Path | None, params: Params) -> Report:
    """Compare, and refuse if they agree less than ``params`` ask.

    Args:
        model: model folder of the reference.
        out: folder for ``validate.json``; None writes nothing.
        params: what with what.

    Raises:
        ConfigError: ``params`` or a manifest is wrong, or there are no pictures.
        ModelError, BackendError: one of the two does not open or run.
    """
    check(params)
    said = manifests.load(model)
    other_said = manifests.load(Path(params.other)) if params.other else said
    with ExitStack() as keep:
        one = Detector(said, params.backend, params.precision, keep)
        other = Detector(other_said, params.other_backend, params.other_precision, keep)
        shown = _pictures(_larger(said, other_said), params)
        found = compare(one, other, shown, iou_threshold=params.iou)
    report = Report(
        'validate',
        f'{one.name} against {other.name}',
        str(out or ''),
        _facts(found),
        _rows(found),
        _notes(found),
        '; '.join(refusals(found, params)),
    )
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / 'validate.json').write_text(report.as_json(), encoding='utf-8')
    return report


def compare(
    one: Callable[[Image], Detections2D],
    other: Callable[[Image], Detections2D],
    pictures: Iterator[Image],
    *,
    iou_threshold: float,
) -> Agreement:
    """Show every picture to both.

    Outputs are compared element by element where both have them in the same shape, which is not so
    if they place boxes differently.
    """
    found = Agreement()
    for picture in pictures:
        add(found, one(picture), other(picture), iou_threshold=iou_threshold)
        add_outputs(found, _outputs(one), _outputs(other))
    return found


def add(found: Agreement, one: Detections2D, other: Detections2D, *, iou_threshold: float) -> None:
    """Count the objects of one picture."""
    found.pictures += 1
    found.found += len(one)
    found.other_found += len(other)
    for i, j in matches(one, other, iou_threshold=iou_threshold):
        found.both += 1
        found.score_differences.append(abs(float(one.scores[i]) - float(other.scores[j])))


def matches(
    one: Detections2D, other: Detections2D, *, iou_threshold: float
) -> list[tuple[int, int]]:
    """Pairs of the same class that overlap enough, each in one pair at most, surest first."""
    overlap = iou(one.boxes_px, other.boxes_px)
    overlap[one.class_ids[:, None] != other.class_ids[None]] = -1
    free = np.ones(len(other), bool)
    pairs: list[tuple[int, int]] = []
    for i in range(len(one)):  # sorted by score already
        row = np.where(free, overlap[i], -1)
        if len(row) and row[j := int(np.argmax(row))] >= iou_threshold:
            free[j] = False
            pairs.append((i, j))
    return pairs


def add_outputs(
    found: Agreement, one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]
) -> None:
    """Count the elements of the outputs both have."""
    for name in one:
        if name in other and one[name].shape == other[name].shape:
            found.outputs.setdefault(name, Difference()).add(one[name], other[name])


def refusals(found: Agreement, params: Params) -> list[str]:
    """Every threshold that was not met, in words."""
    said = []
    if found.f1 < params.agreement:
        said.append(f'objects agree to {found.f1:.4f}, wanted {params.agreement}')
    if found.score_p95() > params.score_difference:
        said.append(f'scores differ by {found.score_p95():.4f}, allowed {params.score_difference}')
    for name, difference in found.outputs.items():
        if params.sqnr_db and difference.sqnr_db < params.sqnr_db:
            said.append(f'{name}: {difference.sqnr_db:.1f} dB, wanted {params.sqnr_db}')
    return said


def _outputs(detector: Any) -> Mapping[str, NDArray[Any]]:
    engine = getattr(detector, 'engine', None)
    return engine.outputs if engine is not None else {}


def _facts(found: Agreement) -> dict[str, str | int | float]:
    return {
        'pictures': found.pictures,
        'objects': found.found,
        'objects_of_other': found.other_found,
        'objects_of_both': found.both,
        'agreement_f1': found.f1,
        'score_difference_p95': found.score_p95(),
    }


def _rows(found: Agreement) -> tuple[dict[str, str | int | float], ...]:
    return tuple(
        {'output': n, 'furthest': d.furthest, 'sqnr_db': d.sqnr_db, 'elements': d.count}
        for n, d in found.outputs.items()
    )


def _notes(found: Agreement) -> tuple[str, ...]:
    if found.found + found.other_found:
        return ()
    return ('Neither found an object: that they agree says little. Give --images.',)


def _pictures(said: Manifest, params: Params) -> Iterator[Image]:
    if not params.images:
        yield from _patterns(said, params.count)
        return
    import cv2

    paths = _files(Path(params.images))[: params.count]
    for path in paths:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ConfigError(f'{path}: not a picture OpenCV reads')
        yield Image(_NOWHERE, pixels, 'bgr')


def _files(folder: Path) -> Sequence[Path]:
    found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise ConfigError(f'images = {str(folder)!r}: no {", ".join(_SUFFIXES)} there')
    return found


def _larger(one: Manifest, other: Manifest) -> Manifest:
    """Whose input is larger: where it is the camera's, the other was made to shrink that."""
    return max(one, other, key=lambda said: said.input.height_px * said.input.width_px)


def _patterns(said: Manifest, count: int) -> Iterator[Image]:
    """Coloured blocks of the network's size, the same every time."""
    draw = np.random.default_rng(0)
    height, width = said.input.height_px, said.input.width_px
    for _ in range(count):
        small = draw.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        yield Image(_NOWHERE, small.repeat(16, 0).repeat(16, 1)[:height, :width], said.input.order)
