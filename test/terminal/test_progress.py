"""A long step says how far it is, in a bar or in lines, and leaves the terminal as it was."""

import logging
import sys

import pytest

from edge_inference_ros.terminal import progress
from edge_inference_ros.terminal.progress import Progress, counted, duration


class Clock:
    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_without_a_terminal_there_is_a_line_every_tenth_with_the_time_left(lines):
    clock = Clock()
    told = Progress('calibrate', 200, unit='pictures', clock=clock)
    for done in range(1, 201):
        clock.s = done - 1.0
        told(done)

    assert len(lines()) == 10
    assert lines()[0] == 'calibrate: 20 of 200 pictures, 3 min left'
    assert lines()[-2] == 'calibrate: 180 of 200 pictures, 20 s left'
    assert lines()[-1] == 'calibrate: 200 of 200 pictures'


def test_a_slow_step_says_once_a_minute_that_it_lives(lines):
    clock = Clock()
    told = Progress('train', 1000, clock=clock)
    for done in range(1, 7):
        clock.s = 30.0 * (done - 1)
        told(done)

    assert [line.split(',')[0] for line in lines()] == ['train: 3 of 1000', 'train: 5 of 1000']


def test_what_a_resumed_step_had_done_does_not_count_as_its_pace(lines):
    clock = Clock()
    told = Progress('train', 1000, unit='steps', clock=clock)
    told(901)
    clock.s = 49.0
    told(950, 'score 0.5')
    clock.s = 99.0
    told(1000)

    assert lines()[-1] == 'train: 1000 of 1000 steps'
    assert 'train: 901 of 1000 steps' in lines()[0]


def test_on_a_terminal_it_is_a_bar_and_no_lines(terminal, lines):
    screen = terminal()
    told = Progress('render', 10, unit='frames')
    for done in range(1, 11):
        told(done, 'by [two]')

    assert '10 of 10 frames, by [two]' in screen.getvalue()
    assert '━' in screen.getvalue()
    assert screen.getvalue().endswith('\x1b[?25h')  # the cursor is there again
    assert lines() == []


def test_what_is_logged_stands_above_the_bar(terminal):
    screen = terminal()
    told = Progress('render', 10)
    handler = progress.LogHandler()
    told(1)

    handler.emit(logging.LogRecord('x', logging.INFO, '', 0, 'found a problem', (), None))

    assert sys.stderr is not screen  # rich stands between
    progress.end()
    assert 'found a problem' in screen.getvalue()
    assert sys.stderr is screen


def test_a_step_beneath_another_is_told_in_lines(terminal, lines):
    screen = terminal()
    outer, inner = Progress('recipe', 2), Progress('calibrate', 2)
    outer(1)
    inner(1)
    inner(2)
    outer(2)

    assert lines() == ['calibrate: 1 of 2, 0 s left', 'calibrate: 2 of 2']
    assert 'recipe' in screen.getvalue()


def test_a_terminal_that_can_only_print_gets_lines(terminal, lines, monkeypatch):
    screen = terminal()
    monkeypatch.setenv('TERM', 'dumb')

    Progress('render', 2)(2)

    assert lines() == ['render: 2 of 2']
    assert screen.getvalue() == ''


def test_without_rich_there_are_lines(terminal, lines, monkeypatch):
    terminal()
    monkeypatch.setattr(progress, 'find_spec', lambda _: None)

    Progress('render', 2)(2)

    assert lines() == ['render: 2 of 2']


def test_items_are_counted_as_they_are_taken_and_the_bar_ends_with_them(terminal):
    screen = terminal()
    assert list(counted('abc', 'read', 9)) == ['a', 'b', 'c']

    assert '3 of 9' in screen.getvalue()
    assert screen.getvalue().endswith('\x1b[?25h')


@pytest.mark.parametrize(
    ('s', 'words'), [(0.4, '0 s'), (89.0, '89 s'), (90.0, '2 min'), (5400.0, '1.5 h')]
)
def test_a_duration_is_said_in_its_unit(s, words):
    assert duration(s) == words
