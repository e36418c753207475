"""Losing information, or hearing something absurd, never permits more; and nothing stays poisoned.

``make test ARGS='-m faults test/guard/test_rule.py'`` tries a hundred thousand of each.
"""

from __future__ import annotations

import functools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.robots import AMR, HUMANOID, OUTDOOR
from support.schedules import (
    MS,
    WARM_NS,
    Event,
    Message,
    Player,
    S,
    Sample,
    a_robot,
    permits_more,
    schedule,
    without,
)

from edge_inference_ros.guard.verdict import Verdict

EPOCH = 1_700_000_000 * S
MANY = 100_000
SOUND_NS = 5 * S


def pairs(seed, *, variants):
    """Where losing information permitted more, over some ways of losing it in one schedule."""
    draw = random.Random(seed)
    robot, sim_time = a_robot(draw), draw.random() < 0.3
    events, found = schedule(draw, robot), []
    # When a clock that is set back is known to have been depends on what came since, see
    # docs/safety.md; test_timeline.py has what holds then.
    events = [e for e in events if e.kind != 'clock' or e.what > 0]
    more = Player(robot, sim_time=sim_time).play(events)
    limited = more.limited_since_ns <= WARM_NS  # the first limit is not raised step by step
    for k in range(variants):
        # What is late tells the limiter something: limits are compared where no message is lost.
        lost = ('odometry', 'command') if k % 2 else ('odometry', 'command', 'message')
        less = Player(robot, sim_time=sim_time).play(without(draw, events, kinds=lost))
        found += permits_more(less, more, limits=limited and 'message' not in lost)
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_losing_information_never_permits_more(seed):
    assert pairs(seed, variants=4) == []


@pytest.mark.faults
@pytest.mark.parametrize('part', range(20))
def test_losing_information_never_permits_more_in_a_hundred_thousand_pairs(part):
    for seed in range(part * MANY // 400, (part + 1) * MANY // 400):
        assert pairs(seed, variants=20) == [], seed


# Nothing stays poisoned.

ABSURD = (math.nan, math.inf, 0.0, -1e-300, 1e16, 1e17, -1.7e308, 1.5, -0.5, 15.0, 0.02)
STAMPS = (0, 1, -(10**18), 10**18, 10 * S, -10 * S, 4 * MS, -60 * MS, -3600 * S)


def rubbish(draw, now_ns, *, events):
    """Anything whatever, of any kind, in any order."""
    out = []
    for key in range(events):
        now_ns += draw.choice((0, 1, 3, 20, 20, 20, 300)) * MS
        kind = draw.choice(('odometry', 'odometry', 'message', 'message', 'command', 'tick'))
        stamp_ns = now_ns + draw.choice((*STAMPS, -20 * MS, -20 * MS, -20 * MS))
        v, w, x = (draw.choice(ABSURD) for _ in range(3))
        what = None
        if draw.random() < 0.02:
            kind, what = 'clock', draw.choice((-50, 50, -600, 600, -2000, 3_600_000)) * MS
        elif kind == 'odometry':
            pose = draw.choice((None, (x, v, w), (0.0, 0.0, 0.0)))
            what = Sample(stamp_ns, v, draw.choice((0.0, x)), w, pose)
        elif kind == 'message':
            frame = draw.choice(('optical', 'optical', 'elsewhere', ''))
            what = Message(stamp_ns, frame=frame, payload=draw.choice((None, Verdict.MALFORMED)))
        elif kind == 'command':
            what = (v, 0.0, w)
        out.append(Event(now_ns, -key, kind, what))
    return out


def sound(robot, start_ns, *, for_ns=SOUND_NS):
    """Odometry, messages and ticks of a robot that drives; every one on time."""
    out, v = [], 0.4 * robot.v_cap_mps
    for key, ms in enumerate(range(0, for_ns // MS, 5)):
        at_ns = start_ns + ms * MS
        if ms % 40 == 0:
            pose = (v * ms / 1e3, 0.0, 0.0)
            sample = Sample(at_ns - 5 * MS, v, 0.0, 0.05, pose)
            out.append(Event(at_ns, key, 'odometry', sample))
        elif ms % 100 == 5:
            out.append(Event(at_ns, key, 'message', Message(at_ns - 60 * MS)))
        elif ms % (20 if ms > for_ns // MS - 500 else 100) == 10:
            out.append(Event(at_ns, key, 'tick'))
    return out


def answers(player, count=12):
    """The last things that a guard said, without what only counts and what only warns."""
    ticks = list(player.ticks.values())[-count:]
    judged = [judgement for judgement, _ in list(player.judged.values())[-count:]]
    status = player.status
    return [tick._replace(limit_mps=0.0) for tick in ticks], judged, status.state, status.motion


@functools.lru_cache(maxsize=64)
def fresh(robot, sim_time):
    return answers(Player(robot, sim_time=sim_time).play(sound(robot, S)))


def poisoned(seed):
    """What a guard answers after rubbish and then sound seconds, and what a fresh one does."""
    draw = random.Random(seed)
    robot, sim_time = draw.choice((AMR, OUTDOOR, HUMANOID)), draw.random() < 0.4
    player = Player(robot, sim_time=sim_time)
    player.play(sound(robot, S)[: draw.choice((0, 1, 30, 200))])
    absurd = rubbish(draw, player.now.mono_ns, events=draw.randrange(1, 60))
    player.play(absurd)
    player.ticks.clear()
    player.judged.clear()
    # Until the clock shows again what it showed, some stamps may have either meaning.
    back_ns = -sum(event.what for event in absurd if event.kind == 'clock' and event.what < 0)
    for_ns = SOUND_NS + -(-back_ns // S) * S
    player.play(sound(robot, player.now.mono_ns + 10 * MS, for_ns=for_ns))
    return answers(player), fresh(robot, sim_time)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_nothing_stays_poisoned(seed):
    found, expected = poisoned(seed)

    assert found == expected


@pytest.mark.faults
@pytest.mark.parametrize('part', range(20))
def test_nothing_stays_poisoned_in_a_hundred_thousand_schedules(part):
    for seed in range(part * MANY // 20, (part + 1) * MANY // 20):
        found, expected = poisoned(seed)
        assert found == expected, seed
