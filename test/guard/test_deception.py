"""What talked the guard into trust once: each with the state that it must answer."""

from __future__ import annotations

import dataclasses
import math

import pytest
from support.robots import AMR

from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.odometry import Odometry, OdometryFault
from edge_inference_ros.guard.robot import FORWARD, REVERSE, SIDE
from edge_inference_ros.guard.standing import Rules, State
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source, Verdict

MS, S = 10**6, 10**9
EPOCH = 1_700_000_000 * S


class Robot:
    """A guard and what reaches it; 20 ms a step."""

    def __init__(self, robot=AMR, **options):
        self.guard, self.ns, self.wall = Guard(robot, [Source('camera')], **options), 0, EPOCH

    @property
    def now(self):
        return Instant(self.wall + self.ns, self.ns)

    def step(self, ms=20):
        self.ns += ms * MS

    def odometry(self, v, *, w=0.0, age_ms=5, pose=None):
        stamp_ns = self.now.ros_ns - age_ms * MS
        return self.guard.moved(stamp_ns, v, 0.0, w, self.now, pose=pose)

    def message(self, age_ms=20, *, frame='front', stamp_ns=None):
        stamp_ns = self.now.ros_ns - age_ms * MS if stamp_ns is None else stamp_ns
        return self.guard.judge('camera', stamp_ns, frame, self.now)

    def tick(self):
        return self.guard.tick(self.now)


@pytest.mark.parametrize('wrong', [math.nan, 1e17])
def test_a_fault_of_odometry_does_not_make_a_speed_feasible(wrong):
    """The caps leave 20 ms here, of which the floor is 30."""
    robot, states = Robot(dataclasses.replace(AMR, d_max_m=0.05, deadline_floor_s=0.03)), []
    for k in range(400):
        robot.step(5)
        if k % 4 == 0:
            robot.odometry(wrong if k == 300 else 1.5, w=1.0)
        robot.message(2)
        states.append(robot.tick().state)

    assert set(states[100:]) == {State.SPEED_INFEASIBLE}


def test_another_sensors_message_does_not_end_the_doubt_about_a_clock_that_was_set_back():
    robot = Robot()
    for _ in range(50):
        robot.step()
        robot.odometry(0.3)
        robot.message(50)
        robot.tick()
    in_flight_ns = robot.now.ros_ns + 5 * MS
    robot.step(10)
    robot.wall -= 600 * MS
    robot.tick()
    for k in range(33):
        robot.step()
        robot.odometry(0.3)
        robot.tick()
        if k == 5:
            assert robot.message(10, frame='rear').verdict is Verdict.MALFORMED

    late = robot.message(stamp_ns=in_flight_ns)

    assert late.verdict is Verdict.STALE_AGE
    assert late.age_ns == 665 * MS


@pytest.mark.parametrize('ahead_ms', [4, 19, 490])
def test_a_sample_from_the_future_silences_no_true_ones(ahead_ms):
    robot = Robot(rules=Rules(skew_tol_s=0.5))
    for _ in range(60):
        robot.step()
        robot.odometry(-0.5)
        robot.message()
    for k in range(40):
        robot.step()
        robot.odometry(0.0, age_ms=-ahead_ms) if k == 0 else robot.odometry(-0.5)

        assert not robot.message().forwarded
        assert not robot.tick().fresh


def test_without_a_tolerance_a_nanosecond_ahead_is_the_future():
    odometry = Odometry(AMR)
    odometry.add(1, 0.0, 0.0, 0.0, now_ns=0)

    assert odometry.motion(0).fault is OdometryFault.FUTURE


def test_what_was_ahead_of_now_counts_as_no_later():
    odometry = Odometry(AMR, skew_ns=500 * MS)
    odometry.add(490 * MS, 0.0, 0.0, 0.0, now_ns=0)

    assert odometry.motion(100 * MS).v_mps == pytest.approx(0.1)
    assert odometry.motion(201 * MS).fault is OdometryFault.STALE


@pytest.mark.parametrize(('other', 'toward'), [(-0.5, REVERSE), (1.5, FORWARD)])
def test_of_two_publishers_of_odometry_the_one_that_moves_is_believed(other, toward):
    robot = Robot()
    for _ in range(100):
        robot.step(10)
        robot.odometry(0.0, age_ms=1)
        robot.step(10)
        robot.odometry(other, age_ms=21)
    status = robot.tick()

    assert status.motion.v_mps >= abs(other) - 9.80665 * 0.01
    assert status.motion.toward & toward
    assert not robot.message(300).forwarded


def test_what_came_late_and_fast_goes_on_as_far_as_brakes_leave_it():
    odometry = Odometry(AMR)
    for ms in range(0, 120, 20):
        odometry.add(ms * MS, 0.0, 0.0, 0.0, now_ns=ms * MS)

    assert not odometry.add(61 * MS, 1.2, 0.0, 1.4, now_ns=110 * MS)

    left_mps, left_radps = 1.2 - 9.80665 * 0.039, 1.4 - 30.0 * 0.039
    motion, moved = odometry.motion(100 * MS), odometry.since(100 * MS, 110 * MS)
    assert (motion.v_mps, motion.w_radps) == pytest.approx((left_mps, left_radps))
    assert moved.path_m >= left_mps * 0.01
    assert moved.turn_rad >= left_radps * 0.01


def test_what_brakes_can_have_ended_since_changes_nothing():
    odometry = Odometry(AMR)
    for ms in range(0, 1020, 20):
        odometry.add(ms * MS, 0.0, 0.0, 0.0, now_ns=ms * MS)
    before = odometry.motion(S), odometry.since(0, S)

    odometry.add(840 * MS, -1.5, 0.0, 2.0, now_ns=S)

    assert (odometry.motion(S), odometry.since(0, S)) == before


def test_what_came_late_is_remembered_until_brakes_can_have_ended_it():
    odometry = Odometry(AMR)
    for ms in range(0, 120, 20):
        odometry.add(ms * MS, 0.0, 0.0, 0.0, now_ns=ms * MS)
    odometry.add(95 * MS, 1.2, 0.0, 2.0, now_ns=100 * MS)

    odometry.add(120 * MS, 0.0, 0.0, 0.0, now_ns=120 * MS)

    motion = odometry.motion(120 * MS)
    assert motion.v_mps == pytest.approx(1.2 - 9.80665 * 0.025)
    assert motion.w_radps == pytest.approx(2.0 - 30.0 * 0.025)


def test_a_turn_ends_no_sooner_than_it_can():
    odometry = Odometry(AMR)
    for k, w in enumerate((0.9, 0.9, 0.0)):
        odometry.add(k * 20 * MS, 0.0, 0.0, w, now_ns=k * 20 * MS)

    assert odometry.motion(40 * MS).w_radps == pytest.approx(0.9 - 30.0 * 0.02)


def test_what_is_too_fast_but_in_reach_is_what_brakes_begin_from():
    odometry = Odometry(AMR)
    for k, v in enumerate((1.5, 1.6, 0.0)):
        odometry.add(k * 20 * MS, v, 0.0, 0.0, now_ns=k * 20 * MS)

    assert odometry.motion(40 * MS).v_mps == pytest.approx(1.6 - 9.80665 * 0.02)


@pytest.mark.parametrize(
    ('step', 'yaw', 'toward'),
    [((0.01, 0.0), math.pi, REVERSE), ((0.0, 0.01), 0.0, SIDE), ((-0.01, 0.0), 0.0, REVERSE)],
)
def test_poses_that_go_another_way_than_the_twist_are_believed(step, yaw, toward):
    robot, x, y = Robot(dataclasses.replace(AMR, strafes=True)), 0.0, 0.0
    for _ in range(200):
        robot.step()
        x, y = x + step[0], y + step[1]
        robot.odometry(0.5, pose=(x, y, yaw))
        robot.message(60)
    status = robot.tick()

    assert status.motion.toward & toward
    assert status.motion.fault is OdometryFault.CONTRADICTED
    assert not status.fresh


@pytest.mark.parametrize('hz', [10, 50])
@pytest.mark.parametrize('w', [-1.0, 0.4, 1.0])
def test_a_robot_that_drives_a_circle_contradicts_nothing(w, hz):
    robot, radius_m = Robot(), 0.4 / w
    for k in range(10 * hz):
        robot.step(1000 // hz)
        yaw = w * k / hz
        pose = radius_m * math.sin(yaw), radius_m * (1 - math.cos(yaw)), yaw
        stamp_ns = robot.now.ros_ns - 5 * MS
        robot.guard.moved(stamp_ns, 0.4, 0.0, w, robot.now, pose=pose)

        assert robot.tick().motion.fault is None


def test_poses_of_which_every_second_is_none_are_still_compared():
    robot, x = Robot(), 0.0
    for k in range(200):
        robot.step()
        x += 1.5 * 0.02
        robot.odometry(0.0, pose=(math.nan if k % 2 else x, 0.0, 0.0))
    status = robot.tick()

    assert status.motion.fault is OdometryFault.CONTRADICTED
    assert status.motion.v_mps >= 1.45
    assert not robot.message(300).forwarded


def test_a_missing_pose_hides_no_twist_that_explains_the_next():
    odometry, x = Odometry(AMR), 0.0
    for k in range(200):
        ns, v = k * 20 * MS, 1.0 if k % 2 else 0.8
        x += 0.9 * 0.02
        odometry.add(ns, v, 0.0, 0.0, now_ns=ns, pose=(x, 0.0, 0.0) if k % 2 == 0 else None)

        assert odometry.motion(ns).fault is None


def test_a_sample_that_says_the_robot_stopped_at_more_than_1_g_is_not_believed_at_once():
    robot = Robot()
    for _ in range(60):
        robot.step()
        robot.odometry(-0.5, age_ms=0)
        robot.message()
    robot.step()
    robot.odometry(0.0, age_ms=0)

    assert robot.tick().motion.v_mps == pytest.approx(0.5 - 9.80665 * 0.02)
    assert robot.tick().motion.toward & REVERSE
    assert not robot.message().forwarded

    for _ in range(2):
        robot.step()
        robot.odometry(0.0, age_ms=0)
    assert robot.tick().motion.v_mps == 0.0
    assert not robot.tick().motion.toward & REVERSE


def test_zeros_between_true_samples_do_not_slow_what_is_assumed():
    odometry = Odometry(AMR)
    for k in range(100):
        odometry.add(k * 20 * MS, 1.5 if k % 2 else 0.0, 0.0, 0.9, now_ns=k * 20 * MS)
        if k > 20:
            assert odometry.motion(k * 20 * MS).v_mps >= 1.5 - 9.80665 * 0.02 - 1e-9


def test_an_unknown_command_permits_no_more_than_the_known_one_before():
    odometry = Odometry(AMR)
    odometry.add(0, 0.0, 0.0, 0.0, now_ns=0)
    odometry.command(5.0, 0.0, 2.0, now_ns=0)
    known = odometry.motion(0)

    odometry.command(math.nan, 0.0, 0.0, now_ns=0)

    unknown = odometry.motion(0)
    assert unknown.v_mps >= known.v_mps == 5.0
    assert unknown.w_radps >= known.w_radps == 2.0


@pytest.mark.parametrize(
    'changes',
    [
        {'reverses': True},
        {'strafes': True},
        {'v_cap_mps': 2.5},
        {'a_acc_mps2': 3.0},
        {'w_cap_radps': 2.5},
        {'alpha_acc_radps2': 9.0},
    ],
)
def test_limits_that_grow_while_odometry_is_silent_count_at_once(changes):
    before = dataclasses.replace(AMR, reverses=False, odom_timeout_s=1.0)
    after = dataclasses.replace(before, **changes)
    changed, constructed = Odometry(before), Odometry(after)
    for one in (changed, constructed):
        for k in range(20):
            one.add(k * 20 * MS, 0.4, 0.0, 0.2, now_ns=k * 20 * MS)

    changed.reconfigure(after)

    for ms in (400, 700, 1300, 1500):
        assert changed.motion(ms * MS) == constructed.motion(ms * MS)
        assert changed.since(380 * MS, ms * MS) == constructed.since(380 * MS, ms * MS)


def test_limits_that_shrink_do_not_shorten_the_way_that_was_gone():
    odometry = Odometry(AMR)
    odometry.add(0, 0.9, 0.0, 0.2, now_ns=0)
    gone = odometry.since(0, 150 * MS), odometry.since(0, 400 * MS)

    slow = {'v_cap_mps': 0.2, 'a_acc_mps2': 0.1, 'w_cap_radps': 0.1, 'alpha_acc_radps2': 0.1}
    odometry.reconfigure(dataclasses.replace(AMR, **slow))

    now = odometry.since(0, 150 * MS), odometry.since(0, 400 * MS)
    for before, after in zip(gone, now, strict=True):
        assert after.path_m >= before.path_m
        assert after.turn_rad >= before.turn_rad


def test_a_source_a_little_too_old_to_resume_at_once_resumes_after_five_sound_seconds():
    """410 ms at rest: fresh, but more than the share that resumes at once."""
    robot, states = Robot(), []
    robot.guard.resume_mps = 0.05  # what a limiter asks for
    for k in range(400):
        robot.step(50)
        robot.odometry(0.0)
        if k >= 20 and not 100 <= k < 116:  # a pause
            robot.message(410)
        states.append(robot.tick().state)

    assert states[50] is State.VALID
    assert {*states[110:215]} == {State.STALE}
    assert states[-1] is State.VALID


def test_simulated_time_that_goes_back_again_and_again_is_named_and_becomes_an_error():
    robot = Robot(sim_time=True, rules=Rules(grace_s=1.0))
    levels = []
    for k in range(200):
        robot.step(20)
        robot.wall += 40 * MS if k % 2 else -40 * MS
        levels.append(robot.tick().level)

    assert robot.guard.clock_jumps
    assert levels[-1].name == 'ERROR'
    for _ in range(600):
        robot.step(20)
        robot.tick()
    assert not robot.guard.clock_jumps


def test_a_recording_that_is_played_again_is_no_fight_of_two_clocks():
    robot = Robot(sim_time=True)
    for _ in range(4):
        for _ in range(250):
            robot.step(20)
            robot.tick()
        robot.wall -= 5 * S
    robot.tick()

    assert not robot.guard.clock_jumps


@pytest.mark.parametrize('speeds', [(-0.5,), (0.5, -0.03), (-0.5, 0.0), (0.0, 0.4), (-0.01,)])
def test_the_same_limits_given_again_change_nothing(speeds):
    odometry = Odometry(AMR)
    for k in range(12):
        v = speeds[0] if k < 11 else speeds[-1]
        odometry.add(k * 20 * MS, v, 0.0, 0.1, now_ns=k * 20 * MS)
    odometry.add(215 * MS, -0.9, 0.0, 0.0, now_ns=220 * MS)  # late

    def said():
        ages = [odometry.motion(ms * MS) for ms in (220, 260, 330, 410, 600)]
        return ages, odometry.since(50 * MS, 260 * MS)

    before = said()
    odometry.reconfigure(AMR)

    assert said() == before


def test_of_too_many_commands_only_the_two_oldest_become_one():
    odometry = Odometry(AMR)
    odometry.add(0, 0.0, 0.0, 0.0, now_ns=0)
    for k in range(66):
        odometry.command(1.4 if k == 2 else 0.1, 0.0, 0.0, now_ns=(k + 1) * MS)

    odometry.add(1 * MS, 0.0, 0.0, 0.0, now_ns=67 * MS)

    assert odometry.since(1 * MS, 67 * MS).path_m >= 1.4 * 0.066


def after(*speeds):
    """Whether reversing counts after these samples, 20 ms apart, behind ten of the first."""
    odometry = Odometry(AMR)
    for k, v in enumerate((*speeds[:1] * 10, *speeds)):
        odometry.add(k * 20 * MS, v, 0.0, 0.0, now_ns=k * 20 * MS)
    return bool(odometry.motion(k * 20 * MS).toward & REVERSE)


def test_brakes_are_judged_by_what_was_likely_before_and_not_by_what_was_said():
    assert after(-0.5, -0.1, 0.0)
    assert after(-0.5, -0.1, 0.0, 0.0) is False


def test_one_sample_backwards_is_forgotten_as_soon_as_brakes_can_have_ended_it():
    assert after(1.5, -0.3)
    assert after(1.5, -0.3, 1.5)
    assert after(1.5, -0.3, 1.5, 1.5) is False


def test_what_is_held_from_two_times_ago_is_compared_by_place():
    """A stale message ended one time; the next shows that another has ended."""
    guard = Guard(AMR, [Source('camera')])
    watch = guard._watches['camera']
    watch.hold(100, 'front', 50)
    watch.track.turns, watch.track.newer = 1, 1

    assert watch.order(90, 60) == 10
