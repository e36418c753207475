from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.guard.timeline import LEAP_NS, LONGEST_FLIGHT_NS, Instant, Timeline

MS = 1_000_000
S = 1_000_000_000


class Clocks:
    """A timeline, one source, and the two clocks; milliseconds throughout."""

    def __init__(self, *, ahead=1000, heard=True):
        self.timeline = Timeline(sim_time=False, skew_ns=5 * MS)
        self.track = self.timeline.track()
        self.now, self.ahead = 0, ahead
        self.look(0)
        if heard:
            self.hear(self.now + ahead)

    def look(self, ms=10):
        self.now += ms
        mono_ns = round(self.now * MS)
        assert self.timeline.read(Instant(mono_ns + round(self.ahead * MS), mono_ns)) == mono_ns

    def place(self, stamp):
        return self.timeline.place(round(stamp * MS), self.track) / MS

    def hear(self, stamp):
        place = self.place(stamp)
        self.track.came(round(place * MS))
        return place

    def age(self, stamp):
        return self.now - self.hear(stamp)


def test_a_stamp_is_placed_by_the_offset_of_the_clocks():
    assert Clocks().place(1234) == 234


def test_a_clock_set_ahead_counts_at_once():
    clocks = Clocks()
    clocks.ahead += 50
    clocks.look()

    assert clocks.place(1000) == -50


@pytest.mark.parametrize('flight', [20, 660, 5_000, 50_000, 3_600_000])
def test_what_was_on_its_way_while_the_clock_was_set_back_is_never_read_as_younger(flight):
    clocks = Clocks()
    stamp = clocks.now + clocks.ahead
    clocks.look()
    clocks.ahead -= 600
    for _ in range(10):
        clocks.look(flight / 10)

    assert clocks.age(stamp) == pytest.approx(flight + 10)


def test_a_stamp_before_the_last_one_is_of_the_new_time():
    clocks = Clocks()
    clocks.look(100)
    clocks.hear(clocks.now + clocks.ahead)
    clocks.ahead -= 600
    clocks.look(33)

    assert clocks.age(clocks.now + clocks.ahead - 10) == 10
    assert clocks.track.turns == 1
    assert clocks.age(clocks.now + clocks.ahead - 20) == 20


def test_a_stamp_that_would_be_later_than_the_step_is_of_the_new_time():
    clocks = Clocks()
    clocks.look(10)
    clocks.ahead -= 20
    clocks.look(10)
    assert clocks.age(clocks.now + clocks.ahead) == 20
    clocks.look(20)
    assert clocks.age(clocks.now + clocks.ahead) == 20
    clocks.look(1)

    assert clocks.age(clocks.now + clocks.ahead) == 0
    assert clocks.track.turns == 1


@pytest.mark.parametrize('rubbish', [0, 12_345, 10**9])
def test_rubbish_shows_nothing_about_the_clock(rubbish):
    clocks = Clocks(ahead=10**6)
    clocks.look(100)
    stamp = clocks.now + clocks.ahead
    clocks.ahead -= 600
    clocks.look(660)

    clocks.place(rubbish)

    assert clocks.track.turns == 0
    assert clocks.age(stamp) == 660


def test_one_source_shows_nothing_about_another():
    clocks = Clocks()
    other = clocks.timeline.track()
    other.came(0)
    stamp = clocks.now + clocks.ahead + 10
    clocks.look(33)
    clocks.hear(clocks.now + clocks.ahead)
    clocks.ahead -= 700
    clocks.look(660)
    clocks.hear(clocks.now + clocks.ahead)

    assert clocks.track.turns == 1
    assert clocks.timeline.place(stamp * MS, other) == 10 * MS


def test_a_repeated_stamp_is_of_the_time_it_was_of():
    clocks = Clocks()
    stamp = clocks.now + clocks.ahead
    clocks.look(10)
    clocks.ahead -= 50
    clocks.look(100)

    assert clocks.place(stamp) == 0
    assert clocks.track.turns == 0


def test_two_steps_back_are_both_remembered():
    clocks = Clocks()
    stamp = clocks.now + clocks.ahead
    for _ in range(2):
        clocks.look(40)
        clocks.ahead -= 100
        clocks.look(60)

    assert clocks.age(stamp) == 200
    assert clocks.age(clocks.now + clocks.ahead - 10) == 110
    assert clocks.track.turns == 1
    clocks.look(101)
    assert clocks.age(clocks.now + clocks.ahead - 5) == 105
    assert clocks.age(clocks.now + clocks.ahead) == 0
    assert clocks.track.turns == 2


@pytest.mark.parametrize('steps', [30, 31])
def test_more_steps_than_are_kept_become_one_that_reads_no_younger(steps):
    clocks = Clocks()
    stamp = clocks.now + clocks.ahead
    for _ in range(steps):
        clocks.ahead -= 10
        clocks.look(10)

    assert len(clocks.track.eras) == 8
    assert clocks.age(stamp) == 10 * steps


def set_back(clocks, *, since=33.0):
    """Set the clock back by 600 ms and look again ``since`` later."""
    clocks.ahead -= 600
    clocks.look(since)


@pytest.mark.parametrize(('rise', 'age'), [(0.5, 10), (1.0, 10), (1.000001, 610)])
def test_more_than_a_millisecond_is_a_clock_set_ahead_and_less_is_none(rise, age):
    """A source not heard since it was set ahead may have anything on its way from before."""
    clocks = Clocks()
    clocks.look(10)
    clocks.ahead += rise
    clocks.look(10)
    set_back(clocks)

    assert clocks.age(clocks.now + clocks.ahead - 10) == pytest.approx(age, abs=1.1)


@pytest.mark.parametrize(('after', 'age'), [(0.0, 10), (-0.000001, 610)])
def test_a_source_heard_at_the_very_moment_of_the_step_ahead_is_heard_since(after, age):
    clocks = Clocks()
    clocks.look(10)
    clocks.ahead += 50
    clocks.look(10)
    clocks.track.forget()
    clocks.hear(clocks.now + clocks.ahead + after)
    set_back(clocks)

    assert clocks.age(clocks.now + clocks.ahead - 10) == pytest.approx(age)


@pytest.mark.parametrize(('before', 'ruled_out'), [(1.0, False), (1.000001, True)])
def test_an_older_reading_a_millisecond_before_what_was_sent_is_ruled_out(before, ruled_out):
    clocks = Clocks()
    clocks.look(100)
    clocks.hear(clocks.now + clocks.ahead)
    place = clocks.now
    old = clocks.ahead
    set_back(clocks, since=700.0)
    clocks.hear(place - before + old)

    assert clocks.track.turns == ruled_out


@pytest.mark.parametrize(
    ('age', 'shows'), [(-5.0, True), (-5.000001, False), (10_000.0, True), (10_000.000001, False)]
)
def test_only_what_is_plausible_in_the_new_time_shows_it(age, shows):
    clocks = Clocks()
    clocks.look(11_000)
    clocks.hear(clocks.now + clocks.ahead)
    set_back(clocks)
    clocks.hear(clocks.now + clocks.ahead - age)

    assert clocks.track.turns == shows


def test_a_clock_set_back_and_ahead_again_leaves_nothing_behind():
    clocks = Clocks()
    clocks.ahead -= 50
    clocks.look()
    assert clocks.track.eras
    clocks.ahead += 50
    clocks.look()

    assert not clocks.track.eras
    assert clocks.age(clocks.now + clocks.ahead) == 0


@pytest.mark.parametrize(('drop', 'read'), [(1.0, 1000), (1.000001, 998.999999)])
def test_a_millisecond_is_the_reading_of_the_clocks_and_no_step(drop, read):
    clocks = Clocks(heard=False)
    clocks.ahead -= drop
    clocks.look()

    assert len(clocks.track.eras) == (drop > 1.0)
    clocks.track.forget()
    assert clocks.place(read) == 0


def test_a_thread_held_up_between_the_clocks_makes_nothing_younger():
    clocks = Clocks()
    clocks.look()
    clocks.ahead -= 30
    clocks.look()
    stamp = clocks.now + 1000 - 10
    assert clocks.age(stamp) == 10
    clocks.ahead += 30
    clocks.look()

    assert clocks.age(clocks.now + 1000) == 0


def test_a_slow_correction_holds_the_greatest_offset_for_about_a_second():
    clocks, seen = Clocks(), []
    for _ in range(30):
        clocks.ahead -= 0.05
        clocks.look(100)
        seen.append(1000 - clocks.place(1000) - clocks.ahead)

    assert not clocks.track.eras
    assert max(seen) <= 0.05 * 13
    assert min(seen[12:]) >= 0.05 * 9


def test_what_held_before_a_long_silence_may_have_held_until_its_end():
    clocks = Clocks()
    clocks.ahead -= 0.9
    clocks.look(5000)

    assert clocks.place(1000) == 0
    clocks.look(1300)
    assert clocks.place(1000) == pytest.approx(0.9)


@pytest.mark.parametrize(('beyond', 'turns'), [(0, 0), (1, 1)])
def test_a_source_that_was_never_heard_is_no_more_than_a_minute_late(beyond, turns):
    clocks = Clocks(ahead=10**7, heard=False)
    clocks.ahead -= LONGEST_FLIGHT_NS / MS + beyond
    clocks.look()
    clocks.look()
    clocks.hear(clocks.now + clocks.ahead)

    assert clocks.track.turns == turns


def test_the_newest_stamp_is_remembered_whatever_comes_after_it():
    clocks = Clocks()
    clocks.track.came(70)
    clocks.track.came(60)

    assert clocks.track.place_ns == 70


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(-900, 300)), min_size=1, max_size=12),
    st.lists(st.integers(0, 1200), min_size=12, max_size=12),
)
def test_messages_in_order_are_never_read_as_younger_than_they_are(steps, flights):
    clocks = Clocks(ahead=10**6)
    waiting, arrived = [], 0
    for (ms, change), flight in zip(steps, flights, strict=False):
        arrived = max(arrived, clocks.now + flight)
        waiting.append((arrived, clocks.now, clocks.now + clocks.ahead))
        clocks.ahead += change
        clocks.look(ms)
        while waiting and waiting[0][0] <= clocks.now:
            _, captured, stamp = waiting.pop(0)
            assert clocks.hear(stamp) <= captured


def test_simulated_time_is_its_own_axis():
    timeline = Timeline(sim_time=True)
    track = timeline.track()

    assert timeline.read(Instant(500, 9000)) == 500
    assert timeline.place(123, track) == 123
    assert not timeline.rewound
    assert timeline.read(Instant(500, 9001)) == 500
    assert not timeline.rewound
    track.came(480)
    assert timeline.read(Instant(499, 9002)) == 499
    assert timeline.rewound
    assert track.place_ns is None
    assert timeline.read(Instant(600, 9003)) == 600
    assert not timeline.rewound


def test_in_simulation_a_step_of_the_clock_is_no_future():
    timeline = Timeline(sim_time=True, skew_ns=5 * MS)
    seen = []
    for k in range(12):
        step_ns = 100 * MS if k < 2 else 10 * MS
        timeline.read(Instant(S + k * S + step_ns, 0))
        timeline.read(Instant(S + k * S + 2 * step_ns, 0))
        seen.append(timeline.tolerance_ns())

    # The leaps of nearly a second between them count as long as any other step.
    assert seen[0] == 100 * MS
    assert seen[-1] == 990 * MS
    timeline.read(Instant(1, 0))
    assert timeline.tolerance_ns() == 5 * MS


def test_in_simulation_the_greatest_of_the_last_eight_steps_is_tolerated():
    timeline, now_ns, seen = Timeline(sim_time=True, skew_ns=5 * MS), 0, []
    for step_ns in (100 * MS, LEAP_NS + 1, *[20 * MS] * 7, 0, 20 * MS, 3 * MS):
        now_ns += step_ns
        timeline.read(Instant(now_ns, 0))
        seen.append(timeline.tolerance_ns() // MS)

    # The first reading is no step, a leap is none, and standing still is none either.
    assert seen == [5, 5, *[20] * 10]
    for _ in range(8):
        now_ns += 3 * MS
        timeline.read(Instant(now_ns, 0))
    assert timeline.tolerance_ns() == 5 * MS


def test_in_simulation_reading_the_same_time_again_is_no_step():
    timeline = Timeline(sim_time=True)
    timeline.read(Instant(S, 0))
    assert timeline.tolerance_ns() == 0
    timeline.read(Instant(S + 1, 0))
    assert timeline.tolerance_ns() == 1
    for _ in range(20):
        timeline.read(Instant(S + 1, 0))

    assert timeline.tolerance_ns() == 1


@pytest.mark.parametrize(('step_ns', 'tolerated_ns'), [(LEAP_NS, LEAP_NS), (LEAP_NS + 1, 0)])
def test_in_simulation_a_step_of_a_second_is_the_longest(step_ns, tolerated_ns):
    timeline = Timeline(sim_time=True)
    timeline.read(Instant(S, 0))
    timeline.read(Instant(S + step_ns, 0))

    assert timeline.tolerance_ns() == tolerated_ns


def test_where_time_is_real_the_tolerance_is_the_rule():
    clocks = Clocks()
    clocks.look(400)

    assert clocks.timeline.tolerance_ns() == 5 * MS


def test_simulated_time_stalls_from_its_last_advance():
    timeline = Timeline(sim_time=True)
    timeline.read(Instant(500, 9000))
    timeline.read(Instant(501, 9100))
    timeline.read(Instant(501, 9150))

    assert timeline.stalled_ns(Instant(501, 9170)) == 70
    timeline.read(Instant(502, 9200))
    assert timeline.stalled_ns(Instant(502, 9200)) == 0


def test_real_time_does_not_stall():
    assert Clocks().timeline.stalled_ns(Instant(0, 10**12)) == 0
