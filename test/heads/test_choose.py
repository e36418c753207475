import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.heads._choose import Choice, best_classes, first


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0, 1, 50, 5000, 20_000]),
    levels=st.sampled_from([1, 3, 256, 2**20]),
    count=st.sampled_from([1, 30, 300, 4097]),
    at_least=st.sampled_from([0.0, 0.25, 0.9]),
)
def test_the_best_are_chosen_and_ties_go_to_the_first(seed, size, levels, count, at_least):
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, size) / levels).astype(np.float32)
    scores[rng.random(size) < 0.05] = rng.choice([np.nan, np.inf, -np.inf])
    fit = [i for i, score in enumerate(scores.tolist()) if at_least <= score < np.inf]
    expected = sorted(sorted(fit, key=lambda i: (-scores[i], i))[:count])

    assert Choice()(scores, at_least=at_least, count=count).tolist() == expected


def test_the_first_true_elements_are_found_across_slabs():
    true = np.zeros(10_000, np.bool_)
    true[[0, 4095, 4096, 9999]] = True

    assert first(true, 9).tolist() == [0, 4095, 4096, 9999]
    assert first(true, 3).tolist() == [0, 4095, 4096]
    assert first(true[:0], 3).tolist() == []


def test_classes_are_found_block_by_block():
    scores = np.random.default_rng(0).random((80, 500), np.float32)
    chosen = np.arange(0, 500, 3)

    assert best_classes(scores, chosen).tolist() == scores.argmax(axis=0)[chosen].tolist()
