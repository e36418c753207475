"""How far two detectors agree on the same pictures, labelled or not.

Two questions are asked: do the numbers that leave the networks agree, and do the objects that are
found. The second decides: a changed last digit is harmless, a lost person is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.boxes import iou
from edge_inference_ros.core.report import Value
from edge_inference_ros.core.types import Detections2D, Image


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
    def output_db(self) -> float:
        """Signal to difference, decibels; 200 stands for no difference."""
        if self.noise <= 0:
            return 200.0
        return float(10 * np.log10(max(self.signal, 1e-30) / self.noise))


def compare(
    reference: Callable[[Image], Detections2D],
    candidate: Callable[[Image], Detections2D],
    pictures: Iterable[Image],
    *,
    iou_threshold: float,
) -> Agreement:
    """Show every picture to both.

    Outputs are compared element by element where both have them in the same shape, which is not so
    if they place boxes differently.
    """
    agreement = Agreement()
    for picture in pictures:
        add(agreement, reference(picture), candidate(picture), iou_threshold=iou_threshold)
        add_outputs(agreement, _outputs(reference), _outputs(candidate))
    return agreement


def add(found: Agreement, one: Detections2D, other: Detections2D, *, iou_threshold: float) -> None:
    """Count the objects of one picture."""
    found.pictures += 1
    found.found += len(one)
    found.other_found += len(other)
    for i, j in matches(one, other, iou_threshold=iou_threshold):
        found.both += 1
        found.score_differences.append(abs(float(one.scores[i]) - float(other.scores[j])))


def matches(
    reference: Detections2D, candidate: Detections2D, *, iou_threshold: float
) -> list[tuple[int, int]]:
    """Pairs of the same class that overlap enough, each in one pair at most, surest first."""
    overlap = iou(reference.boxes_px, candidate.boxes_px)
    overlap[reference.class_ids[:, None] != candidate.class_ids[None]] = -1
    free = np.ones(len(candidate), bool)
    pairs: list[tuple[int, int]] = []
    for i in range(len(reference)):  # sorted by score already
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


def refusals(
    found: Agreement, *, agreement: float, score_difference: float, output_db: float
) -> list[str]:
    """Every threshold that was not met, in words; 0 dB asks nothing of the outputs."""
    reasons = []
    if not found.f1 >= agreement:
        reasons.append(f'objects agree to {found.f1:.4f}, wanted {agreement}')
    if not found.score_p95() <= score_difference:
        reasons.append(f'scores differ by {found.score_p95():.4f}, allowed {score_difference}')
    for name, difference in found.outputs.items():
        if output_db and not difference.output_db >= output_db:
            reasons.append(f'{name}: {difference.output_db:.1f} dB, wanted {output_db}')
    return reasons


def _outputs(detector: Any) -> Mapping[str, NDArray[Any]]:
    engine = getattr(detector, 'engine', None)
    return engine.outputs if engine is not None else {}


def facts(found: Agreement) -> dict[str, Value]:
    """The counts, and what they come to."""
    return {
        'pictures': found.pictures,
        'objects': found.found,
        'objects_of_other': found.other_found,
        'objects_of_both': found.both,
        'agreement_f1': found.f1,
        'score_difference_p95': found.score_p95(),
    }


def rows(found: Agreement) -> tuple[dict[str, Value], ...]:
    """One row for every output both have."""
    return tuple(
        {'output': n, 'furthest': d.furthest, 'output_db': d.output_db, 'elements': d.count}
        for n, d in found.outputs.items()
    )
