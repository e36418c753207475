"""An input that fares badly is told from one that fares well, with the remedy that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.core.types import Level
from edge_inference_ros.ros.inputs import WINDOW, Ends, Input

MS = 1_000_000
PERIOD = 40 * MS
BIG, SMALL = 921_600, 2_000
ONE = Ends(writers=1)


def received(frames, *, delay=5 * MS, size=BIG, expected_hz=0.0, lag=0):
    """An input that got the frames numbered ``frames`` of a 25 Hz stream; and the time then."""
    record = Input('/image', '/opt/shm.xml', 0, expected_hz=expected_hz)
    now = 0
    for frame in frames:
        now = frame * PERIOD + delay
        record.seen(now, 10**18 + frame * PERIOD, delay, size)
    return record, now + lag


def judged(frames, ends=ONE, **how):
    record, now = received(frames, **how)
    facts = record.facts(now)
    return record.judge(facts, ends), facts


def test_a_steady_stream_is_fine_and_its_rate_is_learned():
    verdict, facts = judged(range(1, 60))

    assert verdict == (Level.OK, '/image at 25.0 Hz', '')
    assert (facts.rate_hz, facts.expected_hz) == pytest.approx((25.0, 25.0))
    assert (facts.missing, facts.gaps, facts.longest_gap_s) == (0.0, 0, 0.04)
    assert facts.age_s == pytest.approx(0.005)


def test_big_messages_going_missing_blame_the_transport_of_their_publisher():
    frames = [frame for frame in range(1, 101) if frame % 10 not in (3, 4, 5)]

    verdict, facts = judged(frames)

    assert facts.missing == pytest.approx(0.3, abs=0.01)
    assert facts.gaps == 10
    assert verdict.level == Level.ERROR
    assert verdict.message.startswith('30 % of /image is missing: 17.')
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE=/opt/shm.xml' in verdict.remedy


def test_small_messages_going_missing_blame_the_load():
    verdict, _ = judged([frame for frame in range(1, 101) if frame % 10], size=SMALL)

    assert verdict.level == Level.WARN
    assert 'overloaded' in verdict.remedy
    assert 'FASTRTPS' not in verdict.remedy


def test_three_in_a_hundred_are_noticed_when_the_rate_was_told():
    verdict, facts = judged(range(1, 400, 33), expected_hz=25.0)

    assert verdict.level == Level.ERROR
    assert facts.missing == pytest.approx(32 / 33, abs=0.01)
    assert facts.longest_gap_s == pytest.approx(33 * 0.04)


def test_the_rate_is_learned_where_nothing_is_missing():
    frames = [frame for frame in range(1, 200) if frame % 7 in (1, 2, 5)]  # gaps of 1, 3 and 3

    _, facts = judged(frames)

    assert facts.expected_hz == pytest.approx(25.0)
    assert facts.missing == pytest.approx(4 / 7, abs=0.01)


def test_what_arrives_out_of_order_is_not_missing():
    swapped = [frame + (1, -1)[frame % 2 == 0] for frame in range(1, 101)]

    _, facts = judged(swapped, expected_hz=25.0)

    assert (facts.missing, facts.disordered) == (0.0, 50)


def test_a_driver_that_sends_slowly_is_not_called_loss():
    verdict, facts = judged(range(1, 60), expected_hz=28.0)

    assert facts.missing == 0.0
    assert verdict.level == Level.WARN
    assert verdict.message == '/image arrives at 25.0 of 28.0 Hz'


@pytest.mark.parametrize(
    ('ends', 'words'),
    [
        (Ends(0), 'nobody publishes it'),
        (Ends(1), 'though it is published; its publisher probably uses the default transport'),
        (Ends(0, ('sensor_msgs/msg/CompressedImage',)), 'it carries sensor_msgs/msg/Compressed'),
    ],
)
def test_silence_from_the_start_names_its_likeliest_cause(ends, words):
    record = Input('/image', '/opt/shm.xml', 0)

    verdict = record.judge(record.facts(3_000 * MS), ends)

    assert verdict.level == Level.ERROR
    assert str(verdict).startswith('nothing on /image for 3.0 s')
    assert words in str(verdict)


def test_a_driver_is_given_time_for_its_first_word():
    record = Input('/image', '/opt/shm.xml', 0)

    assert record.judge(record.facts(1_000 * MS), Ends(0)) == (Level.OK, 'waiting for /image', '')


def test_a_stream_that_stops_is_noticed():
    verdict, facts = judged(range(1, 60), Ends(0), lag=2_500 * MS)

    assert facts.silent_s == 2.5
    assert 'nothing on /image for 2.5 s; nobody publishes it' in str(verdict)


def test_a_slow_stream_is_not_silent_between_two_messages():
    record = Input('/scan', '/opt/shm.xml', 0)
    for i in range(1, 20):
        record.seen(i * 1_000 * MS, 10**18 + i * 1_000 * MS, MS, SMALL)

    assert record.judge(record.facts(21_500 * MS), ONE).level == Level.OK


def test_a_stamp_from_the_future_is_a_fault_of_clocks():
    verdict, facts = judged(range(1, 60), delay=-20 * MS)

    assert facts.age_s == -0.02
    assert verdict.level == Level.ERROR
    assert verdict.message == '/image is stamped 20.0 ms in the future'
    assert 'chrony' in verdict.remedy


def test_one_stamp_from_the_future_is_not_forgotten_with_the_next():
    record, now = received(range(1, 60))
    record.seen(now + PERIOD, 10**18 + 60 * PERIOD, -3 * MS, BIG)
    record.seen(now + 2 * PERIOD, 10**18 + 61 * PERIOD, 5 * MS, BIG)

    facts = record.facts(now + 2 * PERIOD)

    assert record.judge(facts, ONE).message == '/image is stamped 3.0 ms in the future'


def test_jitter_of_a_fifth_of_the_period_is_not_loss():
    record = Input('/image', '/opt/shm.xml', 0)
    for i in range(1, 100):
        stamp = i * PERIOD + (i * 7919) % 17 * PERIOD // 85
        record.seen(stamp, stamp, 0, BIG)

    facts = record.facts(100 * PERIOD)

    assert facts.missing == 0.0
    assert facts.expected_hz == pytest.approx(25.0, rel=0.1)


def test_repeated_and_reversed_stamps_are_counted():
    record, now = received([1, 2, 2, 3, 1, 4])

    facts = record.facts(now)

    assert facts.disordered == 2
    assert facts.received == 6


def test_what_the_middleware_lost_adds_up():
    record, now = received(range(1, 10))

    record.lose(2)
    record.lose(3)

    assert record.facts(now).lost == 5


def test_the_facts_are_text_for_diagnostics():
    _, facts = judged(range(1, 60))

    assert facts.values() == {
        'received': '59',
        'rate_hz': '25.0',
        'expected_hz': '25.0',
        'missing_percent': '0.0',
        'gaps': '0',
        'longest_gap_ms': '40.0',
        'age_ms': '5.0',
        'least_age_ms': '5.0',
        'worst_age_ms': '5.0',
        'silent_ms': '0',
        'lost': '0',
        'disordered': '0',
        'message_bytes': '921600',
    }


@given(kept=st.lists(st.booleans(), min_size=60, max_size=400))
def test_the_missing_share_is_what_was_dropped_between_the_first_and_the_last(kept):
    frames = [i + 1 for i, arrives in enumerate(kept) if arrives][-WINDOW:]
    if len(frames) < 2:
        return

    record, now = received(frames, expected_hz=25.0)
    facts = record.facts(now)

    sent = frames[-1] - frames[0] + 1
    assert facts.missing == pytest.approx(1.0 - len(frames) / sent)


@given(stamps=st.lists(st.integers(-(2**62), 2**62), max_size=300))
def test_no_stamps_however_odd_upset_the_account(stamps):
    record = Input('/image', '/opt/shm.xml', 0)
    for i, stamp in enumerate(stamps):
        record.seen(i, stamp, -stamp, SMALL)

    facts = record.facts(len(stamps))
    record.judge(facts, ONE)

    assert facts.received == len(stamps)
    assert 0.0 <= facts.missing <= 1.0
