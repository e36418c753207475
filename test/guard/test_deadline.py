from __future__ import annotations

import dataclasses
import doctest
import math
from typing import Any

import numpy as np
import pytest
import yaml
from support.robots import AMR, GIVEN, ROBOTS, ROOT, robot, vectors

from edge_inference_ros.core.params import build, table
from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.deadline import (
    SLACK,
    Binding,
    bearing_s,
    deadline,
    deadline_ns,
    displacement_s,
    range_for_stopping,
    slowest_rate_hz,
    speed_for,
    speed_for_displacement,
    speed_for_stopping,
    stopping_distance_m,
    stopping_left_s,
    stopping_s,
)
from edge_inference_ros.guard.profiles import read_robot
from edge_inference_ros.guard.robot import FORWARD, REVERSE, SIDE, RobotProfile
from edge_inference_ros.guard.speed_limit import LimitRules
from edge_inference_ros.guard.standing import Rules

INF = math.inf
SHARED = vectors()
needs_vectors = pytest.mark.skipif(SHARED is None, reason='the shared golden vectors are not here')


def close(value: float) -> Any:
    return pytest.approx(value, abs=6e-5)


@pytest.mark.parametrize(
    ('name', 'changes', 'motion', 'budgets', 'limit'),
    [
        ('amr', {}, (0.0, 0.0), (0.7746, INF), (0.5, 'cap', True)),
        ('amr', {}, (0.5, 0.0), (0.4220, 6.9), (0.4220, 'A', True)),
        ('amr', {}, (1.0, 0.0), (0.2649, 2.95), (0.2649, 'A', True)),
        ('amr', {}, (1.5, 0.0), (0.2, 1.4667), (0.2, 'A', True)),
        ('amr', {}, (1.5, 0.5), (0.15, 1.4667), (0.15, 'A', True)),
        ('amr', {}, (2.5, 0.0), (0.12, -0.02), (0.0, 'B', False)),
        ('amr', {'range_m': 2.0}, (1.5, 0.0), (0.2, 0.1333), (0.1333, 'B', True)),
        ('amr', {'range_m': 1.6}, (1.5, 0.0), (0.2, -0.1333), (0.0, 'B', False)),
        ('amr', {'v_other_mps': 1.6}, (1.0, 0.0), (0.1129, 0.3654), (0.1129, 'A', True)),
        ('amr', {'v_other_mps': 1.6}, (1.5, 0.0), (0.0968, -0.1935), (0.0, 'B', False)),
        ('outdoor', {}, (0.0, 0.0), (0.8944, INF), (0.5, 'cap', True)),
        ('outdoor', {}, (2.0, 0.0), (0.2, 2.7833), (0.2, 'A', True)),
        ('outdoor', {}, (2.0, 0.5), (0.16, 2.7833), (0.16, 'A', True)),
        ('humanoid', {}, (0.0, 0.0), (0.7303, INF), (0.4, 'cap', True)),
        ('humanoid', {}, (1.2, 0.0), (0.1667, 1.5330), (0.1667, 'A', True)),
        ('humanoid', {}, (1.2, 0.5), (0.1176, 1.5330), (0.1176, 'A', True)),
    ],
)
def test_deadlines_are_those_of_the_specification(name, changes, motion, budgets, limit):
    found = deadline(robot(name, **changes), *motion)

    assert (found.displacement_s, found.stopping_s) == (close(budgets[0]), close(budgets[1]))
    assert (found.limit_s, found.binding.value, found.feasible) == (close(limit[0]), *limit[1:])


@pytest.mark.parametrize(
    ('name', 'changes', 'tau', 'speeds'),
    [
        ('amr', {}, 0.0, (1.5, 2.4818, 1.5)),
        ('amr', {}, 0.2, (1.5, 2.3073, 1.5)),
        ('amr', {}, 0.3, (0.85, 2.2253, 0.85)),
        ('amr', {}, 0.5, (0.35, 2.0718, 0.35)),
        ('amr', {}, 1.0, (0.0, 1.7437, 0.0)),
        ('outdoor', {}, 0.3, (1.1833, 3.9280, 1.1833)),
        ('humanoid', {}, 0.2, (0.925, 1.7628, 0.925)),
        ('amr', {'v_other_mps': 1.6}, 0.1, (1.35, 1.2253, 1.2253)),
    ],
)
def test_speeds_for_a_latency_are_those_of_the_specification(name, changes, tau, speeds):
    one = robot(name, **changes)

    assert speed_for_displacement(one, tau, 0.0) == close(speeds[0])
    assert speed_for_stopping(one, tau) == close(speeds[1])
    assert speed_for(one, tau) == close(speeds[2])


@needs_vectors
def test_every_shared_deadline_is_met():
    for row in SHARED['deadline']:
        one = robot(row['profile'], v_other_mps=row.get('v_o', 0.0))
        found = deadline(one, row['v'], row['w'])

        assert found.displacement_s == pytest.approx(row['tau_A'], abs=1e-9), row
        assert found.stopping_s == pytest.approx(float(row['tau_B']), abs=1e-9), row
        assert found.limit_s == pytest.approx(row['deadline'], abs=1e-9), row
        assert (found.feasible, found.binding.value) == (row['feasible'], row['binding']), row


@needs_vectors
def test_every_shared_speed_is_met():
    for row in SHARED['v_max']:
        one = robot(row['profile'], v_other_mps=row.get('v_o', 0.0))

        assert speed_for_displacement(one, row['tau'], 0.0) == pytest.approx(row['A'], abs=1e-9)
        assert speed_for_stopping(one, row['tau']) == pytest.approx(row['B'], abs=1e-9), row
        assert speed_for(one, row['tau']) == pytest.approx(row['v_max'], abs=1e-9), row


@needs_vectors
def test_every_shared_strict_reaction_time_is_met():
    for row in SHARED['rss']:
        one = dataclasses.replace(
            AMR, strict=True, a_acc_mps2=row['a'], b_mps2=row['b'], confirm_s=0.0, after_s=0.0
        )
        found = stopping_s(one, row['v'], range_m=row['L'] - row['m'] + one.margin_m)

        assert found == pytest.approx(float(row['rho']), abs=1e-9), row


@needs_vectors
def test_every_shared_range_follows_from_its_reaction_time():
    for row in SHARED['deadline']:
        one = robot(row['profile'], v_other_mps=row.get('v_o', 0.0))
        if row['tau_B'] != 'inf' and row['v'] > 0:
            found = range_for_stopping(one, row['v'], float(row['tau_B']))
            assert found == pytest.approx(one.range_m, abs=1e-8), row
    for row in SHARED['rss']:
        one = dataclasses.replace(
            AMR, strict=True, a_acc_mps2=row['a'], b_mps2=row['b'], confirm_s=0.0, after_s=0.0
        )
        if row['rho'] != 'inf':
            found = range_for_stopping(one, row['v'], float(row['rho']))
            assert found == pytest.approx(row['L'] - row['m'] + one.margin_m, abs=1e-8), row


@pytest.mark.parametrize(
    ('name', 'v', 'age_s', 'range_m'),
    [
        ('amr', 1.5, 0.2, 1.5 * 0.45 + 1.125 + 0.3),
        ('amr', -1.5, 0.2, 1.5 * 0.45 + 1.125 + 0.3),
        ('amr', 0.0, 0.2, 0.3),
        ('outdoor', 2.0, 0.2, 2.0 * 0.5 + 4 / 3 + 0.5),
        ('humanoid', 1.2, 0.2, 1.2 * 0.867 + 0.96 + 0.4),
    ],
)
def test_the_range_to_stop_in_is_unaware_travel_braking_and_margin(name, v, age_s, range_m):
    assert range_for_stopping(robot(name), v, age_s) == pytest.approx(range_m)


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize('v_other', [None, 0.0, 1.6])
def test_within_that_range_the_reaction_time_is_just_what_was_asked(strict, v_other):
    rng = np.random.default_rng(0)
    for _ in range(200):
        one = dataclasses.replace(
            AMR,
            strict=strict,
            b_mps2=float(rng.uniform(1.5, 4)),
            slope_rad=float(rng.uniform(0, 0.1)),
            jerk_mps3=float(rng.choice([0.0, 2.0])),
            v_other_mps=float(rng.uniform(0, 2)),
        )
        v, age_s = float(rng.uniform(0.05, 3)), float(rng.uniform(0, 0.5))

        found = range_for_stopping(one, v, age_s, v_other=v_other)

        asked = {'range_m': found, 'v_other': v_other}
        assert stopping_s(one, v, **asked) == pytest.approx(age_s, abs=1e-9)


@needs_vectors
def test_the_shared_robots_are_ours():
    names = {
        'v_cap': 'v_cap_mps', 'w_cap': 'w_cap_radps', 'a_acc': 'a_acc_mps2', 'b': 'b_mps2',
        'd_max': 'd_max_m', 'R': 'lever_m', 'L': 'range_m', 'm': 'margin_m', 'v_o': 'v_other_mps',
        'T': 'confirm_s', 'tau_x': 'after_s', 'D_cap': 'deadline_cap_s',
        'D_floor': 'deadline_floor_s', 'v_floor': 'v_floor_mps',
    }  # fmt: skip
    for name, said in SHARED['profiles'].items():
        assert {key: getattr(ROBOTS[name], ours) for key, ours in names.items()} == said


@pytest.mark.parametrize(
    ('v', 'free', 'held'),
    [
        (0.0, 1.9235, INF),
        (0.5, 1.4558, 7.15),
        (1.0, 1.0494, 3.2),
        (1.5, 0.6966, 1.7167),
        (2.0, 0.3875, 0.85),
    ],
)
def test_the_strict_law_lets_the_robot_accelerate_while_it_reacts(v, free, held):
    strict = robot('amr', strict=True, confirm_s=0.0, after_s=0.0)

    assert stopping_s(strict, v) == close(free)
    assert stopping_s(dataclasses.replace(strict, a_acc_mps2=0.0), v) == close(held)


def test_the_deadline_does_not_jump_up_at_the_cap():
    below = deadline(AMR, math.nextafter(1.5, 0.0), 0.0).limit_s

    assert deadline(AMR, 1.5, 0.0).limit_s == pytest.approx(below, abs=1e-9)
    assert deadline(AMR, 1.5, 0.0).limit_s <= below


def test_a_robot_told_its_speed_for_a_latency_is_not_late_at_that_speed():
    for tau_s in (0.21, 0.3, 0.4, 0.5):
        assert deadline(AMR, speed_for(AMR, tau_s), 0.0).limit_s >= tau_s * (1.0 - 1e-9)


def test_a_deadline_below_the_floor_is_returned_as_it_is_and_the_speed_is_infeasible():
    slow = robot('amr', deadline_floor_s=0.25)
    found = deadline(slow, 1.5, 0.0)

    assert found.limit_s == close(0.2)
    assert not found.feasible
    assert deadline(robot('amr', deadline_floor_s=found.limit_s), 1.5, 0.0).feasible


def test_nothing_is_feasible_at_a_deadline_of_zero_even_without_a_floor():
    just = robot('amr', deadline_floor_s=0.0, range_m=1.8)

    assert stopping_s(just, 1.5) == 0.0
    assert not deadline(just, 1.5, 0.0).feasible
    assert not deadline(robot('amr', deadline_floor_s=0.0), 2.5, 0.0).feasible


@pytest.mark.parametrize(('v', 'w'), [(math.nan, 0.0), (0.0, math.nan), (INF, 0.0), (0.0, -INF)])
def test_a_motion_that_is_not_a_number_has_no_deadline(v, w):
    assert deadline(AMR, v, w) == (0.0, False, Binding.DISPLACEMENT, 0.0, -INF)
    assert deadline_ns(AMR, v, w, AMR.range_m) == 0


@pytest.mark.parametrize('tau_s', [math.nan, INF, -0.1, None, 1.0])
def test_a_latency_unknown_or_beyond_the_budget_allows_no_speed(tau_s):
    assert speed_for(AMR, tau_s) == 0.0


def test_a_speed_below_the_floor_is_a_stop():
    assert speed_for(robot('amr', v_floor_mps=0.34), 0.5) == close(0.35)
    assert speed_for(robot('amr', v_floor_mps=0.36), 0.5) == 0.0


def test_a_robot_that_cannot_accelerate_needs_no_margin_for_it():
    calm = robot('amr', a_acc_mps2=0.0)

    assert displacement_s(calm, 0.0, 0.0) == INF
    assert deadline(calm, 0.0, 0.0).limit_s == 0.5
    assert displacement_s(calm, 1.0, 0.0) == close(0.3)
    assert speed_for_displacement(calm, 0.3, 0.0) == close(1.0)


def test_far_detections_go_stale_first_in_a_turn():
    near, far = (displacement_s(AMR, 1.0, 0.5, lever_m=r) for r in (0.5, 5.0))

    assert far < near < displacement_s(AMR, 1.0, 0.0, lever_m=5.0)


def test_people_go_stale_before_walls():
    wall = deadline(AMR, 1.0, 0.0, v_other=0.0)
    person = deadline(AMR, 1.0, 0.0, v_other=1.6)

    assert wall.limit_s == close(0.2649)
    assert person.limit_s == close(0.1129)


def test_the_bearing_budget_is_spent_by_turning_alone():
    assert bearing_s(0.5, 0.1) == close(0.2)
    assert bearing_s(-0.5, 0.1) == close(0.2)
    assert bearing_s(0.0, 0.1) == INF


@pytest.mark.parametrize(
    ('limit_s', 'rates'),
    [
        (0.10, (16.7, 33.3, 50.0)),
        (0.15, (9.1, 18.2, 27.3)),
        (0.20, (6.25, 12.5, 18.75)),
        (0.30, (3.85, 7.69, 11.5)),
    ],
)
def test_the_slowest_sensor_still_keeps_data_fresh(limit_s, rates):
    found = [slowest_rate_hz(limit_s, 0.03, jitter_s=0.01, losses=k) for k in range(3)]

    assert found == [pytest.approx(rate, abs=0.05) for rate in rates]


def test_without_jitter_and_losses_a_frame_may_take_what_computing_leaves():
    assert slowest_rate_hz(0.2, 0.03) == pytest.approx(1.0 / 0.17)


def test_no_rate_suffices_when_computing_takes_the_whole_deadline():
    assert slowest_rate_hz(0.035, 0.03, jitter_s=0.01) == INF


@pytest.mark.parametrize(
    ('v', 'b', 'j', 'distance_m'),
    [(1.5, 1.0, 2.0, 1.489583), (3.0, 2.5, 1.5, 4.010648), (1.5, 1.0, 0.0, 1.125)],
)
def test_brakes_that_build_up_stop_later(v, b, j, distance_m):
    assert stopping_distance_m(v, b, j) == pytest.approx(distance_m, abs=1e-6)


@pytest.mark.parametrize('v', [0.1, 0.4, 0.49])
def test_a_slow_robot_stands_before_its_brakes_are_full(v):
    t_s = math.sqrt(2.0 * v)

    assert stopping_distance_m(v, 1.0, 1.0) == pytest.approx(v * t_s - t_s**3 / 6.0, rel=1e-12)


def test_a_descent_takes_its_share_of_the_brakes():
    steep = robot('outdoor', slope_rad=math.radians(5.0))

    assert steep.brake_mps2 == pytest.approx(0.645, abs=5e-4)
    assert stopping_s(steep, 2.0) < stopping_s(robot('outdoor'), 2.0)


def test_slow_brakes_take_half_their_build_up_from_the_reaction():
    assert stopping_s(robot('amr', jerk_mps3=2.0), 1.0) == close(2.95 - 0.25)


def test_reversing_counts_on_the_sensors_that_look_back():
    seeing = robot('amr', range_reverse_m=2.0)

    assert AMR.range_toward(AMR.toward(-1.0, 0.0)) == 0.0
    assert seeing.range_toward(seeing.toward(-1.0, 0.0)) == 2.0
    assert not deadline(AMR, 0.1, 0.0, range_m=0.0).feasible


def test_standing_before_a_blind_direction_is_infeasible_too():
    assert stopping_s(AMR, 0.0, range_m=0.0) == -INF


@pytest.mark.parametrize(
    ('vx', 'vy', 'toward'),
    [
        (1.0, 0.0, FORWARD),
        (-1.0, 0.0, REVERSE),
        (0.5, 0.5, FORWARD),
        (0.5, 0.51, SIDE),
        (-0.1, -0.5, SIDE),
        (-0.02, 0.0, 0),
        (-0.021, 0.0, REVERSE),
    ],
)
def test_a_velocity_points_into_one_quarter_unless_it_is_noise(vx, vy, toward):
    assert AMR.toward(vx, vy) == toward


@pytest.mark.parametrize(
    ('toward', 'range_m'),
    [(0, 4.0), (FORWARD, 4.0), (REVERSE, 3.0), (SIDE, 2.0), (FORWARD | REVERSE, 3.0),
     (FORWARD | SIDE, 2.0), (REVERSE | SIDE, 2.0), (FORWARD | REVERSE | SIDE, 2.0)],
)  # fmt: skip
def test_the_worst_covered_direction_decides(toward, range_m):
    around = robot('amr', range_reverse_m=3.0, range_side_m=2.0)

    assert around.range_toward(toward) == range_m


NUMBERS = [f.name for f in dataclasses.fields(RobotProfile) if f.type == 'float']


@pytest.mark.parametrize('name', NUMBERS)
@pytest.mark.parametrize('value', [math.nan, INF, -INF, -0.5, 1e9, '1', None, True])
def test_a_figure_that_is_no_sound_number_is_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=name):
        RobotProfile(**{name: value})


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'margin_m': 4.0}, 'range_m'),
        ({'range_reverse_m': 0.3}, 'range_reverse_m'),
        ({'range_side_m': 0.1}, 'range_side_m'),
        ({'deadline_floor_s': 0.6}, 'deadline_cap_s'),
        ({'v_floor_mps': 1.6}, 'v_cap_mps'),
        ({'slope_rad': 0.2}, 'slope_rad'),
        ({'strict': 1}, 'strict'),
    ],
)
def test_figures_that_contradict_each_other_are_refused(changes, words):
    with pytest.raises(ParameterError, match=words):
        robot('amr', **changes)


def test_equal_bounds_do_not_contradict_each_other():
    robot('amr', deadline_floor_s=0.5, v_floor_mps=1.5, range_reverse_m=0.31, range_side_m=0.31)


def test_every_fault_is_named_at_once():
    with pytest.raises(ParameterError) as caught:
        RobotProfile(d_max_m=math.nan, b_mps2=-1.0, lever_m='far')
    assert all(name in str(caught.value) for name in ('d_max_m', 'b_mps2', 'lever_m'))

    with pytest.raises(ParameterError) as caught:
        robot('amr', margin_m=5.0, deadline_floor_s=0.7)
    assert all(name in str(caught.value) for name in ('margin_m', 'deadline_floor_s'))


@pytest.mark.parametrize(
    ('file', 'name'),
    [('indoor_amr', 'amr'), ('outdoor_delivery', 'outdoor'), ('humanoid', 'humanoid')],
)
def test_the_shipped_files_describe_the_robots_of_the_specification(file, name):
    text = (ROOT / 'config' / 'robots' / f'{file}.yaml').read_text()
    said = yaml.safe_load(text)['/**']['ros__parameters']

    assert build(RobotProfile, said) == ROBOTS[name]


@pytest.mark.parametrize(
    ('file', 'name'),
    [('indoor_amr', 'amr'), ('outdoor_delivery.yaml', 'outdoor'), ('humanoid', 'humanoid')],
)
def test_a_robot_is_read_by_its_name(file, name):
    assert read_robot(file) == ROBOTS[name]


def test_a_robot_is_read_from_a_parameter_file_that_says_more(tmp_path):
    path = tmp_path / 'mine.yaml'
    figures = {**GIVEN, 'v_cap_mps': 1.0, 'grace_s': 5.0}
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': figures}}))

    assert read_robot(str(path)) == robot('amr', v_cap_mps=1.0)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('v_cap_mps: 1.0', "expected a mapping '/\\*\\*'"),
        ('/**: {v_cap_mps: 1.0}', "expected a mapping '/\\*\\*'"),
        ('/**: {ros__parameters: {v_cap_mps: -1.0}}', 'v_cap_mps = -1.0'),
        ('/**: {ros__parameters: {margin_m: 9.0}}', 'margin_m = 9.0 must be < range_m'),
        (
            '/**: {ros__parameters: {v_cap_mps: 1.0}}',
            'no figure for w_cap_radps, a_acc_mps2, alpha',
        ),
    ],
)
def test_a_file_that_describes_no_sound_robot_is_named(tmp_path, text, words):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)

    with pytest.raises(ParameterError, match=words) as caught:
        read_robot(str(path))
    assert str(path) in str(caught.value)


def test_the_documentation_lists_every_figure_as_declared():
    text = (ROOT / 'docs' / 'safety.md').read_text()

    assert all(table(schema) in text for schema in (RobotProfile, Rules, LimitRules))


def test_the_figures_for_a_design_are_what_the_page_says():
    failed, tried = doctest.testfile(str(ROOT / 'docs' / 'safety.md'), module_relative=False)

    assert (failed, tried) == (0, 5)


def test_a_budget_that_is_spent_leaves_no_time():
    assert displacement_s(AMR, 1.0, 0.0, d_m=0.0) == 0.0
    assert displacement_s(AMR, 1.0, 0.0, d_m=-0.1) == 0.0
    assert displacement_s(robot('amr', a_acc_mps2=0.0), 0.0, 0.0, d_m=-0.1) == 0.0


def test_arguments_take_the_place_of_the_profile():
    assert stopping_s(AMR, 1.0, v_other=1.6) == stopping_s(robot('amr', v_other_mps=1.6), 1.0)
    assert stopping_s(AMR, 1.0, range_m=2.0) == stopping_s(robot('amr', range_m=2.0), 1.0)
    for range_m, v_other in ((2.0, 0.0), (4.0, 1.6)):
        other = robot('amr', range_m=range_m, v_other_mps=v_other)
        said = speed_for_stopping(AMR, 0.2, range_m=range_m, v_other=v_other)
        assert said == speed_for_stopping(other, 0.2)
    people = robot('amr', v_other_mps=1.6)
    assert speed_for_displacement(AMR, 0.1, 0.2, v_other=1.6) == speed_for_displacement(
        people, 0.1, 0.2
    )
    assert speed_for(AMR, 0.1, 0.2, range_m=2.0, v_other=1.6) == speed_for(
        robot('amr', v_other_mps=1.6, range_m=2.0), 0.1, 0.2
    )


def test_standing_right_before_the_end_of_sight_is_still_standing():
    assert stopping_s(AMR, 0.0, range_m=AMR.margin_m) == INF


def test_the_inverse_holds_when_the_cap_is_reached_on_the_way():
    brisk = robot('amr', v_cap_mps=0.5, a_acc_mps2=3.0, d_max_m=0.24)
    v = speed_for_displacement(brisk, 0.5, 0.0)

    assert v == pytest.approx(0.5 - math.sqrt(6.0 * 0.01))
    assert displacement_s(brisk, v, 0.0) == pytest.approx(0.5)


def test_when_others_spend_the_whole_budget_there_is_no_speed():
    for a in (0.0, 1.0):
        crowd = robot('amr', a_acc_mps2=a, v_other_mps=1.0)
        assert speed_for_displacement(crowd, 0.4, 0.0) == 0.0


def test_no_rate_suffices_without_any_time_to_spare():
    assert slowest_rate_hz(0.03, 0.03) == INF


def test_brakes_that_bite_at_once_are_the_default():
    assert stopping_distance_m(2.0, 4.0) == 0.5


def test_nothing_is_left_for_stopping_once_the_budget_is_spent():
    assert stopping_left_s(AMR, 0.5, 0.1, range_m=0.4) == 0.0
    assert stopping_left_s(AMR, 0.5, 0.1) > 1.0


def test_a_sideways_step_ahead_does_not_need_to_see_behind():
    around = robot('amr', range_reverse_m=3.0, range_side_m=3.5)

    assert around.range_toward(FORWARD | SIDE) == 3.5


def test_brakes_that_just_hold_the_robot_on_its_descent_are_refused():
    with pytest.raises(ParameterError, match='slope_rad'):
        robot('amr', b_mps2=9.80665 * math.sin(0.1), slope_rad=0.1)


def test_a_sensor_that_sees_no_further_than_the_margin_is_refused():
    with pytest.raises(ParameterError, match='range_side_m'):
        robot('amr', range_side_m=0.3)


@pytest.mark.parametrize(
    ('share', 'v', 'far_m'),
    [(0.0, 0.0, 0.0), (0.4, 0.0, 2 / 3 * 0.4**3 / 4), (0.5, 0.0, 1 / 48), (0.8, 0.0, 0.1145833)],
)
def test_a_robot_that_must_brake_at_rest_on_a_descent_rolls_so_far(share, v, far_m):
    slope = math.asin(share / 9.80665)
    steep = robot('amr', b_mps2=1.0, slope_rad=slope, jerk_mps3=2.0)

    assert steep.lost_m - steep.margin_m == pytest.approx(far_m, abs=1e-6)
    assert dataclasses.replace(steep, jerk_mps3=0.0).lost_m == steep.margin_m


def test_on_the_level_slow_brakes_cost_time_and_no_distance():
    assert robot('amr', jerk_mps3=1.0).lost_m == 0.3
    assert robot('amr', jerk_mps3=1.0).react_s == pytest.approx(0.25 + 0.5)


def test_at_its_cap_a_robot_that_is_too_late_is_told_by_how_much():
    late_s = stopping_left_s(AMR, AMR.v_cap_mps, 0.1, range_m=1.0)

    assert late_s == stopping_s(AMR, AMR.v_cap_mps, range_m=1.0) - 0.1
    assert late_s < 0.0


def test_a_speed_just_at_the_floor_is_no_stop():
    v = speed_for(AMR, 0.3)

    assert speed_for(dataclasses.replace(AMR, v_floor_mps=v), 0.3) == v


@pytest.mark.parametrize('range_m', [0.0, 0.1, math.nan])
def test_where_nothing_is_seen_in_time_no_speed_can_stop(range_m):
    assert speed_for_stopping(AMR, 0.3, range_m=range_m) == 0.0


def test_a_latency_that_uses_the_budget_up_but_for_rounding_costs_no_speed():
    tau_s = AMR.d_max_m * (1.0 + SLACK) / AMR.v_cap_mps

    assert AMR.v_cap_mps * tau_s == AMR.d_max_m * (1.0 + SLACK)
    assert speed_for_displacement(AMR, tau_s, 0.0) == AMR.v_cap_mps
