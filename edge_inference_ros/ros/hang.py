"""Ends a process whose device no longer answers.

A run that hangs holds the lane's thread for ever: nothing in this process can take it back, and a
detector that only looks alive keeps whoever would start it again from doing so. The watchdog has
called its predictions stale long before; what is left to do is to say where it hangs, and to end.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from edge_inference_ros.core.lane import Lane
from edge_inference_ros.ros import pulse
from edge_inference_ros.ros.pulse import PERIOD_S

EXIT_CODE = 71
"""Exit status of a process that hung while its interpreter still answered."""


def dump_and_exit(limit_s: float) -> None:
    """Write what every thread is doing to stderr, and end without cleaning up.

    Cleaning up would wait for the thread that hangs.
    """
    sys.stderr.write(f'FATAL: one run has taken {limit_s:g} s; ending to be started again\n')
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    os._exit(EXIT_CODE)


class Pulse(Protocol):
    """Tells somebody outside that this interpreter answers."""

    def beat(self) -> None:
        """It does, now."""

    def close(self) -> None:
        """It will say so no more, and all is well."""


class ChildPulse:
    """Beats for a child process that aborts this one when it has heard nothing for ``limit_s``."""

    def __init__(self, limit_s: float) -> None:
        faulthandler.enable(file=sys.__stderr__ or 2, all_threads=True)
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, '-I', '-S', pulse.__file__, str(limit_s), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C goes to the whole group of the terminal
        )

    def beat(self) -> None:
        """Write a byte; who ended the child does without it."""
        assert self._child.stdin is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(OSError):
            self._child.stdin.write(b'.')

    def close(self) -> None:
        """Let the child end by itself."""
        with contextlib.suppress(OSError):
            self._child.communicate()


class HangGuard:
    """Looks at a lane every ``PERIOD_S``, on a thread of its own, from when it is entered.

    Looks are counted rather than time, so that a process that was itself stopped, or a machine
    that slept, is not taken for one that hangs. A run that also holds the interpreter's lock stops
    these looks; for that there is the pulse, which counts the same way.

    Args:
        lane: to look at.
        limit_s: a run that takes longer hangs.
        end: what to do then; tests replace it.
        pulse: made with ``limit_s`` when the guard is entered.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        limit_s: float,
        end: Callable[[float], None] = dump_and_exit,
        pulse: Callable[[float], Pulse] = ChildPulse,
    ) -> None:
        self._lane, self._limit_s, self._end = lane, limit_s, end
        self._make_pulse = pulse
        self._pulse: Pulse | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='hang guard', daemon=True)
        self._seen: int | None = None
        self._looks = 0

    def __enter__(self) -> HangGuard:
        self._pulse = self._make_pulse(self._limit_s)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        if self._pulse is not None:
            self._pulse.close()

    def look(self) -> None:
        """Notice whether the lane has moved on since the last look."""
        run = self._lane.busy_with
        self._looks = self._looks + 1 if run is not None and run == self._seen else 0
        self._seen = run
        if self._looks * PERIOD_S >= self._limit_s:
            self._end(self._limit_s)
        if self._pulse is not None:
            self._pulse.beat()

    def _watch(self) -> None:
        while not self._closing.wait(PERIOD_S):
            self.look()
