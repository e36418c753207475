"""Ends the process that started it when that one's interpreter no longer answers.

Run as a program of its own, because nothing inside a process can do this: a call that never
returns and keeps the interpreter's lock stops every Python thread, and a timer that needs no lock
runs on in a process that was itself stopped (docker pause, a debugger, a suspended machine) and
would kill it when it goes on.

It reads a byte of standard input for every sign of life, and counts the silent periods instead of
the time: whatever stops both of them is one period. A parent that alone was stopped says nothing
and is not counted. Standard input that ends is a parent that ended. Imports the standard library
only, and of that little: it is there in 20 ms and 8 MB.
"""

from __future__ import annotations

import os
import select
import signal
import sys

PERIOD_S = 0.5
"""Between two signs of life."""

_LAST_WORDS_S = 5.0


def watch(limit_s: float, parent: int) -> int:
    """Return when standard input ends; end ``parent`` after ``limit_s`` without a byte."""
    silent = 0
    while True:
        if select.select([0], [], [], PERIOD_S)[0]:
            if not os.read(0, 4096):
                return 0
            silent = 0
        elif is_stopped(parent):
            silent = 0
        else:
            silent += 1
            if silent * PERIOD_S > limit_s:
                return end(limit_s, parent)


def is_stopped(process: int) -> bool:
    """Whether a signal or a debugger holds ``process``; see proc(5), the third field of stat."""
    try:
        with open(f'/proc/{process}/stat', 'rb') as stat:  # noqa: PTH123 - pathlib is 10 ms
            state = stat.read().rpartition(b') ')[2][:1]
    except OSError:
        return False
    return state in (b'T', b't')


def end(limit_s: float, parent: int) -> int:
    """Abort ``parent``, whose faulthandler says what every thread is doing; kill it if need be."""
    if os.getppid() != parent:
        return 0
    sys.stderr.write(
        f'FATAL: the interpreter has not answered for {limit_s:g} s; ending to be started again\n'
    )
    sys.stderr.flush()
    os.kill(parent, signal.SIGABRT)
    if not select.select([0], [], [], _LAST_WORDS_S)[0] and os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)
    return 0


if __name__ == '__main__':
    sys.exit(watch(float(sys.argv[1]), int(sys.argv[2])))
