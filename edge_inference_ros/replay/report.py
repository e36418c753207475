"""From a recording of the graph to a table, a plot and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ConfigError
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
    """Read, work out, draw and write.

    Raises:
        BagError: a recording or log that cannot be read or lacks what is needed.
    """
    if not params.bag:
        raise ConfigError('report needs --bag: a recording with the latency topic')
    topics = Topics(namespace=params.namespace)
    played = read_played(Path(params.played)) if params.played else Played()
    with open_bag(Path(params.bag)) as bag:
        seen = observe(bag, _expected(played, params.topic), topics)
        written: list[str] = []
        frames: list[page.Worst] = []
        notes = [bag.lost] if bag.lost else []
        if params.out:
            out = Path(params.out)
            out.mkdir(parents=True, exist_ok=True)
            plot.save(seen, out / 'latency.png')
            written = [str(path) for path in (out / 'latency.png',) if path.exists()]
            if params.source and played.loops and params.pictures:
                found = read_detections(bag, topics.full('detections'))
                which = {'most': params.pictures, 'first': params.first}
                drawn = _draw(params, seen, played, found, 'overlays', **which)
                written += [str(path) for path in drawn.values()]
                reasons = page.worst(seen)
                found = {stamp: found[stamp] for stamp in reasons if stamp in found}
                drawn = _draw(params, seen, played, found, 'worst', most=len(found))
                frames = [page.Worst(reasons[stamp], path) for stamp, path in drawn.items()]
    report = judge(seen, params.source or params.bag, written, notes)
    if params.out:
        write(report, Path(params.out))
        page.write(Path(params.out) / page.NAME, report, seen, frames, params.about)
    return report


def write(report: RunReport, out: Path) -> None:
    """Leave the report in ``out`` as text and as JSON."""
    (out / 'report.json').write_text(report.as_json() + '\n', encoding='utf-8')
    (out / 'report.txt').write_text(report.as_table() + '\n', encoding='utf-8')


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
