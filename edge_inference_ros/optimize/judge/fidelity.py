"""How well a smaller network says what the large one says: scores and boxes, each in its unit.

A detector's output holds pixels beside probabilities. Taken together only the pixels would count:
a network whose scores are all zero, which finds nothing, would look almost perfect. The head knows
which numbers are which, so scores are compared with scores, and a box's error with its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.boxes import iou
from edge_inference_ros.core.types import Candidates2D

NO_NOISE_DB = 200.0
_COMPARED = 300
"""Rows of a network that orders its answers: only the best are looked for in the other's."""

_SMALLEST_PX = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """What is left of a network's answers.

    Attributes:
        scores_db: power of its scores by that of their errors, decibels; 0 if they are lost.
        boxes_db: size of its boxes by the error of their corners, decibels; 26 is a twentieth.
        box_px: mean error of a corner's coordinate, pixels of the input.
    """

    scores_db: float
    boxes_db: float
    box_px: float

    @property
    def sqnr_db(self) -> float:
        """Signal to quantisation noise: the lesser of both, for losing either loses the object."""
        return min(self.scores_db, self.boxes_db)

    def facts(self) -> dict[str, float]:
        """All of it by name."""
        return {
            'sqnr_db': self.sqnr_db,
            'scores_db': self.scores_db,
            'boxes_db': self.boxes_db,
            'box_px': self.box_px,
        }


def fidelity(wanted: Sequence[Candidates2D], given: Sequence[Candidates2D]) -> Fidelity:
    """Compare the answers of two networks to the same pictures.

    Boxes count as much as the wanted network is sure of them. Where a network orders its answers,
    each is compared with the one of its class it overlaps most; what has no such partner counts
    with its whole score as error, on either side.
    """
    pairs = [_paired(a, b) for a, b in zip(wanted, given, strict=True)]
    scores, other_scores = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    boxes, boxes_there = (np.concatenate([pair[i] for pair in pairs]) for i in (2, 3))
    sure = np.concatenate([pair[4] for pair in pairs])
    errors = np.abs(boxes - boxes_there)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], _SMALLEST_PX)
    share = np.square(errors).mean(axis=1) / sides.prod(axis=1)
    return Fidelity(
        _db(float(np.square(scores).sum()), float(np.square(scores - other_scores).sum())),
        _db(float(sure.sum()), float((sure * share).sum())),
        float((sure * errors.mean(axis=1)).sum() / max(float(sure.sum()), 1e-30)),
    )


def _paired(
    wanted: Candidates2D, given: Candidates2D
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Scores and boxes of both, row by row, and how sure the wanted network is of each box."""
    if wanted.aligned:
        scores = _sane(wanted.scores)
        rows = (scores, _sane(given.scores), _sane(wanted.boxes_px), _sane(given.boxes_px))
        return (*rows, scores.max(axis=1))
    (boxes, best, ids), (boxes_there, best_there, ids_there) = _best(wanted), _best(given)
    overlap = iou(boxes.astype(np.float32), boxes_there.astype(np.float32))
    overlap[ids[:, None] != ids_there[None]] = 0
    partners = _partners(overlap)
    alone = np.setdiff1d(np.arange(len(best_there)), partners[partners >= 0])
    met = partners >= 0
    matched = np.where(met, best_there[partners], 0.0) if len(best_there) else np.zeros(len(best))
    scores = np.concatenate((best, np.zeros(len(alone))))
    partners_scores = np.concatenate((matched, best_there[alone]))
    return scores, partners_scores, boxes[met], boxes_there[partners[met]], best[met]


def _best(candidates: Candidates2D) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Boxes, scores and classes of the surest rows, best first."""
    scores, named = _sane(candidates.scores), candidates.class_ids
    best = scores.max(axis=1, initial=0.0)
    ids = scores.argmax(axis=1) if named is None else _sane(named).astype(np.int64)
    order = np.argsort(-best, kind='stable')[:_COMPARED]
    return _sane(candidates.boxes_px)[order], best[order], ids[order]


def _partners(overlap: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row the column it overlaps most that no row before it took, or -1."""
    free = np.ones(overlap.shape[1], bool)
    partners = np.full(len(overlap), -1)
    for row, values in enumerate(overlap):
        left = np.where(free, values, 0)
        if left.size and left[place := int(left.argmax())] > 0:
            partners[row], free[place] = place, False
    return partners


def _sane(values: NDArray[np.float32]) -> Floats:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _db(signal: float, noise: float) -> float:
    if noise <= 0:
        return NO_NOISE_DB
    return float(min(NO_NOISE_DB, 10 * np.log10(max(signal, 1e-30) / noise)))
