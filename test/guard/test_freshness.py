from __future__ import annotations

import dataclasses
import math

import pytest
from support.robots import AMR, robot

from edge_inference_ros.core.types import Level
from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.deadline import deadline, speed_for
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.odometry import OdometryFault
from edge_inference_ros.guard.standing import Rules, State
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source, Verdict

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_700_000_000 * S
OK, STALE_AGE, STALE_MOVED = Verdict.OK, Verdict.STALE_AGE, Verdict.STALE_MOVED


class Bench:
    """A guard on a bench: a clock that only we advance, odometry at 50 Hz, messages by hand.

    Attributes:
        ms: steady time.
        wall_ns: what the ROS clock shows beyond ``ms``.
    """

    def __init__(self, *sources, one=AMR, v=1.0, w=0.0, rules=None, sim_time=False):
        self.guard = Guard(one, sources or [Source('camera')], rules=rules, sim_time=sim_time)
        self.ms, self.wall_ns, self.v, self.w, self.odometry = 100_000, EPOCH, v, w, True

    @property
    def now(self):
        return Instant(self.wall_ns + self.ms * MS, self.ms * MS)

    def run(self, ms, *, every=None, age_ms=50, name='camera'):
        """Let time pass, with a message of ``age_ms`` ``every`` so many ms; the last status."""
        status = None
        for _ in range(ms):
            self.ms += 1
            if self.odometry and self.ms % 20 == 0:
                self.guard.moved(self.now.ros_ns, self.v, 0.0, self.w, self.now)
            if every and self.ms % every == 0:
                self.say(age_ms, name=name)
            if self.ms % 20 == 10:
                status = self.tick()
        return status

    def say(self, age_ms=50, *, name='camera', frame='optical', payload=None, age_ns=None):
        stamp_ns = self.now.ros_ns - (age_ms * MS if age_ns is None else age_ns)
        return self.guard.judge(name, stamp_ns, frame, self.now, payload=payload)

    def tick(self):
        return self.guard.tick(self.now)

    def left_ns(self):
        """Until the expiry of what is held; None where there is none."""
        expires_ns = self.source().expires_at_ns
        return expires_ns - self.now.ros_ns if expires_ns else None

    def source(self, name='camera'):
        return next(s for s in self.tick().sources if s.name == name)


def valid(*sources, **options):
    """A bench whose camera has been valid for a while."""
    bench = Bench(*sources, **options)
    status = bench.run(1000, every=30)
    assert status.fresh
    return bench


def driving(*sources, **options):
    """A bench whose robot has moved for a while, and whose camera has not spoken yet."""
    bench = Bench(*sources, **options)
    bench.run(1000)
    return bench


# What becomes of one message.


@pytest.mark.parametrize(('late_ns', 'verdict'), [(-1, OK), (0, OK), (1, STALE_AGE)])
@pytest.mark.parametrize('v', [0.0, 0.4, 1.0, 1.5])
def test_the_verdict_flips_one_nanosecond_after_the_deadline(late_ns, verdict, v):
    bench = driving(v=v, one=robot('amr', lever_m=0.0))
    bench.run(20 - bench.ms % 20)
    limit_ns = deadline(AMR, v, 0.0).limit_ns

    judged = bench.say(age_ns=limit_ns + late_ns)

    assert (judged.verdict, judged.deadline_ns) == (verdict, limit_ns)
    assert judged.age_ns == limit_ns + late_ns
    assert judged.v_assumed_mps == v


@pytest.mark.parametrize('news', ['odometry', 'command'])
def test_what_lapses_before_good_news_comes_has_lapsed(news):
    """Fresh at the last tick, too old when the robot is heard to be slower; no tick between."""
    bench = driving(v=1.0)
    bench.run(10)
    if news == 'command':
        bench.guard.commanded(1.4, 0.0, 0.0, bench.now)
    limit_ns = deadline(AMR, 1.4 if news == 'command' else 1.01, 0.0).limit_ns
    assert bench.say(age_ns=limit_ns - 8 * MS).forwarded

    bench.ms += 9
    if news == 'command':
        bench.guard.commanded(0.5, 0.0, 0.0, bench.now)
    else:
        bench.guard.moved(bench.now.ros_ns, 0.5, 0.0, 0.0, bench.now)

    assert limit_ns < bench.source().held.deadline_ns
    assert bench.source().held.verdict in {STALE_AGE, STALE_MOVED}


@pytest.mark.parametrize(('waited_ns', 'taken'), [(2 * S - 1, False), (2 * S, True)])
def test_a_source_may_change_its_frame_after_two_seconds_of_the_other_one(waited_ns, taken):
    bench = driving(v=0.0)
    assert bench.say().forwarded
    bench.run(2000)
    assert bench.say(frame='other').verdict is Verdict.MALFORMED

    later = Instant(bench.now.ros_ns + waited_ns, bench.now.mono_ns + waited_ns)
    judged = bench.guard.judge('camera', later.ros_ns - 50 * MS, 'other', later)

    assert (judged.verdict is not Verdict.MALFORMED) is taken


def test_nothing_is_promised_beyond_the_longest_deadline():
    """At rest, with nothing to turn about, a metre takes longer than D_cap."""
    bench = driving(v=0.0, one=robot('amr', lever_m=0.0, d_max_m=1.0, reverses=False))

    judged = bench.say(age_ms=50)

    assert judged.deadline_ns == 500 * MS
    assert bench.left_ns() == pytest.approx(450 * MS, abs=2)


def test_what_lapses_before_another_message_comes_has_lapsed():
    bench = driving(v=1.0)
    bench.run(10)
    limit_ns = deadline(AMR, 1.01, 0.0).limit_ns
    assert bench.say(age_ns=limit_ns - 8 * MS).forwarded

    bench.ms += 9
    assert bench.say(50).forwarded

    assert bench.source().state is State.STALE


@pytest.mark.parametrize(('back_ms', 'usable'), [(15, False), (600, True)])
def test_odometry_that_may_be_of_the_time_before_a_step_back_is_not_used(back_ms, usable):
    """A step of less than its period leaves open when it was measured; a longer one does not.

    Rubbish shows nothing of what its source has sent.
    """
    bench = driving(v=1.0)
    assert not bench.guard.moved(bench.now.ros_ns + 10 * S, 1.0, 0.0, 0.0, bench.now)
    bench.wall_ns -= back_ms * MS
    bench.ms += 20

    assert bench.guard.moved(bench.now.ros_ns, 1.0, 0.0, 0.0, bench.now) is usable


def test_a_source_that_is_heard_in_its_own_frame_does_not_change_it_though_it_is_late():
    bench = driving(v=0.0)
    assert bench.say().forwarded
    bench.run(2000)
    assert bench.say(frame='other').verdict is Verdict.MALFORMED
    bench.run(1000)
    assert bench.say(900).verdict is STALE_AGE
    bench.run(1500)

    assert bench.say(frame='other').verdict is Verdict.MALFORMED


def braked(**options):
    """A bench whose robot went from 1.5 m/s to rest in the last 450 ms."""
    bench = driving(v=1.5, **options)
    for _ in range(45):
        bench.v = max(0.0, bench.v - 1.5 / 45)
        bench.run(10)
    bench.run(20)
    return bench


def test_braking_does_not_make_old_predictions_right_again():
    bench = braked()

    judged = bench.say(480)

    assert bench.v < 1e-9
    assert judged.age_ns < judged.deadline_ns
    assert judged.verdict is STALE_MOVED
    assert judged.travelled_m > 0.3


def test_a_billionth_of_the_budget_is_rounding_and_no_more():
    off_m = braked().say(480).travelled_m
    near_m = [off_m / (1.0 + 1e-9) * (1.0 + k * 2e-16) for k in range(-4, 5)]
    just_m = next(d_m for d_m in near_m if d_m * (1.0 + 1e-9) == off_m)

    assert braked(one=robot('amr', d_max_m=just_m)).say(480).verdict is OK
    less_m = just_m * (1.0 - 1e-15)
    assert braked(one=robot('amr', d_max_m=less_m)).say(480).verdict is STALE_MOVED


def test_others_and_rotation_spend_the_displacement_budget_too():
    bench = driving(v=0.0, w=0.5, one=robot('amr', v_other_mps=0.5))

    judged = bench.say(100)

    assert judged.travelled_m == pytest.approx(0.05 + 0.05, abs=0.005)


def test_a_zero_stamp_is_never_now():
    bench = valid()

    assert bench.guard.judge('camera', 0, 'optical', bench.now).verdict is Verdict.ZERO_STAMP


@pytest.mark.parametrize(
    ('ahead_ns', 'verdict'),
    [(0, OK), (5 * MS, OK), (5 * MS + 1, Verdict.FUTURE), (10 * S, Verdict.FUTURE)],
)
def test_the_future_is_refused_beyond_the_tolerance(ahead_ns, verdict):
    bench = driving()

    judged = bench.say(age_ns=-ahead_ns)

    assert judged.verdict is verdict
    assert judged.age_ns == (0 if verdict is OK else -ahead_ns)


def test_the_tolerance_for_skew_is_a_rule():
    bench = driving(rules=Rules(skew_tol_s=0.001))

    assert bench.say(age_ns=-MS).verdict is OK
    assert bench.say(age_ns=-MS - 1).verdict is Verdict.FUTURE


def test_a_message_from_the_future_does_not_bar_the_present():
    bench = valid()
    bench.say(age_ns=-10 * S)

    assert bench.say(10).verdict is OK


def test_repeated_and_reordered_messages_are_refused_by_name():
    bench = driving()
    bench.run(7)
    assert bench.say(30).verdict is OK

    assert bench.say(30).verdict is Verdict.REPEATED
    assert bench.say(30, age_ns=30 * MS + 1).verdict is Verdict.OUT_OF_ORDER
    assert bench.say(30, age_ns=30 * MS - 1).verdict is OK


def test_a_refused_message_does_not_become_the_last_one():
    bench = driving()
    assert bench.say(290).verdict is STALE_AGE
    assert bench.say(290).verdict is STALE_AGE


@pytest.mark.parametrize('payload', [Verdict.MALFORMED, Verdict.NONFINITE])
def test_a_bad_payload_is_refused_before_anything_else(payload):
    bench = valid()

    judged = bench.guard.judge('camera', 0, '', bench.now, payload=payload)

    assert judged.verdict is payload
    assert not judged.forwarded


def test_a_frame_that_changes_is_malformed():
    bench = valid()
    bench.run(5)
    assert bench.say(10, frame='elsewhere').verdict is Verdict.MALFORMED
    assert bench.say(10).verdict is OK


def test_a_frame_that_was_named_must_be_met_from_the_first_message():
    bench = driving(Source('camera', frame_id='optical'))

    assert bench.say(10, frame='elsewhere').verdict is Verdict.MALFORMED
    assert bench.say(10).forwarded


def test_a_stamp_offset_moves_the_capture_not_the_order():
    bench = driving(Source('camera', stamp_offset_ns=-20 * MS))

    assert bench.say(50).age_ns == 70 * MS


def test_reversing_without_a_sensor_that_looks_back_makes_nothing_fresh():
    bench = valid(v=0.5)
    bench.v = -0.5
    bench.run(40)

    assert bench.say(0).verdict is STALE_AGE
    assert bench.source().state is State.SPEED_INFEASIBLE


def test_a_reversing_robot_is_judged_by_the_sensors_that_look_back():
    bench = driving(v=-0.5, one=robot('amr', range_reverse_m=0.7))

    assert bench.say(0).deadline_ns == 300 * MS


@pytest.mark.parametrize('age_ns', [0, -1, -5 * MS, 50 * MS])
def test_a_deadline_of_zero_refuses_even_what_was_captured_this_instant(age_ns):
    bench = driving(v=2.5)

    judged = bench.say(age_ns=age_ns)

    assert (judged.deadline_ns, judged.verdict) == (0, STALE_AGE)


# Odometry.


@pytest.mark.parametrize(('age_ns', 'verdict'), [(0, OK), (1, OK), (2, STALE_AGE)])
def test_a_deadline_of_one_nanosecond_is_one(age_ns, verdict):
    short_m = 0.3 + 1.5 * (0.1 + 1.5e-9 + 0.15) + 1.5**2 / 2
    bench = driving(v=1.5, one=robot('amr', range_m=short_m))
    bench.run(20 - bench.ms % 20)

    judged = bench.say(age_ns=age_ns)

    assert (judged.verdict, judged.deadline_ns) == (verdict, 1)


def test_without_odometry_predictions_are_judged_at_the_caps_and_warned_about():
    bench = Bench(one=robot('amr', range_reverse_m=4.0))

    assert bench.say(121).verdict is STALE_AGE
    judged = bench.say(120)
    assert judged.verdict is Verdict.NO_ODOM
    assert judged.forwarded
    assert judged.v_assumed_mps == 1.5
    assert judged.deadline_ns == deadline(AMR, 1.5, 1.0).limit_ns == 120 * MS


def test_odometry_that_comes_back_is_believed_at_once():
    bench = valid(v=0.2, one=robot('amr', range_reverse_m=4.0))
    bench.odometry = False
    bench.run(300, every=30)
    assert bench.say(10).verdict is Verdict.NO_ODOM
    assert bench.tick().motion.fault is OdometryFault.STALE
    assert bench.tick().level is Level.WARN

    bench.odometry = True
    bench.run(20)

    assert bench.say(10).verdict is OK
    assert bench.tick().motion.fault is None


def test_a_command_shortens_the_deadline_before_the_wheels_turn():
    bench = driving(v=0.0)
    before_ns = bench.say(10).deadline_ns
    bench.guard.commanded(1.5, 0.0, 0.0, bench.now)
    bench.run(20 - bench.ms % 20)

    assert before_ns == 500 * MS
    assert bench.say(10).deadline_ns == deadline(AMR, 1.5, 0.0).limit_ns


# Until when a message may be used.


def test_a_message_expires_at_its_deadline_when_neither_speed_nor_direction_can_change():
    bench = driving(v=1.5, one=robot('amr', w_cap_radps=0.0))
    bench.run(20 - bench.ms % 20)
    bench.say(50)

    assert bench.left_ns() == pytest.approx(150 * MS, abs=2)


def test_a_message_exactly_as_old_as_its_deadline_has_no_time_left():
    bench = driving()
    bench.run(20 - bench.ms % 20)

    judged = bench.say(age_ns=deadline(AMR, 1.0, 0.0).limit_ns)

    assert (judged.verdict, bench.left_ns()) == (OK, 0)


def test_what_is_refused_has_no_time_left():
    bench = driving()

    assert not bench.say(400).forwarded
    assert bench.left_ns() is None
    assert not bench.say(-10).forwarded
    assert bench.left_ns() is None


def test_the_robot_has_not_used_up_its_budget_at_expiry_even_at_full_acceleration():
    for v in (0.0, 0.3, 0.8, 1.2):
        for age_ms in (0, 60, 150, 250):
            bench = driving(v=v)
            bench.run(20 - bench.ms % 20)
            judged = bench.say(age_ms)
            if not judged.forwarded:
                continue
            left_s = bench.left_ns() / S
            steps, far_m = 1000, judged.travelled_m
            for k in range(steps):
                far_m += min(v + (k + 0.5) * left_s / steps, 1.5) * left_s / steps
            assert left_s >= 0.0
            assert far_m <= 0.3 + 1e-6
            assert age_ms / 1e3 + left_s <= 0.5 + 1e-9


def test_near_the_end_of_the_range_stopping_decides_the_expiry():
    short = robot('amr', range_m=1.0, d_max_m=5.0, deadline_cap_s=2.0, reverses=False)
    bench = driving(v=0.5, one=short)
    bench.run(20 - bench.ms % 20)
    bench.say(50)
    left_s = bench.left_ns() / S

    v = 0.5 + left_s
    assert v * (0.1 + 0.05 + left_s + 0.15) + v * v / 2 + 0.3 == pytest.approx(1.0, abs=1e-6)


# How a source stands.


def test_three_good_messages_of_five_make_a_source_valid():
    bench = Bench()
    seen = []
    for _ in range(3):
        bench.run(30)
        bench.say()
        seen.append(bench.tick().state)

    assert seen == [State.INIT, State.INIT, State.VALID]


def test_the_first_good_message_is_a_beginning_that_warns():
    bench = driving()
    bench.say()

    assert (bench.source().state, bench.source().level) == (State.INIT, Level.WARN)


def test_nothing_is_trusted_before_the_first_message():
    bench = Bench()
    status = bench.run(100)

    assert (status.state, status.fresh, status.age_ns) == (State.NODATA, False, None)
    assert status.sources[0].held is None
    assert status.sources[0].last is Verdict.NONEWDATA


def test_errors_before_the_first_good_message_are_not_a_stream():
    bench = Bench()
    for _ in range(5):
        bench.run(30)
        bench.say(-50)

    assert bench.tick().state is State.NODATA


def test_silence_is_found_by_the_tick_as_soon_as_the_deadline_has_passed():
    bench = valid(v=1.0)
    bench.run(20 - bench.ms % 20)
    bench.say(50)
    captured_ms = bench.ms - 50
    while bench.tick().fresh:
        bench.run(1)

    limit_ms = deadline(AMR, 1.02, 0.064).limit_s * 1e3
    assert limit_ms < bench.ms - captured_ms <= 265 + 1
    assert bench.source().held.verdict is STALE_AGE
    assert bench.tick().level is Level.ERROR


def test_a_single_bad_message_does_not_make_a_fresh_source_stale():
    bench = valid()
    bench.run(5)
    bench.say(-50)

    status = bench.tick()

    assert status.fresh
    assert status.level is Level.WARN
    assert bench.run(400, every=30).level is Level.OK


def test_the_third_error_in_ten_messages_makes_a_source_stale():
    bench = valid()
    for kind in ('good', 'bad', 'good', 'bad', 'good'):
        bench.run(20)
        bench.say(10 if kind == 'good' else -50)
        assert bench.tick().fresh
    bench.run(20)
    bench.say(-50)

    assert bench.tick().state is State.STALE


def test_errors_more_than_ten_messages_ago_are_forgiven():
    bench = valid()
    for k in range(30):
        bench.run(20)
        bench.say(-50 if k % 5 == 4 else 10)
        assert bench.tick().fresh


def test_repeated_messages_neither_help_nor_harm():
    bench = valid()
    bench.run(20)
    bench.say(0)
    stamp_ns = bench.now.ros_ns
    for _ in range(20):
        bench.run(10)
        assert bench.guard.judge('camera', stamp_ns, 'optical', bench.now).verdict is (
            Verdict.REPEATED
        )
    assert bench.tick().fresh
    bench.run(80)

    assert bench.tick().state is State.STALE


def test_a_gap_between_two_ticks_is_noticed_by_the_message_that_ends_it():
    bench = valid(v=1.0)
    bench.run(15 - bench.ms % 20 + 20)
    bench.say(0)
    bench.guard.tick(bench.now)
    for _ in range(270):
        bench.ms += 1
        if bench.ms % 20 == 0:
            bench.guard.moved(bench.now.ros_ns, 1.0, 0.0, 0.0, bench.now)
    bench.say(10)

    assert bench.tick().state is State.STALE


def stopped_by_silence(**options):
    """A bench whose camera fell silent at speed, and whose robot then stopped."""
    bench = valid(v=1.5, **options)
    bench.run(400)
    assert bench.tick().state is State.STALE
    bench.v = 0.0
    bench.run(100)
    return bench


def test_five_good_messages_in_a_row_release_the_robot():
    bench = stopped_by_silence()
    seen = []
    for _ in range(5):
        bench.run(30)
        bench.say(50)
        seen.append(bench.tick().state)

    assert seen == [State.STALE] * 4 + [State.VALID]


def test_one_error_starts_the_count_again():
    bench = stopped_by_silence()
    for age_ms in (50, 50, 50, 50, -50, 50, 50, 50, 50):
        bench.run(30)
        bench.say(age_ms)
        assert bench.tick().state is State.STALE
    bench.run(30)
    bench.say(50)

    assert bench.tick().fresh


def test_the_robot_is_not_released_on_data_that_its_speed_would_make_stale():
    bench = stopped_by_silence()

    status = bench.run(2000, every=30, age_ms=170)

    assert bench.say(169).verdict is OK
    assert status.state is State.STALE
    assert bench.run(400, every=30, age_ms=150).fresh


@pytest.mark.parametrize(('age_ms', 'state'), [(160, State.VALID), (161, State.STALE)])
def test_resuming_takes_an_age_of_no_more_than_its_share_of_the_deadline(age_ms, state):
    bench = stopped_by_silence()

    bench.run(20 - bench.ms % 20)
    for _ in range(6):
        bench.run(20)
        bench.say(age_ms)

    assert bench.source().state is state


def test_the_robot_is_released_at_the_speed_it_will_be_allowed():
    bench = stopped_by_silence()
    bench.run(1000, every=30, age_ms=250)
    assert bench.tick().state is State.STALE

    bench.guard.resume_mps = speed_for(AMR, 0.35)

    assert bench.run(400, every=30, age_ms=250).fresh


def test_a_resume_speed_below_the_speed_of_the_moment_is_not_used():
    bench = valid(v=1.0)
    bench.run(400)
    bench.guard.resume_mps = 0.1

    assert bench.run(400, every=30, age_ms=220).state is State.STALE
    assert bench.run(400, every=30, age_ms=200).fresh


def test_messages_too_far_apart_for_the_speed_to_be_resumed_do_not_release():
    bench = stopped_by_silence()

    assert bench.run(5000, every=300, age_ms=20).state is State.STALE
    bench.guard.resume_mps = 0.5
    assert bench.run(3000, every=300, age_ms=20).fresh


def test_what_was_stale_at_speed_stays_stale_when_the_robot_has_stopped():
    bench = stopped_by_silence()

    assert bench.source().held.verdict is STALE_AGE
    assert bench.left_ns() is None


def test_data_lost_to_motion_is_reported_as_moved_for_good():
    bench = valid(v=1.5)
    bench.run(20 - bench.ms % 20)
    bench.say(0)
    for _ in range(42):
        bench.v = max(0.0, bench.v - 0.036)
        bench.run(10)
        held = bench.source().held
        if held.verdict not in (OK, Verdict.NONEWDATA):
            break

    assert held.verdict is STALE_MOVED
    bench.run(1000)
    held = bench.source().held
    assert held.age_ns > held.deadline_ns
    assert held.verdict is STALE_MOVED


def test_between_messages_the_held_one_is_judged_with_nothing_new():
    bench = valid()
    bench.run(5)
    bench.say(30)

    assert bench.source().held.verdict is OK
    bench.run(1)
    held = bench.source().held
    assert (held.verdict, held.age_ns) == (Verdict.NONEWDATA, 31 * MS)
    assert bench.left_ns() > 0


def test_every_verdict_is_counted():
    bench = valid()
    before = dict(bench.source().counts)
    bench.run(5)
    bench.say(10)
    bench.say(10)
    bench.say(-50)

    counts = bench.source().counts
    assert {v: n - before[v] for v, n in counts.items() if n != before[v]} == {
        OK: 1,
        Verdict.REPEATED: 1,
        Verdict.FUTURE: 1,
    }


def test_a_speed_without_a_feasible_deadline_is_an_error_of_its_own():
    bench = valid(v=1.5, one=robot('amr', deadline_floor_s=0.19))
    bench.w = 1.0
    status = bench.run(100, every=30, age_ms=10)

    assert status.state is State.SPEED_INFEASIBLE
    assert status.level is Level.ERROR
    assert not status.fresh


def test_a_source_whose_messages_are_all_refused_does_not_hide_that_the_speed_is_infeasible():
    bench = Bench(v=1.5, w=1.0, one=robot('amr', deadline_floor_s=0.19))
    assert bench.run(100).state is State.NODATA

    bench.guard.judge('camera', 0, 'optical', bench.now)

    assert bench.tick().sources[0].held is None
    assert bench.tick().state is State.SPEED_INFEASIBLE


def test_a_changed_profile_is_used_from_the_next_tick_on():
    bench = valid(v=1.0)
    bench.run(100)
    assert bench.tick().fresh

    bench.guard.reconfigure(dataclasses.replace(AMR, d_max_m=0.1))

    assert bench.tick().state is State.STALE
    assert bench.say(95).forwarded
    assert bench.say(94).deadline_ns == deadline(robot('amr', d_max_m=0.1), 1.0, 0.0).limit_ns


def test_a_source_with_its_own_profile_keeps_it():
    own = robot('amr', d_max_m=0.2)
    bench = driving(Source('camera', robot=own), v=1.5)
    bench.guard.reconfigure(dataclasses.replace(AMR, d_max_m=1.0))

    assert bench.say(134).verdict is STALE_AGE


# Several sources.


def test_the_worst_required_source_decides():
    bench = Bench(Source('camera'), Source('lidar'))
    bench.run(500, every=30)
    status = bench.tick()

    assert {s.name: s.state for s in status.sources} == {
        'camera': State.VALID,
        'lidar': State.NODATA,
    }
    assert status.state is State.NODATA
    assert status.age_ns is None
    bench.say(80, name='lidar')
    assert bench.tick().state is State.INIT
    assert bench.tick().age_ns == 80 * MS


@pytest.mark.parametrize('order', [('camera', 'lidar'), ('lidar', 'camera')])
def test_it_does_not_matter_which_source_is_listed_last(order):
    bench = Bench(*(Source(name) for name in order))
    bench.run(500, every=30)

    assert not bench.tick().fresh


def test_an_optional_source_warns_and_does_not_stop_the_robot():
    bench = valid(Source('camera'), Source('lidar', required=False))
    bench.run(6000, every=30)
    status = bench.tick()

    assert status.fresh
    assert status.level is Level.WARN
    assert bench.source('lidar').level is Level.ERROR


def test_sources_do_not_share_their_order():
    bench = driving(Source('camera'), Source('lidar'))

    assert bench.say(10).forwarded
    assert bench.say(60, name='lidar').forwarded


def test_a_guard_that_could_never_stop_the_robot_is_refused():
    with pytest.raises(ParameterError, match='required'):
        Guard(AMR, [Source('camera', required=False)])
    with pytest.raises(ParameterError, match='required'):
        Guard(AMR, [])
    with pytest.raises(ParameterError, match='camera'):
        Guard(AMR, [Source('camera'), Source('camera')])


def test_a_source_that_never_sends_is_an_error_after_the_grace():
    bench = Bench(rules=Rules(grace_s=1.0))

    assert bench.run(1000).level is Level.WARN
    assert bench.run(40).level is Level.ERROR


def test_two_senders_on_one_topic_are_flagged_within_ten_messages():
    bench = valid()
    for k in range(10):
        bench.run(15)
        bench.say(20 if k % 2 == 0 else 60)

    source = bench.source()
    assert source.two_senders
    assert source.level is Level.WARN
    bench.run(400, every=30)
    assert not bench.source().two_senders


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'skew_tol_s': math.nan}, 'skew_tol_s'),
        ({'init_ok': 6}, 'init_window'),
        ({'valid_errors': 10}, 'valid_window'),
        ({'resume_ok': 0}, 'resume_ok'),
        ({'resume_share': 1.1}, 'resume_share'),
        ({'init_ok': 3.0}, 'init_ok'),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(changes, words):
    with pytest.raises(ParameterError, match=words):
        Rules(**changes)


def test_rules_may_sit_on_their_bounds():
    Rules(init_ok=5, valid_errors=9)


# Clocks.


@pytest.mark.parametrize('step_ms', [50, -50, 3_600_000, -3_600_000])
def test_a_step_of_the_wall_clock_never_rejuvenates_and_is_over_within_a_second(step_ms):
    bench = valid(v=0.2)
    bench.say(20)
    held_ns = bench.source().held.age_ns
    capture_ns = bench.now.ros_ns - 20 * MS

    bench.wall_ns += step_ms * MS
    bench.ms += 1
    assert bench.source().held.age_ns == held_ns + MS
    in_flight = bench.guard.judge('camera', capture_ns + 5 * MS, 'optical', bench.now)
    assert not in_flight.forwarded or in_flight.age_ns >= 16 * MS

    assert bench.run(1000, every=30).fresh
    assert bench.say(40).age_ns == 40 * MS


def test_a_message_on_its_way_while_the_clock_is_set_back_looks_older_not_younger():
    bench = valid(v=0.2)
    stamp_ns = bench.now.ros_ns
    bench.wall_ns -= 100 * MS
    bench.ms += 300

    judged = bench.guard.judge('camera', stamp_ns, 'optical', bench.now)

    assert judged.age_ns == 300 * MS
    assert bench.say(0).age_ns == 100 * MS


def test_after_the_clock_was_set_back_the_same_stamp_is_still_a_repetition():
    bench = valid()
    bench.say(0)
    stamp_ns = bench.now.ros_ns
    bench.wall_ns -= 50 * MS
    bench.odometry = False
    for _ in range(35):
        bench.ms += 20
        bench.tick()

    judged = bench.guard.judge('camera', stamp_ns - 50 * MS, 'optical', bench.now)

    assert judged.verdict is Verdict.REPEATED


def test_two_steps_back_are_both_remembered():
    bench = valid(v=0.2)
    stamp_ns = bench.now.ros_ns
    for _ in range(2):
        bench.wall_ns -= 100 * MS
        bench.run(100)

    assert bench.guard.judge('camera', stamp_ns, 'optical', bench.now).age_ns == 200 * MS


def test_a_watchdog_that_was_itself_stopped_does_not_trust_the_clock_it_wakes_to():
    bench = valid(v=0.2)
    bench.ms += 5000
    stamp_ns = bench.now.ros_ns - 100 * MS
    bench.wall_ns -= 1000 * MS

    assert bench.guard.judge('camera', stamp_ns, 'optical', bench.now).age_ns == 100 * MS


def test_simulated_time_that_runs_back_starts_everything_again_without_an_error():
    bench = valid(sim_time=True)
    bench.wall_ns -= 600 * S

    status = bench.tick()

    assert (status.state, status.level) == (State.NODATA, Level.WARN)
    assert status.motion.fault is OdometryFault.ABSENT
    seen = []
    for _ in range(3):
        bench.run(30)
        bench.say(50)
        seen.append(bench.tick().state)
    assert seen == [State.INIT, State.INIT, State.VALID]


def test_simulated_time_that_leaps_ahead_makes_what_is_held_stale_at_once():
    bench = valid(sim_time=True)
    bench.wall_ns += 3600 * S

    assert bench.tick().state is State.STALE


def test_simulated_time_that_stands_still_is_said_so_and_nothing_is_stale_afterwards():
    bench = valid(sim_time=True)
    bench.say(10)
    frozen_ns = bench.now.ros_ns
    for _ in range(499):
        bench.ms += 1
        bench.wall_ns -= MS
        assert bench.tick().fresh
    bench.ms += 1
    bench.wall_ns -= MS

    status = bench.tick()
    assert bench.now.ros_ns == frozen_ns
    assert (status.state, status.level) == (State.CLOCK_STALLED, Level.ERROR)

    assert bench.run(60, every=30).fresh


def test_in_simulation_age_is_counted_in_simulated_time():
    bench = valid(sim_time=True, v=0.0)
    bench.run(5)
    bench.say(10)
    bench.ms += 50
    bench.wall_ns += 50 * MS

    assert bench.source().held.age_ns == 110 * MS


def test_real_time_never_stalls():
    bench = valid()
    bench.ms += 2000

    assert bench.tick().state is State.STALE


# What deserves a warning although the robot may move on.


def test_an_error_behind_a_good_message_still_warns():
    bench = valid()
    bench.run(5)
    bench.say(-50)
    bench.say(10)

    assert (bench.source().last, bench.source().level) == (OK, Level.WARN)


def test_two_senders_warn_though_the_newest_message_is_good():
    bench = valid()
    for k in range(10):
        bench.run(15)
        bench.say(60 if k % 2 == 0 else 20)

    assert (bench.source().last, bench.source().level) == (OK, Level.WARN)


def test_before_the_first_message_nothing_is_held_or_counted():
    source = Bench().source()

    assert (source.held, source.stamp_ns) == (None, 0)
    assert set(source.counts.values()) == {0}


@pytest.mark.parametrize(('strays', 'flagged'), [(2, False), (3, True)])
def test_three_strays_are_two_senders(strays, flagged):
    bench = driving()
    bench.say(40)
    for _ in range(strays):
        bench.run(15)
        assert bench.say(100).verdict is Verdict.OUT_OF_ORDER

    assert bench.source().two_senders is flagged


def test_a_step_of_the_clock_leaves_a_source_that_holds_nothing_as_it_is():
    bench = driving()
    bench.wall_ns -= 3600 * S
    bench.run(2000)

    assert bench.source().stamp_ns == 0


def test_simulated_time_that_runs_back_leaves_nothing_held():
    bench = valid(sim_time=True)
    bench.wall_ns -= 20 * S

    source = bench.source()
    assert (source.held, source.stamp_ns) == (None, 0)


@pytest.mark.parametrize('start_ns', [0, 7 * S])
def test_the_grace_ends_one_nanosecond_after_its_length(start_ns):
    guard = Guard(AMR, [Source('camera')], rules=Rules(grace_s=1.0))
    looks_ns = [start_ns + ns for ns in (0, S, S + 1)]
    levels = [guard.tick(Instant(EPOCH + ns, ns)).level for ns in looks_ns]

    assert levels == [Level.WARN, Level.WARN, Level.ERROR]


def test_a_sensor_clock_that_runs_away_is_warned_about():
    bench = valid(v=0.2)
    for k in range(70):
        bench.run(1000, every=50, age_ms=60 + k // 8)
        if bench.source().drift_ppm:
            break

    assert bench.source().drift_ppm == pytest.approx(125.0, rel=0.3)
    assert bench.source().level is Level.WARN
    assert bench.tick().fresh


def test_a_loop_of_simulated_time_is_no_drift():
    bench = valid(sim_time=True, v=0.2)
    for k in range(70):
        bench.run(1000, every=50, age_ms=60 + k // 8)
    assert bench.source().drift_ppm
    bench.wall_ns -= 600 * S

    assert bench.source().drift_ppm is None


def test_a_refused_message_claims_no_displacement_and_no_deadline():
    judged = valid().say(-50)

    assert (judged.travelled_m, judged.deadline_ns) == (0.0, 0)


def test_the_clock_is_remembered_for_the_source_that_may_be_oldest():
    patient = robot('amr', deadline_cap_s=2.0, d_max_m=3.0)
    bench = Bench(Source('camera'), Source('map', robot=patient), v=0.2)
    bench.run(1000)
    stamp_ns = bench.now.ros_ns
    bench.wall_ns -= 100 * MS
    bench.run(1500)

    assert bench.guard.judge('map', stamp_ns, 'optical', bench.now).age_ns == 1500 * MS


# What cannot be known, or is absurd, permits nothing.


@pytest.mark.parametrize('ends', ['silence', 'nan'])
def test_a_robot_that_reverses_blind_is_not_let_go_when_its_odometry_ends(ends):
    bench = Bench(v=-0.5)
    bench.run(1000, every=30)
    assert not bench.tick().fresh
    if ends == 'nan':
        bench.v = math.nan
    else:
        bench.odometry = False

    for _ in range(20):
        assert not bench.run(100, every=30).fresh
        assert not bench.say(10).forwarded


def test_one_bad_sample_among_good_ones_costs_no_trust_and_no_speed():
    bench = valid(v=1.0)
    bench.run(20 - bench.ms % 20)
    bench.guard.moved(bench.now.ros_ns, math.nan, 0.0, 0.0, bench.now)
    status = bench.tick()

    assert status.fresh
    assert status.level is Level.WARN
    assert status.motion.fault is OdometryFault.NONFINITE
    assert bench.say(50).verdict is Verdict.NO_ODOM
    assert bench.say(49).deadline_ns > 0.9 * deadline(AMR, 1.0, 0.0).limit_ns
    assert bench.run(100, every=30).motion.fault is None


def test_one_absurd_command_leaves_the_odometer_as_it_is():
    bench = valid(v=1.0)
    bench.guard.commanded(1e17, 0.0, 0.0, bench.now)
    assert not bench.run(100, every=30).fresh

    bench.run(2000)
    judged = bench.say(200)

    assert judged.verdict is OK
    assert judged.travelled_m == pytest.approx(0.2, rel=0.1)


def test_odometry_that_reports_poses_only_is_judged_by_them():
    bench = driving(v=0.0)
    for k in range(100):
        bench.ms += 20
        pose = (1.5 * k / 50, 0.0, 0.0)
        bench.guard.moved(bench.now.ros_ns, 0.0, 0.0, 0.0, bench.now, pose=pose)

    judged = bench.say(300)

    assert judged.verdict is STALE_AGE
    assert judged.v_assumed_mps == 1.5
    assert bench.say(190).verdict is Verdict.NO_ODOM
    assert bench.tick().motion.fault is OdometryFault.CONTRADICTED


def test_what_was_on_its_way_while_the_clock_was_set_back_is_as_old_as_it_is():
    bench = valid(v=0.5)
    stamp_ns = bench.now.ros_ns
    bench.run(10)
    bench.wall_ns -= 600 * MS
    bench.run(650)

    judged = bench.guard.judge('camera', stamp_ns, 'optical', bench.now)

    assert (judged.verdict, judged.age_ns) == (STALE_AGE, 660 * MS)


def test_what_comes_after_what_is_held_was_captured_after_it():
    bench = valid(v=0.2)
    bench.say(10)
    stamp_ns = bench.now.ros_ns
    bench.run(20)
    bench.wall_ns += 100 * MS
    bench.run(1)

    judged = bench.guard.judge('camera', stamp_ns, 'optical', bench.now)

    assert judged.age_ns == 31 * MS


def test_other_rules_hold_from_the_next_call_on():
    bench = driving()
    bench.guard.reconfigure(AMR, rules=Rules(skew_tol_s=0.1, resume_ok=1))
    assert bench.say(-100).verdict is OK
    bench.run(1000)
    assert bench.tick().state is State.STALE
    assert bench.say(10).forwarded
    assert bench.tick().state is State.VALID

    bench.guard.reconfigure(AMR, rules=Rules(skew_tol_s=0.0))
    assert bench.say(age_ns=-1).verdict is Verdict.FUTURE


def test_a_longer_deadline_is_no_younger_age():
    bench = valid(v=0.0)
    stamp_ns = bench.now.ros_ns
    longer = robot('amr', deadline_cap_s=3.0, d_max_m=10.0)
    bench.guard.reconfigure(longer)
    bench.wall_ns -= 500 * MS
    bench.run(2900)

    judged = bench.guard.judge('camera', stamp_ns + 1, 'optical', bench.now)

    assert judged.age_ns == 2900 * MS - 1


# Frames.


def test_a_wrong_frame_is_named_beside_the_right_one():
    bench = valid()
    assert bench.source().frames == ('optical', '')
    bench.run(5)
    bench.say(10, frame='elsewhere')
    assert bench.source().frames == ('optical', 'elsewhere')
    bench.run(5)
    bench.say(10)

    assert bench.source().frames == ('optical', '')


def spoken(bench, ms, frame):
    for _ in range(ms // 30):
        bench.run(30)
        bench.say(10, frame=frame)
    return bench.source()


def test_a_frame_that_was_wrong_from_the_first_message_on_is_given_up():
    bench = driving()
    bench.say(10, frame='wrong')

    assert spoken(bench, 1950, 'optical').frames == ('wrong', 'optical')
    source = spoken(bench, 400, 'optical')
    assert source.frames == ('optical', '')
    assert source.state is State.VALID


def test_a_frame_is_given_up_only_for_one_other():
    bench = valid()
    for _ in range(40):
        spoken(bench, 60, 'one')
        spoken(bench, 60, 'two')

    assert bench.source().frames == ('optical', 'two')


def test_a_frame_that_was_named_is_never_given_up():
    bench = driving(Source('camera', frame_id='optical'))
    bench.say(10)

    assert spoken(bench, 6000, 'elsewhere').last is Verdict.MALFORMED


def test_simulated_time_that_runs_back_forgets_the_frame():
    bench = valid(sim_time=True)
    bench.wall_ns -= 600 * S
    bench.run(100)

    assert bench.say(50, frame='elsewhere').forwarded
    assert bench.source().frames == ('elsewhere', '')


def test_in_simulation_a_stamp_may_be_as_far_ahead_as_the_clock_steps():
    bench = valid(sim_time=True, v=0.0)
    for _ in range(5):
        bench.ms += 100
        bench.guard.moved(bench.now.ros_ns, 0.0, 0.0, 0.0, bench.now)

    assert bench.say(-100).verdict is OK
    assert bench.say(-101).verdict is Verdict.FUTURE
    bench.guard.moved(bench.now.ros_ns + 100 * MS, 0.0, 0.0, 0.0, bench.now)
    assert bench.tick().motion.fault is None
    bench.guard.moved(bench.now.ros_ns + 101 * MS, 0.0, 0.0, 0.0, bench.now)
    assert bench.tick().motion.fault is OdometryFault.FUTURE


# What is promised.


def test_an_expiry_holds_for_a_robot_that_begins_to_turn():
    bench = driving(v=1.5, one=robot('amr', alpha_acc_radps2=2.0))
    bench.run(20 - bench.ms % 20)
    judged = bench.say(50)
    left_s = bench.left_ns() / S

    assert judged.travelled_m + 1.5 * left_s + left_s**2 == pytest.approx(0.3, abs=1e-6)


def test_an_expiry_ends_when_the_robot_can_go_where_nothing_looks():
    bench = driving(v=0.0)
    bench.run(20 - bench.ms % 20)

    bench.say(50)
    assert bench.left_ns() == pytest.approx(200 * MS, abs=2)
    bench.guard.reconfigure(robot('amr', range_reverse_m=4.0))
    bench.say(49)
    assert bench.left_ns() > 380 * MS


def test_what_the_limiter_stops_is_locked_though_it_is_fresh():
    status = valid().tick()

    assert status.fresh
    assert status.locked
    assert not status._replace(limit_mps=0.5).locked
    assert status._replace(limit_mps=0.5, state=State.STALE).locked


def test_an_age_is_one_also_where_nothing_may_be_old():
    bench = driving(v=2.5)

    assert bench.say(50).aged
    assert not bench.say(-50).aged
    assert valid().say(10).aged
