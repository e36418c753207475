"""Reads rows of box, objectness and class scores, as YOLOv5 and YOLOX write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import HeadSpec
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Crowding
from edge_inference_ros.heads._choose import Choice, best_classes, small_buffers

_BLOCK = 1024
_SLAB = 4096


class ScoredRows:
    """Chooses rows of (N, 5 + C) by objectness times best class score.

    A row whose objectness alone is below the threshold is not looked at further; as class scores
    are at most 1 this loses nothing, and most rows of most pictures cost one comparison.
    """

    def __init__(self, crowding: Crowding | None = None) -> None:
        self._objectness = Scratch(np.float32)
        self._scores = Scratch(np.float32)
        self._rows = Scratch(np.float32)
        self._choose = Choice(crowding)

    def __call__(
        self, rows: NDArray[np.float32], spec: HeadSpec
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
        """Indices, (K,) scores and (K,) class ids of the best ``spec.candidates`` rows."""
        objectness: Any = self._objectness(len(rows))
        np.copyto(objectness, rows[:, 4])
        scores: Any = self._scores(len(rows))
        scores.fill(-1)
        for start in range(0, len(rows), _SLAB):
            slab = objectness[start : start + _SLAB]
            likely = np.flatnonzero(slab >= spec.score_threshold)
            likely += start  # in place: a sum would be as large again
            for first in range(0, len(likely), _BLOCK):
                self._score(rows, objectness, likely[first : first + _BLOCK], scores)
        chosen = self._choose(scores, at_least=spec.score_threshold, count=spec.candidates)
        return chosen, scores[chosen], best_classes(rows[:, 5:].T, chosen)

    def _score(
        self,
        rows: NDArray[np.float32],
        objectness: NDArray[np.float32],
        at: NDArray[np.intp],
        scores: NDArray[np.float32],
    ) -> None:
        # mode='clip' because numpy buffers the whole of ``out`` when it must check indices first.
        near: Any = np.take(rows, at, axis=0, out=self._rows(len(at), rows.shape[1]), mode='clip')
        # What comes of odd numbers is dropped later.
        with np.errstate(over='ignore', invalid='ignore'), small_buffers():
            scores[at] = near[:, 5:].max(axis=1) * objectness[at]
