"""From a recording of the graph to a table, a plot and pictures."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.replay import plot
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.figures import Observed
from edge_inference_ros.replay.observe import Played, Topics, observe, read_played
from edge_inference_ros.replay.page import page
from edge_inference_ros.replay.pictures import (
    SENSORS,
    Found,
    picture_topic,
    read_detections,
    save_overlays,
)
from edge_inference_ros.replay.summary import RunReport, judge

_JSON = 'report.json'
PLACES = (page.NAME, 'report.txt', _JSON, 'latency.png', 'overlays', 'worst')
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Params:
    """What to report on."""

    bag: str = param(
        '', 'recording of the graph: latency, and freshness if there was a watchdog', required=True
    )
    played: str = param('', 'log of `replay play`: which frames there were to detect')
    source: str = param('', 'bag that was played: draw overlay pictures from it')
    topic: str = param('', 'topic of the pictures in source; empty takes the only one')
    namespace: str = param('', 'namespace of the detector and its watchdog')
    out: str = param('', 'folder for report.html, report.json, report.txt, latency.png, overlays')
    pictures: int = param(12, 'overlay pictures to draw', low=0, high=1000)
    about: tuple[str, ...] = param((), 'lines that say what was run, for the page')
    first: int = param(0, 'draw only from so many frames of source; 0 draws from all', low=0)


def run(params: Params) -> RunReport:
    """Make the report, and say where it is; raises as ``make``."""
    report = make(params)
    if params.out:
        out = Path(params.out)
        made = (
            path.name
            for path in map(out.joinpath, PLACES)
            if path.is_file() or any(path.glob('*'))
        )
        log.info('%s: %s', out, ', '.join(made))
    return report


def make(params: Params) -> RunReport:
    """Read, work out, draw and write. What cannot be written is named in the report.

    Raises:
        BagError: a recording or log that cannot be read or lacks what is needed.
        ConfigError: no recording is named, or ``out`` already holds a report.
    """
    if not params.bag:
        raise ConfigError('report needs --bag: a recording with the latency topic')
    if params.out and (Path(params.out) / _JSON).exists():
        raise ConfigError(f'{params.out} already holds a report; choose another --out')
    topics = Topics(namespace=params.namespace)
    played = read_played(Path(params.played)) if params.played else Played()
    with open_bag(Path(params.bag)) as bag:
        seen = observe(bag, _expected(played, params.topic), topics)
        report = judge(seen, params.source or params.bag, [bag.lost] if bag.lost else [])
        if not params.out:
            return report
        draws = params.source and played.loops and params.pictures
        found = read_detections(bag, topics.full('detections')) if draws else {}
    files_ = _Files()
    frames = _pictures(params, seen, played, found, files_)
    report = replace(report, written=tuple(files_.written), unwritten=tuple(files_.lost))
    with files_.trying():
        page.write(Path(params.out) / page.NAME, report, seen, frames, params.about)
    with files_.trying():
        write(report, Path(params.out))
    return replace(report, unwritten=tuple(files_.lost))


@dataclass
class _Files:
    """What was written, and why the rest was not: one file that fails keeps no other from it."""

    written: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """Note that something cannot be written, and go on."""
        try:
            yield
        except ConfigError as error:
            self.lost.append(str(error))


def _pictures(
    params: Params, seen: Observed, played: Played, found: dict[int, list[Found]], made: _Files
) -> list[page.Worst]:
    """Draw the plot, the overlays and the worst frames; answer with the last, for the page."""
    if seen.outputs:
        with made.trying():
            path = Path(params.out) / 'latency.png'
            plot.save(seen, path)
            made.written.append(str(path))
    frames: list[page.Worst] = []
    if found:
        with made.trying():
            which = {'most': params.pictures, 'first': params.first}
            drawn = _draw(params, seen, played, found, 'overlays', **which)
            made.written += [str(path) for path in drawn.values()]
        with made.trying():
            reasons = page.worst(seen)
            worst = {stamp: found[stamp] for stamp in reasons if stamp in found}
            drawn = _draw(params, seen, played, worst, 'worst', most=len(worst))
            frames = [page.Worst(reasons[stamp], path) for stamp, path in drawn.items()]
            made.written += [str(path) for path in drawn.values()]
    return frames


def write(report: RunReport, out: Path) -> None:
    """Leave the report in ``out`` as text and as JSON.

    Raises:
        ConfigError: a file cannot be written.
    """
    files.write_text(out / 'report.txt', report.as_table() + '\n')
    files.write_text(out / _JSON, report.as_json() + '\n')


def _expected(played: Played, topic: str) -> tuple[int, ...]:
    """Stamps of the frames that were played: of ``topic``, or of the only one with pictures."""
    names = [topic] if topic else [n for n, kind in played.types.items() if kind in SENSORS]
    return played.stamps_ns.get(names[0], ()) if len(names) == 1 else ()


def _draw(
    params: Params,
    seen: Observed,
    played: Played,
    detections: dict[int, list[Found]],
    name: str,
    **which: int,
) -> dict[int, Path]:
    """Draw frames with results into the folder ``name``; ``which`` as of ``save_overlays``."""
    with open_bag(Path(params.source)) as source:
        return save_overlays(
            source,
            picture_topic(source, params.topic),
            detections,
            Path(params.out) / name,
            loops=played.loops,
            captions=_captions(seen),
            **which,
        )


def _captions(seen: Observed) -> dict[int, str]:
    """By stamp, how old the result was and what the guard did with it."""
    let_through = {stamp for stamp, _ in seen.forwarded_ns}
    captions = {}
    for output in seen.outputs:
        age = f'{output.laps_ms[WHOLE]:.0f} ms old at output'
        if seen.verdicts:
            age += ', forwarded' if output.stamp_ns in let_through else ', REFUSED'
        captions[output.stamp_ns] = age
    return captions
