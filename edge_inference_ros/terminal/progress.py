"""How far a long step is: a bar with the time left on a terminal, a line now and then elsewhere.

Bars are rich's. Where it is not installed, or the terminal can do no more than print, there are
the same lines as in a log.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

log = logging.getLogger(__name__)

T = TypeVar('T')

if TYPE_CHECKING:
    _Handler = logging.StreamHandler[Any]
else:
    _Handler = logging.StreamHandler  # no generic one on Python 3.10
LINES, SILENCE_S = 10, 60.0
"""Where there is no bar, so many lines tell of a whole step, and more if it is slow."""


class Progress:
    """Call it with how much is done. One bar at a time: what begins beneath one is told in lines.

    Args:
        title: what is being done, such as 'calibrate'.
        total: how much there is to do.
        unit: of what, such as 'pictures'.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        unit: str = '',
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._unit = title, unit
        self._total = max(1, total)
        self._clock = clock
        self._start: tuple[float, int] | None = None
        self._told, self._told_s = 0, 0.0
        self._bar: Any = None

    def __call__(self, done: int, words: str = '') -> None:
        """So much is done; ``words`` say how it goes. The last of it ends the bar."""
        now_s = self._clock()
        if self._start is None:
            # What a resumed step had done before tells nothing of how long the rest takes.
            self._start, self._told_s = (now_s, done - 1 if done else 0), now_s
            self._bar = _open(self._title, self._total)
        if self._bar is not None:
            count = f'{done} of {self._total} {self._unit}'.rstrip()
            told = ', '.join(filter(None, (count, words)))
            self._bar.update(self._bar.task_ids[0], completed=done, words=told)
        elif (tenth := LINES * done // self._total) > self._told or (
            now_s - self._told_s >= SILENCE_S
        ):
            self._told, self._told_s = tenth, now_s
            log.info('%s', self._line(done, words, now_s))
        if done >= self._total:
            self.close()

    def say(self, words: str) -> None:
        """How it goes, though no more is done."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], words=words)
        else:
            log.info('%s', words)

    def close(self) -> None:
        """End the bar, wherever it is. Call it again as you like."""
        if self._bar is not None and self._bar is _open_bars[-1]:
            end()
        self._bar = None

    def _line(self, done: int, words: str, now_s: float) -> str:
        line = f'{self._title}: {done} of {self._total} {self._unit}'.rstrip()
        start_s, first = self._start or (now_s, done)
        if done < self._total and done > first:
            left_s = (now_s - start_s) / (done - first) * (self._total - done)
            words = ', '.join(filter(None, (words, f'{duration(left_s)} left')))
        return f'{line}, {words}' if words else line


def counted(items: Iterable[T], title: str, total: int, *, unit: str = '') -> Iterator[T]:
    """The items, told of as they are taken; there may be fewer than ``total``."""
    progress = Progress(title, total, unit=unit)
    try:
        for done, item in enumerate(items, 1):
            yield item
            progress(done)
    finally:
        progress.close()


def following(title: str, *, unit: str = '') -> Callable[[int, int], None]:
    """For who is told of both, how much is done and how much there is."""
    progress: Progress | None = None

    def tell(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(title, total, unit=unit)
        progress(done)

    return tell


def duration(s: float) -> str:
    """Seconds in the unit a person would say them in: 45 s, 12 min, 3.5 h."""
    if s < 90.0:
        return f'{s:.0f} s'
    return f'{s / 60:.0f} min' if s < 5400.0 else f'{s / 3600:.1f} h'


def has_screen(stream: TextIO) -> bool:
    """Whether something that moves can be drawn there."""
    if not stream.isatty() or find_spec('rich') is None:
        return False
    from rich.console import Console

    return not Console(file=stream).is_dumb_terminal


_open_bars: list[Any] = []


def end() -> None:
    """Leave the terminal as it was, however the step ended."""
    while _open_bars:
        _open_bars.pop().stop()


def _open(title: str, total: int) -> Any:
    """A bar on the standard error, where the log goes; None if there can be none."""
    if _open_bars or not has_screen(sys.stderr):
        return None
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn('{task.description}', markup=False),
        BarColumn(bar_width=24),
        TextColumn('{task.fields[words]}', markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
    )
    bar.add_task(title, total=total, words='')
    bar.start()
    _open_bars.append(bar)
    return bar


class LogHandler(_Handler):
    """Writes to what the standard error is now: above a bar, while there is one."""

    @property
    def stream(self) -> Any:
        """The standard error of the moment."""
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """It is never another."""
