"""What happened lately, in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

QUANTILES = (0.5, 0.95, 0.99)


def samples_needed(quantile: float, confidence: float = 0.95) -> int:
    """How many samples it takes for their maximum to bound ``quantile`` with ``confidence``.

    The maximum of n samples stays below the quantile with probability quantile ** n: 59 samples
    for p95, 299 for p99, 2995 for p99.9.
    """
    return math.ceil(math.log(1.0 - confidence) / math.log(quantile))


class Window:
    """The last ``size`` values, overwritten in turn."""

    __slots__ = ('_count', '_values')

    def __init__(self, size: int) -> None:
        self._values = np.full(size, np.nan)
        self._count = 0

    def add(self, value: float) -> None:
        """Remember ``value``, forgetting the oldest."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, len(self._values))

    def quantiles(self, wanted: Sequence[float] = QUANTILES) -> list[float]:
        """The quantiles of what is held, nearest rank upwards; NaN while it holds nothing."""
        if not len(self):
            return [math.nan] * len(wanted)
        held = self._values[: len(self)]
        values: list[float] = np.quantile(held, wanted, method='higher').tolist()
        return values

    def max(self) -> float:
        """The greatest value held; NaN while it holds nothing."""
        return float(self._values[: len(self)].max()) if len(self) else math.nan
