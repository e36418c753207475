"""The live screen of `edge_inference top`.

Needs Textual. Everything shown comes from one callable, so a test drives it without ROS.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, RichLog, Static

from edge_inference_ros.monitor import draw
from edge_inference_ros.monitor.board import DetectorView, Picture, SourceView

WAITING = 'nothing heard yet'


class Top(App[None]):
    """Guards above, sources in a table, the stages of the chosen one, and what changed.

    Args:
        look: how things stand now; called every ``period_s`` in the app's own thread.
        where: said while nothing is heard: where was looked, and what to check.
        going: False once there is nothing to look at any more, as after a SIGTERM.
    """

    TITLE = 'edge_inference top'
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    #guards { height: auto; max-height: 6; }
    #sources { height: auto; max-height: 8; }
    #stages { height: auto; }
    #log { height: 1fr; min-height: 3; border-top: solid $foreground-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ('q', 'quit', 'quit'),
        ('p', 'pause', 'pause'),
        ('s', 'stages', 'stages'),
        ('l', 'log', 'log'),
        Binding('ctrl+c', 'quit', show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        look: Callable[[], Picture],
        *,
        where: str = '',
        period_s: float = 0.5,
        going: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(ansi_color=True)
        self._look, self._where, self._period_s = look, where, period_s
        self._going = going
        self._start_s = time.monotonic()
        self._paused = False
        self._written = 0.0
        self._picture = Picture()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(id='guards')
        yield DataTable(id='sources', cursor_type='row', zebra_stripes=False)
        yield Static(id='stages')
        yield RichLog(id='log', max_lines=1000, wrap=True)
        yield Footer()

    def on_mount(self) -> None:
        """Look once, then again and again."""
        table = self.query_one(DataTable)
        for column in draw.COLUMNS:
            table.add_column(column, key=column)
        self.refresh_board()
        self.set_interval(self._period_s, self.refresh_board)

    def refresh_board(self) -> None:
        """Show how things stand now, unless paused."""
        if self._paused and self._going():
            return
        try:
            self._picture = self._look()
        except Exception:
            if self._going():
                raise
        if not self._going():  # SIGTERM takes the context away, perhaps from under the look
            self.exit()
            return
        self.query_one('#guards', Static).update(self._heading())
        self._show_sources()
        self._show_stages()
        self._show_log()

    def action_pause(self) -> None:
        """Freeze what is shown, or go on."""
        self._paused = not self._paused
        self.query_one('#guards', Static).update(self._heading())

    def action_stages(self) -> None:
        """Show or hide the stages."""
        stages = self.query_one('#stages', Static)
        stages.display = not stages.display

    def action_log(self) -> None:
        """Show or hide the log."""
        log = self.query_one(RichLog)
        log.display = not log.display

    def on_data_table_row_highlighted(self) -> None:
        """Another source is chosen, by key or mouse."""
        self._show_stages()

    def _heading(self) -> Text:
        picture = self._picture
        if picture.empty:
            return Text(f'{WAITING}. {self._where}')
        lines = [draw.headline(guard, picture) for guard in picture.guards]
        if not lines:
            lines = [draw.unguarded(picture)]
        last = draw.gauges(picture) + ('   PAUSED: p goes on' if self._paused else '')
        return Text('\n').join([*lines, Text(last, 'dim')])

    def _show_sources(self) -> None:
        table = self.query_one(DataTable)
        shown = draw.rows(self._picture)
        table.display = bool(shown)
        known = {key.value for key in table.rows}
        for gone in known - {_name(*row) for row in shown}:
            table.remove_row(str(gone))
        for source, detector in shown:
            name = _name(source, detector)
            cells = draw.cells(self._picture, source, detector)
            if name not in known:
                table.add_row(*cells, key=name)
                continue
            for column, cell in zip(draw.COLUMNS, cells, strict=True):
                if table.get_cell(name, column) != cell:
                    table.update_cell(name, column, cell, update_width=True)

    def _show_stages(self) -> None:
        stages = self.query_one('#stages', Static)
        detector = self._chosen()
        stages.update(draw.waterfall(detector, self.size.width) if detector else '')

    def _chosen(self) -> DetectorView | None:
        table = self.query_one(DataTable)
        if not table.is_valid_row_index(table.cursor_row):
            return None
        chosen = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        rows = draw.rows(self._picture)
        return next((row[1] for row in rows if _name(*row) == chosen), None)

    def _show_log(self) -> None:
        fresh = [line for line in self._picture.log if line[0] > self._written]
        if fresh:
            self._written = fresh[-1][0]
            for line in draw.log_lines(fresh, self._start_s):
                self.query_one(RichLog).write(line)


def _name(source: SourceView | None, detector: DetectorView | None) -> str:
    """What a row of ``draw.rows`` is known by: its place may change."""
    return source.topic if source else detector.topic  # type: ignore[union-attr]


def picture_of(app: Top, size: tuple[int, int] = (100, 30)) -> str:
    """What ``app`` shows after its first look, ``size`` in columns and rows, as SVG."""

    async def shown() -> str:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            return app.export_screenshot()

    return asyncio.run(shown())
