"""Messages, clocks and odometry that go wrong, on clocks that only the test advances."""

from __future__ import annotations

import math
import random

import pytest
from support.guards import EPOCH_NS, MS, TICK_NS, S, Stand
from support.robots import AMR

from edge_inference_ros.core.types import Level
from edge_inference_ros.guard.deadline import deadline
from edge_inference_ros.guard.odometry import Odometry
from edge_inference_ros.guard.speed_limit import SpeedLimiter
from edge_inference_ros.guard.standing import State
from edge_inference_ros.guard.verdict import Verdict

CAP = AMR.v_cap_mps


def deadline_ns(v):
    return deadline(AMR, v, 0.0).limit_ns


@pytest.mark.fault('M1')
def test_silence_is_stale_within_the_deadline_and_a_tick(figure):
    rng = random.Random(1)
    late = []
    for _ in range(figure.tries(50, 2000)):
        stand = Stand(v=rng.uniform(0.0, CAP))
        stand.pass_(200 * MS + rng.randrange(TICK_NS))
        for _ in range(4):
            stand.pass_(rng.randrange(20, 35) * MS)
            stand.say(age_ns=rng.randrange(5, 60) * MS)
        due_ns = stand.forwarded[-1] - EPOCH_NS + deadline_ns(stand.v)
        forwarded = len(stand.forwarded)
        while stand.tick().sources[0].state is not State.STALE:
            assert stand.mono_ns <= due_ns + TICK_NS
            stand.pass_(TICK_NS - stand.mono_ns % TICK_NS)
        late.append(stand.mono_ns - due_ns)
        assert len(stand.forwarded) == forwarded

    figure('STALE after D', max(late) / MS, 'ms')
    assert 0 < max(late) <= TICK_NS + 1


@pytest.mark.fault('M2')
@pytest.mark.parametrize('share', [0.01, 0.1, 0.5])
def test_what_is_not_lost_goes_through(figure, share):
    rng = random.Random(2)
    stand = Stand(v=1.0)
    limit_ns = deadline_ns(1.0 + AMR.a_acc_mps2 * TICK_NS / S)  # just before the next sample
    sent, gap_ns = 0, 0
    stand.stream(10)
    before = len(stand.forwarded)
    for _ in range(figure.tries(500, 10_000)):
        status, gap_ns = stand.pass_(33 * MS), gap_ns + 33 * MS
        held_ns = 50 * MS + gap_ns
        if status is not None:
            seen_ns = held_ns - stand.mono_ns % TICK_NS
            stale = status.sources[0].held.verdict in {Verdict.STALE_AGE, Verdict.STALE_MOVED}
            assert stale == (seen_ns > limit_ns), (seen_ns, limit_ns)
        if rng.random() >= share:
            stand.say()
            sent, gap_ns = sent + 1, 0

    assert len(stand.forwarded) - before == sent


@pytest.mark.fault('M2')
@pytest.mark.parametrize('burst', range(1, 21))
def test_a_burst_of_losses_is_stale_when_it_outlasts_the_deadline(burst):
    stand = Stand(v=1.0)
    stand.stream(10)

    stand.pass_((burst + 1) * 33 * MS)
    at_ns = (burst + 1) * 33 * MS + 50 * MS

    stale = stand.tick().sources[0].state is State.STALE
    assert stale == (at_ns > deadline_ns(1.0))


@pytest.mark.fault('M3')
@pytest.mark.parametrize('v', [0.0, 0.5, 1.0, 1.3])
@pytest.mark.parametrize('course', ['constant', 'ramp', 'jitter'])
def test_the_verdict_flips_one_nanosecond_after_the_deadline(figure, v, course):
    rng = random.Random(3)
    stand = Stand(v=v)
    stand.pass_(S)
    limit_ns = deadline_ns(v)
    for k in range(figure.tries(20, 400)):
        off_ns = {'constant': 0, 'ramp': k, 'jitter': rng.randrange(10**6)}[course]
        stand.pass_(TICK_NS)
        late = stand.say(age_ns=limit_ns + 1 + off_ns)
        stand.pass_(TICK_NS)
        just = stand.say(age_ns=limit_ns - off_ns)
        assert (late.verdict, just.verdict) == (Verdict.STALE_AGE, Verdict.OK)


@pytest.mark.fault('M4', 'M5', 'M7', 'M9')
def test_what_breaks_the_order_of_messages_is_refused_by_name(figure):
    rng = random.Random(4)
    stand = Stand(v=0.5)
    stand.stream(5)
    for _ in range(figure.tries(200, 10_000)):
        stand.pass_(33 * MS)
        good_ns = stand.now.ros_ns - 50 * MS
        assert stand.say(stamp_ns=good_ns).verdict is Verdict.OK
        stamp_ns, frame, verdict = rng.choice(
            [
                (good_ns, 'optical', Verdict.REPEATED),
                (good_ns - rng.randrange(1, S), 'optical', Verdict.OUT_OF_ORDER),
                (0, 'optical', Verdict.ZERO_STAMP),
                (good_ns + 1, 'elsewhere', Verdict.MALFORMED),
            ]
        )
        before = len(stand.forwarded)
        assert stand.say(stamp_ns=stamp_ns, frame=frame).verdict is verdict
        assert len(stand.forwarded) == before


@pytest.mark.fault('M8')
@pytest.mark.parametrize('ahead_ns', [5 * MS + 1, 10 * MS, S, 10 * S, 10**9 * S])
def test_a_stamp_from_the_future_is_refused(ahead_ns):
    stand = Stand()
    stand.stream(5)
    before = len(stand.forwarded)

    assert stand.say(age_ns=-ahead_ns).verdict is Verdict.FUTURE
    assert len(stand.forwarded) == before


@pytest.mark.fault('M8')
@pytest.mark.parametrize('ahead_ns', [1, MS, 5 * MS])
def test_a_stamp_within_the_tolerance_is_now(ahead_ns):
    stand = Stand()
    stand.stream(5)

    judged = stand.say(age_ns=-ahead_ns)

    assert judged.verdict is Verdict.OK
    assert judged.age_ns == 0


@pytest.mark.fault('M10')
def test_a_second_sender_is_flagged_within_ten_messages(figure):
    stand = Stand()
    stand.stream(5)

    for count in range(1, 11):
        stand.pass_(16 * MS)
        stand.say(age_ns=50 * MS if count % 2 else 90 * MS)
        if stand.tick().sources[0].two_senders:
            break

    figure('flagged after', count, 'messages')
    assert stand.tick().sources[0].two_senders
    assert stand.tick().level is Level.WARN


@pytest.mark.fault('T1')
@pytest.mark.parametrize('step_ns', [-3600 * S, -50 * MS, 50 * MS, 3600 * S])
def test_setting_the_wall_clock_makes_nothing_younger(step_ns):
    stand = Stand(v=0.5)
    stand.stream(20)
    stamp_ns, age_ns = stand.forwarded[-1], 50 * MS

    stand.wall_ns += step_ns
    for _ in range(20):
        stand.pass_(TICK_NS)
        age_ns += TICK_NS
        held = stand.tick().sources[0].held
        assert held is None or held.age_ns >= age_ns
    stand.stream(45)

    assert stamp_ns < stand.forwarded[-1] or step_ns < 0
    assert stand.tick().sources[0].state is State.VALID


@pytest.mark.fault('T2')
def test_time_that_runs_back_is_no_error_and_is_over_after_a_few_messages(figure):
    stand = Stand(sim_time=True)
    stand.stream(20)

    stand.wall_ns -= 10 * S
    status = stand.tick()
    assert status.sources[0].state is State.NODATA
    assert status.level is not Level.ERROR
    needed = 0
    while not stand.tick().fresh and needed < 6:
        stand.stream(1)
        needed += 1

    figure('VALID after', needed, 'messages')
    assert needed <= 5


@pytest.mark.fault('T3')
def test_time_that_stands_still_is_said_so_and_makes_nothing_stale():
    stand = Stand(sim_time=True)
    stand.stream(20)

    stand.mono_ns, stand.wall_ns = stand.mono_ns + 600 * MS, stand.wall_ns - 600 * MS
    assert stand.tick().state is State.CLOCK_STALLED

    stand.stream(1)
    assert stand.tick().fresh


@pytest.mark.fault('T4')
def test_time_that_leaps_makes_what_is_held_stale_at_once():
    stand = Stand(sim_time=True)
    stand.stream(20)

    stand.wall_ns += 3600 * S

    assert stand.tick().state is State.STALE


@pytest.mark.fault('T5')
@pytest.mark.parametrize('ppm', [100, -100])
def test_a_sensor_clock_that_drifts_is_reported_before_it_does_harm(figure, ppm):
    rng = random.Random(5)
    stand, status = Stand(v=0.5), None
    while status is None or status.sources[0].drift_ppm is None:
        assert stand.mono_ns < 100 * S
        status = stand.pass_(33 * MS) or status
        off_ns = stand.mono_ns * ppm // 1_000_000
        late_ns = round(min(rng.expovariate(0.2), 30.0) * MS)
        judged = stand.say(age_ns=50 * MS + late_ns + off_ns)
        assert judged.verdict is Verdict.OK

    figure('reported after', stand.mono_ns / S, 's')
    figure('off by then', abs(off_ns) / MS, 'ms')
    assert abs(off_ns) < 10 * MS
    assert status.state is State.VALID
    assert status.level is Level.WARN


@pytest.mark.fault('O1')
@pytest.mark.parametrize(
    ('v', 'ahead_ns'),
    [(math.nan, 0), (math.inf, 0), (-math.inf, 0), (0.2, S)],
)
def test_unusable_odometry_is_named_and_bridged_until_it_is_too_old(v, ahead_ns):
    stand = Stand(v=0.2)
    stand.stream(10)

    stand.guard.moved(stand.now.ros_ns + ahead_ns, v, 0.0, 0.0, stand.now)
    assert 0.2 <= stand.tick().motion.v_mps < 0.23
    assert stand.tick().motion.fault
    assert stand.tick().level is Level.WARN

    stand.odometry = False
    stand.pass_(200 * MS)
    stand.guard.moved(stand.now.ros_ns + ahead_ns, v, 0.0, 0.0, stand.now)
    assert stand.tick().motion.v_mps == CAP
    assert not stand.tick().fresh
    stand.odometry = True

    stand.pass_(TICK_NS)
    assert stand.tick().motion.fault is None
    assert stand.tick().motion.v_mps < 0.3


@pytest.mark.fault('O1')
def test_odometry_that_ends_means_the_caps():
    stand = Stand(v=0.2)
    stand.stream(10)
    stand.odometry = False

    stand.pass_(300 * MS)

    assert stand.tick().motion.v_mps == CAP


@pytest.mark.fault('O2')
def test_a_spike_moves_the_odometer_no_more_than_the_cap_would(figure):
    stand = Stand(v=0.5)
    stand.stream(10)
    start_ns = stand.mono_ns
    stand.v = 5.0 * CAP
    stand.pass_(TICK_NS)
    stand.v = 0.5
    stand.pass_(TICK_NS)

    path_m = stand.guard.odometry.since(start_ns, stand.mono_ns).path_m
    figure('travel', path_m, 'm')
    assert path_m <= CAP * (stand.mono_ns - start_ns) / S * 2


@pytest.mark.fault('O3')
def test_a_locked_wheel_does_not_hide_the_command():
    stand = Stand(v=0.0)
    stand.stream(10)
    stand.guard.commanded(1.0, 0.0, 0.0, stand.now)

    assert stand.tick().motion.v_mps >= 1.0


@pytest.mark.fault('O4')
def test_gaps_and_disorder_never_under_count(figure):
    rng = random.Random(6)
    worst = 0.0
    for _ in range(figure.tries(50, 1000)):
        odometry = Odometry(AMR)
        samples, v, moved_m, at_ns = [], rng.uniform(0, CAP), 0.0, 0
        for _ in range(40):
            samples.append((at_ns, v))
            step_ns = 20 * MS
            gain = rng.uniform(-AMR.a_acc_mps2, AMR.a_acc_mps2) * step_ns / S
            new = min(max(v + gain, 0.0), CAP)
            moved_m += (v + new) / 2 * step_ns / S
            v, at_ns = new, at_ns + step_ns
        samples = [one for one in samples if one[0] == 0 or rng.random() > 0.4]
        for k in range(1, len(samples) - 1):
            if rng.random() < 0.2:
                samples[k], samples[k + 1] = samples[k + 1], samples[k]
        for place_ns, speed in samples:
            odometry.add(place_ns, speed, 0.0, 0.0, now_ns=at_ns)
        worst = max(worst, moved_m - odometry.since(0, at_ns).path_m)

    figure('under-counted by', max(0.0, worst), 'm')
    assert worst <= 1e-9


@pytest.mark.fault('P4')
def test_no_age_whatever_makes_a_limit_outside_the_range(figure):
    rng = random.Random(7)
    limiter, now_ns, said = SpeedLimiter(AMR), 0, []
    odd = [0.0, math.nan, math.inf, -math.inf, -1.0, 1e300]
    for _ in range(figure.tries(5000, 1_000_000)):
        now_ns += rng.randrange(S)
        limiter.observe(rng.choice([rng.randrange(S), -rng.randrange(S), 0, 10**18]))
        w = rng.choice(odd) if rng.random() < 0.1 else rng.uniform(-2, 2)
        said.append(limiter.limit(rng.choice([None, rng.randrange(-S, 10 * S)]), w, now_ns))
        if rng.random() < 0.01:
            limiter = SpeedLimiter(AMR)

    limits = [v for v in said if v is not None]
    assert all(AMR.v_floor_mps <= v <= CAP for v in limits)
