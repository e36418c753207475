"""What the poses in odometry say against its twist.

Some sources of odometry fill in only the pose and leave the twist at zero. Two poses are a
distance, and a distance in a time is a speed: however it is reported, the robot has moved. So the
guard never assumes less than the poses show, and names the contradiction.

Poses are compared with what the twist explains since an anchor, a pose of at most half a second
ago, so that their noise, which does not grow with time, stays small beside a distance. A pose that
jumps, as after relocalisation, contradicts the twist too: that costs the highest speed for half
a second, no more, for poses are believed only up to the caps of the robot.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edge_inference_ros.guard.deadline import reach
from edge_inference_ros.guard.robot import FORWARD, RobotProfile

HOLD_NS = 500_000_000
"""For so long a contradiction counts, and so old an anchor may be."""

NOISE_M, NOISE_RAD = 0.03, 0.03
"""What two poses may be apart beyond what the twist explains."""

_S_PER_NS = 1e-9
_JUMP = 1.5


class Pose(NamedTuple):
    """Where odometry says the robot is, m and rad in its own fixed frame."""

    x_m: float
    y_m: float
    yaw_rad: float


class Shown(NamedTuple):
    """A motion that poses show: speed, yaw rate, and directions as bits of ``guard/robot.py``."""

    v_mps: float
    w_radps: float
    toward: int


NOTHING = Shown(0.0, 0.0, 0)


class _Seen(NamedTuple):
    """A pose, and what the twist explained until then."""

    at_ns: int
    pose: Pose
    path_m: float = 0.0
    turn_rad: float = 0.0


class Poses:
    """Compares every pose with the one before, and with an anchor.

    Attributes:
        until_ns: on the axis, until when ``shown`` counts; None while poses and twist agree.
        shown: the motion to be assumed at least.
    """

    __slots__ = ('_anchor', '_last', '_rates', '_said', '_way', 'shown', 'until_ns')

    def __init__(self) -> None:
        self._anchor: _Seen | None = None
        self._last: _Seen | None = None
        self._rates = (0.0, 0.0)
        self._way = self._said = 0
        self.shown = NOTHING
        self.until_ns: int | None = None

    def contradicts(self, now_ns: int) -> bool:
        """Whether poses show more than the twist says, at ``now_ns``."""
        return self.until_ns is not None and now_ns <= self.until_ns

    def take(
        self,
        robot: RobotProfile,
        at_ns: int,
        rates: tuple[float, float],
        pose: Pose | None,
        *,
        way: int = 0,
    ) -> None:
        """Take a sample: its place on the axis, speed and yaw rate of its twist, and its pose.

        ``way`` is the direction of the twist.
        """
        before, self._rates = self._rates, rates
        self._said |= way
        if self.until_ns is not None and at_ns > self.until_ns:
            self.until_ns, self.shown, self._way = None, NOTHING, 0
        if pose is None or not all(map(math.isfinite, pose)):
            # What was contradicted and cannot be checked is not cleared by that. The next pose is
            # compared with the one before, and with the most that was said in between.
            self._rates = max(before[0], rates[0]), max(before[1], rates[1])
            if self.until_ns is not None:
                self.until_ns = at_ns + HOLD_NS
            return
        last, anchor = self._last, self._anchor
        if last is None or anchor is None or at_ns - last.at_ns > HOLD_NS:
            self._last = self._anchor = _Seen(at_ns, pose)
            self._said = way
            return
        self._last = seen = self._explain(robot, last, before, _Seen(at_ns, pose))
        self._compare(robot, anchor, last, seen, way)

    def _compare(
        self, robot: RobotProfile, anchor: _Seen, last: _Seen, seen: _Seen, way: int
    ) -> None:
        if _is_unexplained(anchor, seen) or _is_unexplained(last, seen):
            self._contradict(robot, anchor, last, seen)
        elif other := self._other_way(robot, anchor, last, seen):
            self.shown = _most(self.shown, _shown(robot, anchor, seen)._replace(toward=other))
            self.until_ns, self._anchor, self._said = seen.at_ns + HOLD_NS, seen, way
        elif self.until_ns is not None:
            self.shown = _most(self.shown, _shown(robot, last, seen))
        elif seen.at_ns - anchor.at_ns > HOLD_NS:
            self._anchor, self._said = seen, way

    def _other_way(self, robot: RobotProfile, anchor: _Seen, last: _Seen, seen: _Seen) -> int:
        """A direction in which the poses went on, and which no twist has said; 0 for none."""
        if _apart(anchor, seen)[0] <= 2.0 * NOISE_M:
            return 0
        way = _way(robot, anchor, seen) & _way(robot, last, seen)
        return way & ~(self._said | FORWARD)

    def _explain(
        self, robot: RobotProfile, last: _Seen, before: tuple[float, float], seen: _Seen
    ) -> _Seen:
        """The sample with all that the twists allow since the one before."""
        span_s = (seen.at_ns - last.at_ns) * _S_PER_NS
        v, w = max(before[0], self._rates[0]), max(before[1], self._rates[1])
        return seen._replace(
            path_m=last.path_m + reach(v, span_s, robot.a_acc_mps2, robot.v_cap_mps),
            turn_rad=last.turn_rad + reach(w, span_s, robot.yaw_acc_radps2, robot.w_cap_radps),
        )

    def _contradict(self, robot: RobotProfile, anchor: _Seen, last: _Seen, seen: _Seen) -> None:
        shown = _most(_shown(robot, last, seen), _shown(robot, anchor, seen))
        way = _way(robot, last, seen)
        # One jump has a direction too, but it means nothing; two in one direction do.
        toward = way if self.until_ns is not None and way == self._way else self.shown.toward
        self._way = way
        self.shown = shown._replace(toward=toward)
        self.until_ns = seen.at_ns + HOLD_NS
        self._anchor = seen


def _most(a: Shown, b: Shown) -> Shown:
    return Shown(max(a[0], b[0]), max(a[1], b[1]), a.toward | b.toward)


def _apart(a: _Seen, b: _Seen) -> tuple[float, float]:
    turned_rad = math.remainder(b.pose.yaw_rad - a.pose.yaw_rad, math.tau)
    return math.dist(a.pose[:2], b.pose[:2]), abs(turned_rad)


def _is_unexplained(anchor: _Seen, seen: _Seen) -> bool:
    gone_m, turned_rad = _apart(anchor, seen)
    return (
        gone_m > seen.path_m - anchor.path_m + NOISE_M
        or turned_rad > seen.turn_rad - anchor.turn_rad + NOISE_RAD
    )


def _shown(robot: RobotProfile, a: _Seen, b: _Seen) -> Shown:
    """The mean motion between two poses, up to the caps."""
    gone_m, turned_rad = _apart(a, b)
    span_s = (b.at_ns - a.at_ns) * _S_PER_NS
    return Shown(
        min(gone_m / span_s, robot.v_cap_mps), min(turned_rad / span_s, robot.w_cap_radps), 0
    )


def _way(robot: RobotProfile, last: _Seen, seen: _Seen) -> int:
    """Which way a robot moved from one pose to the next; 0 for what no robot can."""
    span_s = (seen.at_ns - last.at_ns) * _S_PER_NS
    dx, dy = seen.pose.x_m - last.pose.x_m, seen.pose.y_m - last.pose.y_m
    if math.hypot(dx, dy) > _JUMP * robot.v_cap_mps * span_s + NOISE_M:
        return 0
    # The chord of an arc lies along the yaw in the middle of it.
    turned_rad = math.remainder(seen.pose.yaw_rad - last.pose.yaw_rad, math.tau)
    yaw_rad = last.pose.yaw_rad + 0.5 * turned_rad
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return robot.toward((c * dx + s * dy) / span_s, (c * dy - s * dx) / span_s)
