from __future__ import annotations

import random

import pytest

from edge_inference_ros.guard.drift import Drift

MS = 1_000_000
S = 1_000_000_000


def run(drift, seconds, *, ppm=0.0, extra_ms=lambda _: 0.0, start_s=0, seed=0):
    """Messages at 30 Hz with an age of 60 ms and more; the first second that shows a drift."""
    draw = random.Random(seed)
    for k in range(seconds * 30):
        t_s = start_s + k / 30
        late_ms = 60 + draw.expovariate(1 / 5.0) + ppm * t_s / 1000 + extra_ms(t_s)
        drift.observe(round(late_ms * MS), round(t_s * S))
        if drift.ppm is not None:
            return t_s
    return None


@pytest.mark.parametrize('ppm', [100.0, -100.0, 300.0])
@pytest.mark.parametrize('seed', range(5))
def test_a_clock_that_drifts_is_reported_before_it_is_off_by_ten_milliseconds(ppm, seed):
    drift = Drift()

    found_s = run(drift, 200, ppm=ppm, seed=seed)

    assert found_s * abs(ppm) / 1000 < 10.0 or found_s <= 61.0
    assert drift.ppm == pytest.approx(ppm, rel=0.3)


@pytest.mark.parametrize('seed', range(5))
def test_an_hour_with_good_clocks_is_no_drift(seed):
    assert run(Drift(), 3600, ppm=1.0, seed=seed) is None


def test_more_load_is_a_step_and_no_drift():
    assert run(Drift(), 400, extra_ms=lambda t: 20.0 if t > 155 else 0.0) is None


def test_a_drift_that_ends_is_forgiven():
    drift = Drift()
    assert run(drift, 200, ppm=100.0)
    now_s = 70
    for _ in range(8 * 300):
        now_s += 1 / 30
        drift.observe(60 * MS, round(now_s * S))

    assert drift.ppm is None


def test_floors_before_a_long_silence_do_not_count():
    drift = Drift()
    for k in range(5):
        drift.observe((60 + k) * MS, k * 10 * S)
    drift.observe(65 * MS, 100 * S)
    drift.observe(66 * MS, 110 * S)

    assert drift.ppm is None


def test_a_jump_of_time_starts_the_watch_again():
    drift = Drift()
    assert run(drift, 200, ppm=100.0)
    drift.forget()

    assert drift.ppm is None
    assert run(drift, 50, ppm=100.0, start_s=500) is None
