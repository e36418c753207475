"""The few best of many scores, and the best class of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Crowding

_BUFFER = 256
_SLAB = 4096
"""Elements handled at once where numpy must allocate: 32 kB of indices."""


class Choice:
    """Picks which boxes are worth a closer look.

    Costs a pass over the scores, and a partial sort where too many pass the threshold; that this
    happened is counted in ``crowding``.
    """

    def __init__(self, crowding: Crowding | None = None) -> None:
        self.crowding = crowding or Crowding()
        self._good = Scratch(np.bool_)
        self._spare = Scratch(np.bool_)
        self._ranked = Scratch(np.float32)

    def __call__(
        self, scores: NDArray[np.float32], *, at_least: float, count: int
    ) -> NDArray[np.intp]:
        """Indices of the ``count`` best of (N,) ``scores``, ascending; ties go to the first.

        What is not a finite number or below ``at_least`` is never chosen.
        """
        good: NDArray[Any] = self._good(len(scores))
        spare: NDArray[Any] = self._spare(len(scores))
        np.greater_equal(scores, at_least, out=good)  # false for NaN
        np.logical_and(good, np.less(scores, np.inf, out=spare), out=good)
        if np.count_nonzero(good) <= count:
            return first(good, count)
        self.crowding.candidates += 1
        ranked: NDArray[Any] = self._ranked(len(scores))
        ranked.fill(-np.inf)
        np.copyto(ranked, scores, where=good)
        ranked.partition(len(ranked) - count)
        least = ranked[len(ranked) - count]
        above = first(np.logical_and(good, np.greater(scores, least, out=spare), out=spare), count)
        level = first(np.equal(scores, least, out=spare), count - len(above))
        return np.sort(np.concatenate((above, level)))


@contextmanager
def small_buffers() -> Iterator[None]:
    """Let numpy before 2.3 (the last for Python 3.10) allocate 2 kB for a reduction, not 64.

    It makes room to convert 8192 elements twice, whether or not anything is to be converted.
    """
    before = np.setbufsize(_BUFFER)
    try:
        yield
    finally:
        np.setbufsize(before)


def first(true: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    """Indices of the first ``count`` true elements, found without a large allocation."""
    chosen: list[NDArray[np.intp]] = []
    left = count
    for start in range(0, len(true), _SLAB):
        rows = np.flatnonzero(true[start : start + _SLAB])[:left] + start
        chosen.append(rows)
        left -= len(rows)
        if left <= 0:
            break
    return np.concatenate(chosen) if chosen else np.empty(0, np.intp)


def best_classes(scores: NDArray[np.float32], chosen: NDArray[np.intp]) -> NDArray[np.int32]:
    """The class with the highest of (C, N) ``scores``, for each chosen column."""
    class_ids = np.empty(len(chosen), np.int32)
    step = max(1, _SLAB // len(scores))
    for start in range(0, len(chosen), step):
        part = slice(start, start + step)
        class_ids[part] = np.argmax(scores[:, chosen[part]], axis=0)
    return class_ids


def valid_classes(class_ids: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """(N,) whether a network's own (N,) class numbers name one of ``count`` classes."""
    return (class_ids >= 0) & (class_ids < count)
