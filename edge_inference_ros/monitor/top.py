"""Shows what is fresh, how old, how fast and why not: a live screen over a running graph."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_inference_ros.core import registry
from edge_inference_ros.core.params import param
from edge_inference_ros.core.protocols import Gauge
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.monitor.board import SURE_S, Board, Picture
from edge_inference_ros.ros.tool import open_node

LEAST_COLUMNS = 60
LOOK_S = 0.25
SETTLE_LOOKS = 6
"""Roll-ups come once a second, a rate needs two looks."""


@dataclass(frozen=True)
class Params:
    """What to show, and how."""

    once: bool = param(default=False, doc='print one table and end')
    json: bool = param(
        default=False, doc='print one JSON record a second, for scripts; with --once just one'
    )
    svg: str = param('', 'draw the live screen into this file (.svg) instead, and end')
    period_s: float = param(0.5, 'time between two looks of the live screen', low=0.1, high=10.0)
    wait_s: float = param(
        5.0, 'how long --once and --json wait for the first node to be heard', low=0.5, high=600.0
    )


def run(*, params: Params) -> int:
    """Show the graph of this ROS domain until told to end.

    Raises:
        ConfigError: no terminal for the live screen; nothing heard in time; or no ROS 2.
    """
    if params.svg and (params.once or params.json):
        raise ConfigError('--svg draws a picture, --once and --json print: choose one')
    if params.svg and not params.svg.endswith('.svg'):
        raise ConfigError(f'--svg {params.svg}: expected a file that ends in .svg')
    live = not (params.once or params.json or params.svg)
    if live:
        check_terminal(sys.stdout)
    with open_node('edge_inference_top') as node:
        from edge_inference_ros.monitor.listener import Listener

        listener, board = Listener(node, open_gauges()), Board()

        def look() -> Picture:
            return board.take(listener.look(), time.monotonic())

        if params.svg:
            draw(look, params, Path(params.svg))
        elif live:
            from edge_inference_ros.monitor.screen import Top

            Top(look, where=where(), period_s=params.period_s, going=node.context.ok).run()
        else:
            report(look, params, sys.stdout, going=node.context.ok)
    return 0


def draw(look: Callable[[], Picture], params: Params, path: Path) -> None:
    """The live screen as a picture that a page can show.

    Raises:
        ConfigError: nobody was heard in time, or the file cannot be written.
    """
    from edge_inference_ros.monitor.screen import Top, picture_of

    first(look, params.wait_s)
    text = picture_of(Top(look, period_s=params.period_s))
    files.write_text(path, text)


def open_gauges() -> list[Gauge]:
    """Every gauge that this machine has."""
    gauges = []
    for name in registry.names('gauges'):
        try:
            gauge = registry.load('gauges', name).open()
        except BackendUnavailable:
            continue
        if gauge is not None:
            gauges.append(gauge)
    return gauges


def report(
    look: Callable[[], Picture],
    params: Params,
    out: TextIO,
    *,
    going: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Print a table once, or a record a second, as soon as somebody is heard.

    Raises:
        ConfigError: nobody was heard within ``params.wait_s``.
    """
    picture = first(look, params.wait_s, clock=clock, wait=wait)
    while True:
        if params.json:
            out.write(json.dumps(dataclasses.asdict(picture)) + '\n')
        else:
            _print(picture, out)
        out.flush()
        if params.once:
            return
        wait(1.0)
        if not going():
            return
        picture = look()


def first(
    look: Callable[[], Picture],
    wait_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Picture:
    """The first picture that tells all.

    Who is heard first may not be all there is: as long as somebody is missing, it is listened
    until an absence is sure.

    Raises:
        ConfigError: nobody was heard within ``wait_s``.
    """
    end_s = clock() + wait_s
    while look().empty:
        if clock() > end_s:
            raise ConfigError(f'{where()} Nothing was heard within {wait_s:g} s.')
        wait(LOOK_S)
    end_s, looks = clock() + SURE_S, 0
    while True:
        wait(LOOK_S)
        picture, looks = look(), looks + 1
        if (looks >= SETTLE_LOOKS and picture.whole) or clock() >= end_s:
            return picture


def where() -> str:
    """Where is listened, and what to check when nothing comes."""
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    return (
        f'Listening in ROS_DOMAIN_ID {domain} (discovery range {reach}) for the topics `latency`'
        ' of detectors and `freshness` of watchdogs. Are the nodes active (`ros2 lifecycle get`),'
        ' and is their domain the same?'
    )


def check_terminal(out: TextIO) -> None:
    """Refuse what a live screen cannot be drawn on.

    Raises:
        ConfigError: no terminal, or one that is too narrow.
    """
    if not out.isatty():
        raise ConfigError('the live screen needs a terminal; use --once or --json here')
    columns = os.get_terminal_size(out.fileno()).columns
    if columns < LEAST_COLUMNS:
        raise ConfigError(
            f'the terminal has {columns} columns, the live screen needs {LEAST_COLUMNS}:'
            ' make it wider, or use --once or --json'
        )


def _print(picture: Picture, out: TextIO) -> None:
    from rich.console import Console

    from edge_inference_ros.monitor import draw

    wide = None if out.isatty() or 'COLUMNS' in os.environ else 120  # Console reads COLUMNS itself
    console = Console(file=out, width=wide, highlight=False)
    console.print(draw.whole(picture, console.width))
