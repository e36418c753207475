"""Where the robot was at an instant of the last seconds, from the poses in odometry.

Between two poses the robot is taken to have moved at one twist, so along an arc, and so a short
while beyond the newest. Within a gap nothing is known, and that is the answer. A jump that no
robot of the profile can make moves odometry's frame instead of the robot: the history begins anew.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from edge_inference_ros.guard.poses import Pose
from edge_inference_ros.guard.robot import RobotProfile

CAPACITY = 512
"""Poses that are kept at most: ten seconds at 50 Hz."""

AHEAD_NS = 100_000_000
"""So long beyond the newest pose the last twist is believed."""

_S_PER_NS = 1e-9


class PoseHistory:
    """Poses in odometry's own fixed frame, by time. Not safe for several threads."""

    def __init__(self, robot: RobotProfile, capacity: int = CAPACITY) -> None:
        """Keep at least the ``capacity`` newest poses, and fewer than twice as many."""
        self.late = 0
        self._robot, self._capacity = robot, capacity
        self._times: list[int] = []
        self._poses: list[Pose] = []

    def add(self, place_ns: int, pose: Pose) -> bool:
        """Take the pose of an instant; False if it is no number, or not newer (then counted)."""
        if not math.isfinite(sum(pose)):
            return False
        if self._times and place_ns <= self._times[-1]:
            self.late += 1
            return False
        if self._times and not self._can_reach(place_ns, pose):
            self.clear()
        self._times.append(place_ns)
        self._poses.append(pose)
        if len(self._times) >= 2 * self._capacity:
            del self._times[: self._capacity]
            del self._poses[: self._capacity]
        return True

    def clear(self) -> None:
        """Forget every pose, as after a jump of the clock."""
        self._times.clear()
        self._poses.clear()

    def at(self, place_ns: int) -> Pose | None:
        """Where the robot was at ``place_ns``; None where that is not known."""
        i = bisect_right(self._times, place_ns)
        if not i:
            return None
        if self._times[i - 1] == place_ns:
            return self._poses[i - 1]
        if i == len(self._times):
            if place_ns - self._times[-1] > AHEAD_NS:
                return None
            i -= 1
        if not i or self._is_gap(i):
            return None
        start, end = self._times[i - 1], self._times[i]
        return along(self._poses[i - 1], self._poses[i], (place_ns - start) / (end - start))

    def moved(self, from_ns: int, to_ns: int) -> Pose | None:
        """The base frame of ``from_ns`` as seen in that of ``to_ns``; None if not known.

        A point p of the first is at R(yaw) p + (x, y) in the second.
        """
        start, end = self.at(from_ns), self.at(to_ns)
        return start and end and relative(end, start)

    def _is_gap(self, i: int) -> bool:
        """Whether too long passed between the pose before ``i`` and it."""
        span_s = (self._times[i] - self._times[i - 1]) * _S_PER_NS
        return span_s > self._robot.odom_timeout_s

    def _can_reach(self, place_ns: int, pose: Pose) -> bool:
        span_s = (place_ns - self._times[-1]) * _S_PER_NS
        step = relative(self._poses[-1], pose)
        v, w = math.hypot(step.x_m, step.y_m) / span_s, abs(step.yaw_rad) / span_s
        return self._robot.is_believable(v, w)


def relative(base: Pose, other: Pose) -> Pose:
    """``other`` as seen from ``base``; yaw within half a turn."""
    dx, dy = other.x_m - base.x_m, other.y_m - base.y_m
    cos, sin = math.cos(base.yaw_rad), math.sin(base.yaw_rad)
    yaw = math.remainder(other.yaw_rad - base.yaw_rad, math.tau)
    return Pose(cos * dx + sin * dy, cos * dy - sin * dx, yaw)


def along(start: Pose, end: Pose, part: float) -> Pose:
    """The pose after a ``part`` of the arc from ``start`` to ``end``; above 1 beyond it."""
    turn = math.remainder(end.yaw_rad - start.yaw_rad, math.tau)
    # A chord of an arc: its length goes with the sine of half the turn, its direction with half
    # the turn.
    half = turn / 2.0
    length = math.sin(part * half) / math.sin(half) if half else part
    bend = (part - 1.0) * half
    dx, dy = end.x_m - start.x_m, end.y_m - start.y_m
    cos, sin = length * math.cos(bend), length * math.sin(bend)
    x_m, y_m = start.x_m + cos * dx - sin * dy, start.y_m + sin * dx + cos * dy
    return Pose(x_m, y_m, start.yaw_rad + part * turn)
