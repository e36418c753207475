"""Laps leave no gaps."""

from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.core.latency import Stopwatch


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=10), st.integers(0, 10**12))
def test_the_laps_add_up_to_the_whole(gaps_ns, start_ns):
    instants = [start_ns + sum(gaps_ns[: i + 1]) for i in range(len(gaps_ns))]
    clock = iter(instants)
    watch = Stopwatch(start_ns, lambda: next(clock))

    for i in range(len(gaps_ns)):
        watch.lap(f'stage{i}')

    assert [lap_ns for _, lap_ns in watch.read().laps_ns] == gaps_ns
    assert watch.read().total_ns == instants[-1] - start_ns


def test_a_reading_is_not_changed_by_later_laps():
    watch = Stopwatch(0, iter([5, 7]).__next__)
    watch.lap('a')
    reading = watch.read()

    watch.lap('b')

    assert reading.laps_ns == (('a', 5),)
