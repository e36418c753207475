"""What pairs of runs say about the ratio between two sides, without assuming a distribution.

Runs of one side differ by placement, heat and whatever else the machine does; frames within a run
do not count as so many observations. A run is one number (a quantile), a baseline and a candidate
that ran one after the other are a pair, and a pair is one logarithm of their ratio. The
Hodges-Lehmann estimate and the bounds of Wilcoxon's signed-rank test, by its exact distribution,
need no more than that the differences are symmetric about the ratio sought.

Source: M. Hollander, D. A. Wolfe, E. Chicken, Nonparametric Statistical Methods, 3rd ed., 3.1-3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95
LEAST_PAIRS = 5
"""Fewer can never reach 95 %: their most extreme outcome has probability 2 ** -n."""


@dataclass(frozen=True)
class Shift:
    """Where the differences of pairs lie. All but the counts are natural logarithms of ratios.

    Attributes:
        estimate: Hodges-Lehmann: the median of all averages of two differences.
        low, high: each bounds the location with ``CONFIDENCE`` by itself, so that between them it
            lies with twice as much doubt; infinite with fewer than ``LEAST_PAIRS``.
        p_greater: probability of differences as large as these or larger if there is no shift up.
        p_less: the same for a shift down.
    """

    pairs: int
    estimate: float
    low: float
    high: float
    p_greater: float
    p_less: float


def log_ratios(baseline: Sequence[float], candidate: Sequence[float]) -> list[float]:
    """Pair by pair, the logarithm of candidate over baseline.

    Raises:
        ValueError: not as many of each, or a value that is not a positive finite number.
    """
    if len(baseline) != len(candidate):
        raise ValueError(f'{len(baseline)} runs of the baseline, {len(candidate)} of the other')
    for value in (*baseline, *candidate):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f'{value} where a duration above zero is needed')
    return [math.log(b / a) for a, b in zip(baseline, candidate, strict=True)]


def shift(differences: Sequence[float], confidence: float = CONFIDENCE) -> Shift:
    """Locate ``differences``; with none of them everything is NaN or infinite."""
    count = len(differences)
    averages = _walsh(differences)
    if not averages:
        return Shift(0, math.nan, -math.inf, math.inf, 1.0, 1.0)
    left_out = _left_out(count, 1.0 - confidence)
    return Shift(
        pairs=count,
        estimate=_median(averages),
        low=averages[left_out - 1] if left_out else -math.inf,
        high=averages[-left_out] if left_out else math.inf,
        p_greater=_at_most(count, sum(average <= 0 for average in averages)),
        p_less=_at_most(count, sum(average >= 0 for average in averages)),
    )


def holm(p_values: Sequence[float], alpha: float = 1.0 - CONFIDENCE) -> list[bool]:
    """Which hypotheses are rejected so that none is wrongly, but with probability ``alpha``.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = [False] * len(p_values)
    for place, i in enumerate(order):
        if p_values[i] > alpha / (len(p_values) - place):
            break
        rejected[i] = True
    return rejected


def _walsh(differences: Sequence[float]) -> list[float]:
    """Averages of every two differences, each with itself too, in ascending order."""
    count = len(differences)
    return sorted(
        differences[i] / 2 + differences[j] / 2 for i in range(count) for j in range(i, count)
    )


def _left_out(count: int, alpha: float) -> int:
    """How many averages may lie outside a one-sided bound of that doubt; 0 for none."""
    cumulated = 0
    for value, ways in enumerate(_ways(count)):
        cumulated += ways
        if cumulated > alpha * 2**count:
            return value
    return len(_ways(count))


def _at_most(count: int, value: int) -> float:
    """The probability of a signed-rank sum of ``value`` or less, of ``count`` differences."""
    return float(sum(_ways(count)[: value + 1]) / 2**count)


@cache
def _ways(count: int) -> tuple[int, ...]:
    """In how many ways signs make each sum of ranks 1 to ``count``."""
    ways = [1]
    for rank in range(1, count + 1):
        ways = [
            (ways[s] if s < len(ways) else 0) + (ways[s - rank] if s >= rank else 0)
            for s in range(len(ways) + rank)
        ]
    return tuple(ways)


def _median(values: Sequence[float]) -> float:
    """Of values in ascending order."""
    middle = len(values) // 2
    if len(values) % 2:
        return values[middle]
    return values[middle - 1] / 2 + values[middle] / 2
