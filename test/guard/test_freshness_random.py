"""Random drives with every fault, judged twice: by the guard and by an independent slow judge."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter

import pytest
from support.robots import AMR, HUMANOID, OUTDOOR
from support.slow_judge import SlowJudge

from edge_inference_ros.guard.deadline import deadline
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source, Verdict

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_700_000_000 * S
BAND_M = 3e-6
SKEW_NS = 5 * MS
SOURCES = 24


def a_robot(draw):
    return dataclasses.replace(
        draw.choice((AMR, OUTDOOR, HUMANOID)),
        v_other_mps=draw.choice((0.0, 0.0, 0.4, 1.6)),
        range_m=draw.choice((1.5, 2.6, 4.0, 8.0)),
        range_reverse_m=draw.choice((0.0, 2.0)),
        range_side_m=draw.choice((0.0, 2.0)),
        reverses=draw.random() < 0.5,
        strafes=draw.random() < 0.3,
        alpha_acc_radps2=draw.choice((0.0, 1.0, 3.2)),
        a_acc_mps2=draw.choice((0.0, 0.5, 1.0)),
    )


class Drive:
    """A random drive that tells the guard and the slow judge the same things."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.robot = a_robot(self.draw)
        names = [Source(f'source {k}') for k in range(SOURCES)]
        self.sim, self.steps = self.draw.random() < 0.3, []
        self.guard = Guard(self.robot, names, sim_time=self.sim)
        self.slow = SlowJudge(self.robot)
        self.ns, self.v, self.goal, self.w, self.turn = 10 * S, 0.5, 0.5, 0.0, 0
        self.last_odom_ns, self.accepted = 0, {}
        self.said, self.in_band, self.looked = Counter(), 0, False

    @property
    def now(self):
        return Instant(EPOCH + self.ns, self.ns)

    @property
    def skew_ns(self):
        """In simulation the clock of the guard moves in the steps in which it looks."""
        return max([SKEW_NS, *self.steps[-8:]]) if self.sim else SKEW_NS

    def step(self):
        draw = self.draw
        step_ns = draw.randrange(1 * MS, 12 * MS)
        if self.looked:
            self.steps.append(step_ns)
        self.ns, self.looked = self.ns + step_ns, True
        self._steer()
        if self.ns - self.last_odom_ns > draw.choice((10, 20, 20, 20, 50)) * MS:
            self.last_odom_ns = self.ns
            self._odometry()
        if draw.random() < 0.05:
            self._command()
        self._message()

    def _steer(self):
        draw, one = self.draw, self.robot
        if draw.random() < 0.02:
            self.goal = draw.choice((0.0, draw.uniform(-0.3, 1.0), 1.0)) * one.v_cap_mps
            self.w = draw.choice((0.0, 0.0, draw.uniform(-1, 1) * one.w_cap_radps))
        self.v += min(max(self.goal - self.v, -0.03), 0.01)

    def _odometry(self):
        draw, kind = self.draw, self.draw.random()
        at_ns, vx, vy, wz = self.ns - draw.randrange(8 * MS), self.v, 0.0, self.w
        vx += draw.gauss(0.0, 0.005)
        if kind < 0.02:
            vx = draw.choice((math.nan, math.inf, -math.inf, 1e17, 50.0))
        elif kind < 0.03:
            wz = math.nan
        elif kind < 0.06:
            at_ns += draw.choice((3, 20, 10_000, -30, -30, -150, -400)) * MS
        elif kind < 0.08:
            vx *= 10.0
        elif kind < 0.09:
            wz, vy = wz * 10.0, draw.uniform(-1, 1)
        elif kind < 0.11:
            self.last_odom_ns += draw.choice((100, 400)) * MS
        elif kind < 0.14:
            vx = wz = 0.0
        self.guard.moved(EPOCH + at_ns, vx, vy, wz, self.now)
        self.slow.odometry(at_ns / S, vx, vy, wz, now_s=self.ns / S, skew_s=self.skew_ns / S)

    def _command(self):
        draw = self.draw
        vx = draw.choice((self.goal, 0.0, math.nan if draw.random() < 0.02 else self.v))
        wz = draw.choice((self.w, 0.0))
        self.guard.commanded(vx, 0.0, wz, self.now)
        self.slow.commanded(vx, 0.0, wz, now_s=self.ns / S)

    def _message(self):
        draw = self.draw
        name = f'source {draw.randrange(SOURCES)}'
        stamp_ns = EPOCH + self.ns - self._age_ns()
        kind = draw.random()
        if kind < 0.01:
            stamp_ns = 0
        elif kind < 0.02:
            stamp_ns = self.accepted.get(name, stamp_ns)
        frame, payload = 'optical', None
        if kind > 0.99:
            payload = draw.choice((Verdict.NONFINITE, Verdict.MALFORMED))
        elif kind > 0.98 and name in self.accepted:
            frame = 'elsewhere'
        expected, near = self._expected(name, stamp_ns, frame, payload)

        judged = self.guard.judge(name, stamp_ns, frame, self.now, payload=payload)

        if judged.forwarded:
            self.accepted[name] = stamp_ns
        if near < BAND_M:
            self.in_band += 1
            return
        self.said[expected] += 1
        assert judged.verdict.value == expected, (judged, expected, near)
        assert judged.forwarded == (expected in ('OK', 'NO_ODOM'))

    def _age_ns(self):
        """Half of the ages anywhere, half around the deadline; a few from the future."""
        draw, kind = self.draw, self.draw.random()
        if kind < 0.03:
            return -draw.choice((0, SKEW_NS, SKEW_NS + 1, 50 * MS, 3600 * S))
        if kind < 0.5:
            return draw.randrange(600 * MS)
        limit_ns = deadline(self.robot, self.v, self.w).limit_ns
        return round(limit_ns * draw.uniform(0.7, 1.1))

    def _expected(self, name, stamp_ns, frame, payload):
        last = self.accepted.get(name, 0)
        if payload:
            return payload.value, math.inf
        if stamp_ns == 0:
            return 'ZERO_STAMP', math.inf
        if frame != 'optical':
            return 'MALFORMED', math.inf
        if last and stamp_ns <= last:
            return ('REPEATED' if stamp_ns == last else 'OUT_OF_ORDER'), math.inf
        if stamp_ns - EPOCH > self.ns + self.skew_ns:
            return 'FUTURE', math.inf
        return self.slow.verdict((stamp_ns - EPOCH) / S, self.ns / S)


def judge_twice(seeds, *, messages):
    said, in_band = Counter(), 0
    for seed in seeds:
        drive = Drive(seed)
        for _ in range(messages):
            drive.step()
        said += drive.said
        in_band += drive.in_band
    return said, in_band


def test_twenty_thousand_random_messages_are_judged_like_the_slow_judge_does():
    said, in_band = judge_twice(range(20), messages=1000)

    assert in_band < 10
    assert set(said) == {v.value for v in Verdict} - {'NONEWDATA'}
    assert min(said[v] for v in ('OK', 'NO_ODOM', 'STALE_AGE', 'STALE_MOVED')) > 100


@pytest.mark.faults
def test_a_million_random_messages_are_judged_like_the_slow_judge_does():
    said, in_band = judge_twice(range(1000, 1500), messages=2000)

    assert in_band < 500
    assert sum(said.values()) + in_band == 1_000_000
