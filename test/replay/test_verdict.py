"""The statistics against enumeration, the rule against its definition, canaries by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.replay.verdict import bound, rule
from edge_inference_ros.replay.verdict.rule import Gate, Measure, Trend, judge

DIFFERENCES = st.lists(
    st.floats(-2, 2, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=1, max_size=12
)
DURATIONS = st.lists(st.floats(0.1, 1000), min_size=1, max_size=12)


@pytest.mark.parametrize('count', range(1, 11))
def test_the_distribution_is_that_of_all_signs(count):
    sums = [
        sum(rank for rank, sign in enumerate(signs, 1) if sign)
        for signs in itertools.product((0, 1), repeat=count)
    ]

    assert list(bound._ways(count)) == np.bincount(sums).tolist()


@settings(max_examples=40)
@given(st.lists(st.integers(1, 4000), min_size=5, max_size=9, unique=True))
def test_a_bound_excludes_no_shift_in_at_most_one_of_twenty_worlds_without_one(sizes):
    worlds = [
        [size * sign / 1000 for size, sign in zip(sizes, signs, strict=True)]
        for signs in itertools.product((1, -1), repeat=len(sizes))
    ]
    found = [bound.shift(world) for world in worlds]

    for wrong in (sum(it.low > 0 for it in found), sum(it.high < 0 for it in found)):
        assert 0 < wrong <= 0.05 * len(worlds)


@settings(max_examples=60)
@given(st.lists(st.integers(-4000, 4000).filter(bool), min_size=5, max_size=12, unique_by=abs))
def test_probabilities_are_those_of_scipy(thousandths):
    stats = pytest.importorskip('scipy.stats')
    differences = [value / 1000 for value in thousandths]

    it = bound.shift(differences)

    for ours, alternative in ((it.p_greater, 'greater'), (it.p_less, 'less')):
        theirs = stats.wilcoxon(differences, alternative=alternative, method='exact').pvalue
        assert ours == pytest.approx(theirs)


@given(DIFFERENCES, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_a_bound_and_a_probability_say_the_same(differences, confidence):
    it = bound.shift(differences, confidence)

    # Within rounding of 1 - confidence, which no multiple of 2 ** -n comes near.
    assert (it.low > 0) == (it.p_greater <= 1 - confidence)
    assert (it.high < 0) == (it.p_less <= 1 - confidence)


@given(DIFFERENCES)
def test_the_estimate_lies_between_the_bounds_and_these_grow_with_confidence(differences):
    near, far = bound.shift(differences, 0.8), bound.shift(differences, 0.95)

    assert far.low <= near.low <= far.estimate <= near.high <= far.high


@given(DIFFERENCES)
def test_sides_exchanged_are_the_mirror_image(differences):
    it, mirrored = bound.shift(differences), bound.shift([-d for d in differences])

    assert mirrored.estimate == -it.estimate
    assert (mirrored.low, mirrored.high) == (-it.high, -it.low)
    assert (mirrored.p_greater, mirrored.p_less) == (it.p_less, it.p_greater)


@given(DIFFERENCES, st.integers(-8, 8).map(lambda n: n / 4))
def test_what_is_added_to_every_difference_is_added_to_what_is_said(differences, more):
    it, moved = bound.shift(differences), bound.shift([d + more for d in differences])

    before, after = (it.estimate, it.low, it.high), (moved.estimate, moved.low, moved.high)
    for one, other in zip(before, after, strict=True):
        assert other == one + more or other == pytest.approx(one + more, abs=1e-12)


@pytest.mark.parametrize('count', range(5))
def test_fewer_than_five_pairs_bound_nothing(count):
    it = bound.shift([1.0] * count)

    assert (it.low, it.high) == (-math.inf, math.inf)


def test_five_pairs_are_bounded_by_their_extremes():
    it = bound.shift([0.3, 0.1, 0.5, 0.2, 0.4])

    assert (it.low, it.high) == (0.1, 0.5)
    assert it.p_greater == 1 / 32


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_as_its_paper_says(p_values):
    rejected = bound.holm(p_values)

    for i, p in enumerate(p_values):
        smaller = sorted(p_values)
        steps = [smaller[j] <= 0.05 / (len(smaller) - j) for j in range(len(smaller))]
        rank = smaller.index(p)
        assert rejected[i] == all(steps[: rank + 1]) or smaller.count(p) > 1


@pytest.mark.parametrize('bad', [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_duration_has_no_ratio(bad):
    with pytest.raises(ValueError, match='above zero'):
        bound.log_ratios([1.0, bad], [1.0, 1.0])
    with pytest.raises(ValueError, match='2 runs of the baseline, 1 of the other'):
        bound.log_ratios([1.0, 2.0], [1.0])


# ---- the rule


def measure(factor, *, quantile='p50', pairs=8, spread=0.01, stage='sensor_to_output'):
    base = [20.0 * (1 + spread * (i % 3)) for i in range(pairs)]
    other = [b * factor * (1 + spread * ((i * 2) % 3 - 1)) for i, b in enumerate(base)]
    return Measure(stage, quantile, base, other)


@pytest.mark.parametrize(
    ('factor', 'quantile', 'verdict'),
    [
        (1.0, 'p50', Trend.UNCHANGED),
        (1.05, 'p50', Trend.UNCHANGED),
        (1.13, 'p50', Trend.REGRESSED),
        (1 / 1.13, 'p50', Trend.IMPROVED),
        (1.13, 'p95', Trend.INCONCLUSIVE),
        (1.25, 'p95', Trend.REGRESSED),
        (0.75, 'p95', Trend.IMPROVED),
    ],
)
def test_an_effect_that_matters_and_is_shown_decides(factor, quantile, verdict):
    judgement = judge([measure(factor, quantile=quantile)])

    assert judgement.verdict is verdict
    assert judgement.rows[0].ratio == pytest.approx(factor, rel=0.02)
    assert judgement.exit_code == {
        'REGRESSED': 1, 'INCONCLUSIVE': 3, 'UNCHANGED': 0, 'IMPROVED': 0,
    }[verdict.value]  # fmt: skip


@pytest.mark.parametrize('factor', [1.0, 2.0])
def test_four_pairs_never_decide_and_more_may_help(factor):
    judgement = judge([measure(factor, pairs=4)])

    assert judgement.verdict is Trend.INCONCLUSIVE
    assert judgement.more_pairs_may_help
    assert not judge([measure(1.0, pairs=16, spread=0.4)]).more_pairs_may_help


def test_a_quantile_that_is_only_shown_does_not_decide():
    judgement = judge([measure(1.0), measure(3.0, quantile='p99')])

    assert judgement.verdict is Trend.UNCHANGED
    assert [row.decides for row in judgement.rows] == [True, False]


def test_a_gate_that_does_not_hold_is_a_regression_however_fast_it_is():
    gates = [Gate('frames', holds=True), Gate('detections', holds=False, why='3 of 100 differ')]

    assert judge([measure(0.5)], gates).verdict is Trend.REGRESSED
    assert judge([measure(1.0)], gates[:1]).verdict is Trend.UNCHANGED


def test_the_gravest_of_several_measures_is_the_verdict():
    stages = [measure(1.0), measure(1.5, stage='infer'), measure(0.5, stage='decode')]

    assert judge(stages).verdict is Trend.REGRESSED
    assert judge([stages[0], stages[2]]).verdict is Trend.IMPROVED
    assert judge([stages[2], measure(1.0, spread=0.5)]).verdict is Trend.INCONCLUSIVE


def test_nothing_measured_is_no_verdict():
    assert judge([]).verdict is Trend.INCONCLUSIVE
    assert not judge([]).rows


def test_the_more_is_looked_at_the_surer_each_must_be():
    """Five pairs reach 95 % by a hair: one measure may decide, one of three may not."""
    slow = measure(1.5, pairs=5)

    assert judge([slow]).verdict is Trend.REGRESSED
    assert judge([slow, measure(1.0, pairs=5, stage='a')]).rows[0].verdict is (Trend.INCONCLUSIVE)


@given(DURATIONS.flatmap(lambda a: st.tuples(st.just(a), st.lists(
    st.floats(0.1, 1000), min_size=len(a), max_size=len(a)))))  # fmt: skip
def test_sides_exchanged_give_the_opposite_verdict(sides):
    opposite = {Trend.REGRESSED: Trend.IMPROVED, Trend.IMPROVED: Trend.REGRESSED}

    here = judge([Measure('whole', 'p50', *sides)]).rows[0].verdict
    there = judge([Measure('whole', 'p50', *sides[::-1])]).rows[0].verdict

    assert Trend.UNCHANGED in (here, there) or there is opposite.get(here, here)


@given(st.lists(st.floats(1, 100), min_size=5, max_size=16), st.floats(0.01, 100))
def test_units_do_not_matter(values, factor):
    other = [1.3 * value for value in values]

    one = judge([Measure('whole', 'p50', values, other)])
    two = judge(
        [Measure('whole', 'p50', [factor * v for v in values], [factor * v for v in other])]
    )

    assert one.verdict is two.verdict is Trend.REGRESSED


def simulated(rng, factor, pairs=8, frames=200):
    """Runs on a shared machine: drift that both sides of a pair share, run effects, bursts."""
    drift, level = [], 0.0
    for _ in range(2 * pairs):
        level = 0.9 * level + rng.normal(0, 0.08 * math.sqrt(1 - 0.81))
        drift.append(math.exp(level))
    sides = {'A': [], 'B': []}
    for i, machine in enumerate(drift):
        side = 'ABBA'[i % 4]
        base = 30 * machine * (factor if side == 'B' else 1) * math.exp(rng.normal(0, 0.04))
        run = base * np.exp(rng.normal(0, 0.05, frames))
        for _ in range(rng.poisson(1.5)):
            start = int(rng.integers(0, frames - 20))
            run[start : start + int(rng.integers(3, 20))] *= rng.uniform(1.3, 3.0)
        sides[side].append(float(np.quantile(run, 0.5, method='higher')))
    return judge([Measure('sensor_to_output', 'p50', sides['A'], sides['B'])]).verdict


@pytest.mark.parametrize(
    ('factor', 'never', 'least', 'of'),
    [(1.0, Trend.REGRESSED, 0, 100), (1.2, Trend.UNCHANGED, 90, 100)],
)
def test_the_canaries_are_told_apart_on_a_simulated_shared_machine(factor, never, least, of):
    rng = np.random.default_rng(11)
    said = [simulated(rng, factor) for _ in range(of)]

    assert never not in said
    assert said.count(Trend.REGRESSED) >= least
    assert rule.MOST_PAIRS == 16
