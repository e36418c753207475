"""Figures exist only where samples do, and the stalled frames are counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.replay.figures import (
    Observed,
    Output,
    accounting,
    corrected_ms,
    guarded,
    in_ms,
    rhythm,
    row,
    table,
)

MS = 1_000_000


def outputs(*pairs):
    """(stamp in ms, latency in ms) each."""
    return tuple(
        Output(stamp * MS, {'sensor_to_output': float(late), 'infer': late / 2})
        for stamp, late in pairs
    )


@pytest.mark.parametrize(
    ('count', 'known'),
    [(0, 0), (4, 0), (5, 1), (58, 1), (59, 2), (298, 2), (299, 3), (1000, 3)],
)
def test_a_quantile_exists_from_the_sample_on_that_bounds_it(count, known):
    found = row('infer', [1.0] * count)

    assert [q is not None for q in found.quantiles_ms] == [True] * known + [False] * (3 - known)
    assert (found.max_ms is None) == (count == 0)


def test_quantiles_are_samples_that_occurred():
    found = row('infer', [float(v) for v in range(1, 301)])

    assert found.quantiles_ms == (151.0, 286.0, 298.0)
    assert found.max_ms == 300.0


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=40, unique=True),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 900)), max_size=40),
)
def test_correction_agrees_with_asking_frame_by_frame(expected, pairs):
    seen = Observed(tuple(sorted(ns * MS for ns in expected)), outputs(*pairs))

    slow = []
    for frame in sorted(expected):
        later = [stamp + late for stamp, late in pairs if stamp >= frame]
        if later:
            slow.append(float(min(later) - frame))

    assert corrected_ms(seen) == pytest.approx(slow)


def test_a_stall_is_one_bad_frame_raw_and_many_corrected():
    period, stall = 33, range(300, 360)
    frames = [i * period for i in range(600)]
    kept = [(ns, 20) for i, ns in enumerate(frames) if i not in stall]
    seen = Observed(tuple(ns * MS for ns in frames), outputs(*kept))

    raw, corrected = table(seen)[:2]

    assert raw.quantiles_ms[2] == 20.0
    assert corrected.stage == 'sensor_to_output, corrected'
    assert corrected.samples == 600
    assert corrected.quantiles_ms[2] > 1500.0


def test_the_whole_comes_first_and_unknown_stages_last():
    seen = Observed((), (Output(1, {'zebra': 1.0, 'infer': 1.0, 'sensor_to_output': 2.0}),))

    assert [r.stage for r in table(seen)] == ['sensor_to_output', 'infer', 'zebra']


@pytest.mark.parametrize(
    ('counts', 'published', 'adds_up', 'lost', 'waiting'),
    [
        ({'received': 10, 'superseded': 2, 'rejected': 1, 'failed': 1, 'done': 6}, 12, True, 2, 0),
        ({'received': 10, 'superseded': 2, 'rejected': 1, 'failed': 0, 'done': 6}, 12, True, 2, 1),
        (
            {'received': 10, 'superseded': 2, 'rejected': 0, 'failed': 0, 'done': 6},
            12,
            False,
            2,
            2,
        ),
        ({'received': 10, 'superseded': 5, 'done': 6}, 12, False, 2, -1),
        ({'received': 13, 'done': 13}, 12, False, -1, 0),
    ],
)
def test_frames_in_are_frames_out(counts, published, adds_up, lost, waiting):
    found = accounting(Observed(tuple(range(published)), (), counts))

    assert (found.adds_up, found.lost, found.waiting) == (adds_up, lost, waiting)


def test_without_the_final_word_outputs_are_counted_and_nothing_is_guessed():
    found = accounting(Observed((), outputs((0, 5), (10, 5)), {'received': 2}))

    assert (found.detected, found.published, found.lost) == (2, None, None)
    assert found.adds_up


def test_rhythm_of_an_even_stream_is_even():
    frames = [i * 100 for i in range(400)]
    seen = Observed(tuple(ns * MS for ns in frames), outputs(*((ns, 30) for ns in frames)))

    found = rhythm(seen)

    assert found.period_ms == pytest.approx(100)
    assert found.jitter_ms == pytest.approx(0)
    assert found.spread_ms == pytest.approx(0)
    assert found.longest_gap_ms == pytest.approx(100)
    assert found.data_age_ms == pytest.approx(130)  # T + C
    assert found.reaction_ms == pytest.approx(130)


def test_the_longest_gap_is_between_predictions_that_may_be_used():
    seen = Observed(
        (), outputs((0, 1), (100, 1), (200, 1)), forwarded_ns=((0, 1 * MS), (200 * MS, 201 * MS))
    )

    assert rhythm(seen).longest_gap_ms == pytest.approx(200)


def test_rhythm_of_nothing_is_unknown():
    assert set(vars(rhythm(Observed((), ()))).values()) == {None}


def test_refusals_are_counted_by_verdict_and_silence_is_not_a_refusal():
    verdicts = {'OK': 90, 'NO_ODOM': 4, 'STALE_AGE': 5, 'REPEATED': 1, 'NONEWDATA': 700}
    seen = Observed(tuple(range(110)), (), verdicts=verdicts)

    found = guarded(seen)

    assert (found.judged, found.forwarded) == (100, 94)
    assert found.refused == {'STALE_AGE': 5, 'REPEATED': 1}
    assert found.miss_ratio == pytest.approx(16 / 110)


def test_no_watchdog_is_not_a_watchdog_that_refused_nothing():
    assert guarded(Observed((), ())) is None


@pytest.mark.parametrize(('value', 'text'), [(None, 'n/a'), (np.nan, 'n/a'), (1.26, '1.3 ms')])
def test_what_is_unknown_has_no_unit(value, text):
    assert in_ms(value) == text
