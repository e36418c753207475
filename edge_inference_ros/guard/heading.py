"""Which ways the robot may be going: known from odometry until it can have turned round.

Forward always counts, since a robot that stands is about to go forward. Another direction counts
from when the robot has gone, or could not stop before it has gone, ``creep_m`` that way: so the
noise of a robot at rest is no direction, and neither is what it can do between two samples.

A sample says which way the robot goes. What it does after the sample is limited: to turn round it
must first brake, at no more than 1 g, and then gain speed at no more than a_acc. From the age of a
sample at which it could so have come ``creep_m`` far another way, that way counts too. An
unknown direction means the worst of all directions.
"""

from __future__ import annotations

import math

from edge_inference_ros.guard.deadline import reach
from edge_inference_ros.guard.robot import FORWARD, GRAVITY_MPS2, REVERSE, SIDE, RobotProfile


class Heading:
    """What the newest sample says about the direction of travel.

    Attributes:
        ways: directions that count, bits of ``guard/robot.py``.
        turns: the others that the robot can move in, soonest first, each with the age of the
            sample from which on it counts.
        sure_s: up to which age none of them does.
    """

    __slots__ = ('_run_m', '_speed', '_velocity', '_way', 'sure_s', 'turns', 'ways')

    def __init__(self) -> None:
        self.ways = 0
        self.turns: list[tuple[float, int]] = []
        self.sure_s = math.inf
        self._way, self._run_m, self._velocity, self._speed = 0, 0.0, (0.0, 0.0), 0.0

    def take(self, robot: RobotProfile, vx: float, vy: float, *, span_s: float) -> None:
        """Take a sample's velocity, m/s, ``span_s`` after the sample before."""
        way, v = robot.toward(vx, vy), math.hypot(vx, vy)
        # Nothing brakes harder than 1 g: what goes on for longer than a sample says goes on.
        before, left_mps = self.ways & ~FORWARD, self._speed - GRAVITY_MPS2 * span_s
        kept = before if left_mps > robot.still_mps and not way & before else 0
        self._speed = left_mps if kept else max(v, left_mps if way & before else 0.0)
        if way in (REVERSE, SIDE):
            begin_s, from_mps, run_m = self._beginning(robot, way)
            gone_s = max(0.0, span_s - begin_s)
            run_m += reach(from_mps, gone_s, robot.a_acc_mps2, robot.v_cap_mps)
            counts = creep_s(robot, v, run_m) <= 0.0
        else:
            run_m, counts = 0.0, True
        self._way, self._run_m, self._velocity = way, run_m, (vx, vy)
        self.ways = (way if counts else 0) | kept
        ways = (robot.anywhere | self._way) & ~(self.ways | FORWARD)
        self.turns = sorted(
            (self._turn_s(robot, direction), direction)
            for direction in (REVERSE, SIDE)
            if ways & direction
        )
        self.sure_s = self.turns[0][0] if self.turns else math.inf

    def hear_late(self, robot: RobotProfile, vx: float, vy: float) -> None:
        """Take one that is no newer than the newest: its way counts until the next sample."""
        self.ways |= robot.toward(vx, vy)

    def reconfigure(self, robot: RobotProfile) -> None:
        """See the newest sample by other limits; what counted goes on."""
        ways = self.ways
        self.take(robot, *self._velocity, span_s=0.0)
        self.ways |= ways

    def toward(self, age_s: float) -> int:
        """Directions that count ``age_s`` after the sample."""
        ways = self.ways
        if age_s <= self.sure_s:
            return ways
        for turn_s, way in self.turns:
            if age_s > turn_s:
                ways |= way
        return ways

    def _turn_s(self, robot: RobotProfile, way: int) -> float:
        """When a direction that does not count yet could do so."""
        begin_s, v, run_m = self._beginning(robot, way)
        return begin_s + creep_s(robot, v, run_m)

    def _beginning(self, robot: RobotProfile, way: int) -> tuple[float, float, float]:
        """How soon after the sample the robot can go ``way``, how fast, and how far it has gone.

        To reverse it brakes first. To the side it brakes, or gains speed to the side, or both.
        """
        vx, vy = self._velocity
        v = math.hypot(vx, vy)
        if way == self._way:
            return 0.0, v, self._run_m
        if way == REVERSE:
            return (vx / GRAVITY_MPS2, 0.0, 0.0) if vx > 0.0 else (0.0, v, 0.0)
        return max(0.0, abs(vx) - abs(vy)) / (GRAVITY_MPS2 + robot.a_acc_mps2), v, 0.0


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
