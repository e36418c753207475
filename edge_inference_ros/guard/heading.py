"""Which ways the robot may be going: known from odometry until it can have turned round.

Forward always counts, since a robot that stands is about to go forward. Another direction counts
from when the robot has gone, or could not stop before it has gone, ``creep_m`` that way: so the
noise of a robot at rest is no direction, and neither is what it can do between two samples.

A sample says which way the robot goes. What it does after the sample is limited: to turn round it
must first brake, at no more than 1 g, and then gain speed at no more than a_acc. From the age of a
sample at which it could so have come ``creep_m`` far another way, every way that it can move in
counts. An unknown direction means the worst of all directions.
"""

from __future__ import annotations

import math

from edge_inference_ros.guard.deadline import reach
from edge_inference_ros.guard.robot import FORWARD, GRAVITY_MPS2, REVERSE, SIDE, RobotProfile


class Heading:
    """What the newest sample says about the direction of travel.

    Attributes:
        ways: directions that count, bits of ``guard/robot.py``.
        sure_s: the age of the sample up to which no other direction does.
    """

    __slots__ = ('_leave_s', '_run_m', '_v', '_way', 'sure_s', 'ways')

    def __init__(self) -> None:
        self.ways = 0
        self.sure_s = 0.0
        self._way, self._run_m, self._v, self._leave_s = 0, 0.0, 0.0, math.inf

    def take(self, robot: RobotProfile, vx: float, vy: float, *, span_s: float) -> None:
        """Take a sample's velocity, m/s, ``span_s`` after the sample before."""
        way, v = robot.toward(vx, vy), math.hypot(vx, vy)
        if way in (0, FORWARD):
            run_m = 0.0
        elif way == self._way:
            run_m = self._run_m + reach(self._v, span_s, robot.a_acc_mps2, robot.v_cap_mps)
        else:
            turned_s = max(0.0, span_s - self._leave_s)
            run_m = reach(0.0, turned_s, robot.a_acc_mps2, robot.v_cap_mps)
        self._way, self._run_m, self._v = way, run_m, v
        counts = way in (0, FORWARD) or creep_s(robot, v, run_m) <= 0.0
        self.ways = way if counts else 0
        self._leave_s = _leave_s(robot, vx, vy)
        self.sure_s = self._sure_s(robot, vx)

    def _sure_s(self, robot: RobotProfile, vx: float) -> float:
        """When the first direction that does not count yet could do so."""
        soonest_s = math.inf
        for way in (REVERSE, SIDE):
            if self.ways & way:
                continue
            if way == self._way:
                begin_s, v, run_m = 0.0, self._v, self._run_m
            elif not robot.anywhere & way:
                continue
            else:
                stops = way == REVERSE and vx > 0.0
                begin_s, v, run_m = self._leave_s, 0.0 if stops else self._v, 0.0
            soonest_s = min(soonest_s, begin_s + creep_s(robot, v, run_m))
        return soonest_s


def creep_s(robot: RobotProfile, v: float, run_m: float) -> float:
    """How long until a robot that has gone ``run_m`` one way could not stop within ``creep_m``.

    It gains speed from v on: run + v t + a t²/2 + (v + a t)²/(2b) = creep, with the root of
    ``guard/deadline.py`` that subtracts nothing. 0 or less: it cannot now.
    """
    a, b = robot.a_acc_mps2, robot.brake_mps2
    left_m = robot.creep_m - run_m - v * v / (2.0 * b)
    if left_m <= 0.0:
        return 0.0
    share = 1.0 + a / b
    rate = v * share
    root = rate + math.sqrt(rate * rate + 2.0 * a * share * left_m)
    return 2.0 * left_m / root if root > 0.0 else math.inf


def _leave_s(robot: RobotProfile, vx: float, vy: float) -> float:
    """How soon a robot can go another way: it brakes, or gains speed to the side, or both."""
    if robot.strafes:
        return abs(abs(vx) - abs(vy)) / (GRAVITY_MPS2 + robot.a_acc_mps2)
    return math.hypot(vx, vy) / GRAVITY_MPS2
