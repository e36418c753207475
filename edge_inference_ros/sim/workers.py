"""Processes that render beside each other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.pool import Pool


@contextmanager
def workers(count: int, initializer: Callable[[], None] | None = None) -> Iterator[Pool]:
    """A pool of ``count`` processes, which leave Ctrl-C to the one that started them.

    Not forked: whoever calls this may run threads, and a fork copies their locks as held. What is
    ignored when a process starts it ignores from its first instant; only the main thread can
    choose that.
    """
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ours else None
    try:
        pool = get_context('spawn').Pool(count, initializer=initializer)
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    with pool:
        yield pool
