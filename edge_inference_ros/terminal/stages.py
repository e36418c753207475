"""The stages of one job on one screen that moves; where nothing can move, a line every tenth."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from edge_inference_ros.terminal.progress import LINES, duration, has_screen

Tell = Callable[[float, str], None]
"""Takes which part of a stage is done (0 to 1), and how it goes in words."""

_WIDTH, _NARROW, _ROOM = 24, 6, 72
"""Characters of a bar; and of one on a terminal that has less room."""
_MARKS = {True: '✓', False: '▸'}


class Stages:
    """Enter it, then begin stages one after the other; leaving it leaves the last screen.

    What is printed meanwhile stands above the stages.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: list[_Stage] = []
        self._facts: dict[str, tuple[str, float | None]] = {}
        self._live: Any = None
        self._console: Any = None

    def __enter__(self) -> Stages:
        if has_screen(sys.stdout):
            from rich.console import Console
            from rich.live import Live

            self._console = Console()
            self._live = Live(
                console=self._console, get_renderable=self._screen, refresh_per_second=8
            )
            self._live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._facts.clear()
            self._live.stop()
            self._live = None

    def begin(self, title: str) -> Tell:
        """A new stage; call what is returned as it goes on."""
        stage = _Stage(title, self._clock)
        self._stages.append(stage)

        def tell(part: float, words: str) -> None:
            line = stage.take(part, words)
            if self._live is None and line:
                sys.stdout.write(line + '\n')
                sys.stdout.flush()

        return tell

    def show(self, fact: str, words: str, part: float | None = None) -> None:
        """What is so just now, beneath the stages; a bar where it is ``part`` of its limit.

        A part of more than 1 is marked. Nothing is told where nothing can move.
        """
        self._facts[fact] = words, part

    def _screen(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        width = _WIDTH if self._console.width >= _ROOM else _NARROW
        table = Table.grid(padding=(0, 2, 0, 0))
        for column in range(3):
            table.add_column(no_wrap=column < 2)
        for stage in self._stages:
            left = '' if stage.done else stage.left()
            words = ', '.join(filter(None, (stage.words, left)))
            table.add_row(
                f'  {_MARKS[stage.done]} {stage.title}',
                Text(_bar(stage.part, width), 'green' if stage.done else 'cyan'),
                Text(f'{stage.part:4.0%}  {words}'),
            )
        for fact, (words, part) in self._facts.items():
            bar = Text('' if part is None else _bar(part, width), _style(part))
            table.add_row(f'    {fact}', bar, Text(words, _style(part)))
        return table


class _Stage:
    """How far one stage is."""

    def __init__(self, title: str, clock: Callable[[], float]) -> None:
        self.title, self.part, self.words = title, 0.0, ''
        self._clock, self._tenth = clock, -1
        self._begun: tuple[float, float] | None = None  # when it moved first, and where it was

    @property
    def done(self) -> bool:
        """Whether all of it is done."""
        return self.part >= 1.0

    def take(self, part: float, words: str) -> str:
        """Take news; the line that is due, or nothing."""
        self.part, self.words = min(max(part, 0.0), 1.0), words
        if self._begun is None and self.part > 0.0:
            self._begun = self._clock(), self.part
        if (tenth := int(self.part * LINES)) <= self._tenth:
            return ''
        self._tenth = tenth
        return f'  {self.title:<10} {self.part:4.0%}  {words}'

    def left(self) -> str:
        """The time left, once that can be guessed."""
        since_s, first = self._begun or (self._clock(), 0.0)
        spent_s, done = self._clock() - since_s, self.part - first
        if done < 0.05 or spent_s < 1.0:  # what it waited for before tells nothing of the rest
            return ''
        return f'{duration(spent_s / done * (1.0 - self.part))} left'


def _bar(part: float, width: int) -> str:
    full = round(width * min(max(part, 0.0), 1.0))
    return ('━' * full).ljust(width, '╌') if part <= 1.0 else '━' * (width - 1) + '!'


def _style(part: float | None) -> str:
    if part is None:
        return ''
    return 'bold red' if part > 1.0 else 'yellow' if part > 0.8 else 'green'
