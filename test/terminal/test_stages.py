"""The stages of a job move on a terminal, and are lines elsewhere."""

import sys

import pytest
from support.terminal import Terminal

from edge_inference_ros.terminal import progress
from edge_inference_ros.terminal.stages import Stages


@pytest.fixture
def screen(terminal, monkeypatch):
    """Makes a terminal the standard output; ``terminal`` has set what rich reads."""

    def take():
        stream = Terminal()
        monkeypatch.setattr(sys, 'stdout', stream)
        return stream

    return take


def test_elsewhere_there_is_a_line_every_tenth(capsys):
    with Stages() as stages:
        tell = stages.begin('rendering')
        for i in range(101):
            tell(i / 100, f'{i} frames')
        stages.show('age', '40 of 200 ms', 0.2)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[0] == '  rendering    0%  0 frames'
    assert lines[-1] == '  rendering  100%  100 frames'


def test_a_terminal_shows_every_stage_the_facts_and_what_is_printed(screen):
    stream = screen()
    with Stages() as stages:
        stages.begin('rendering')(1.0, '320 frames')
        tell = stages.begin('driving')
        tell(0.5, '160 published')
        stages.show('age', '240 of 200 ms', 1.2)
        stages.show('state', 'STALE, locked')
        stages._live.refresh()
        print('a note')  # noqa: T201 - as the demo does
        tell(1.0, '320 published')

    said = stream.getvalue()
    assert '✓ rendering' in said
    assert '▸ driving' in said
    assert '━!' in said
    assert 'STALE, locked' in said
    assert 'a note' in said
    assert said.endswith('\x1b[?25h')
    assert 'state' not in said[said.rindex('320 published') :]  # no fact outlives its moment


def test_the_time_left_is_told_once_it_can_be_guessed(screen):
    stream = screen()
    now = [0.0]
    with Stages(clock=lambda: now[0]) as stages:
        tell = stages.begin('driving')
        tell(0.0, '')
        now[0] = 100.0  # what it waited for tells nothing of how long the rest takes
        tell(0.1, '')
        stages._live.refresh()
        assert ' left' not in stream.getvalue()
        now[0] = 120.0
        tell(0.5, '')
        stages._live.refresh()

    assert '25 s left' in stream.getvalue()


def test_an_error_leaves_the_terminal_as_it_was(screen):
    stream = screen()

    def fail():
        with Stages() as stages:
            stages.begin('driving')(0.1, '')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert stream.getvalue().endswith('\x1b[?25h')
    assert sys.stdout is stream


def test_without_rich_there_are_lines(screen, monkeypatch):
    stream = screen()
    monkeypatch.setattr(progress, 'find_spec', lambda _: None)
    with Stages() as stages:
        stages.begin('driving')(1.0, 'done')

    assert stream.getvalue() == '  driving    100%  done\n'


def test_a_narrow_terminal_still_shows_how_it_goes(screen, monkeypatch):
    monkeypatch.setenv('COLUMNS', '40')
    stream = screen()
    with Stages() as stages:
        stages.begin('rendering')(0.5, '160 of 320')
        stages._live.refresh()

    assert '━━━╌╌╌' in stream.getvalue()
    assert '50%  160 of 320' in stream.getvalue()
