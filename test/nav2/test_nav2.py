"""docs/nav2.md says what the files say and what the code computes."""

import re
from pathlib import Path

import pytest
import yaml

from edge_inference_ros.core.params import build, specs
from edge_inference_ros.guard.deadline import deadline, stopping_distance_m
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
from tools import nav2

PAGE = nav2.PAGE.read_text()
ROOT = Path(__file__).parents[2]
BLOCKS = [yaml.safe_load(text) for text in re.findall(r'```yaml\n(.*?)```', PAGE, re.DOTALL)]


@pytest.fixture(scope='module')
def robot():
    return nav2.indoor_amr()


def held(part, whole):
    """Whether every entry of ``part`` stands in ``whole``."""
    if not isinstance(part, dict):
        return part == whole
    return all(key in whole and held(value, whole[key]) for key, value in part.items())


def test_the_table_is_what_the_code_computes(robot):
    assert nav2.replaced(PAGE, nav2.table(robot)) == PAGE, 'python -m tools.nav2 --write'


def test_the_first_row_is_right_by_hand(robot):
    figures = [0.5, 1.0, 1.5]
    limits_s = [deadline(robot.profile, v, 0.0).limit_s + 0.02 for v in figures]
    ways_m = [
        v * (limit_s + 0.15) + stopping_distance_m(v, 1.0)
        for v, limit_s in zip(figures, limits_s, strict=True)
    ]
    row = nav2.table(robot).splitlines()[2].split('|')

    assert row[1].strip() == 'camera dies'
    for shown, exact, step in (
        (row[3], [1e3 * s for s in limits_s], 1.0),
        (row[5], ways_m, 0.01),
    ):
        for upper, value in zip(map(float, shown.split('/')), exact, strict=True):
            assert value - 1e-6 <= upper < value + step


@pytest.mark.parametrize(
    ('value', 'shown'), [(0.3, 0.3), (0.301, 0.31), (0.3000001, 0.31), (0.0, 0.0), (1.0, 1.0)]
)
def test_an_upper_limit_is_rounded_up(value, shown):
    assert nav2.rounded_up(value, 2) == shown


def test_a_longer_timeout_would_show_in_the_table(robot):
    changed = yaml.safe_load(yaml.safe_dump(robot.nav2))
    changed['twist_mux']['ros__parameters']['locks']['perception']['timeout'] = 0.5

    assert nav2.table(nav2.Robot(robot.profile, changed)) != nav2.table(robot)


def test_every_failure_stops_the_robot_within_what_it_sees(robot):
    clear_m = robot.profile.range_m - robot.profile.margin_m

    for _, _, said_s in nav2.FAILURES:
        for v in nav2.SPEEDS_MPS:
            assert robot.stopped_m(v, said_s(robot, v)) < clear_m


@pytest.mark.parametrize('block', BLOCKS, ids=lambda block: next(iter(block)))
def test_an_excerpt_is_of_the_shipped_file(robot, block):
    assert held(block, robot.nav2)


def test_there_is_an_excerpt_of_every_part(robot):
    assert {name for block in BLOCKS for name in block} == set(robot.nav2)


def test_the_watchdog_would_take_its_entries(robot):
    entries = robot.nav2['watchdog']['ros__parameters']

    build(WatchdogParams, entries)

    assert len(entries['topics']) == len(entries['types'])


def test_the_timeouts_fit_the_robot_and_each_other(robot):
    profile, said = robot.profile, robot.said
    heartbeat_s = {name: default for name, default, *_ in specs(WatchdogParams)}['heartbeat_s']
    lock_s = said('twist_mux', 'locks', 'perception', 'timeout')

    assert 2 * heartbeat_s < lock_s < profile.deadline_cap_s
    assert said('collision_monitor', 'source_timeout') == profile.deadline_cap_s
    assert said('collision_monitor', 'fresh_points', 'source_timeout') == profile.deadline_cap_s
    assert said('base_driver', 'cmd_vel_timeout') < profile.after_s
    assert said('velocity_smoother', 'velocity_timeout') < profile.deadline_cap_s
    assert said('lifecycle_manager_perception', 'bond_timeout') == 0.0
    costmap = robot.nav2['local_costmap']['local_costmap']['ros__parameters']['obstacles']
    assert costmap['fresh_points']['expected_update_rate'] == profile.deadline_cap_s


def test_no_part_may_go_faster_or_brake_harder_than_the_profile_says(robot):
    profile, said = robot.profile, robot.said

    assert said('controller_server', 'FollowPath', 'desired_linear_vel') == profile.v_cap_mps
    assert said('velocity_smoother', 'max_velocity')[0] == profile.v_cap_mps
    assert said('velocity_smoother', 'max_velocity')[2] == profile.w_cap_radps
    assert said('velocity_smoother', 'max_accel')[0] == profile.a_acc_mps2
    assert said('velocity_smoother', 'max_decel')[0] == -profile.b_mps2


def test_the_lock_is_above_navigation(robot):
    topics, locks = robot.said('twist_mux', 'topics'), robot.said('twist_mux', 'locks')

    assert topics['navigation']['priority'] < locks['perception']['priority']


def test_the_commands_go_from_one_to_the_next(robot):
    assert robot.said('twist_mux', 'topics', 'navigation', 'topic') == 'cmd_vel_smoothed'
    assert robot.said('collision_monitor', 'cmd_vel_in_topic') == 'cmd_vel_muxed'
    watched = robot.said('watchdog', 'topics')
    for reader in ('collision_monitor',):
        assert robot.said(reader, 'fresh_points', 'topic').removeprefix('fresh/') in watched


def test_the_launch_arguments_shown_exist():
    shown = set(re.findall(r'(\w+):=', PAGE)) - {'__node'}
    files = [ROOT / 'launch/bringup.launch.py', *ROOT.glob('edge_inference_ros/bringup/*.py')]
    declared = '\n'.join(file.read_text() for file in files)

    assert shown
    assert not [name for name in shown if f"'{name}'" not in declared]
