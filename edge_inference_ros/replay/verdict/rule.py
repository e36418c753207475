"""When a candidate counts as worse: an effect that matters, shown beyond doubt, or not at all.

REGRESSED needs both a measured ratio that matters (``MATTERS``) and a bound that excludes no
change; IMPROVED is the mirror image. UNCHANGED is claimed only where the interval excludes every
change that matters. What is neither is INCONCLUSIVE, and never passes in silence.

Where the numbers come from: simulated runs on a shared machine with drift, run effects and
bursts. Of 300 pairs of equal sides none was called worse by this rule at p50 with 8 pairs, and of
those slower by a fifth all were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from edge_inference_ros.replay.verdict.bound import (
    LEAST_PAIRS,
    Shift,
    holm,
    log_ratios,
    shift,
)

MATTERS = {'p50': 1.10, 'p95': 1.20}
"""The least ratio, by quantile, that is worth a verdict. Others are shown and do not decide."""

SAME = 0.10
"""A ratio this near to 1 is no change."""

MOST_PAIRS = 16


class Trend(Enum):
    """What is said in the end."""

    REGRESSED = 'REGRESSED'
    INCONCLUSIVE = 'INCONCLUSIVE'
    IMPROVED = 'IMPROVED'
    UNCHANGED = 'UNCHANGED'


EXIT_CODES = {
    Trend.UNCHANGED: 0,
    Trend.IMPROVED: 0,
    Trend.REGRESSED: 1,
    Trend.INCONCLUSIVE: 3,
}
"""2 says that the input is wrong and there is no verdict."""


@dataclass(frozen=True)
class Measure:
    """One figure of every run, paired: run i of one side stands beside run i of the other.

    Attributes:
        stage: which part of the way.
        quantile: a key of ``MATTERS``, or another, which does not decide by statistics.
        baseline, candidate: one value a run, of any unit, above zero.
        decides: whether the verdict may rest on it; others are shown.
    """

    stage: str
    quantile: str
    baseline: Sequence[float]
    candidate: Sequence[float]
    decides: bool = True


@dataclass(frozen=True)
class MetricRow:
    """What is said of one measure; ratios are candidate over baseline."""

    stage: str
    quantile: str
    pairs: int
    ratio: float
    low: float
    high: float
    verdict: Trend
    decides: bool


@dataclass(frozen=True)
class Gate:
    """Something exact: it holds or not, and no statistics excuse it."""

    name: str
    holds: bool
    why: str = ''


@dataclass(frozen=True)
class Comparison:
    """The word, and everything it rests on.

    Attributes:
        void: how many pairs were left out, by reason.
    """

    verdict: Trend
    rows: tuple[MetricRow, ...] = ()
    gates: tuple[Gate, ...] = ()
    void: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 unchanged or improved, 1 regressed, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    @property
    def more_pairs_may_help(self) -> bool:
        """Whether there are fewer than ``MOST_PAIRS`` and they do not decide."""
        fewest = min((row.pairs for row in self.rows if row.decides), default=0)
        return self.verdict is Trend.INCONCLUSIVE and fewest < MOST_PAIRS


def judge(
    measures: Sequence[Measure], gates: Sequence[Gate] = (), void: Mapping[str, int] | None = None
) -> Comparison:
    """Say whether the candidate has become worse.

    Measures whose quantile is in ``MATTERS`` decide, all of them at once: the more there are, the
    surer each has to be (Holm).

    Raises:
        ValueError: sides of different length, or a value that is no duration.
    """
    shifts = [shift(log_ratios(m.baseline, m.candidate)) for m in measures]
    decide = [i for i, m in enumerate(measures) if m.decides and m.quantile in MATTERS]
    worse = _chosen(decide, holm([shifts[i].p_greater for i in decide]))
    better = _chosen(decide, holm([shifts[i].p_less for i in decide]))
    rows = tuple(
        MetricRow(
            stage=measure.stage,
            quantile=measure.quantile,
            pairs=it.pairs,
            ratio=math.exp(it.estimate),
            low=math.exp(it.low),
            high=math.exp(it.high),
            verdict=_verdict(it, MATTERS.get(measure.quantile), (i in worse, i in better)),
            decides=i in decide,
        )
        for i, (measure, it) in enumerate(zip(measures, shifts, strict=True))
    )
    return Comparison(_whole(rows, gates), rows, tuple(gates), dict(void or {}))


def judge_exact(measures: Sequence[Measure], gates: Sequence[Gate] = ()) -> Comparison:
    """Judge figures in which nothing is left to chance: one run a side, and any change is one.

    Raises:
        ValueError: a measure of more or fewer than one run a side.
    """
    rows = tuple(_exact(measure) for measure in measures)
    return Comparison(_whole(rows, gates), rows, tuple(gates))


def _exact(measure: Measure) -> MetricRow:
    ((before,), (after,)) = measure.baseline, measure.candidate
    verdict = Trend.UNCHANGED
    if after != before:
        verdict = Trend.REGRESSED if after > before else Trend.IMPROVED
    ratio = after / before
    return MetricRow(
        measure.stage, measure.quantile, 1, ratio, ratio, ratio, verdict, decides=measure.decides
    )


def _chosen(places: Sequence[int], rejected: Sequence[bool]) -> set[int]:
    return {place for place, is_rejected in zip(places, rejected, strict=True) if is_rejected}


def _verdict(it: Shift, matters: float | None, shown: tuple[bool, bool]) -> Trend:
    """Of one measure; ``shown``: whether it is beyond doubt greater, and less."""
    is_greater, is_less = shown
    if matters is None or it.pairs < LEAST_PAIRS:
        return Trend.INCONCLUSIVE
    if is_greater and it.estimate >= math.log(matters):
        return Trend.REGRESSED
    if is_less and it.estimate <= -math.log(matters):
        return Trend.IMPROVED
    if math.log(1 - SAME) <= it.low and it.high <= math.log(1 + SAME):
        return Trend.UNCHANGED
    return Trend.INCONCLUSIVE


def _whole(rows: Sequence[MetricRow], gates: Sequence[Gate]) -> Trend:
    """The worst that is said of what decides; nothing that decides is inconclusive."""
    verdicts = {row.verdict for row in rows if row.decides}
    if not all(gate.holds for gate in gates):
        return Trend.REGRESSED
    for verdict in Trend:  # in the order of their gravity
        if verdict in verdicts:
            return verdict
    return Trend.INCONCLUSIVE
