from __future__ import annotations

import math

import pytest
from support.robots import AMR, robot

from edge_inference_ros.guard.heading import Heading, creep_s
from edge_inference_ros.guard.odometry import Odometry, OdometryFault
from edge_inference_ros.guard.robot import FORWARD, GRAVITY_MPS2, REVERSE, SIDE

MS = 1_000_000
S = 1_000_000_000
OMNI = robot('amr', strafes=True)


def taken(*samples, one=AMR, span_s=0.02):
    heading = Heading()
    for vx, vy in samples:
        heading.take(one, vx, vy, span_s=span_s)
    return heading


def odometer(v, *, until_ms=1000, one=AMR):
    odometry = Odometry(one)
    for ms in range(0, until_ms + 1, 20):
        odometry.add(ms * MS, v, 0.0, 0.0, now_ns=ms * MS)
    return odometry


# How long until a run counts.


@pytest.mark.parametrize(
    ('v', 'run_m', 'after_s'),
    [(0.0, 0.0, 0.2), (0.0, 0.04, 0.0), (0.0, 0.03, 0.1), (0.5, 0.0, 0.0), (0.2, 0.019, 0.0)],
)
def test_a_run_counts_once_it_cannot_end_within_the_creep(v, run_m, after_s):
    assert creep_s(AMR, v, run_m) == pytest.approx(after_s, abs=5e-3 if v else 1e-12)


@pytest.mark.parametrize('a', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('b', [0.5, 3.0])
@pytest.mark.parametrize('v', [0.01, 0.1])
@pytest.mark.parametrize('run_m', [0.0, 0.02])
def test_at_that_moment_run_and_stop_are_the_creep(a, b, v, run_m):
    one = robot('amr', a_acc_mps2=a, b_mps2=b)
    t_s = creep_s(one, v, run_m)

    gone_m = run_m + v * t_s + a * t_s**2 / 2 + (v + a * t_s) ** 2 / (2 * b)
    assert gone_m == pytest.approx(0.04)


def test_a_robot_that_gains_no_speed_from_rest_goes_nowhere():
    assert creep_s(robot('amr', a_acc_mps2=0.0), 0.0, 0.0) == math.inf


# Which directions count.


def test_before_the_first_sample_nothing_is_known_of_the_direction():
    assert Heading().ways == 0
    assert Heading().toward(1.0) == 0


@pytest.mark.parametrize(
    ('velocity', 'ways'),
    [
        ((1.0, 0.0), FORWARD),
        ((0.01, 0.0), 0),
        ((-0.5, 0.0), REVERSE),
        ((0.0, 0.5), SIDE),
        ((-0.019, 0.0), 0),
        ((-0.1, 0.0), 0),
    ],
)
def test_forward_counts_at_once_and_another_direction_when_it_cannot_end_soon(velocity, ways):
    assert taken(velocity).ways == ways


def test_slow_reversing_counts_after_four_centimetres():
    heading, gone = Heading(), []
    heading.take(AMR, -0.1, 0.0, span_s=0.0)
    for k in range(1, 40):
        heading.take(AMR, -0.1, 0.0, span_s=0.02)
        gone.append((k * 0.02 * 0.11 + 0.1**2 / 2, heading.ways))

    assert [ways for _, ways in gone] == [REVERSE * (m >= 0.04) for m, _ in gone]


@pytest.mark.parametrize('between', [(0.0, 0.0), (0.5, 0.0), (0.0, 0.1)])
def test_a_run_ends_with_another_direction_or_rest(between):
    slow = [(-0.1, 0.0)] * 12

    assert taken(*slow, *slow).ways == REVERSE
    assert taken(*slow, between, *slow).ways == 0


def test_a_run_begins_with_what_may_have_been_gone_since_the_sample_before():
    assert taken((0.0, 0.0), (-0.1, 0.0), span_s=0.262).ways == 0
    assert taken((0.0, 0.0), (-0.1, 0.0), span_s=0.266).ways == REVERSE
    assert taken((-0.02, 0.0), (-0.1, 0.0), span_s=0.246).ways == REVERSE
    assert taken((0.2, 0.0), (-0.1, 0.0), span_s=0.266).ways == 0
    assert taken((0.2, 0.0), (-0.1, 0.0), span_s=0.266 + 0.2 / GRAVITY_MPS2).ways == REVERSE


# What is not known any more.


@pytest.mark.parametrize(('v', 'turn_s'), [(0.0, 0.2), (0.5, 0.2 + 0.5 / GRAVITY_MPS2)])
def test_a_direction_is_known_until_the_robot_can_have_turned(v, turn_s):
    heading = taken((v, 0.0))

    assert heading.turns == [(pytest.approx(turn_s), REVERSE)]
    assert heading.toward(turn_s - 1e-6) == heading.ways
    assert heading.toward(turn_s + 1e-6) == heading.ways | REVERSE


def test_to_the_side_a_robot_turns_sooner_if_it_can_at_all():
    side_s = 0.5 / (GRAVITY_MPS2 + 1.0)

    assert taken((0.5, 0.0), one=OMNI).turns == [
        (pytest.approx(side_s), SIDE),
        (pytest.approx(0.2 + 0.5 / GRAVITY_MPS2), REVERSE),
    ]
    assert taken((0.1, 0.3), one=OMNI).turns == [
        (pytest.approx(0.2 + 0.1 / GRAVITY_MPS2), REVERSE)
    ]
    assert taken((0.01, -0.015), one=OMNI).turns[0] == (pytest.approx(0.18238, abs=1e-5), SIDE)


def test_a_robot_that_cannot_reverse_is_not_thought_to_unless_it_does():
    only = robot('amr', reverses=False)

    assert taken((0.5, 0.0), one=only).turns == []
    assert taken((-0.1, 0.0), one=only).turns == [(pytest.approx(0.11166, abs=1e-5), REVERSE)]
    assert taken((-0.5, 0.0), one=only).ways == REVERSE


@pytest.mark.parametrize('bad', [None, math.nan, 1e17])
def test_a_robot_that_reverses_unseen_stays_locked_when_its_odometry_ends(bad):
    odometry = odometer(-0.5)
    assert odometry.motion(S).toward == REVERSE
    if bad:
        odometry.add(S + 20 * MS, bad, 0.0, 0.0, now_ns=S + 20 * MS)

    for ms in (20, 290, 5000):
        assert odometry.motion(S + ms * MS).toward & REVERSE


def test_no_direction_is_known_without_odometry():
    odometry = odometer(1.0)

    assert odometry.motion(S + 200 * MS).toward == FORWARD
    v, w, toward, fault = odometry.motion(S + 201 * MS)
    assert (v, w, toward, fault) == (1.5, 1.0, FORWARD | REVERSE, OdometryFault.STALE)
    assert Odometry(OMNI).motion(0).toward == FORWARD | REVERSE | SIDE
    assert Odometry(robot('amr', reverses=False)).motion(0).toward == FORWARD


def test_what_is_to_come_is_told_from_now_on():
    odometry = odometer(0.0)

    assert odometry.turns(S + 50 * MS, within_s=0.16) == [(pytest.approx(0.15), REVERSE)]
    assert odometry.turns(S + 50 * MS, within_s=0.14) == []
    assert Odometry(AMR).turns(0, within_s=1.0) == []


def test_forward_counts_from_the_first_sample_however_slow():
    heading = Heading()
    heading.take(AMR, 0.021, 0.0, span_s=0.02)

    assert heading.ways == FORWARD


def test_before_the_first_sample_the_robot_is_taken_to_have_stood():
    heading = Heading()
    heading.take(AMR, -0.2, 0.0, span_s=0.21)  # 0.02 m of gaining speed, 0.02 m of braking

    assert heading.ways == REVERSE


def test_who_goes_sideways_reverses_no_later_than_who_goes_back_a_little_too():
    one = robot('amr', strafes=True)
    sideways, slightly = Heading(), Heading()
    sideways.take(one, 0.0, 0.1, span_s=0.02)
    slightly.take(one, -1e-9, 0.1, span_s=0.02)

    assert {way: age_s for age_s, way in sideways.turns}[REVERSE] == pytest.approx(
        {way: age_s for age_s, way in slightly.turns}[REVERSE]
    )


def test_each_direction_counts_from_its_own_moment_on():
    one = robot('amr', strafes=True)
    heading = Heading()
    heading.take(one, 0.8, 0.3, span_s=0.02)
    (first_s, first), (second_s, second) = heading.turns
    assert first_s < second_s

    assert not heading.toward(first_s) & first
    assert heading.toward(first_s + 1e-9) & (first | second) == first
    assert heading.toward(second_s) & (first | second) == first
    assert heading.toward(second_s + 1e-9) & (first | second) == first | second
