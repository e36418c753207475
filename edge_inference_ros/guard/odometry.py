"""How far the robot has moved since an instant: an odometer that never reads too little.

Speed times age is wrong exactly when it matters: a robot that brakes from 1.5 m/s to rest in
0.6 s has moved 0.45 m since, and its speed times the age is 0. So the path itself is integrated,
over an upper bound of the speed between samples:

* from a sample the robot can only have gained a_acc t, up to v_cap; so the bound is
  min(v0 + a_acc t, max(v_cap, v0)) until the next sample, however that sample came about;
* if the next sample v1 is faster than this explains (noise, a descent), the bound is v1;
* a gap, and any time in which a bad sample was seen, counts at v_cap;
* a command leads motion: the bound is at least what was commanded meanwhile;
* speeds above v_cap are believed when the sample before makes them possible. One that would take
  more than 1 g is a spike: it counts at v_cap, but still tightens the deadline.

The same bound, with its own limits, holds for the yaw rate.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from enum import Enum
from typing import NamedTuple

from edge_inference_ros.guard.deadline import reach
from edge_inference_ros.guard.robot import GRAVITY_MPS2, RobotProfile

S_PER_NS = 1e-9
SPIKE_RADPS2 = 30.0
"""Nothing that carries a camera changes its yaw rate faster; a reading that does is a spike."""


class OdometryFault(Enum):
    """Why the caps are used instead of odometry."""

    ABSENT = 'no odometry yet'
    STALE = 'odometry too old'
    NONFINITE = 'odometry is not a number'
    FUTURE = 'odometry is stamped in the future'


class Motion(NamedTuple):
    """How fast the robot may be moving now.

    Attributes:
        v_mps: speed, from odometry or command, whichever is greater; grown by a_acc since.
        w_radps: yaw rate, likewise, not grown.
        toward: directions of travel, bits of ``guard/robot.py``.
        fault: why v and w are the caps; None when they are measured.
    """

    v_mps: float
    w_radps: float
    toward: int
    fault: OdometryFault | None


class Travel(NamedTuple):
    """How far the robot may have moved: path length in m, rotation in rad, neither signed."""

    path_m: float
    turn_rad: float


class _Bound(NamedTuple):
    """A rate that is not exceeded: min(start + gain t, top), t after a sample."""

    start: float
    gain: float
    top: float


class _Leg(NamedTuple):
    """What the odometer read at a sample, and the bounds from there to the next."""

    path_m: float
    turn_rad: float
    v: _Bound
    w: _Bound

    def after(self, t_s: float) -> tuple[float, float]:
        path_m, turn_rad, (v, v_gain, v_top), (w, w_gain, w_top) = self
        return path_m + reach(v, t_s, v_gain, v_top), turn_rad + reach(w, t_s, w_gain, w_top)


_NOWHERE = _Leg(0.0, 0.0, _Bound(0.0, 0.0, 0.0), _Bound(0.0, 0.0, 0.0))


class Odometry:
    """A bounded history of motion on the axis of ``guard/timeline.py``.

    Feed it from one thread. Reading costs one bisection; memory does not grow.

    Attributes:
        robot: the limits; may be replaced while running.
        late: samples that came out of order. They are not needed: the bound covers them.
    """

    __slots__ = (
        '_capacity',
        '_command',
        '_command_ns',
        '_fault',
        '_floor',
        '_last',
        '_legs',
        '_lost',
        '_seen_ns',
        '_shown',
        '_skew_ns',
        '_tail',
        '_times',
        'late',
        'robot',
    )

    def __init__(self, robot: RobotProfile, *, skew_ns: int = 0, capacity: int = 1024) -> None:
        self.robot = robot
        self._skew_ns = skew_ns
        self._capacity = capacity
        self.late = 0
        self.flush()

    def flush(self) -> None:
        """Forget everything: time itself has jumped."""
        self._times: list[int] = []
        self._legs: list[_Leg] = []
        self._last = (0.0, 0.0, 0)
        self._fault: OdometryFault | None = OdometryFault.ABSENT
        self._floor = (0.0, 0.0)
        self._command = (0.0, 0.0, 0)
        self._command_ns: int | None = None
        self._seen_ns: int | None = None

    def command(self, vx: float, vy: float, wz: float, *, now_ns: int) -> None:
        """Take note of a velocity command, m/s and rad/s in the base frame.

        One that is not a number could mean anything and counts as the caps.
        """
        v, w, toward = math.hypot(vx, vy), abs(wz), 0
        if math.isfinite(v + w):
            toward = self.robot.toward(vx, vy)
        else:
            v, w = self.robot.v_cap_mps, self.robot.w_cap_radps
        self._command, self._command_ns = (v, w, toward), now_ns
        self._raise_floor(v, w)

    def add(self, place_ns: int, vx: float, vy: float, wz: float, *, now_ns: int) -> bool:
        """Take one sample, m/s and rad/s in the base frame; False if it cannot be used.

        Args:
            place_ns: when it was measured, on the axis.
            vx: forward.
            vy: to the left.
            wz: yaw rate.
            now_ns: when it arrived, on the axis.
        """
        v, w = math.hypot(vx, vy), abs(wz)
        if not math.isfinite(v + w):
            return self._doubt(OdometryFault.NONFINITE)
        if place_ns > now_ns + self._skew_ns:
            return self._doubt(OdometryFault.FUTURE)
        if self._times and place_ns <= self._times[-1]:
            self.late += 1
            return False
        self._append(place_ns, v, w)
        self._last = (v, w, self.robot.toward(vx, vy))
        self._fault = None
        self._set_floor(*self._commanded(now_ns)[:2])
        return True

    def motion(self, now_ns: int) -> Motion:
        """How fast the robot may be moving at ``now_ns``."""
        if now_ns != self._seen_ns:
            self._see(now_ns)
        robot = self.robot
        command_v, command_w, toward = self._commanded(now_ns)
        if self._lost:
            _, _, sure_v, sure_w = self._legs[-1] if self._legs else _NOWHERE
            v = max(robot.v_cap_mps, command_v, sure_v.start)
            w = max(robot.w_cap_radps, command_w, sure_w.start)
            return Motion(v, w, toward, self._lost)
        v, w, moving = self._last
        v, age_s = max(v, command_v), (now_ns - self._times[-1]) * S_PER_NS
        if age_s > 0.0 and v < robot.v_cap_mps:
            v = min(v + robot.a_acc_mps2 * age_s, robot.v_cap_mps)
        return Motion(v, max(w, command_w), moving | toward, None)

    def since(self, place_ns: int, now_ns: int) -> Travel:
        """How far the robot may have moved from ``place_ns`` to ``now_ns``."""
        return Travel(*self._between(place_ns, now_ns))

    def off_m(self, robot: RobotProfile, place_ns: int, now_ns: int) -> float:
        """How far a point that ``robot`` saw at ``place_ns`` may be off by now."""
        path_m, turn_rad = self._between(place_ns, now_ns)
        waited_s = (now_ns - place_ns) * S_PER_NS
        return path_m + robot.lever_m * turn_rad + robot.v_other_mps * waited_s

    def _between(self, place_ns: int, now_ns: int) -> tuple[float, float]:
        if place_ns >= now_ns:
            return 0.0, 0.0
        if not self._times:
            age_s = (now_ns - place_ns) * S_PER_NS
            return self.robot.v_cap_mps * age_s, self.robot.w_cap_radps * age_s
        if now_ns != self._seen_ns:
            self._see(now_ns)
        path_m, turn_rad = self._shown
        from_m, from_rad = self._read(place_ns)
        return path_m - from_m, turn_rad - from_rad

    def _see(self, now_ns: int) -> None:
        """Work out, once for an instant, why the caps hold, if so, and what the odometer shows."""
        self._seen_ns, self._lost = now_ns, self._fault
        if not self._times:
            return
        if not self._lost and (now_ns - self._times[-1]) * S_PER_NS > self.robot.odom_timeout_s:
            self._lost = OdometryFault.STALE
        if self._lost:
            self._tail = self._open_leg(lost=True)
        self._shown = self._read(now_ns)

    def _doubt(self, fault: OdometryFault) -> bool:
        self._fault = fault
        self._raise_floor(self.robot.v_cap_mps, self.robot.w_cap_radps)
        return False

    def _raise_floor(self, v: float, w: float) -> None:
        self._set_floor(max(self._floor[0], v), max(self._floor[1], w))

    def _set_floor(self, v: float, w: float) -> None:
        """No less than ``v`` and ``w`` since the newest sample."""
        self._floor, self._seen_ns = (v, w), None
        if self._legs:
            self._tail = self._open_leg()

    def _commanded(self, now_ns: int) -> tuple[float, float, int]:
        since_ns = self._command_ns
        if since_ns is None or (now_ns - since_ns) * S_PER_NS > self.robot.command_timeout_s:
            return (0.0, 0.0, 0)
        return self._command

    def _append(self, place_ns: int, v: float, w: float) -> None:
        """Close the leg before the sample and open the one after it."""
        robot = self.robot
        path_m = turn_rad = 0.0
        if self._times:
            span_s = (place_ns - self._times[-1]) * S_PER_NS
            v = _sure(v, self._last[0], robot.v_cap_mps, GRAVITY_MPS2 * span_s)
            w = _sure(w, self._last[1], robot.w_cap_radps, SPIKE_RADPS2 * span_s)
            self._legs[-1] = leg = self._closed(self._legs[-1], v, w, span_s)
            path_m, turn_rad = leg.after(span_s)
        self._times.append(place_ns)
        self._legs.append(
            _Leg(
                path_m,
                turn_rad,
                _Bound(v, robot.a_acc_mps2, max(robot.v_cap_mps, v)),
                _Bound(w, robot.alpha_acc_radps2, max(robot.w_cap_radps, w)),
            )
        )
        if len(self._times) >= 2 * self._capacity:
            del self._times[: self._capacity]
            del self._legs[: self._capacity]

    def _closed(self, leg: _Leg, v: float, w: float, span_s: float) -> _Leg:
        """The leg, once the sample at its end is known to read ``v`` and ``w``."""
        floor_v, floor_w = self._floor
        gap = span_s > self.robot.odom_timeout_s
        return leg._replace(
            v=_between(leg.v, v, floor=floor_v, span_s=span_s, gap=gap),
            w=_between(leg.w, w, floor=floor_w, span_s=span_s, gap=gap),
        )

    def _open_leg(self, *, lost: bool = False) -> _Leg:
        """The leg from the newest sample on, whose end is not known; at the caps if ``lost``."""
        path_m, turn_rad, v, w = self._legs[-1]
        return _Leg(
            path_m,
            turn_rad,
            _open(v, floor=self._floor[0], lost=lost),
            _open(w, floor=self._floor[1], lost=lost),
        )

    def _read(self, at_ns: int) -> tuple[float, float]:
        """What the odometer shows at ``at_ns``; before the oldest sample it ran at the caps."""
        times = self._times
        if at_ns >= times[-1]:
            return self._tail.after((at_ns - times[-1]) * S_PER_NS)
        if i := bisect_right(times, at_ns):
            return self._legs[i - 1].after((at_ns - times[i - 1]) * S_PER_NS)
        first, before_s = self._legs[0], (times[0] - at_ns) * S_PER_NS
        v = max(self.robot.v_cap_mps, first.v.start)
        w = max(self.robot.w_cap_radps, first.w.start)
        return first.path_m - v * before_s, first.turn_rad - w * before_s


def _sure(rate: float, before: float, cap: float, most_change: float) -> float:
    """``rate``, unless it is beyond the cap and out of reach from the sample before."""
    if rate <= cap or rate - before <= most_change:
        return rate
    return max(cap, before)


def _open(bound: _Bound, *, floor: float, lost: bool) -> _Bound:
    top = max(bound.top, floor)
    return _Bound(top if lost else max(bound.start, floor), bound.gain, top)


def _between(bound: _Bound, end: float, *, floor: float, span_s: float, gap: bool) -> _Bound:
    start, end = max(bound.start, floor), max(end, floor)
    top = max(bound.top, start, end)
    if gap:
        return _Bound(top, bound.gain, top)
    if end > start + bound.gain * span_s:
        return _Bound(end, bound.gain, end)
    return _Bound(start, bound.gain, top)
