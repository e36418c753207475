from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.robots import AMR, robot

from edge_inference_ros.guard.odometry import Odometry, OdometryFault
from edge_inference_ros.guard.robot import FORWARD, GRAVITY_MPS2, REVERSE, SIDE

MS = 1_000_000
S = 1_000_000_000


def drive(speed, *, until_s, hz=50.0, rate=lambda _: 0.0, one=AMR, start_s=0.0):
    """An odometer that saw a motion, sampled at ``hz`` and delivered at once."""
    odometry = Odometry(one)
    for k in range(int((until_s - start_s) * hz) + 1):
        t_s = start_s + k / hz
        at_ns = round(t_s * S)
        odometry.add(at_ns, speed(t_s), 0.0, rate(t_s), now_ns=at_ns)
    return odometry


@pytest.mark.parametrize(
    ('first', 'last', 'ramp_s', 'far_m'),
    [(2.0, 0.5, 0.6, 0.75), (1.5, 0.5, 0.4, 0.4), (0.5, 1.5, 0.4, 0.4), (1.5, 0.0, 0.6, 0.45)],
)
def test_the_path_is_integrated_not_guessed_from_the_speed_of_the_moment(
    first, last, ramp_s, far_m
):
    quick = robot('amr', a_acc_mps2=2.5, v_cap_mps=2.0)
    odometry = drive(lambda t: first + (last - first) * t / ramp_s, until_s=ramp_s, one=quick)

    path_m = odometry.since(0, round(ramp_s * S)).path_m

    assert far_m <= path_m <= far_m * 1.1


def test_at_the_cap_the_odometer_is_exact():
    odometry = drive(lambda _: 1.5, until_s=1.0, rate=lambda _: 1.0)

    travel = odometry.since(round(0.333 * S), round(0.777 * S))

    assert travel.path_m == pytest.approx(1.5 * 0.444, rel=1e-12)
    assert travel.turn_rad == pytest.approx(0.444, rel=1e-12)


def test_any_two_readings_add_up():
    odometry = drive(lambda t: 0.7 + 0.3 * math.sin(9 * t), until_s=1.0, rate=math.sin)
    whole = odometry.since(round(0.11 * S), S)

    for middle_s in (0.2, 0.4301, 0.98, 0.9999):
        middle_ns = round(middle_s * S)
        first = odometry.since(round(0.11 * S), S).path_m - odometry.since(middle_ns, S).path_m
        assert 0.0 <= first <= whole.path_m
    assert odometry.since(S, S) == odometry.since(S + 5, S) == (0.0, 0.0)


def test_between_two_samples_only_the_acceleration_is_unknown():
    odometry = drive(lambda _: 0.5, until_s=0.1, hz=10.0)

    assert odometry.since(0, 100 * MS).path_m == pytest.approx(0.05 + 0.5 * 1.0 * 0.01)


def test_since_the_newest_sample_the_robot_may_have_accelerated():
    odometry = drive(lambda _: 1.4, until_s=0.0)

    assert odometry.since(0, 100 * MS).path_m == pytest.approx(0.14 + 0.5 * 0.01)
    assert odometry.since(0, 200 * MS).path_m == pytest.approx(0.14 + 0.005 + 0.15)
    assert odometry.since(100 * MS, 200 * MS).path_m == pytest.approx(0.15)


def test_a_sample_faster_than_acceleration_explains_counts_for_the_whole_interval():
    odometry = Odometry(AMR)
    odometry.add(0, 0.5, 0.0, 0.0, now_ns=0)
    odometry.add(20 * MS, 0.7, 0.0, 0.0, now_ns=20 * MS)

    assert odometry.since(0, 20 * MS).path_m == pytest.approx(0.7 * 0.02)


def test_slowing_down_may_have_happened_at_the_very_end():
    odometry = Odometry(robot('amr', a_acc_mps2=0.0))
    odometry.add(0, 1.0, 0.0, 0.0, now_ns=0)
    odometry.add(100 * MS, 0.0, 0.0, 0.0, now_ns=100 * MS)

    assert odometry.since(0, 100 * MS).path_m == pytest.approx(0.1)


@pytest.mark.parametrize(('first', 'second'), [(0.2, 0.6), (0.6, 0.2), (-0.6, 0.2)])
def test_between_two_samples_the_yaw_rate_may_have_grown_or_been_the_greater(first, second):
    odometry = Odometry(AMR)
    odometry.add(0, 0.0, 0.0, first, now_ns=0)
    odometry.add(20 * MS, 0.0, 0.0, second, now_ns=20 * MS)

    grown = 0.0 if second > abs(first) else 3.2 * (0.02**2 - 0.005**2) / 2
    assert odometry.since(5 * MS, 20 * MS).turn_rad == pytest.approx(0.6 * 0.015 + grown)
    grown = 3.2 * 0.02**2 / 2
    assert odometry.since(20 * MS, 40 * MS).turn_rad == pytest.approx(second * 0.02 + grown)


def test_a_yaw_acceleration_that_is_not_stated_is_the_most_that_is_possible():
    odometry = drive(lambda _: 0.0, until_s=0.0, one=robot('amr', alpha_acc_radps2=0.0))

    assert odometry.motion(10 * MS).w_radps == pytest.approx(0.3)
    assert odometry.motion(50 * MS).w_radps == 1.0


def test_a_gap_counts_at_the_cap():
    odometry = Odometry(AMR)
    odometry.add(0, 0.1, 0.0, 0.0, now_ns=0)
    odometry.add(201 * MS, 0.1, 0.0, 0.0, now_ns=201 * MS)

    assert odometry.since(0, 201 * MS) == pytest.approx((1.5 * 0.201, 1.0 * 0.201))
    assert odometry.since(100 * MS, 201 * MS).path_m == pytest.approx(1.5 * 0.101)


def test_what_is_exactly_as_long_as_the_timeout_is_no_gap():
    odometry = Odometry(AMR)
    odometry.add(0, 0.1, 0.0, 0.0, now_ns=0)
    odometry.add(200 * MS, 0.1, 0.0, 0.0, now_ns=200 * MS)

    assert odometry.since(0, 200 * MS) == pytest.approx((0.1 * 0.2 + 0.5 * 0.2**2, 1.6 * 0.2**2))


def test_a_sample_that_acceleration_just_explains_was_reached_at_the_very_end():
    odometry = Odometry(AMR)
    odometry.add(0, 0.5, 0.0, 0.0, now_ns=0)
    odometry.add(125 * MS, 0.625, 0.0, 0.0, now_ns=125 * MS)

    assert odometry.since(0, 125 * MS).path_m == pytest.approx(0.5625 * 0.125)


def test_a_speed_that_takes_just_one_g_is_no_spike():
    odometry = Odometry(robot('amr', odom_timeout_s=1.0))
    odometry.add(0, 0.0, 0.0, 0.0, now_ns=0)
    odometry.add(200 * MS, GRAVITY_MPS2 * (200 * MS * 1e-9), 0.0, 0.0, now_ns=200 * MS)

    assert odometry.since(200 * MS, 300 * MS).path_m == pytest.approx(GRAVITY_MPS2 * 0.2 * 0.1)


def test_before_the_first_sample_the_robot_moved_at_the_caps():
    assert Odometry(AMR).since(50 * MS, 150 * MS) == pytest.approx((0.15, 0.1))

    odometry = Odometry(AMR)
    odometry.add(100 * MS, 0.0, 0.0, 0.0, now_ns=100 * MS)
    assert odometry.since(0, 100 * MS) == pytest.approx((0.15, 0.1))


def test_before_the_first_sample_the_caps_hold_whatever_came_after_it():
    odometry = Odometry(AMR)
    odometry.add(100 * MS, 0.1, 0.0, 0.1, now_ns=100 * MS)
    odometry.add(120 * MS, 0.5, 0.0, 0.2, now_ns=120 * MS)

    assert odometry.since(0, 100 * MS) == pytest.approx((0.15, 0.1))
    turn_rad = 0.1 + 0.2 * 0.02  # 0.2 is more than 3.2 rad/s² explains
    assert odometry.since(0, 120 * MS) == pytest.approx((0.15 + 0.01, turn_rad))


@pytest.mark.parametrize(
    ('bad', 'fault'),
    [
        ((1.0, math.nan, 0.0), OdometryFault.NONFINITE),
        ((math.inf, 0.0, 0.0), OdometryFault.NONFINITE),
        ((0.1, 0.0, -math.inf), OdometryFault.NONFINITE),
        ((1.7e308, 0.0, 1.7e308), OdometryFault.NONFINITE),
    ],
)
def test_a_sample_that_is_no_number_is_named_and_bridged_by_what_can_have_happened(bad, fault):
    odometry, silent = drive(lambda _: 0.1, until_s=0.1), drive(lambda _: 0.1, until_s=0.1)

    assert not odometry.add(120 * MS, *bad, now_ns=120 * MS)
    v, w, toward, named = odometry.motion(120 * MS)
    assert (v, w, toward, named) == (pytest.approx(0.12), pytest.approx(0.064), FORWARD, fault)
    assert odometry.since(0, 120 * MS) == silent.since(0, 120 * MS)

    for one in (odometry, silent):
        assert one.add(140 * MS, 0.1, 0.0, 0.0, now_ns=140 * MS)
    assert odometry.motion(140 * MS) == (0.1, 0.0, FORWARD, None)
    assert odometry.since(0, 150 * MS) == silent.since(0, 150 * MS)


@pytest.mark.parametrize('bad', [math.nan, 1e17])
def test_bad_samples_one_after_the_other_mean_the_caps_after_the_timeout(bad):
    odometry = drive(lambda _: 0.1, until_s=0.1)
    for ms in range(120, 302, 20):
        odometry.add(ms * MS, bad, 0.0, 0.0, now_ns=ms * MS)

    fault = OdometryFault.ABSURD if bad == 1e17 else OdometryFault.NONFINITE
    assert odometry.motion(300 * MS).v_mps == pytest.approx(0.3)
    assert odometry.motion(301 * MS) == (1.5, 1.0, FORWARD | REVERSE, fault)
    assert odometry.since(100 * MS, 301 * MS).path_m == pytest.approx(1.5 * 0.201)


def test_what_no_robot_of_this_kind_can_do_is_a_fault_and_no_measurement():
    odometry = drive(lambda _: 1.0, until_s=1.0)

    assert odometry.add(1020 * MS, 29.9, 0.0, 49.9, now_ns=1020 * MS)
    for vx, wz in ((30.1, 0.0), (1e16, 0.0), (0.0, 50.1), (1.7e308, 1.7e308)):
        assert not odometry.add(1040 * MS, vx, 0.0, wz, now_ns=1040 * MS)


@pytest.mark.parametrize('absurd', [1e16, 1e17, 1.7e308])
def test_absurd_figures_leave_every_metre_on_the_odometer(absurd):
    odometry = Odometry(AMR)
    for k in range(1, 200):
        at_ns = k * 20 * MS
        if k in (10, 11) or 20 < k < 90:
            odometry.command(absurd, 0.0, 0.0, now_ns=at_ns)
            odometry.add(at_ns, absurd, 0.0, 0.0, now_ns=at_ns)
        else:
            odometry.add(at_ns, 1.0, 0.0, 0.0, now_ns=at_ns)

    assert odometry.since(at_ns - S, at_ns).path_m == pytest.approx(1.0, rel=0.02)
    assert odometry.motion(at_ns) == (1.0, 0.0, FORWARD, None)


def test_the_odometer_loses_nothing_over_a_million_kilometres():
    odometry, one = Odometry(robot('amr', odom_timeout_s=10.0)), 10**6 * S
    for k in range(700):
        odometry.add(k * one, 1.5, 0.0, 0.0, now_ns=k * one)

    assert odometry.since(0, 699 * one).path_m == pytest.approx(1.0485e9)
    assert odometry.since(699 * one, 699 * one + 20 * MS).path_m == pytest.approx(0.03, rel=1e-9)


def test_a_sample_from_the_future_is_refused_and_means_the_caps():
    odometry = Odometry(AMR, skew_ns=5 * MS)
    odometry.add(0, 0.1, 0.0, 0.0, now_ns=0)

    assert odometry.add(25 * MS, 0.1, 0.0, 0.0, now_ns=20 * MS)
    assert not odometry.add(45 * MS + 1, 0.1, 0.0, 0.0, now_ns=40 * MS)
    assert odometry.motion(40 * MS).fault is OdometryFault.FUTURE
    assert odometry.add(60 * MS, 0.1, 0.0, 0.0, now_ns=60 * MS)
    assert odometry.motion(60 * MS).fault is None


def test_without_a_tolerance_nothing_may_come_from_the_future():
    odometry = Odometry(AMR)

    assert odometry.add(0, 0.1, 0.0, 0.0, now_ns=0)
    assert not odometry.add(1, 0.1, 0.0, 0.0, now_ns=0)


def test_odometry_is_stale_right_after_its_timeout():
    odometry = drive(lambda _: 0.1, until_s=0.0)

    assert odometry.motion(200 * MS).fault is None
    assert odometry.motion(200 * MS + 1) == (1.5, 1.0, FORWARD | REVERSE, OdometryFault.STALE)
    assert odometry.since(0, 200 * MS + 1).path_m == pytest.approx(0.3)


def test_without_any_odometry_the_caps_hold():
    assert Odometry(AMR).motion(0) == (1.5, 1.0, FORWARD | REVERSE, OdometryFault.ABSENT)


def test_aged_odometry_grows_by_what_the_robot_could_have_gained():
    odometry = drive(lambda _: 1.0, until_s=0.0)

    assert odometry.motion(100 * MS).v_mps == pytest.approx(1.1)
    assert drive(lambda _: 1.45, until_s=0.0).motion(100 * MS).v_mps == 1.5
    assert drive(lambda _: 1.7, until_s=0.0).motion(100 * MS).v_mps == 1.7


def test_a_speed_above_the_cap_is_believed_when_it_was_reached_step_by_step():
    odometry = drive(lambda t: 1.5 + 2.0 * t, until_s=0.5)

    assert odometry.motion(S // 2).v_mps == pytest.approx(2.5)
    assert odometry.since(0, S // 2).path_m >= 1.0


@pytest.mark.parametrize('usual', [0.16, 0.5, 1.0, 1.5])
def test_a_spike_of_one_sample_tightens_the_deadline_and_moves_the_odometer_little(usual):
    odometry = drive(lambda t: usual * (10.0 if round(t * 50) == 5 else 1.0), until_s=0.2)
    spiked = drive(lambda t: usual * (10.0 if round(t * 50) == 5 else 1.0), until_s=0.1)

    assert spiked.motion(100 * MS).v_mps == usual * 10.0
    assert spiked.since(100 * MS, 120 * MS).path_m <= 1.5 * 0.02 * (1 + 1e-12)
    assert odometry.motion(200 * MS).v_mps == usual
    assert odometry.since(80 * MS, 120 * MS).path_m <= 2 * 1.5 * 0.02 * (1 + 1e-12)


def test_a_yaw_spike_moves_the_odometer_no_more_than_the_cap_would():
    odometry = drive(lambda _: 0.5, until_s=0.2, rate=lambda t: 9.0 if round(t * 50) == 5 else 0.2)

    assert odometry.since(80 * MS, 120 * MS).turn_rad <= 2 * 1.0 * 0.02 * (1 + 1e-12)


def test_two_samples_in_a_row_make_an_impossible_speed_believable():
    odometry = drive(lambda t: 3.0 if t > 0.09 else 1.0, until_s=0.2)

    assert odometry.since(140 * MS, 200 * MS).path_m == pytest.approx(3.0 * 0.06)


def test_a_locked_wheel_does_not_hide_what_was_commanded():
    odometry = Odometry(AMR)
    for k in range(11):
        odometry.command(1.0, 0.0, 0.3, now_ns=k * 20 * MS)
        odometry.add(k * 20 * MS, 0.0, 0.0, 0.0, now_ns=k * 20 * MS)

    assert odometry.motion(200 * MS) == (1.0, 0.3, FORWARD, None)
    assert odometry.since(100 * MS, 200 * MS).path_m >= 0.1
    assert odometry.since(100 * MS, 200 * MS).turn_rad == pytest.approx(0.03 + 5 * 1.6 * 0.02**2)


@pytest.mark.parametrize(('vx', 'wz'), [(math.nan, 0.0), (0.1, math.inf), (1.7e308, 1.7e308)])
def test_a_command_that_is_no_number_counts_as_the_caps(vx, wz):
    odometry = drive(lambda _: 0.1, until_s=0.1)
    odometry.command(vx, 0.0, wz, now_ns=100 * MS)

    assert odometry.motion(100 * MS) == (1.5, 1.0, FORWARD | REVERSE, None)


def test_a_command_counts_from_when_it_came_until_it_is_old():
    odometry = drive(lambda _: 0.0, until_s=0.0)
    odometry.command(-1.0, 0.0, 0.0, now_ns=10 * MS)

    assert odometry.since(0, 10 * MS).path_m == pytest.approx(0.01, abs=1e-3)
    for k in range(1, 40):
        odometry.add(k * 20 * MS, 0.0, 0.0, 0.0, now_ns=k * 20 * MS)
        v, _, toward, _ = odometry.motion(k * 20 * MS)
        alive = k * 20 <= 510
        assert (v, toward) == ((1.0, REVERSE) if alive else (0.0, 0))
    assert odometry.since(600 * MS, 700 * MS).path_m < 0.002


def test_the_exact_last_moment_of_a_command_still_counts():
    odometry = drive(lambda _: 0.0, until_s=0.0, one=robot('amr', odom_timeout_s=5.0))
    odometry.command(1.0, 0.0, 0.0, now_ns=0)

    assert odometry.motion(500 * MS).v_mps == 1.5
    assert odometry.motion(500 * MS).w_radps == 1.0


@pytest.mark.parametrize('command', [(math.nan, 0.0, 0.0), (0.0, 0.0, math.inf)])
def test_a_command_that_is_no_number_could_mean_anything(command):
    odometry = drive(lambda _: 0.0, until_s=0.0)
    odometry.command(*command, now_ns=0)

    assert odometry.motion(0) == (1.5, 1.0, FORWARD | REVERSE, None)


def test_odometry_and_command_in_opposite_directions_are_both_kept():
    odometry = drive(lambda _: 0.5, until_s=0.0)
    odometry.command(-0.2, 0.0, 0.0, now_ns=0)

    assert odometry.motion(0) == (0.5, 0.0, FORWARD | REVERSE, None)


def test_a_commanded_speed_above_the_cap_is_not_clipped_when_odometry_fails():
    odometry = Odometry(AMR)
    odometry.command(2.0, 0.0, 1.5, now_ns=0)

    assert odometry.motion(0) == (2.0, 1.5, FORWARD | REVERSE, OdometryFault.ABSENT)


def test_a_speed_above_the_cap_is_not_clipped_when_odometry_goes_stale():
    odometry = drive(lambda _: 1.8, until_s=0.1, rate=lambda _: 1.2)

    assert odometry.motion(S) == (1.8, 1.2, FORWARD | REVERSE, OdometryFault.STALE)
    assert odometry.since(100 * MS, S).path_m == pytest.approx(1.8 * 0.9)


def test_late_samples_that_the_bound_covers_are_counted_and_change_nothing():
    odometry = drive(lambda _: 0.5, until_s=0.1)
    before = odometry.since(0, 110 * MS), odometry.motion(110 * MS)

    assert not odometry.add(50 * MS, 0.5, 0.0, 0.0, now_ns=110 * MS)
    assert not odometry.add(100 * MS, 0.4, 0.0, 0.0, now_ns=110 * MS)
    assert odometry.late == 2
    assert (odometry.since(0, 110 * MS), odometry.motion(110 * MS)) == before


def test_flushing_forgets_everything():
    odometry = drive(lambda _: 0.5, until_s=0.1)
    odometry.command(0.2, 0.0, 0.0, now_ns=100 * MS)
    odometry.flush()

    assert odometry.motion(110 * MS) == (1.5, 1.0, FORWARD | REVERSE, OdometryFault.ABSENT)
    assert odometry.add(50 * MS, 0.1, 0.0, 0.0, now_ns=50 * MS)
    assert odometry.motion(50 * MS) == (0.1, 0.0, FORWARD, None)


def test_memory_does_not_grow_and_recent_history_survives():
    odometry, exact = Odometry(AMR, capacity=64), drive(lambda _: 1.0, until_s=20.0)
    for k in range(1001):
        odometry.add(k * 20 * MS, 1.0, 0.0, 0.0, now_ns=k * 20 * MS)
        assert len(odometry._times) == len(odometry._legs) < 128

    end_ns = 20 * S
    assert odometry.since(end_ns - S, end_ns).path_m == pytest.approx(
        exact.since(end_ns - S, end_ns).path_m
    )
    assert odometry.since(0, end_ns).path_m >= exact.since(0, end_ns).path_m


def test_a_change_of_limits_does_not_rewrite_history():
    odometry = drive(lambda _: 1.0, until_s=1.0)
    before = odometry.since(S // 3, S).path_m

    odometry.robot = dataclasses.replace(AMR, v_cap_mps=3.0, a_acc_mps2=3.0)
    odometry.add(S + 20 * MS, 1.0, 0.0, 0.0, now_ns=S + 20 * MS)

    leg_m = odometry.since(S, S + 20 * MS).path_m
    assert odometry.since(S // 3, S + 20 * MS).path_m - leg_m == pytest.approx(before)


def truth(seed, *, one, seconds):
    """A random motion within the robot's limits: speed and rate every millisecond."""
    draw = random.Random(seed)
    v, w, goal_v, goal_w = draw.uniform(0, one.v_cap_mps), 0.0, 0.0, 0.0
    for k in range(int(seconds * 1000)):
        if k % 50 == 0:
            goal_v, goal_w = draw.uniform(0, one.v_cap_mps), draw.uniform(0, one.w_cap_radps)
        v += min(max(goal_v - v, -8e-3), one.a_acc_mps2 * 1e-3)
        w += min(max(goal_w - w, -8e-3), one.alpha_acc_radps2 * 1e-3)
        yield v, w


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([10, 25, 50, 100]), st.booleans())
def test_the_odometer_never_reads_less_than_the_robot_moved(seed, hz, faulty):
    draw, seconds = random.Random(seed), 1.2
    one = robot('amr', alpha_acc_radps2=2.0)
    motion = list(truth(seed, one=one, seconds=seconds))
    odometry, held = Odometry(one, skew_ns=5 * MS), []
    for k, (v, w) in enumerate(motion):
        if k % (1000 // hz) == 0:
            held.append((k * MS, v, w))
            if faulty and draw.random() < 0.5:
                _disturb(draw, held)
        while held and draw.random() < 0.3:
            at_ns, said_v, said_w = held.pop(0)
            odometry.add(at_ns, said_v, 0.0, said_w, now_ns=k * MS)
        if k % 37 == 36:
            since_ms = draw.randrange(k)
            true_v = sum(v for v, _ in motion[since_ms:k]) * 1e-3
            true_w = sum(w for _, w in motion[since_ms:k]) * 1e-3
            seen = odometry.since(since_ms * MS, k * MS)
            assert seen.path_m >= true_v * (1 - 1e-9) - 1e-3 * 1e-3
            assert seen.turn_rad >= true_w * (1 - 1e-9) - 2e-3 * 1e-3


def _disturb(draw, held):
    """Lose, spoil, swap, repeat or postdate the newest sample on its way."""
    at_ns, v, w = held.pop()
    kind = draw.randrange(5)
    if kind == 1:
        held.append((at_ns, math.nan, w))
    elif kind == 2:
        held.insert(0, (at_ns, v, w))
    elif kind == 3:
        held += [(at_ns, v, w), (at_ns, 10 * v, w)]
    elif kind == 4:
        held.append((at_ns + 10 * S, v, w))


def bound(samples, one):
    """The documented bound of the speed, evaluated instant by instant: slow and obvious."""

    def at(t_ns):
        before = [s for s in samples if s[0] <= t_ns]
        after = [s for s in samples if s[0] > t_ns]
        if not before:
            return one.v_cap_mps
        t0, v0 = before[-1]
        ramp = v0 + one.a_acc_mps2 * (t_ns - t0) / S
        top = max(one.v_cap_mps, v0)
        if after:
            t1, v1 = after[0]
            top = max(top, v1)
            if (t1 - t0) / S > one.odom_timeout_s:
                return top
            if v1 > v0 + one.a_acc_mps2 * (t1 - t0) / S:
                return v1
        return min(ramp, top)

    return at


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 250), st.floats(0.0, 1.5)), min_size=1, max_size=12),
    st.integers(0, 300),
    st.integers(0, 180),
)
def test_the_odometer_is_the_integral_of_its_bound_and_no_more(steps, back_ms, tail_ms):
    odometry, samples, at_ns = Odometry(AMR), [], 0
    for step_ms, v in steps:
        at_ns += step_ms * MS
        odometry.add(at_ns, v, 0.0, 0.0, now_ns=at_ns)
        samples.append((at_ns, v))
    now_ns, fine_ns = at_ns + tail_ms * MS, MS // 4
    rate = bound(samples, AMR)

    start_ns = now_ns - back_ms * MS
    slow = sum(rate(t + fine_ns / 2) for t in range(start_ns, now_ns, fine_ns)) * fine_ns / S

    assert odometry.since(start_ns, now_ns).path_m == pytest.approx(slow, abs=2e-4)


def test_a_sample_keeps_the_commands_that_came_after_it():
    odometry = Odometry(AMR)
    odometry.command(0.2, 0.0, 0.0, now_ns=100 * MS)  # counts until 600 ms
    odometry.command(1.4, 0.0, 0.0, now_ns=1200 * MS)
    odometry.command(0.0, 0.0, 0.0, now_ns=1300 * MS)
    odometry.add(1100 * MS, 0.0, 0.0, 0.0, now_ns=1350 * MS)

    assert odometry.since(1100 * MS, 1300 * MS).path_m >= 1.4 * 0.2 * (1 - 1e-9)


def test_a_command_that_was_replaced_when_the_sample_was_taken_is_forgotten():
    odometry = Odometry(AMR)
    odometry.command(1.4, 0.0, 0.0, now_ns=1000 * MS)
    odometry.command(0.1, 0.0, 0.0, now_ns=1100 * MS)
    odometry.add(1100 * MS, 0.0, 0.0, 0.0, now_ns=1150 * MS)

    assert odometry.since(1100 * MS, 1150 * MS).path_m < 0.02


def test_once_odometry_is_old_the_caps_hold_from_the_newest_sample_on():
    odometry = drive(lambda _: 0.5, until_s=1.0)
    assert odometry.since(S, S + 100 * MS).path_m < 0.07  # looked at while it was young

    assert odometry.since(S, S + 300 * MS).path_m == pytest.approx(1.5 * 0.3)


def test_what_two_poses_show_counts_for_the_time_between_them_too():
    odometry = Odometry(AMR)
    odometry.add(0, 0.0, 0.0, 0.0, now_ns=0, pose=(0.0, 0.0, 0.0))
    odometry.add(100 * MS, 0.0, 0.0, 0.0, now_ns=100 * MS, pose=(0.14, 0.0, 0.09))

    travel = odometry.since(0, 100 * MS)

    assert travel.path_m >= 0.14
    assert travel.turn_rad >= 0.09


def test_a_robot_first_seen_creeping_backward_has_not_crept_before():
    odometry = Odometry(AMR)
    odometry.add(S, -0.05, 0.0, 0.0, now_ns=S)

    assert not odometry.motion(S).toward & REVERSE


def test_commands_too_many_to_keep_count_as_the_greatest_of_them():
    odometry = Odometry(AMR)
    odometry.command(1.0, 0.0, 0.2, now_ns=S + MS)
    odometry.command(0.3, 0.0, 0.9, now_ns=S + 2 * MS)
    for k in range(100):
        odometry.command(0.0, 0.0, 0.0, now_ns=S + (3 + k) * MS)
    odometry.add(S, 0.0, 0.0, 0.0, now_ns=S + 110 * MS)

    travel = odometry.since(S + 110 * MS, S + 150 * MS)

    assert travel.path_m >= 0.04 * 1.0
    assert travel.turn_rad >= 0.04 * 0.9
    assert len(odometry._commands._kept) <= 64


def test_a_sample_from_just_ahead_is_no_slower_motion():
    odometry = Odometry(AMR, skew_ns=5 * MS)
    odometry.add(S + 5 * MS, 1.0, 0.0, 0.5, now_ns=S)

    assert odometry.motion(S)[:2] == (1.0, 0.5)


def test_who_turns_faster_than_the_cap_is_known_to():
    odometry = Odometry(AMR)
    odometry.add(S, 0.0, 0.0, 1.2, now_ns=S)

    assert odometry.motion(S + 10 * MS).w_radps == 1.2


def test_turns_are_what_is_to_come_from_now_on():
    odometry = drive(
        lambda _: 0.5, until_s=1.0, one=robot('amr', strafes=True, odom_timeout_s=2.0)
    )
    now_ns = S + 10 * MS
    (first_s, first), (second_s, second) = odometry.turns(now_ns, within_s=10.0)

    assert {first, second} == {REVERSE, SIDE}
    for turn_s, way in ((first_s, first), (second_s, second)):
        turn_ns = now_ns + round(turn_s * S)
        assert not odometry.motion(turn_ns - 1000).toward & way
        assert odometry.motion(turn_ns + 1000).toward & way
    assert odometry.turns(now_ns, within_s=first_s) == []
    assert len(odometry.turns(now_ns, within_s=first_s + 1e-6)) == 2


def test_who_can_only_go_forward_never_turns():
    odometry = drive(lambda _: 0.5, until_s=1.0, one=robot('amr', reverses=False))

    assert odometry.turns(S, within_s=10.0) == []
