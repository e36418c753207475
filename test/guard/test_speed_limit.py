from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.robots import AMR, robot, vectors

from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.deadline import speed_for
from edge_inference_ros.guard.speed_limit import (
    GRID_MPS,
    SAMPLES,
    LimitRules,
    SpeedLimiter,
    on_grid,
)

MS = 1_000_000
S = 1_000_000_000
SHARED = vectors()


def limiter(one=AMR, *, age_ms=100, samples=SAMPLES, **rules):
    """A limiter that has seen messages of one age."""
    made = SpeedLimiter(one, rules=LimitRules(**rules))
    for _ in range(samples):
        made.observe(age_ms * MS)
    return made


@pytest.mark.parametrize(
    ('name', 'changes', 'tau_s', 'limit'),
    [
        ('amr', {}, 0.0, 1.5),
        ('amr', {}, 0.2, 1.5),
        ('amr', {}, 0.3, 0.85),
        ('amr', {}, 0.5, 0.35),
        ('amr', {}, 1.0, None),
        ('amr', {}, math.nan, None),
        ('amr', {}, math.inf, None),
        ('amr', {}, -0.1, None),
        ('amr', {}, None, None),
        ('outdoor', {}, 0.3, 1.15),
        ('humanoid', {}, 0.2, 0.9),
        ('amr', {'v_other_mps': 1.6}, 0.1, 1.2),
    ],
)
def test_limits_are_those_of_the_specification(name, changes, tau_s, limit):
    one = robot(name, **changes)

    assert on_grid(speed_for(one, tau_s), one) == limit


@pytest.mark.skipif(SHARED is None, reason='the shared golden vectors are not here')
def test_every_shared_limit_is_met():
    for row in SHARED['v_max']:
        one = robot(row['profile'], v_other_mps=row.get('v_o', 0.0))

        assert on_grid(speed_for(one, row['tau']), one) == row['msg'], row


@pytest.mark.parametrize(
    ('v', 'limit'),
    [(1.5, 1.5), (9.0, 1.5), (1.4999, 1.45), (0.05, 0.05), (0.0499, None), (0.0, None),
     (-1.0, None), (math.nan, None)],
)  # fmt: skip
def test_a_limit_is_rounded_down_or_absent(v, limit):
    assert on_grid(v, AMR) == limit


def test_a_limit_never_exceeds_a_cap_off_the_grid_nor_undercuts_such_a_floor():
    odd = robot('amr', v_cap_mps=1.52, v_floor_mps=0.07)

    assert on_grid(1.52, odd) == 1.5
    assert on_grid(0.08, odd) == 0.07
    assert on_grid(0.069, odd) is None
    assert on_grid(0.11, odd) == 0.1
    assert on_grid(1.5, robot('amr', v_cap_mps=math.nextafter(1.5, 0.0))) < 1.5


def test_ninety_nine_percent_of_299_ages_decide():
    assert SAMPLES == 299
    made = limiter(age_ms=100)
    made.observe(300 * MS)

    for _ in range(SAMPLES - 1):
        assert made.tail_s == 0.3
        made.observe(100 * MS)
    made.observe(100 * MS)
    assert made.tail_s == 0.1


def test_the_greatest_age_of_the_window_is_found_in_any_order():
    made, ages = SpeedLimiter(AMR), []
    for k in range(2000):
        ages.append((k * 7919) % 401)
        made.observe(ages[-1] * MS)
        if k >= SAMPLES:
            assert made.tail_s == max(ages[-SAMPLES:]) / 1000


def test_few_samples_are_stretched_because_they_say_little():
    assert SpeedLimiter(AMR).tail_s is None
    assert limiter(age_ms=100, samples=1).tail_s == pytest.approx(0.1 * (1 + 298 / 299))
    assert limiter(age_ms=100, samples=150).tail_s == pytest.approx(0.1 * (1 + 149 / 299))
    assert limiter(age_ms=100, samples=299).tail_s == 0.1


def test_stretching_does_not_turn_good_data_into_a_stop():
    assert limiter(age_ms=300, samples=1).tail_s == 0.5


@pytest.mark.parametrize('age_ms', [500, 501, 600, 10**9])
def test_one_message_beyond_the_cap_asks_for_the_lowest_speed_and_not_for_a_stop(age_ms):
    made = limiter(age_ms=100)
    made.observe(age_ms * MS)

    assert made.limit(100 * MS, 0.0, 0) == 0.35


def test_an_age_from_the_future_is_no_age():
    made = SpeedLimiter(AMR)
    made.observe(-1)
    assert made.tail_s is None
    made.observe(0)
    assert made.tail_s == 0.0


def test_without_an_age_there_is_no_limit_to_publish():
    assert SpeedLimiter(AMR).limit(100 * MS, 0.0, 0) is None
    assert limiter().limit(None, 0.0, 0) is None


def test_the_first_limit_is_taken_up_at_once():
    made = SpeedLimiter(AMR)
    assert made.limit(None, 0.0, 0) is None
    for _ in range(SAMPLES):
        made.observe(100 * MS)

    assert made.limit(100 * MS, 0.0, 1) == 1.5


def test_a_stall_bites_before_it_ends():
    made = limiter(age_ms=100)

    assert made.limit(100 * MS, 0.0, 0) == 1.5
    assert made.limit(300 * MS, 0.0, 1) == 0.85
    assert made.limit(500 * MS, 0.0, 2) == 0.35
    assert made.limit(501 * MS, 0.0, 3) is None


def test_data_older_than_the_cap_has_no_speed_even_if_the_budgets_would_allow_one():
    far = robot('humanoid')

    assert on_grid(speed_for(far, 0.5), far) == 0.2
    assert limiter(far).limit(500 * MS, 0.0, 0) is None
    assert limiter(far).limit(400 * MS, 0.0, 0) is not None


def test_turning_lowers_the_limit():
    assert limiter(age_ms=200).limit(200 * MS, 0.5, 0) < 1.5


def test_the_tail_lowers_the_limit_though_the_moment_is_fine():
    assert limiter(age_ms=300).limit(50 * MS, 0.0, 0) == 0.85


def test_a_limit_rises_only_after_a_hold_and_only_by_a_step():
    made = limiter(age_ms=100)
    made.limit(100 * MS, 0.0, 0)
    assert made.limit(500 * MS, 0.0, 10 * S) == 0.35

    assert made.limit(100 * MS, 0.0, 15 * S - 1) == 0.35
    assert made.limit(100 * MS, 0.0, 15 * S) == 0.6
    assert made.limit(100 * MS, 0.0, 20 * S - 1) == 0.6
    seen = [made.limit(100 * MS, 0.0, (20 + 5 * k) * S) for k in range(6)]
    assert seen == [0.85, 1.1, 1.35, 1.5, 1.5, 1.5]


def test_the_hold_starts_again_whenever_more_speed_would_not_do():
    made = limiter(age_ms=100)
    made.limit(100 * MS, 0.0, 0)
    made.limit(300 * MS, 0.0, 1 * S)

    assert made.limit(100 * MS, 0.0, 5 * S) == 0.85
    assert made.limit(300 * MS, 0.0, 5 * S + 1) == 0.85
    assert made.limit(100 * MS, 0.0, 10 * S) == 0.85
    assert made.limit(100 * MS, 0.0, 10 * S + 1) == 1.1


def test_a_rise_stops_at_what_is_allowed():
    made = limiter(age_ms=100)
    made.limit(100 * MS, 0.0, 0)
    made.limit(500 * MS, 0.0, 0)

    assert made.limit(460 * MS, 0.0, 5 * S) == on_grid(speed_for(AMR, 0.46), AMR) == 0.4


def test_after_a_stop_the_robot_starts_slowly():
    made = limiter(age_ms=100)
    made.limit(100 * MS, 0.0, 0)
    assert made.limit(None, 0.0, S) is None

    assert made.limit(100 * MS, 0.0, 2 * S) == 0.05
    assert made.limit(100 * MS, 0.0, 6 * S - 1) == 0.05
    assert made.limit(100 * MS, 0.0, 7 * S) == 0.3
    assert made.limit(100 * MS, 0.0, 12 * S) == 0.55


def test_after_a_stop_the_first_step_reaches_the_floor():
    brisk = robot('amr', v_floor_mps=0.42)
    made = limiter(brisk, raise_step_mps=0.05)
    made.limit(100 * MS, 0.0, 0)
    made.limit(None, 0.0, 0)

    assert made.limit(100 * MS, 0.0, 5 * S) == 0.45


def test_a_changed_profile_is_used_at_once():
    made = limiter(age_ms=100)
    made.limit(100 * MS, 0.0, 0)
    made.robot = dataclasses.replace(AMR, v_cap_mps=1.0)

    assert made.limit(100 * MS, 0.0, 1) == 1.0


@pytest.mark.parametrize(
    'changes',
    [{'raise_hold_s': math.nan}, {'raise_hold_s': -1.0}, {'raise_step_mps': 0.04},
     {'raise_step_mps': 1}],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused_by_name(changes):
    with pytest.raises(ParameterError, match=next(iter(changes))):
        LimitRules(**changes)


@given(st.lists(st.tuples(st.integers(-10, 900), st.none() | st.integers(0, 700))), st.data())
def test_whatever_comes_a_limit_is_in_range_and_rises_slowly(steps, data):
    one = robot('amr', v_floor_mps=data.draw(st.sampled_from([0.05, 0.07, 0.3])))
    made, before, now_ns, raised_ns, started = SpeedLimiter(one), None, 0, None, False
    for arrival_ms, age_ms in steps:
        made.observe(arrival_ms * MS)
        now_ns += data.draw(st.integers(0, 8 * S))
        limit = made.limit(None if age_ms is None else age_ms * MS, data.draw(st.floats()), now_ns)

        if limit is not None:
            assert one.v_floor_mps <= limit <= one.v_cap_mps
            assert limit / GRID_MPS == pytest.approx(round(limit / GRID_MPS))
        if started and limit is not None and (before is None or limit > before):
            assert limit <= max((before or 0.0) + 0.25, 0.3) + 1e-9
            assert before is None or now_ns - raised_ns >= 5 * S
        if limit != before:
            raised_ns = now_ns
        started = started or limit is not None
        before = limit


def test_the_rules_given_are_the_rules_used():
    for rules, limit in ((LimitRules(raise_hold_s=1.0, raise_step_mps=0.1), 0.45), (None, 0.35)):
        made = SpeedLimiter(AMR, rules=rules)
        for _ in range(SAMPLES):
            made.observe(100 * MS)
        made.limit(100 * MS, 0.0, 0)
        made.limit(500 * MS, 0.0, 0)

        assert made.limit(100 * MS, 0.0, S) == limit
        assert made.limit(100 * MS, 0.0, 6 * S) == pytest.approx(limit + (0.1 if rules else 0.25))


@pytest.mark.parametrize('steps', range(1, 30))
def test_a_floor_on_the_grid_is_itself_the_first_step(steps):
    floor = robot('amr', v_floor_mps=round(steps * GRID_MPS, 2))
    made = limiter(floor, raise_step_mps=0.05)
    made.limit(100 * MS, 0.0, 0)
    made.limit(None, 0.0, 0)

    assert made.limit(100 * MS, 0.0, 5 * S) == floor.v_floor_mps


def test_a_slow_source_is_not_lost_among_the_messages_of_a_fast_one():
    made = SpeedLimiter(AMR)
    for k in range(3 * SAMPLES):
        made.observe(50 * MS, 'fast')
        if k % 50 == 0:
            made.observe((400 if k == 0 else 60) * MS, 'slow')

    assert made.tail_s >= 0.4


def test_a_source_is_stretched_by_its_own_count():
    made = limiter(age_ms=100)
    made.observe(60 * MS, 'slow')

    assert made.tail_s == pytest.approx(0.06 * (1 + 298 / 299))


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(20, 700), st.integers(0, 200)), max_size=60)
)
def test_a_limiter_that_knows_less_never_gives_more(steps):
    more, less, now_ns = limiter(), limiter(), 0
    for one in (more, less):
        one.limit(50 * MS, 0.0, 0)
    for step, age_ms, worse_ms in steps:
        now_ns += step * 100 * MS
        a = more.limit(age_ms * MS, 0.0, now_ns) or 0.0
        b = less.limit((age_ms + worse_ms) * MS, 0.0, now_ns) or 0.0
        assert b <= a


def test_without_a_hold_a_limit_rises_by_a_step_at_each_look():
    one = limiter(raise_hold_s=0.0)
    assert one.limit(100 * MS, 0.0, 0) == 1.5
    assert one.limit(500 * MS, 0.0, 0) == 0.35
    assert one.limit(100 * MS, 0.0, 1) == 0.6
    assert one.limit(100 * MS, 0.0, 1) == 0.85


def test_the_limit_follows_from_what_is_seen_where_the_robot_goes():
    made = limiter(age_ms=60)

    forward = made.limit(60 * MS, 0.0, 0)
    backward = made.limit(60 * MS, 0.0, 1, range_m=1.2)

    assert forward == 1.5
    assert backward == on_grid(speed_for(AMR, 0.06, range_m=1.2), AMR) < 1.1
    assert made.limit(60 * MS, 0.0, 2, range_m=0.0) is None


@pytest.mark.parametrize(
    ('cap', 'floor'), [(0.04, 0.03), (0.04, 0.001), (0.06, 0.055), (1.49, 1.46)]
)
def test_no_profile_is_stopped_by_the_rounding(cap, floor):
    slow = dataclasses.replace(AMR, v_cap_mps=cap, v_floor_mps=floor)

    limit = on_grid(cap, slow)

    assert limit is not None
    assert max(floor, 0.9 * cap) <= limit <= cap
