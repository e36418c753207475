"""The comparison of poses with the twist against one that keeps everything and adds up anew."""

from __future__ import annotations

import cmath
import dataclasses
import math
import random

import pytest
from support.robots import AMR, HUMANOID

from edge_inference_ros.guard.poses import Pose, Poses

MS = 1_000_000
HALF_S = 500 * MS
ROBOTS = (
    AMR,
    HUMANOID,
    dataclasses.replace(AMR, a_acc_mps2=0.0, alpha_acc_radps2=0.4, w_cap_radps=0.5),
    dataclasses.replace(AMR, strafes=True, v_cap_mps=0.4, alpha_acc_radps2=2.0),
)


def reached(v, span_s, acc, cap):
    """The way of who gains ``acc`` until ``cap``, added up in small steps' closed form."""
    if v >= cap or acc == 0.0:
        return v * span_s
    gaining_s = min((cap - v) / acc, span_s)
    return v * gaining_s + acc * gaining_s**2 / 2 + cap * (span_s - gaining_s)


def between(one, other):
    """Seconds, metres and radians from one of the kept samples to another."""
    turned = cmath.phase(cmath.exp(1j * (other['pose'][2] - one['pose'][2])))
    gone = abs(complex(*other['pose'][:2]) - complex(*one['pose'][:2]))
    return (other['at'] - one['at']) / 1e9, gone, abs(turned)


def slowly(robot, samples):  # noqa: C901 - one rule a branch
    """After each sample until when a contradiction counts, and the motion it shows."""
    run, anchor, until, shown, way, last_rates = [], 0, None, (0.0, 0.0, 0), 0, (0.0, 0.0)
    said = 0
    for at, rates, pose, said_now in samples:
        said |= said_now
        if until is not None and at > until:
            until, shown, way = None, (0.0, 0.0, 0), 0
        span_s = (at - run[-1]['at']) / 1e9 if run else math.inf
        allowed = [
            reached(max(last_rates[k], rates[k]), span_s, acc, cap)
            for k, acc, cap in (
                (0, robot.a_acc_mps2, robot.v_cap_mps),
                (1, robot.yaw_acc_radps2, robot.w_cap_radps),
            )
            if run
        ]
        if pose is None or not all(math.isfinite(x) for x in pose):
            until = until and at + HALF_S
            last_rates = tuple(map(max, last_rates, rates))
            yield until, shown
            continue
        last_rates = rates
        if not run or span_s > 0.5:
            run, anchor, said = [{'at': at, 'pose': pose, 'allowed': (0.0, 0.0)}], 0, said_now
        else:
            run.append({'at': at, 'pose': pose, 'allowed': allowed})
            found = [moved(robot, run, start) for start in (len(run) - 2, anchor)]
            if any(unexplained for unexplained, _, _ in found):
                now_way = direction(robot, run[-2], run[-1])
                toward = now_way if until is not None and now_way == way else shown[2]
                shown = (max(v for _, v, _ in found), max(w for _, _, w in found), toward)
                way, until, anchor = now_way, at + HALF_S, len(run) - 1
            elif other := unsaid(robot, run, anchor, said):
                shown = (max(shown[0], found[1][1]), max(shown[1], found[1][2]), shown[2] | other)
                until, anchor, said = at + HALF_S, len(run) - 1, said_now
            elif until is not None:
                shown = (max(shown[0], found[0][1]), max(shown[1], found[0][2]), shown[2])
            elif at - run[anchor]['at'] > HALF_S:
                anchor, said = len(run) - 1, said_now
        yield until, shown


def moved(robot, run, start):
    """Whether the twists do not explain what was gone since ``start``, and the mean motion."""
    span_s, gone, turned = between(run[start], run[-1])
    explained = [sum(kept['allowed'][k] for kept in run[start + 1 :]) + 0.03 for k in (0, 1)]
    unexplained = gone > explained[0] or turned > explained[1]
    return (
        unexplained,
        min(gone / span_s, robot.v_cap_mps),
        min(turned / span_s, robot.w_cap_radps),
    )


def unsaid(robot, run, anchor, said):
    """A way besides forward that both the whole and its last part went, and no twist said."""
    if between(run[anchor], run[-1])[1] <= 0.06:
        return 0
    ways = {direction(robot, run[start], run[-1]) for start in (anchor, len(run) - 2)}
    way = ways.pop()
    return way if not ways and way in (2, 4) and not said & way else 0


def direction(robot, last, now):
    span_s, gone, _ = between(last, now)
    if gone > 1.5 * robot.v_cap_mps * span_s + 0.03:
        return 0
    step = complex(*now['pose'][:2]) - complex(*last['pose'][:2])
    turned = cmath.phase(cmath.exp(1j * (now['pose'][2] - last['pose'][2])))
    turned_back = step * cmath.exp(-1j * (last['pose'][2] + turned / 2))
    return robot.toward(turned_back.real / span_s, turned_back.imag / span_s)


def drive(draw, robot):
    """Samples of a robot whose twist and poses agree, or one of them says less, or jumps."""
    at, x, y, yaw = draw.choice((0, 3_000 * MS)), 0.0, 0.0, draw.uniform(-4, 4)
    step = draw.choice((20, 20, 50, 100, 250, 500))
    v = w = side = 0.0
    honest = draw.choice((0.0, 0.5, 1.0, 1.0))
    for _ in range(60):
        if draw.random() < 0.2:
            v = draw.choice((0.0, draw.uniform(-1.4, 1.4))) * robot.v_cap_mps
            w = draw.choice((0.0, draw.uniform(-1.4, 1.4))) * robot.w_cap_radps
            side = draw.choice((0.0, 0.0, draw.uniform(-1, 1))) * robot.v_cap_mps
        ms = draw.choice((step, step, step, step, 500, 501)) if draw.random() < 0.1 else step
        at += ms * MS
        yaw += w * ms / 1e3
        x += (v * math.cos(yaw) - side * math.sin(yaw)) * ms / 1e3 + draw.uniform(-0.012, 0.012)
        y += (v * math.sin(yaw) + side * math.cos(yaw)) * ms / 1e3
        if draw.random() < 0.03:
            x, yaw = x + draw.choice((-3.0, 0.06, 0.2)), yaw + draw.choice((0.0, 0.1, 2.0))
        rates = honest * math.hypot(v, side), honest * abs(w)
        pose = Pose(x, y, math.remainder(yaw, math.tau))
        if draw.random() < 0.05:
            pose = draw.choice((None, Pose(math.nan, y, yaw), Pose(x, y, math.inf)))
        lies = draw.choice((1, 1, 1, -1)) if draw.random() < 0.2 else 1
        yield at, rates, pose, robot.toward(lies * honest * v, honest * side)


@pytest.mark.parametrize('seed', range(300))
def test_it_shows_what_keeping_everything_shows(seed):
    draw = random.Random(seed)
    robot, poses = draw.choice(ROBOTS), Poses()
    samples = list(drive(draw, robot))
    assert not poses.contradicts(0)
    for (at, rates, pose, way), (until, shown) in zip(
        samples, slowly(robot, samples), strict=True
    ):
        poses.take(robot, at, rates, pose, way=way)

        assert poses.until_ns == until
        assert poses.shown == pytest.approx(shown, rel=1e-6, abs=1e-9)
        for now in (at, *(() if until is None else (until, until + 1))):
            assert poses.contradicts(now) is (until is not None and now <= until)
