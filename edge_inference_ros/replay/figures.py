"""Figures from what was observed: quantiles with their right to exist, gaps, and what is missing.

Terms. *Sensor to output*: from a frame's stamp to the publishing of its detections. *Data age*:
how old the newest output is just before the next replaces it. *Reaction*: from an event that one
exposure just missed to the first output that shows it.

Latency of received frames alone flatters: while the machine stalls, the frames it drops are not
counted. The *corrected* row asks for every frame the camera took how long it was until the first
output at least as new: a two-second stall at 30 Hz is then sixty bad frames instead of one.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_inference_ros.core.latency import STAGES, WHOLE
from edge_inference_ros.core.stats import samples_needed
from edge_inference_ros.guard.verdict import FORWARDED, Verdict

QUANTILES = (0.5, 0.95, 0.99)
MS = 1e-6
ORDER = (WHOLE, *STAGES)
"""Rows of a table: the whole first."""

CORRECTED = f'{WHOLE}, corrected'


@dataclass(frozen=True)
class Output:
    """One latency report: when the frame was taken, where its time went, what the node counted.

    Attributes:
        laps_ms: stage name to milliseconds; ``sensor_to_output`` is the whole.
    """

    stamp_ns: int
    laps_ms: Mapping[str, float]


@dataclass(frozen=True)
class Observed:
    """What a recording shows of one detector and its guard.

    Attributes:
        expected_ns: stamps of the frames the camera took; empty if nobody wrote them down.
        outputs: in the order they came.
        counts: received, superseded, rejected, failed, and done where it was said, at the end.
        forwarded_ns: stamp and reception time of each prediction the watchdog let through.
        verdicts: how often the watchdog gave each verdict; empty if there was none.
        ages: reception time, age and deadline in ms of each watchdog heartbeat.
        engine: model, digest, backend as the detector reported them.
    """

    expected_ns: tuple[int, ...]
    outputs: tuple[Output, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    forwarded_ns: tuple[tuple[int, int], ...] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    ages: tuple[tuple[int, float, float], ...] = ()
    engine: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LatencyRow:
    """One line of the latency table; ``None`` where there are too few samples to say."""

    stage: str
    samples: int
    quantiles_ms: tuple[float | None, ...]
    max_ms: float | None


def row(stage: str, values_ms: Sequence[float]) -> LatencyRow:
    """Quantiles of ``values_ms``, nearest rank upwards.

    The maximum of n samples bounds a quantile with 95 % confidence from 59 (p95) or 299 (p99)
    samples on; below that there is no such figure, only a guess that looks like one.
    """
    count = len(values_ms)
    known = [
        float(np.quantile(values_ms, q, method='higher')) if count >= samples_needed(q) else None
        for q in QUANTILES
    ]
    return LatencyRow(stage, count, tuple(known), max(values_ms) if count else None)


def table(seen: Observed) -> list[LatencyRow]:
    """Every stage that was reported, the whole first, and the whole corrected below it."""
    reported = {stage for output in seen.outputs for stage in output.laps_ms}
    stages = [s for s in ORDER if s in reported] + sorted(reported - set(ORDER))
    rows = [row(s, [o.laps_ms[s] for o in seen.outputs if s in o.laps_ms]) for s in stages]
    if WHOLE in reported and seen.expected_ns:
        rows.insert(1, row(CORRECTED, corrected_ms(seen)))
    return rows


def corrected_ms(seen: Observed) -> list[float]:
    """For every expected frame: from its stamp to the first output at least as new.

    Frames after the last output are left out: nobody knows what would have come.
    """
    done = sorted((o.stamp_ns, _out_ns(o)) for o in seen.outputs)
    stamps = [stamp for stamp, _ in done]
    earliest = _running_min([out for _, out in done])
    values_ms = []
    for stamp_ns in seen.expected_ns:
        at = bisect.bisect_left(stamps, stamp_ns)
        if at < len(stamps):
            values_ms.append((earliest[at] - stamp_ns) * MS)
    return values_ms


def _running_min(values: list[int]) -> list[int]:
    """The least value from each position on: an older frame may not overtake a newer one."""
    least = np.minimum.accumulate(np.array(values[::-1], np.int64))[::-1]
    return [int(value) for value in least]


def _out_ns(output: Output) -> int:
    return output.stamp_ns + round(output.laps_ms[WHOLE] / MS)


@dataclass(frozen=True)
class Accounting:
    """Where every frame went. All are counts of frames.

    Attributes:
        published: put out by the camera or player; ``None`` if nobody counted.
        lost: published but never received: the transport dropped them.
        waiting: received but neither finished nor given up when the detector last counted.
    """

    published: int | None
    received: int
    detected: int
    superseded: int
    rejected: int
    failed: int
    lost: int | None
    waiting: int

    @property
    def adds_up(self) -> bool:
        """Whether received = detected + superseded + rejected + failed + at most one waiting."""
        return 0 <= self.waiting <= 1 and (self.lost is None or self.lost >= 0)


def accounting(seen: Observed) -> Accounting:
    """Count frames in and frames out, by what the detector said last."""
    received = seen.counts.get('received', 0)
    detected = seen.counts.get('done', len({output.stamp_ns for output in seen.outputs}))
    gone = {name: seen.counts.get(name, 0) for name in ('superseded', 'rejected', 'failed')}
    published = len(seen.expected_ns) or None
    return Accounting(
        published=published,
        received=received,
        detected=detected,
        **gone,
        lost=None if published is None else published - received,
        waiting=received - detected - sum(gone.values()),
    )


@dataclass(frozen=True)
class Rhythm:
    """How evenly results came. ``None`` where there are too few to say.

    Attributes:
        period_ms: median time between outputs.
        jitter_ms: 95 % of output times are predicted this well by the two before them: the
            absolute second difference.
        spread_ms: p99 minus p50 of sensor to output.
        longest_gap_ms: between two outputs that may be acted on: forwarded ones, if guarded.
        data_age_ms: the greatest age of the newest output just before the next one came.
        reaction_ms: the longest from a missed event to the output that shows it.
    """

    period_ms: float | None
    jitter_ms: float | None
    spread_ms: float | None
    longest_gap_ms: float | None
    data_age_ms: float | None
    reaction_ms: float | None


def rhythm(seen: Observed) -> Rhythm:
    """Gaps and jitter of the outputs."""
    done = [(o.stamp_ns, _out_ns(o)) for o in seen.outputs]
    times = np.sort(np.array([out for _, out in done], np.int64)) * MS
    usable = [at for _, at in seen.forwarded_ns] or [out for _, out in done]
    second = np.abs(np.diff(times, 2)).tolist()
    whole = row(WHOLE, [o.laps_ms[WHOLE] for o in seen.outputs])
    p50, _, p99 = whole.quantiles_ms
    ages = [(after - stamp) * MS for (stamp, _), (_, after) in itertools.pairwise(done)]
    return Rhythm(
        period_ms=row('', np.diff(times).tolist()).quantiles_ms[0],
        jitter_ms=row('', second).quantiles_ms[1],
        spread_ms=None if p99 is None or p50 is None else p99 - p50,
        longest_gap_ms=max((np.diff(np.sort(usable)) * MS).tolist(), default=None),
        data_age_ms=max(ages, default=None),
        reaction_ms=max(_reactions_ms(seen), default=None),
    )


def _reactions_ms(seen: Observed) -> list[float]:
    """Corrected latencies with the sampling gap: measured from the frame before."""
    since = corrected_ms(seen)
    gaps = np.diff(np.array(seen.expected_ns[: len(since)], np.int64)) * MS
    return [late + gap for late, gap in zip(since[1:], gaps.tolist(), strict=True)]


@dataclass(frozen=True)
class Guarded:
    """What the watchdog did with the predictions.

    Attributes:
        refused: verdict to count, the forwarding verdict left out.
        miss_ratio: part of the expected frames of which no prediction was forwarded in time.
    """

    judged: int
    forwarded: int
    refused: Mapping[str, int]
    miss_ratio: float | None


def guarded(seen: Observed) -> Guarded | None:
    """Predictions forwarded and refused by verdict; ``None`` if nobody guarded them."""
    if not seen.verdicts:
        return None
    # NONEWDATA is said of a tick without a message: no prediction was refused then.
    counted = {v: n for v, n in seen.verdicts.items() if v != Verdict.NONEWDATA.value}
    passed = {verdict.value for verdict in FORWARDED}
    refused = {v: n for v, n in counted.items() if v not in passed and n}
    judged = sum(counted.values())
    forwarded = judged - sum(refused.values())
    expected = len(seen.expected_ns)
    miss = 1 - min(forwarded, expected) / expected if expected else None
    return Guarded(judged, forwarded, refused, miss)


def ms(value: float | None) -> str:
    """Milliseconds for a table; 'n/a' where there is no such figure."""
    return 'n/a' if value is None or math.isnan(value) else f'{value:.1f}'


def in_ms(value: float | None) -> str:
    """The same with its unit, for a sentence."""
    figure = ms(value)
    return figure if figure == 'n/a' else f'{figure} ms'
