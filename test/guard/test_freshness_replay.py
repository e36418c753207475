"""Long clean drives on a simulated clock, and how soon silence is declared."""

from __future__ import annotations

import heapq
import random

import pytest
from support.robots import AMR, HUMANOID, OUTDOOR

from edge_inference_ros.guard.deadline import deadline
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.standing import State
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_700_000_000 * S
TICK_NS = 20 * MS


def at(ns):
    return Instant(EPOCH + ns, ns)


def clean_drive(one, *, seconds, seed):
    """Messages refused and ticks not fresh, after the first second of a drive without faults.

    Odometry at 50 Hz a few ms late, predictions at 30 Hz aged 60 to 110 ms, the robot speeding up,
    braking and turning gently up to its cap, the wall clock slewed by 500 ppm.
    """
    draw = random.Random(seed)
    guard = Guard(one, [Source('camera')])
    v, w, goal_v, goal_w, refused, stale = 0.0, 0.0, 0.0, 0.0, 0, 0
    events = [(S, 'odometry', S), (S, 'message', S), (S, 'tick', S)]
    end_ns = S + int(seconds * S)
    while (event := heapq.heappop(events))[0] < end_ns:
        now_ns, kind, stamp_ns = event
        now = Instant(EPOCH + now_ns + now_ns // 2000, now_ns)
        stamp = EPOCH + stamp_ns + stamp_ns // 2000
        if kind == 'odometry':
            if draw.random() < 0.01:
                goal_v, goal_w = draw.uniform(0, one.v_cap_mps), draw.choice((0.0, 0.2))
            v += min(max(goal_v - v, -0.02), 0.02 * one.a_acc_mps2)
            w += min(max(goal_w - w, -0.02), 0.02)
            guard.moved(stamp, v, 0.0, w, now)
            stamp_ns += TICK_NS
            heapq.heappush(events, (stamp_ns + draw.randrange(5 * MS), kind, stamp_ns))
        elif kind == 'message':
            refused += not guard.judge('camera', stamp, 'optical', now).forwarded
            stamp_ns += 33_333_333
            late_ns = round(60 * MS + draw.betavariate(1.5, 6.0) * 50 * MS)
            heapq.heappush(events, (stamp_ns + late_ns, kind, stamp_ns))
        else:
            stale += not guard.tick(now).fresh and now_ns > 2 * S
            heapq.heappush(events, (now_ns + TICK_NS + draw.randrange(2 * MS), kind, 0))
    return refused, stale


def test_ten_clean_minutes_have_no_false_alarm():
    assert clean_drive(AMR, seconds=600, seed=1) == (0, 0)


@pytest.mark.faults
@pytest.mark.parametrize('hour', range(24))
def test_a_clean_day_has_no_false_alarm(hour):
    assert clean_drive((AMR, OUTDOOR)[hour % 2], seconds=3600, seed=hour) == (0, 0)


@pytest.mark.parametrize('seed', range(200))
def test_silence_is_declared_a_tick_after_the_deadline_and_never_before_it(seed):
    draw = random.Random(seed)
    one = draw.choice((AMR, OUTDOOR, HUMANOID))
    v, w = draw.uniform(0.0, one.v_cap_mps), draw.choice((0.0, 0.1, 0.3))
    guard = Guard(one, [Source('camera')])
    guard.moved(EPOCH + 10 * S, v, 0.0, w, at(10 * S))
    now_ns, captured_ns, tick_ns, spoke_ns = 10 * S, 0, 0, 0
    silent_ns = now_ns + draw.randrange(1000 * MS, 2000 * MS)
    while True:
        now_ns += MS
        if now_ns % TICK_NS == 0:
            guard.moved(EPOCH + now_ns, v, 0.0, w, at(now_ns))
        if now_ns < silent_ns and now_ns - spoke_ns >= 25 * MS:
            spoke_ns, captured_ns = now_ns, now_ns - draw.randrange(10 * MS, 30 * MS)
            assert guard.judge('camera', EPOCH + captured_ns, 'optical', at(now_ns)).forwarded
        if now_ns >= tick_ns:
            tick_ns = now_ns + TICK_NS + draw.randrange(11) * MS
            status = guard.tick(at(now_ns))
            if now_ns > silent_ns and not status.fresh:
                break

    late_ns = now_ns - captured_ns
    assert status.state is State.STALE
    assert late_ns <= deadline(one, v, w).limit_ns + TICK_NS + 10 * MS
    assert (
        late_ns
        > deadline(
            one, min(one.v_cap_mps, v + 0.02 * one.a_acc_mps2), w + 0.02 * one.alpha_acc_radps2
        ).limit_ns
        * 0.98
    )
