"""Ends a process whose device no longer answers.

A run that hangs holds the lane's thread for ever: nothing in this process can take it back, and a
detector that only looks alive keeps whoever would start it again from doing so. The watchdog has
called its predictions stale long before; what is left to do is to say where it hangs, and to end.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable

from edge_inference_ros.core.lane import Lane

PERIOD_S = 0.5
"""Between two looks at the lane."""

EXIT_CODE = 71
"""Exit status of a process that hung."""


def dump_and_exit(limit_s: float) -> None:
    """Write what every thread is doing to stderr, and end without cleaning up.

    Cleaning up would wait for the thread that hangs.
    """
    sys.stderr.write(f'FATAL: one run has taken {limit_s:g} s; ending to be started again\n')
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    os._exit(EXIT_CODE)


class HangGuard:
    """Looks at a lane every ``PERIOD_S``; call ``look`` from a timer.

    Looks are counted rather than time, so that a process that was itself stopped, or a machine
    that slept, is not taken for one that hangs. A run that also holds the interpreter's lock
    stops these looks; for that a timer of faulthandler's is armed, which needs no lock.

    Args:
        lane: to look at.
        limit_s: a run that takes longer hangs.
        end: what to do then; tests replace it.
        alarm: arms (seconds) or disarms (None) what works without the interpreter's lock.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        limit_s: float,
        end: Callable[[float], None] = dump_and_exit,
        alarm: Callable[[float | None], None] | None = None,
    ) -> None:
        self._lane, self._limit_s, self._end = lane, limit_s, end
        self._alarm = alarm or _alarm
        self._seen: int | None = None
        self._looks = 0

    def look(self) -> None:
        """Notice whether the lane has moved on since the last look."""
        run = self._lane.busy_with
        self._looks = self._looks + 1 if run is not None and run == self._seen else 0
        if self._looks * PERIOD_S >= self._limit_s:
            self._end(self._limit_s)
        if run is not None:
            self._alarm(self._limit_s + PERIOD_S)
        elif self._seen is not None:
            self._alarm(None)
        self._seen = run

    def close(self) -> None:
        """Disarm."""
        self._alarm(None)


def _alarm(after_s: float | None) -> None:
    if after_s is None:
        faulthandler.cancel_dump_traceback_later()
    else:
        faulthandler.dump_traceback_later(after_s, exit=True, file=sys.__stderr__ or 2)
