"""The watch for drifting clocks against one that keeps every age and begins again each time."""

from __future__ import annotations

import random

import pytest

from edge_inference_ros.guard.drift import Drift

S = 1_000_000_000
STEPS_NS = (
    (600_000,),
    (600_000, 601_000),
    (300_000, 600_000, 1_500_000),
    (1, 1_000_000, 1_500_000, 1_500_000),
    (0, 1_000_000, 1_500_000, 1_500_000),
    (0, 1, 100_000, 600_000, 2_000_000),
)


def slowly(heard):
    """Parts per million after all of ``heard``, pairs of steady time and age in ns."""
    floors, window, begin_ns, ppm = [], [], None, None
    for mono_ns, age_ns in heard:
        if begin_ns is None or mono_ns >= begin_ns + 20 * S:  # a whole window went by in silence
            floors, window, begin_ns, ppm = [], [], mono_ns, None
        elif mono_ns >= begin_ns + 10 * S:
            floors.append(min(window))
            window, begin_ns = [], begin_ns + 10 * S
            ppm = slope(floors[-6:])
        window.append(age_ns)
    return ppm


def slope(floors):
    if len(floors) < 6:
        return None
    whole = floors[-1] - floors[0]
    steps = [floors[k + 1] - floors[k] for k in range(5)]
    up, down = min(steps) > 0, max(steps) < 0
    if not (up or down) or max(map(abs, steps)) > abs(whole) / 2 or abs(whole) < 3e6:
        return None
    return whole / 50e9 * 1e6


def ages(draw):
    """Ages whose floors climb, sink, stay or step, and silences on and off the windows' edges."""
    mono_ns, floor_ns = draw.choice((0, 7 * S)), 60_000_000
    way = draw.choice((1, -1))
    steps = draw.choice(STEPS_NS)
    for _ in range(draw.randrange(4, 40)):
        floor_ns += way * draw.choice(steps)
        if draw.random() < 0.03:
            way = -way
        count = draw.choice((1, 1, 2, 4))
        for late_ns in (0, *(draw.choice((0, 250_000, 5_000_000)) for _ in range(count - 1))):
            yield mono_ns, floor_ns + late_ns
            mono_ns += 10 * S // count
        if draw.random() < 0.04:
            mono_ns += draw.choice((-1, 1, 9, 10, 11, 20, 30)) * S


@pytest.mark.parametrize('seed', range(400))
def test_it_finds_what_keeping_everything_finds(seed):
    drift, heard = Drift(), []
    for mono_ns, age_ns in ages(random.Random(seed)):
        drift.observe(age_ns, mono_ns)
        heard.append((mono_ns, age_ns))
        expected = slowly(heard)
        assert drift.ppm == (expected and pytest.approx(expected, rel=1e-9))


def test_the_comparison_meets_drifts_of_both_signs_and_their_edges():
    found = [slowly(list(ages(random.Random(seed)))) for seed in range(400)]

    assert sum(ppm is not None and ppm > 0 for ppm in found) > 20
    assert sum(ppm is not None and ppm < 0 for ppm in found) > 20
    assert pytest.approx(60.0) in [abs(ppm) for ppm in found if ppm]
