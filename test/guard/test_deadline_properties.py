"""What the laws promise for every robot, not only for the tabulated ones."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.robots import AMR

from edge_inference_ros.guard.deadline import (
    deadline,
    deadline_ns,
    displacement_s,
    left_s,
    reach,
    speed_for,
    speed_for_displacement,
    speed_for_stopping,
    spent_s,
    stopping_distance_m,
    stopping_left_s,
    stopping_s,
)
from edge_inference_ros.guard.robot import RobotProfile


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


speeds = between(0.0, 4.0)
rates = between(0.0, 2.0)
ages = between(0.0, 0.5)


@st.composite
def robots(draw, strict=None):
    margin_m = draw(between(0.0, 1.0))
    return RobotProfile(
        v_cap_mps=draw(between(0.3, 3.0)),
        w_cap_radps=draw(rates),
        a_acc_mps2=draw(st.one_of(st.just(0.0), between(0.1, 3.0))),
        b_mps2=draw(between(0.3, 5.0)),
        d_max_m=draw(between(0.05, 1.0)),
        lever_m=draw(between(0.0, 10.0)),
        range_m=margin_m + draw(between(0.1, 20.0)),
        margin_m=margin_m,
        v_other_mps=draw(between(0.0, 2.0)),
        confirm_s=draw(between(0.0, 0.3)),
        after_s=draw(between(0.0, 1.0)),
        strict=strict is not None and draw(strict),
    )


both = st.booleans()


def off_m(robot, v, w, t_s):
    """Worst displacement after ``t_s``, integrated in small steps."""
    steps = 4000
    dt, far = t_s / steps, 0.0
    for k in range(steps):
        fast = min(v + robot.a_acc_mps2 * (k + 0.5) * dt, max(robot.v_cap_mps, v))
        far += (fast + robot.v_other_mps + abs(w) * robot.lever_m) * dt
    return far


def needs_m(robot, v, tau_s):
    """Range needed to stop when data of age ``tau_s`` is used: criterion B, term by term."""
    rho_s = robot.confirm_s + tau_s + robot.after_s
    gain = robot.a_acc_mps2 if robot.strict else 0.0
    u = v + gain * rho_s
    ours_m = v * rho_s + gain * rho_s**2 / 2 + u**2 / (2 * robot.b_mps2)
    theirs_m = robot.v_other_mps * (rho_s + u / robot.b_mps2)
    return ours_m + theirs_m + robot.margin_m


@given(robots(strict=both), speeds, speeds, rates)
def test_a_faster_robot_never_has_more_time(robot, one, two, w):
    slow, fast = sorted((one, two))

    assert deadline(robot, fast, w).limit_s <= deadline(robot, slow, w).limit_s * (1 + 1e-12)
    assert stopping_s(robot, fast) <= stopping_s(robot, slow) + 1e-12
    assert displacement_s(robot, fast, w) <= displacement_s(robot, slow, w) * (1 + 1e-12)


@given(robots(strict=both), speeds, rates, rates)
def test_a_turning_robot_never_has_more_time(robot, v, one, two):
    calm, wild = sorted((one, two))

    assert deadline(robot, v, wild).limit_s <= deadline(robot, v, calm).limit_s * (1 + 1e-12)


@given(robots(strict=both), speeds, rates, between(0.0, 3.0), between(0.0, 3.0))
def test_faster_others_never_leave_more_time(robot, v, w, one, two):
    walking, running = sorted((one, two))

    slow = deadline(robot, v, w, v_other=walking).limit_s
    assert deadline(robot, v, w, v_other=running).limit_s <= slow * (1 + 1e-12)


@given(robots(strict=both), speeds, rates)
def test_the_signs_of_speed_and_rate_do_not_matter(robot, v, w):
    assert deadline(robot, -v, -w) == deadline(robot, v, w)


@given(robots(strict=both), speeds, rates)
def test_a_deadline_is_never_raised_and_never_above_a_budget(robot, v, w):
    found = deadline(robot, v, w)
    shortest = min(found.displacement_s, found.stopping_s, robot.deadline_cap_s)

    assert found.limit_s == max(0.0, shortest)
    assert found.feasible == (shortest > 0.0 and shortest >= robot.deadline_floor_s)
    assert found.limit_ns - 1e-3 <= found.limit_s * 1e9 < found.limit_ns + 1


@given(robots(strict=both), between(0.0, 1.2), rates, between(0.3, 1.3))
def test_who_judges_every_message_finds_the_same_deadline(robot, share, w, ample):
    v, range_m = share * robot.v_cap_mps, ample * robot.ample_m
    found = deadline(robot, v, w, range_m=range_m)

    assert deadline_ns(robot, v, w, range_m) == deadline_ns(robot, -v, -w, range_m)
    assert abs(deadline_ns(robot, v, w, range_m) - found.limit_ns) <= 1


@given(robots(strict=both))
def test_an_ample_range_is_just_enough_at_the_cap(robot):
    needed_m = needs_m(robot, robot.v_cap_mps, robot.deadline_cap_s)

    assert robot.ample_m == pytest.approx(needed_m, rel=1e-12)


@given(robots(strict=both), between(0.0, 1.2), rates, between(0.3, 1.3), ages)
def test_what_is_left_ends_with_the_first_of_all_budgets(robot, share, w, ample, age_s):
    v, range_m, spent_m = share * robot.v_cap_mps, ample * robot.ample_m, 0.4 * robot.d_max_m
    limit_s = deadline(robot, v, w, range_m=range_m).limit_s - age_s
    assume(limit_s > 0.0)
    budgets_s = (
        spent_s(robot, v, w, robot.d_max_m - spent_m),
        stopping_left_s(robot, v, age_s, range_m=range_m),
    )

    found_s = left_s(robot, v, w, range_m=range_m, off_m=spent_m, age_s=age_s)

    assert min(limit_s, found_s) == pytest.approx(min(limit_s, *budgets_s), rel=1e-9)


@given(robots(), between(0.0, 1.3), between(0.0, 1.3), st.sampled_from((0.0, 0.5, 3.2)))
def test_what_is_promised_holds_even_if_the_robot_gains_speed_and_turns(robot, v, w, alpha):
    robot = dataclasses.replace(robot, alpha_acc_radps2=alpha)
    v, w = v * robot.v_cap_mps, w * robot.w_cap_radps
    for_s = spent_s(robot, v, w, robot.d_max_m)
    assume(for_s < 100.0)

    spent = reach(v, for_s, robot.a_acc_mps2, robot.v_cap_mps)
    spent += robot.lever_m * reach(w, for_s, alpha or 30.0, robot.w_cap_radps)
    assert spent + robot.v_other_mps * for_s == pytest.approx(robot.d_max_m, rel=1e-9)


@pytest.mark.parametrize(
    ('v', 'w', 'a', 'alpha', 'd_m'),
    [
        (0.2, 0.1, 1.0, 1.0, 0.05),  # spent while both still grow
        (0.9, 0.0, 1.0, 0.5, 0.6),  # the speed is at its cap first
        (0.0, 0.9, 0.5, 1.0, 0.6),  # the yaw rate is at its cap first
        (0.8, 0.8, 1.0, 1.0, 2.0),  # both at once, and long after
        (0.5, 0.5, 1.0, 2.0, 2.0),  # one after the other, and long after
        (0.0, 0.5, 0.0, 2.0, 0.6),  # a robot that says it gains no speed
    ],
)
def test_how_long_a_budget_lasts_is_what_small_steps_find(v, w, a, alpha, d_m):
    robot = dataclasses.replace(
        AMR, v_cap_mps=1.0, w_cap_radps=1.0, a_acc_mps2=a, alpha_acc_radps2=alpha, lever_m=0.7
    )
    step_s, t_s, gone_m = 1e-5, 0.0, 0.0
    while gone_m < d_m:
        at_s = t_s + 0.5 * step_s
        fast = min(v + a * at_s, 1.0) + robot.lever_m * min(w + alpha * at_s, 1.0)
        gone_m, t_s = gone_m + step_s * fast, t_s + step_s

    assert spent_s(robot, v, w, d_m) == pytest.approx(t_s, abs=3e-5)


def test_a_spent_budget_lasts_no_longer():
    assert spent_s(AMR, 0.0, 0.0, 0.0) == spent_s(AMR, 0.0, 0.0, -1.0) == 0.0


@given(robots(), speeds, rates)
def test_the_budget_is_spent_exactly_when_its_time_is_up(robot, v, w):
    tau_s = displacement_s(robot, v, w)
    assume(tau_s < 100.0)

    spent = reach(v, tau_s, robot.a_acc_mps2, robot.v_cap_mps)
    spent += (robot.v_other_mps + w * robot.lever_m) * tau_s
    assert spent == pytest.approx(robot.d_max_m, rel=1e-9)


@given(robots(), speeds, rates)
def test_numeric_integration_spends_the_budget_at_the_same_time(robot, v, w):
    tau_s = displacement_s(robot, v, w)
    assume(tau_s < 100.0)

    assert off_m(robot, v, w, tau_s) == pytest.approx(robot.d_max_m, rel=1e-3)


@given(robots(), between(0.0, 5.0), between(0.0, 2.0), between(0.0, 3.0))
def test_reach_is_the_integral_of_its_bound(robot, v, t_s, a):
    steps = 2000
    rate = (min(v + a * (k + 0.5) * t_s / steps, max(1.5, v)) for k in range(steps))

    assert reach(v, t_s, a, 1.5) == pytest.approx(sum(rate) * t_s / steps, abs=1e-5)


@given(robots(strict=both), speeds, rates)
def test_a_robot_that_stops_as_late_as_allowed_uses_up_its_range(robot, v, w):
    tau_s = stopping_s(robot, v)
    assume(0.0 < tau_s < 1000.0)

    assert needs_m(robot, v, tau_s) == pytest.approx(robot.range_m, rel=1e-9)


@given(robots(strict=both), between(0.0, 2.0), rates)
def test_the_inverses_are_exact(robot, tau_s, w):
    v = speed_for_displacement(robot, tau_s, w)
    if 0.0 < v < robot.v_cap_mps:
        assert displacement_s(robot, v, w) == pytest.approx(tau_s, abs=1e-6)
    v = speed_for_stopping(robot, tau_s)
    if v > 1e-6:
        assert stopping_s(robot, v) == pytest.approx(tau_s, abs=1e-6)


@given(robots(strict=both), between(0.0, 0.5), rates)
def test_the_speed_for_a_latency_is_feasible_and_no_greater_one_is(robot, tau_s, w):
    v = speed_for(robot, tau_s, w)
    if v:
        assert deadline(robot, v, w).limit_s >= tau_s - 1e-6
    if v < robot.v_cap_mps:
        faster = max(v + 1e-3, robot.v_floor_mps + 1e-3)
        assert deadline(robot, faster, w).limit_s <= tau_s + 1e-6


@given(robots(strict=both), between(0.0, 2.0), between(0.0, 2.0), rates)
def test_more_latency_never_allows_more_speed(robot, one, two, w):
    early, late = sorted((one, two))

    assert speed_for(robot, late, w) <= speed_for(robot, early, w) * (1 + 1e-9)


@given(robots(strict=both), st.floats(), st.floats())
def test_no_input_whatever_yields_a_speed_outside_the_range(robot, tau_s, w):
    v = speed_for(robot, tau_s, w)

    assert v == 0.0 or robot.v_floor_mps <= v <= robot.v_cap_mps


@given(robots(strict=both), st.floats(), st.floats())
def test_no_input_whatever_yields_a_deadline_outside_the_range(robot, v, w):
    assert 0.0 <= deadline(robot, v, w).limit_s <= robot.deadline_cap_s


@given(robots(strict=both), speeds, ages)
def test_what_is_left_for_stopping_ends_when_the_budget_does(robot, v, age_s):
    left_s = stopping_left_s(robot, v, age_s)
    assume(left_s < 100.0)
    if left_s <= 0.0:
        assert needs_m(robot, v, age_s) >= robot.range_m * (1 - 1e-9)
        return

    later = min(v + robot.a_acc_mps2 * left_s, max(robot.v_cap_mps, v))
    assert needs_m(robot, later, age_s + left_s) == pytest.approx(robot.range_m, rel=1e-9)


@given(robots(strict=both), between(0.0, 0.95), between(0.01, 0.99), ages)
def test_the_time_left_for_stopping_is_found_while_the_robot_still_gains_speed(
    robot, share, part, age_s
):
    assume(robot.a_acc_mps2 > 0.0)
    v = share * robot.v_cap_mps
    left_s = part * (robot.v_cap_mps - v) / robot.a_acc_mps2
    range_m = needs_m(robot, v + robot.a_acc_mps2 * left_s, age_s + left_s)

    assert stopping_left_s(robot, v, age_s, range_m=range_m) == pytest.approx(left_s, rel=1e-6)


@given(robots(strict=both), between(0.0, 0.95), between(0.0, 3.0), ages)
def test_the_time_left_for_stopping_is_found_after_the_cap_is_reached(robot, share, more_s, age_s):
    assume(robot.a_acc_mps2 > 0.0)
    v = share * robot.v_cap_mps
    left_s = (robot.v_cap_mps - v) / robot.a_acc_mps2 + more_s
    range_m = needs_m(robot, robot.v_cap_mps, age_s + left_s)

    assert stopping_left_s(robot, v, age_s, range_m=range_m) == pytest.approx(left_s, rel=1e-6)


@given(robots(), speeds, ages)
def test_looking_ahead_never_leaves_more_time_than_the_speed_of_the_moment(robot, v, age_s):
    left_s = stopping_left_s(robot, v, age_s)

    assert left_s <= max(0.0, stopping_s(robot, v) - age_s) + 1e-9


@given(between(0.0, 5.0), between(0.3, 4.0), between(0.5, 20.0))
def test_the_stopping_distance_agrees_with_integration(v, b, j):
    dt, t_s, far_m, speed = 2e-4, 0.0, 0.0, v
    while speed > 0.0:
        slower = speed - min(j * (t_s + dt / 2), b) * dt
        far_m += max(0.0, speed + slower) / 2 * dt
        speed, t_s = slower, t_s + dt

    assert stopping_distance_m(v, b, j) == pytest.approx(far_m, abs=2e-3)


@given(between(0.0, 3.0), between(0.5, 3.0), between(0.5, 10.0), between(0.0, 0.9))
def test_the_reaction_covers_brakes_that_build_up_on_a_descent(v, b, j, share):
    slope = math.asin(share * b / 9.80665)
    robot = dataclasses.replace(AMR, b_mps2=b, jerk_mps3=j, slope_rad=slope, range_m=100.0)
    dt, t_s, far_m, speed = 5e-4, 0.0, 0.0, v
    while speed > 0.0 or j * t_s < share * b:
        slower = speed - (min(j * (t_s + dt / 2), b) - share * b) * dt
        far_m += max(0.0, speed + slower) / 2 * dt
        speed, t_s = slower, t_s + dt

    react_s = robot.react_s - robot.confirm_s - robot.after_s
    bound_m = v * react_s + v * v / (2 * robot.brake_mps2) + robot.lost_m - robot.margin_m
    assert bound_m >= far_m - 1e-3 * (1.0 + far_m)
