"""Upper bounds of a rate between two samples of odometry, and what they add up to."""

from __future__ import annotations

from typing import NamedTuple

from edge_inference_ros.guard.deadline import SLACK, reach

S_PER_NS, FEMTO = 1e-9, 1e15
"""So many of its units the odometer has in a metre, or a radian."""


class Bound(NamedTuple):
    """A rate that is not exceeded: min(start + gain t, top), t after a sample."""

    start: float
    gain: float
    top: float


class Leg(NamedTuple):
    """What the odometer read at a sample, and the bounds from there to the next."""

    path_fm: int
    turn_frad: int
    v: Bound
    w: Bound

    def after(self, t_s: float) -> tuple[int, int]:
        """What it reads ``t_s`` after the sample, rounded up."""
        path_fm, turn_frad, (v, v_gain, v_top), (w, w_gain, w_top) = self
        return (
            path_fm + 1 + int(reach(v, t_s, v_gain, v_top) * FEMTO),
            turn_frad + 1 + int(reach(w, t_s, w_gain, w_top) * FEMTO),
        )


NOWHERE = Leg(0, 0, Bound(0.0, 0.0, 0.0), Bound(0.0, 0.0, 0.0))


def bound_of(rate: float, gain: float, cap: float) -> Bound:
    """The bound after a sample of ``rate``, of a robot that gains ``gain`` up to ``cap``."""
    return Bound(rate, gain, max(cap, rate))


def sure(rate: float, before: float, cap: float, most_change: float) -> float:
    """``rate``, unless it is beyond the cap and out of reach from the sample before."""
    if rate <= cap or rate - before <= most_change:
        return rate
    return max(cap, before)


def braked(rate: float, before: float, cap: float, most_change: float) -> float:
    """``rate``, or what brakes at their hardest leave of ``before``; a spike leaves as much."""
    believed = rate if rate <= cap or rate - before <= most_change else before
    return max(believed, before - most_change)


def open_bound(bound: Bound, *, floor: float, lost: bool) -> Bound:
    """The bound since the newest sample: no less than ``floor``, and the cap once it is lost."""
    top = max(bound.top, floor)
    return Bound(top if lost else max(bound.start, floor), bound.gain, top)


def closed_bound(bound: Bound, end: float, *, floor: float, span_s: float, gap: bool) -> Bound:
    """The bound up to a sample that reads ``end``, ``span_s`` later; a gap counts at its top."""
    start, end = max(bound.start, floor), max(end, floor)
    top = max(bound.top, start, end)
    if gap:
        return Bound(top, bound.gain, top)
    if end > (start + bound.gain * span_s) * (1.0 + SLACK):
        return Bound(end, bound.gain, end)
    return Bound(start, bound.gain, top)
