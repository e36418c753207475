from __future__ import annotations

import math

import pytest
from support.robots import AMR, robot

from edge_inference_ros.guard.odometry import Odometry, OdometryFault
from edge_inference_ros.guard.poses import HOLD_NS, NOTHING, Pose, Poses
from edge_inference_ros.guard.robot import FORWARD, REVERSE, SIDE

MS = 1_000_000
S = 1_000_000_000


def drive(seconds, *, twist, pose, one=AMR, hz=50):
    """An odometer fed with what twist and pose say at each instant (s)."""
    odometry = Odometry(one)
    for k in range(round(seconds * hz) + 1):
        at_ns, t_s = k * S // hz, k / hz
        odometry.add(at_ns, *twist(t_s), now_ns=at_ns, pose=pose(t_s))
    return odometry, at_ns


def still(_):
    return 0.0, 0.0, 0.0


@pytest.mark.parametrize('v', [0.1, 0.3, 1.0, 1.5])
@pytest.mark.parametrize('heading', [0.0, 2.0])
def test_poses_that_move_are_motion_though_the_twist_says_none(v, heading):
    way = math.cos(heading), math.sin(heading)
    odometry, now_ns = drive(
        2.0, twist=still, pose=lambda t: (way[0] * v * t, way[1] * v * t, heading)
    )

    found = odometry.motion(now_ns)

    assert found.v_mps >= v * (1 - 1e-9)
    assert found.v_mps <= v * 1.5 + 0.01
    assert found.toward == FORWARD
    assert found.fault is OdometryFault.CONTRADICTED
    assert odometry.since(now_ns - S // 2, now_ns).path_m >= v * 0.5 * (1 - 1e-9)


def test_poses_that_turn_are_rotation_though_the_twist_says_none():
    odometry, now_ns = drive(2.0, twist=still, pose=lambda t: (0.0, 0.0, 0.5 * t))

    assert odometry.motion(now_ns).w_radps == pytest.approx(0.5)
    assert odometry.since(now_ns - S, now_ns).turn_rad >= 0.5 * (1 - 1e-9)


@pytest.mark.parametrize(('way', 'toward'), [((-1.0, 0.0), REVERSE), ((0.0, 1.0), SIDE)])
def test_poses_show_the_direction_too(way, toward):
    odometry, now_ns = drive(2.0, twist=still, pose=lambda t: (way[0] * t, way[1] * t, 0.0))

    assert odometry.motion(now_ns).toward & toward


@pytest.mark.parametrize(
    'jump', [(3.0, 0.0, 0.0), (-3.0, 1.0, 2.0), (0.0, 0.0, 3.0), (-0.2, 0.0, 0.0)]
)
def test_a_pose_that_jumps_costs_the_caps_for_half_a_second_and_no_more(jump):
    def pose(t):
        if t < 1.0:
            return 0.5 * t, 0.0, 0.0
        gone_m, yaw = 0.5 * (t - 1.0), jump[2]
        return 0.5 + jump[0] + gone_m * math.cos(yaw), jump[1] + gone_m * math.sin(yaw), yaw

    odometry, now_ns = drive(1.0, twist=lambda _: (0.5, 0.0, 0.0), pose=pose)
    v, w, toward, fault = odometry.motion(now_ns)
    assert fault is OdometryFault.CONTRADICTED
    assert toward == FORWARD
    assert v == 1.5 or w == 1.0
    assert odometry.motion(now_ns).v_mps <= 1.5

    for k in range(1, 27):
        at_ns = now_ns + k * 20 * MS
        odometry.add(at_ns, 0.5, 0.0, 0.0, now_ns=at_ns, pose=pose(at_ns / S))
    assert odometry.motion(at_ns) == (0.5, 0.0, FORWARD, None)


@pytest.mark.parametrize('hz', [10, 20, 50, 100])
def test_sound_odometry_contradicts_nothing(hz):
    """With noise of a centimetre, hard braking, turning, and the twist of the moment."""
    noise = [0.01 * math.sin(k * k) for k in range(1000)]

    def v(t):
        return 0.7 + 0.7 * math.sin(t)

    def pose(t):
        steps = [t * (k + 0.5) / 400 for k in range(400)]
        x, y = (
            sum(v(s) * part(0.3 * s) for s in steps) * t / 400 for part in (math.cos, math.sin)
        )
        return x + noise[round(t * hz) % 1000], y, 0.3 * t

    odometry, now_ns = drive(8.0, twist=lambda t: (v(t), 0.0, 0.3), pose=pose, hz=hz)

    assert odometry._poses.until_ns is None
    assert odometry.motion(now_ns).fault is None


def test_no_pose_says_nothing():
    odometry, now_ns = drive(1.0, twist=lambda _: (1.0, 0.0, 0.0), pose=lambda _: (0.0, 0.0, 0.0))
    assert odometry.motion(now_ns).fault is None

    odometry, now_ns = drive(1.0, twist=still, pose=lambda _: None)
    assert odometry.motion(now_ns) == (0.0, 0.0, 0, None)


def test_what_was_contradicted_is_not_cleared_by_poses_that_are_none():
    poses = Poses()
    for k in range(50):
        poses.take(AMR, k * 20 * MS, (0.0, 0.0), Pose(0.02 * k, 0.0, 0.0))
    assert poses.shown.v_mps == pytest.approx(1.0)
    for k in range(50, 200):
        poses.take(AMR, k * 20 * MS, (0.0, 0.0), Pose(math.nan, 0.0, 0.0) if k % 2 else None)
    assert poses.shown.v_mps == pytest.approx(1.0)

    for k in range(200, 230):
        poses.take(AMR, k * 20 * MS, (0.0, 0.0), Pose(0.0, 0.0, 0.0))
    assert (poses.shown, poses.until_ns) == (NOTHING, None)


def test_a_contradiction_holds_for_half_a_second():
    poses = Poses()
    poses.take(AMR, 0, (0.0, 0.0), Pose(0.0, 0.0, 0.0))
    poses.take(AMR, 20 * MS, (0.0, 0.0), Pose(0.031, 0.0, 0.0))
    assert poses.until_ns == 20 * MS + HOLD_NS
    for ms in range(40, 521, 20):
        poses.take(AMR, ms * MS, (0.0, 0.0), Pose(0.031, 0.0, 0.0))
        assert poses.shown.v_mps == 1.5
    poses.take(AMR, 540 * MS, (0.0, 0.0), Pose(0.031, 0.0, 0.0))
    assert poses.shown == NOTHING


@pytest.mark.parametrize(('gone', 'shown'), [(0.0301, True), (0.0299, False)])
def test_three_centimetres_are_noise(gone, shown):
    poses = Poses()
    steady = robot('amr', a_acc_mps2=0.0)
    poses.take(steady, 0, (0.0, 0.0), Pose(0.0, 0.0, 0.0))
    poses.take(steady, 100 * MS, (0.0, 0.0), Pose(gone, 0.0, 0.0))

    assert (poses.until_ns is not None) is shown


def test_an_angle_goes_round():
    poses = Poses()
    poses.take(AMR, 0, (0.0, 0.0), Pose(0.0, 0.0, math.pi - 0.001))
    poses.take(AMR, 20 * MS, (0.0, 0.0), Pose(0.0, 0.0, -math.pi + 0.001))

    assert poses.until_ns is None
