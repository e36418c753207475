from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.guard.timeline import Instant, Timeline

MS = 1_000_000
HORIZON = 400 * MS


def real(offset_ns=1000 * MS):
    """A timeline that has looked at the clocks once, at steady time 0."""
    timeline = Timeline(sim_time=False, horizon_ns=HORIZON)
    timeline.read(Instant(offset_ns, 0))
    return timeline


def read(timeline, mono_ns, offset_ns):
    assert timeline.read(Instant(mono_ns + offset_ns, mono_ns)) == mono_ns
    return timeline.place(0)


def test_a_stamp_is_placed_by_the_offset_of_the_clocks():
    timeline = real()

    assert timeline.place(1234 * MS) == 234 * MS


def test_a_clock_set_ahead_counts_at_once_even_between_two_buckets():
    timeline = real()

    assert read(timeline, 10 * MS, 1050 * MS) == -1050 * MS
    assert read(timeline, 20 * MS, 1060 * MS) == -1060 * MS
    assert read(timeline, 30 * MS, 1055 * MS) == -1060 * MS
    assert timeline.shift_ns == 0


def test_a_clock_set_back_counts_once_the_horizon_has_passed():
    timeline = real()
    read(timeline, 95 * MS, 1000 * MS)
    seen = [ms for ms in range(100, 800, 10) if read(timeline, ms * MS, 900 * MS) == -900 * MS]

    assert 100 + 400 < seen[0] <= 100 + 500
    assert seen == list(range(seen[0], 800, 10))


def test_the_shift_is_said_exactly_once():
    timeline, shifts = real(), []
    for ms in range(10, 1500, 10):
        read(timeline, ms * MS, 900 * MS)
        shifts.append(timeline.shift_ns)

    assert [shift for shift in shifts if shift] == [-100 * MS]


@pytest.mark.parametrize(('drop_ns', 'shift_ns'), [(MS, 0), (MS + 1, -MS - 1), (-MS, 0)])
def test_the_slewing_of_a_clock_is_not_a_step(drop_ns, shift_ns):
    timeline, shifts = real(), []
    for ms in range(10, 1500, 10):
        read(timeline, ms * MS, 1000 * MS - drop_ns)
        shifts.append(timeline.shift_ns)

    assert sum(shifts) == shift_ns


def test_what_held_before_a_long_silence_may_have_held_until_its_end():
    timeline = real()

    assert read(timeline, 5000 * MS, 900 * MS) == -1000 * MS
    assert read(timeline, 5300 * MS, 900 * MS) == -1000 * MS
    assert read(timeline, 5500 * MS, 900 * MS) == -900 * MS


steps = st.lists(
    st.tuples(st.integers(1, 150) | st.integers(1, 1200), st.integers(-3, 3)), max_size=40
)


@given(steps)
def test_the_greatest_offset_of_the_last_horizon_counts_and_little_more(steps):
    timeline, seen, now_ms, offset_ms = real(), [(0, 1000)], 0, 1000
    for step_ms, change in steps:
        now_ms, offset_ms = now_ms + step_ms, offset_ms + 50 * change
        before_ms = -timeline.place(0) / MS
        seen.append((now_ms, offset_ms))
        used_ms = -read(timeline, now_ms * MS, offset_ms * MS) / MS

        ends = [until for until, _ in seen[1:]] + [now_ms]
        held = [(until, offset) for (_, offset), until in zip(seen, ends, strict=True)]
        assert used_ms >= max(o for until, o in held if until >= now_ms - 400)
        assert used_ms <= max(o for until, o in held if until >= now_ms - 500)
        assert timeline.shift_ns == min(0, used_ms - before_ms) * MS


def test_simulated_time_is_its_own_axis():
    timeline = Timeline(sim_time=True, horizon_ns=HORIZON)

    assert timeline.read(Instant(500, 9000)) == 500
    assert timeline.place(123) == 123
    assert not timeline.rewound
    assert timeline.read(Instant(500, 9001)) == 500
    assert not timeline.rewound
    assert timeline.read(Instant(499, 9002)) == 499
    assert timeline.rewound
    assert timeline.read(Instant(600, 9003)) == 600
    assert not timeline.rewound
    assert timeline.shift_ns == 0


def test_simulated_time_stalls_from_its_last_advance():
    timeline = Timeline(sim_time=True, horizon_ns=HORIZON)
    timeline.read(Instant(500, 9000))
    timeline.read(Instant(501, 9100))
    timeline.read(Instant(501, 9150))

    assert timeline.stalled_ns(Instant(501, 9170)) == 70
    timeline.read(Instant(502, 9200))
    assert timeline.stalled_ns(Instant(502, 9200)) == 0


def test_real_time_does_not_stall():
    assert real().stalled_ns(Instant(0, 10**12)) == 0
