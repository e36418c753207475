from __future__ import annotations

import math

import pytest
from support.robots import AMR

from edge_inference_ros.guard.pose_history import AHEAD_NS, PoseHistory
from edge_inference_ros.guard.poses import Pose

MS = 1_000_000
PERIOD_NS = 20 * MS


def circle(at_ns, *, v=1.0, w=0.9, yaw=2.8):
    """On an arc of radius v / w that crosses the seam of the yaw."""
    heading = yaw + w * at_ns * 1e-9
    radius = v / w
    return Pose(
        3.0 + radius * math.sin(heading),
        -1.0 - radius * math.cos(heading),
        math.remainder(heading, math.tau),
    )


def driven(samples=100, pose=circle, capacity=512):
    history = PoseHistory(AMR, capacity)
    for k in range(samples):
        assert history.add(k * PERIOD_NS, pose(k * PERIOD_NS))
    return history


def assert_same(one, other):
    assert one[:2] == pytest.approx(other[:2], abs=1e-9)
    assert math.remainder(one.yaw_rad - other.yaw_rad, math.tau) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize('at_ms', [0, 7, 20, 733, 1501, 1980, 1990, 2080])
def test_a_pose_lies_on_the_arc_between_and_a_little_beyond(at_ms):
    assert_same(driven().at(at_ms * MS), circle(at_ms * MS))


@pytest.mark.parametrize('period_ms', [150, 200])
def test_poses_as_far_apart_as_odometry_may_be_leave_no_gap(period_ms):
    history = PoseHistory(AMR)
    for k in range(4):
        history.add(k * period_ms * MS, circle(k * period_ms * MS))

    assert_same(history.at(2 * period_ms * MS + 10 * MS), circle(2 * period_ms * MS + 10 * MS))


def test_a_straight_line_is_an_arc_too():
    def line(at_ns):
        return Pose(at_ns * 1e-9, 0.0, 0.0)

    assert_same(driven(pose=line).at(333 * MS), line(333 * MS))


def test_before_the_first_and_long_after_the_last_nothing_is_known():
    history = driven()
    last_ns = 99 * PERIOD_NS

    assert PoseHistory(AMR).at(0) is None
    assert history.at(-1) is None
    assert history.at(last_ns + AHEAD_NS) is not None
    assert history.at(last_ns + AHEAD_NS + 1) is None


def test_one_pose_says_nothing_of_any_other_time():
    history = driven(samples=1)

    assert history.at(0) == circle(0)
    assert history.at(1) is None


def test_across_a_gap_nothing_is_known():
    history = driven()
    end_ns = 99 * PERIOD_NS + round(AMR.odom_timeout_s * 1e9)
    history.add(end_ns + MS, circle(end_ns + MS))

    assert history.at(end_ns - MS) is None
    assert history.at(end_ns + MS) is not None
    assert history.at(end_ns + 2 * MS) is None


@pytest.mark.parametrize('jump', [Pose(2.0, 0.0, 0.0), Pose(0.0, 0.0, 3.0)])
def test_a_jump_is_no_motion(jump):
    history = driven()
    base = circle(100 * PERIOD_NS)
    moved = Pose(*(a + b for a, b in zip(base, jump, strict=True)))
    history.add(100 * PERIOD_NS, moved)

    assert history.at(100 * PERIOD_NS - MS) is None
    assert history.at(100 * PERIOD_NS) == moved
    assert history.moved(90 * PERIOD_NS, 100 * PERIOD_NS) is None


def test_what_was_seen_then_is_where_it_is_now():
    history, then_ns, now_ns = driven(), 411 * MS, 1_307 * MS
    point = (5.0, -2.0)

    def world(pose, x, y):
        cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        return pose.x_m + cos * x - sin * y, pose.y_m + sin * x + cos * y

    here = world(history.moved(then_ns, now_ns), *point)

    assert world(circle(now_ns), *here) == pytest.approx(world(circle(then_ns), *point), abs=1e-9)


def test_late_poses_are_counted_and_no_numbers_are_refused():
    history = driven()

    assert not history.add(99 * PERIOD_NS, Pose(0.0, 0.0, 0.0))
    assert not history.add(5, Pose(0.0, 0.0, 0.0))
    assert not history.add(10**12, Pose(0.0, math.nan, 0.0))
    assert not history.add(10**12, Pose(0.0, math.inf, 0.0))
    assert history.late == 2
    assert_same(history.at(1_000 * MS), circle(1_000 * MS))


def test_the_newest_are_kept_and_no_more_than_twice_as_many():
    history = driven(samples=1_000, capacity=10)

    known = [k for k in range(1_000) if history.at(k * PERIOD_NS)]
    assert known == list(range(known[0], 1_000))
    assert 10 <= len(known) < 20


def test_after_the_clock_jumped_it_begins_anew():
    history = driven()
    history.clear()

    assert history.at(0) is None
    assert history.add(3, circle(3))
