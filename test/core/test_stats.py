"""Windows forget the oldest and never grow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.core.stats import Window, samples_needed


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_a_window_knows_the_quantiles_of_its_newest_values(values, size):
    window = Window(size)
    for value in values:
        window.add(value)

    held = sorted(values[-size:])
    ranks = [math.ceil(q * (len(held) - 1) - 1e-9) for q in (0.5, 0.95)]
    assert window.quantiles((0.5, 0.95)) == [held[rank] for rank in ranks]
    assert window.max() == held[-1]
    assert len(window) == len(held)


def test_an_empty_window_has_no_quantiles():
    window = Window(4)
    window.add(1.0)
    window.clear()

    assert all(math.isnan(value) for value in (*window.quantiles(), window.max()))


@pytest.mark.parametrize(('quantile', 'samples'), [(0.95, 59), (0.99, 299), (0.999, 2995)])
def test_a_quantile_needs_so_many_samples(quantile, samples):
    assert samples_needed(quantile) == samples
