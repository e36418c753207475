"""Due times and stamps follow one line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.replay.schedule import Schedule

TIMES = st.integers(0, 4 * 10**18)


@settings(deadline=None)
@given(TIMES, TIMES, TIMES)
def test_at_rate_one_stamps_move_by_exactly_the_same_amount(first, start, at):
    schedule = Schedule(first, start)

    assert schedule.now_ns(at) - at == start - first
    assert schedule.bag_ns(schedule.now_ns(at)) == at


@settings(deadline=None)
@given(st.integers(0, 10**13), st.floats(0.1, 10.0))
def test_the_inverse_is_within_the_rounding_of_the_rate(span, rate):
    schedule = Schedule(10**18, 2 * 10**18, rate)

    back = schedule.bag_ns(schedule.now_ns(10**18 + span))

    assert abs(back - 10**18 - span) <= 1 + rate


@pytest.mark.parametrize(('rate', 'due_s'), [(1.0, 3.0), (2.0, 1.5), (0.5, 6.0)])
def test_a_faster_rate_is_due_sooner(rate, due_s):
    schedule = Schedule(10**9, 0, rate)

    assert schedule.due_s(4 * 10**9) == pytest.approx(due_s)
    assert schedule.now_ns(4 * 10**9) == pytest.approx(due_s * 1e9)


def test_the_age_a_message_had_when_recorded_is_kept():
    schedule = Schedule(first_ns=1000, start_ns=9_000_000)
    received_ns, stamp_ns = 5000, 4200

    due_ns = schedule.now_ns(received_ns)

    assert due_ns - schedule.now_ns(stamp_ns) == received_ns - stamp_ns
