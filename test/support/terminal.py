"""A terminal that remembers what was drawn on it."""

import io
import sys

import pytest


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes a terminal of 100 columns the standard error; pytest changes that between phases."""
    pytest.importorskip('rich', reason='draws the bar')
    from edge_inference_ros.terminal import progress

    for name in ('NO_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE', 'FORCE_COLOR'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '100')

    def take():
        stream = Terminal()
        monkeypatch.setattr(sys, 'stderr', stream)
        return stream

    yield take
    progress.end()
