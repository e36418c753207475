"""What arrived is summed up as what is so, whatever the clock and the rate did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.ros.account import WINDOW, Account

MS = 1_000_000
S = 1000 * MS
EPOCH = 10**18


def account(stamps_ms, *, numbers=None, delay_ms=5, late_ms=None):
    """An input that got messages of these stamps, numbered from 1 unless said."""
    record, now = Account(0), 0
    numbers = numbers or range(1, len(stamps_ms) + 1)
    arrivals_ms = late_ms or [stamp + delay_ms for stamp in stamps_ms]
    for stamp, number, arrival in zip(stamps_ms, numbers, arrivals_ms, strict=True):
        now = round(arrival * MS)
        record.seen(now, EPOCH + round(stamp * MS), delay_ms * MS, 1000, sequence=number)
    return record.facts(now)


def steady(hz, count, *, start_ms=0):
    return [start_ms + 1000 * i / hz for i in range(count)]


def from_steps(*steps_ms):
    stamps = [0]
    for step in steps_ms:
        stamps.append(stamps[-1] + step)
    return stamps


def test_a_steady_stream_has_one_rate_and_nothing_odd():
    facts = account(steady(25, 60))

    assert (facts.rate_hz, facts.sent_hz) == pytest.approx((25.0, 25.0))
    assert (facts.missing, facts.gaps, facts.longest_gap_s) == (0.0, 0, pytest.approx(0.04))
    assert (facts.pause_s, facts.leap_s, facts.back_s) == (0.0, 0.0, 0.0)
    assert (facts.rate_before_hz, facts.interleaved, facts.clock) == (0.0, False, None)


@pytest.mark.parametrize(
    ('stamps_ms', 'hz'),
    [
        (from_steps(*[33, 50] * 60), 24.1),
        ([1000 * i / 30 + (i * 7919 % 17 - 8) for i in range(120)], 30.0),
    ],
    ids=['24 fps at 60 Hz', '8 ms of jitter'],
)
def test_uneven_intervals_are_a_rate_and_no_loss(stamps_ms, hz):
    facts = account(stamps_ms)

    assert facts.missing == 0.0
    assert facts.sent_hz == pytest.approx(hz, rel=0.02)
    assert facts.rate_before_hz == 0.0


def test_a_longer_exposure_is_another_rate():
    facts = account(steady(30, 60) + steady(15, 60, start_ms=2000))

    assert (facts.sent_hz, facts.rate_before_hz) == pytest.approx((15.0, 30.0))
    assert (facts.missing, facts.pause_s) == (0.0, 0.0)


def test_a_pause_is_a_pause():
    facts = account(steady(30, 60) + steady(30, 60, start_ms=32_000))

    assert facts.pause_s == pytest.approx(30.0, abs=0.1)
    assert (facts.missing, facts.rate_before_hz, facts.leap_s) == (0.0, 0.0, 0.0)
    assert (facts.rate_hz, facts.sent_hz) == pytest.approx((30.0, 30.0), rel=0.01)


def test_a_recording_that_starts_over_went_back():
    stamps = steady(30, 60, start_ms=60_000) + steady(30, 60)

    facts = account(stamps, late_ms=steady(30, 120))

    assert facts.back_s == pytest.approx(62.0, abs=0.1)
    assert (facts.missing, facts.pause_s) == (0.0, 0.0)
    assert facts.sent_hz == pytest.approx(30.0, rel=0.01)


def test_a_clock_that_was_set_leapt():
    stamps = steady(30, 60) + steady(30, 60, start_ms=3_600_000)

    facts = account(stamps, late_ms=steady(30, 120))

    assert facts.leap_s == pytest.approx(3598.0, abs=0.1)
    assert (facts.missing, facts.pause_s, facts.back_s) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize('rate', [0.5, 8.0])
def test_a_recording_played_faster_or_slower_has_the_pauses_it_has(rate):
    stamps = steady(30, 60) + steady(30, 60, start_ms=32_000)

    facts = account(stamps, late_ms=[stamp / rate for stamp in stamps])

    assert (facts.pause_s, facts.leap_s) == (pytest.approx(30.0, abs=0.1), 0.0)


def test_two_that_send_by_turns_are_two_and_lose_nothing():
    numbers = [n for i in range(60) for n in (i + 1, i + 500)]

    facts = account(steady(60, 120), numbers=numbers)

    assert facts.interleaved
    assert (facts.missing, facts.skipped) == (0.0, 0)


@pytest.mark.parametrize('every', [2, 30, 60, 90, 120])
@pytest.mark.parametrize('first', [3, 3000], ids=['a young one', 'an old one'])
def test_a_second_writer_that_speaks_now_and_then_is_no_loss(every, first):
    stamps, numbers, other = [], [], first
    for i in range(200):
        stamps.append(1000 * i / 30)
        numbers.append(500 + i)
        if i % every == every // 2:
            stamps.append(1000 * i / 30 + 10)
            numbers.append(other := other + 1)

    facts = account(stamps, numbers=numbers)

    assert facts.interleaved
    assert (facts.missing, facts.skipped) == (0.0, 0)


def test_what_one_of_two_writers_loses_is_still_missing():
    numbers = [n for i in range(60) for n in (500 + 2 * i, 3 + i)]

    facts = account(steady(60, 120), numbers=numbers)

    assert facts.interleaved
    assert facts.skipped == 59


def test_a_clock_that_went_wrong_is_told_by_the_newest_messages():
    record = Account(0)
    for i in range(WINDOW):
        age_ns = 5 * MS if i < WINDOW - 16 else 7200 * S
        now_ns = i * 40 * MS
        record.seen(now_ns, EPOCH + now_ns - age_ns, age_ns, 1000, sequence=i + 1)

    facts = record.facts(WINDOW * 40 * MS)

    assert 'local time' in facts.clock.remedy
    assert facts.back_s == pytest.approx(7200, abs=0.1)


@pytest.mark.parametrize(('same', 'is_frozen'), [(16, True), (15, False), (0, False)])
def test_stamps_that_stand_still_are_told(same, is_frozen):
    stamps = steady(25, 40)
    stamps += [stamps[-1]] * same

    assert account(stamps, late_ms=steady(25, 40 + same)).is_frozen is is_frozen


def test_a_driver_that_starts_again_is_still_one():
    numbers = [*range(100, 160), *range(1, 61)]

    facts = account(steady(30, 120), numbers=numbers)

    assert not facts.interleaved
    assert facts.missing == 0.0


def test_what_the_writer_numbered_and_did_not_come_is_missing():
    numbers = [n for n in range(1, 101) if n % 10 not in (3, 4, 5)]

    facts = account([40 * n for n in numbers], numbers=numbers)

    assert facts.missing == pytest.approx(0.3, abs=0.01)
    assert (facts.gaps, facts.skipped) == (10, 30)
    assert (facts.sent_hz, facts.rate_hz) == pytest.approx((25.0, 17.5), rel=0.03)
    assert (facts.rate_before_hz, facts.pause_s) == (0.0, 0.0)


def test_frames_lost_for_a_while_are_missing_and_no_pause():
    numbers = [*range(1, 60), *range(200, 260)]

    facts = account([40 * n for n in numbers], numbers=numbers)

    assert facts.pause_s == 0.0
    assert facts.missing == pytest.approx(140 / 259)


def test_without_numbers_the_middlewares_word_counts():
    record = Account(0)
    for i in range(50):
        record.seen(i * 40 * MS, EPOCH + i * 40 * MS, MS, 1000)
        if i % 10 == 9:
            record.lose(2)

    facts = record.facts(2 * S)

    assert (facts.newly_lost, facts.lost, facts.is_counted) == (10, 10, True)
    assert facts.missing == pytest.approx(10 / 60)


def test_losses_of_long_ago_are_not_counted_as_new():
    record = Account(0)
    record.lose(500)
    for i in range(200):
        record.seen(i * 40 * MS, EPOCH + i * 40 * MS, MS, 1000)

    facts = record.facts(8 * S)

    assert (facts.lost, facts.newly_lost, facts.missing) == (500, 0, 0.0)


def test_where_nobody_counts_nothing_is_known_of_losses():
    record = Account(0)
    for i in (1, 2, 9, 10):
        record.seen(i * 40 * MS, EPOCH + i * 40 * MS, MS, 1000)

    facts = record.facts(400 * MS)

    assert (facts.missing, facts.is_counted) == (0.0, False)
    assert facts.values()['missing_percent'] == 'n/a'


def test_messages_in_the_wrong_order_are_counted_and_not_missing():
    swapped = [40 * (i + (1, -1)[i % 2 == 0]) for i in range(1, 101)]

    facts = account(swapped)

    assert (facts.missing, facts.disordered, facts.back_s) == (0.0, 50, 0.0)
    assert facts.sent_hz == pytest.approx(25.0, rel=0.03)


def test_repeated_and_reversed_stamps_are_counted():
    facts = account([40, 80, 80, 120, 60, 160])

    assert (facts.disordered, facts.received) == (2, 6)


def test_what_has_no_stamp_is_counted_and_spoils_nothing():
    record = Account(0)
    for i in range(40):
        stamp = 0 if i % 4 == 0 else EPOCH + i * 40 * MS
        record.seen(i * 40 * MS, stamp, 5 * MS if stamp else 0, 1000, sequence=i + 1)

    facts = record.facts(1600 * MS)

    assert (facts.received, facts.unstamped, facts.missing) == (40, 10, 0.0)
    assert facts.sent_hz == pytest.approx(25.0, rel=0.35)
    assert facts.clock is None


def test_only_stampless_messages_are_no_silence():
    record = Account(0)
    record.seen(S, 0, 0, 1000, sequence=1)

    facts = record.facts(S + 100 * MS)

    assert (facts.received, facts.unstamped, facts.silent_s) == (1, 1, 0.1)


def test_one_stamp_from_the_future_is_not_forgotten_with_the_next():
    record = Account(0)
    for i, age_ms in enumerate([5, 5, -3, 5]):
        record.seen(i * 40 * MS, EPOCH + i * 40 * MS, age_ms * MS, 1000)

    assert record.facts(200 * MS).clock.words == 'stamped 3.0 ms in the future'


def test_one_message_that_waited_long_has_no_other_clock():
    record = Account(0)
    for i, age_s in enumerate([0, 60, 0, 0]):
        record.seen(i * 40 * MS, EPOCH + i * 40 * MS, age_s * S, 1000)

    facts = record.facts(200 * MS)

    assert (facts.clock, facts.worst_age_s) == (None, 60.0)


def test_ages_no_message_can_have_are_another_clock():
    record = Account(0)
    for i in range(4):
        record.seen(i * 40 * MS, i * 40 * MS + 1, EPOCH, 1000)

    assert 'since this computer started' in record.facts(200 * MS).clock.remedy


def test_the_facts_are_text_for_diagnostics():
    assert account(steady(25, 60)).values() == {
        'received': '60',
        'rate_hz': '25.0',
        'sent_hz': '25.0',
        'missing_percent': '0.0',
        'gaps': '0',
        'longest_gap_ms': '40.0',
        'age_ms': '5.0',
        'least_age_ms': '5.0',
        'worst_age_ms': '5.0',
        'silent_ms': '0',
        'lost': '0',
        'unstamped': '0',
        'disordered': '0',
        'message_bytes': '1000',
    }


@given(kept=st.lists(st.booleans(), min_size=60, max_size=400))
def test_the_missing_share_is_what_was_dropped_before_any_but_the_newest(kept):
    numbers = [i + 1 for i, arrives in enumerate(kept) if arrives][-WINDOW:]
    if len(numbers) < 2:
        return

    facts = account([40 * n for n in numbers], numbers=numbers)

    sent = numbers[-2] - numbers[0] + 2  # what the newest leaves out counts with the next one
    assert facts.missing == pytest.approx(1.0 - len(numbers) / sent)


def test_the_first_number_of_another_writer_is_no_loss_before_the_next_message_nor_after_it():
    numbers = [*range(100, 140), 9000]

    for sent in (numbers, [*numbers, 140], [*numbers, 140, 9001]):
        facts = account([40 * i for i in range(len(sent))], numbers=sent)
        assert (facts.missing, facts.skipped, facts.is_numbered) == (0.0, 0, True)


@given(
    messages=st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**62)), max_size=300)
)
def test_no_stamps_and_numbers_however_odd_upset_the_account(messages):
    record = Account(0)
    for i, (stamp, number) in enumerate(messages):
        record.seen(i, stamp, -stamp, 1000, sequence=number)

    facts = record.facts(len(messages))

    assert facts.received == len(messages)
    assert 0.0 <= facts.missing <= 1.0
