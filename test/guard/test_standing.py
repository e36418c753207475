from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core.types import Level
from edge_inference_ros.guard.standing import Rules, Standing, State


def after(said, rules=None, *, start=State.NODATA):
    """The state after messages: g good, b bad, l lapse, n good but not at the resume speed."""
    standing = Standing(rules or Rules())
    if start is not State.NODATA:
        said = {State.VALID: 'ggg', State.STALE: 'gl'}[start] + said
    for each in said:
        if each == 'l':
            standing.lapse()
        elif each == 'b':
            standing.bad()
        else:
            standing.good(resumable=each == 'g')
    return standing.state


@pytest.mark.parametrize(
    ('said', 'state'),
    [
        ('', State.NODATA),
        ('b', State.NODATA),
        ('bbbbbb', State.NODATA),
        ('l', State.NODATA),
        ('g', State.INIT),
        ('gg', State.INIT),
        ('ggg', State.VALID),
        ('gbg', State.INIT),
        ('gbgg', State.VALID),
        ('gbbgg', State.VALID),
        ('gbb', State.INIT),
        ('gbbb', State.STALE),
        ('bbbggg', State.VALID),
        ('nnn', State.VALID),
        ('gl', State.STALE),
    ],
)
def test_getting_in_takes_three_good_of_five(said, state):
    assert after(said) is state


@pytest.mark.parametrize(
    ('said', 'state'),
    [
        ('b', State.VALID),
        ('bb', State.VALID),
        ('bbb', State.STALE),
        ('bbg', State.VALID),
        ('bgbgb', State.STALE),
        ('bb' + 'g' * 7 + 'b', State.STALE),
        ('bb' + 'g' * 8 + 'b', State.VALID),
        ('l', State.STALE),
    ],
)
def test_staying_in_forgives_two_errors_in_ten(said, state):
    assert after(said, start=State.VALID) is state


@pytest.mark.parametrize(
    ('said', 'state'),
    [
        ('gggg', State.STALE),
        ('ggggg', State.VALID),
        ('ggggbgggg', State.STALE),
        ('ggggbggggg', State.VALID),
        ('ggggnggggg', State.VALID),
        ('ggggngggg', State.STALE),
        ('gggglgggg', State.STALE),
        ('bbbbb', State.STALE),
    ],
)
def test_coming_back_takes_five_good_in_a_row(said, state):
    assert after(said, start=State.STALE) is state


def test_a_good_message_is_resumable_unless_said_otherwise():
    standing = Standing(Rules(init_ok=1, init_window=1, resume_ok=1))
    standing.good()
    standing.lapse()
    standing.good()

    assert standing.state is State.VALID


def test_who_becomes_valid_does_not_forget_its_latest_errors():
    standing = Standing(Rules())
    assert standing.errors == 0
    for say in (standing.good, standing.bad, standing.good, standing.good):
        say()
    assert (standing.state, standing.errors) == (State.VALID, 1)
    standing.bad()
    assert (standing.state, standing.errors) == (State.VALID, 2)
    standing.bad()
    assert (standing.state, standing.errors) == (State.STALE, 3)


RUNS = st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from(('', 'one', 'both')))


@settings(max_examples=300)
@given(st.lists(RUNS, min_size=2, max_size=6))
def test_who_lapses_more_often_is_never_trusted_more(runs):
    often, seldom = Standing(Rules()), Standing(Rules())
    for good, bad, lapse in [(3, 0, ''), *runs]:
        for heard in 'g' * good + 'b' * bad:
            for standing in (often, seldom):
                (standing.good if heard == 'g' else standing.bad)()
            assert seldom.state is State.VALID or often.state is not State.VALID
        if lapse:
            often.lapse()
        if lapse == 'both':
            seldom.lapse()


def test_a_reset_forgets_everything():
    standing = Standing(Rules())
    standing.good()
    standing.good()
    standing.bad()
    standing.reset()
    assert standing.errors == 0
    standing.good()

    assert standing.state is State.INIT


def test_the_longest_window_fits_into_memory_that_does_not_grow():
    standing = Standing(Rules(valid_window=60, valid_errors=59))
    for _ in range(1000):
        standing.good()
        standing.bad()
        assert standing._bad < 2**64
        assert standing._good < 2**64


def test_levels_are_those_of_diagnostic_messages():
    assert [int(level) for level in Level] == [0, 1, 2]
