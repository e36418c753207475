"""``python -m tools.soak``: a camera, a detector and a watchdog for a quarter of an hour.

Real processes on a graph of their own. Says every minute what each holds, and ends with status 1
if memory, threads or file descriptors of detector or watchdog grew by more than a hundredth after
the third minute, or if no detections, or no fresh ones, came out.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_inference_ros.core.share import share
from edge_inference_ros.replay.graph import Processes, environment
from tools.soak.vitals import SETTLED_S, Vitals, growth, read

log = logging.getLogger('soak')

ALLOWED = 0.01
PERIOD_S = 2.0
NODES = ('camera_detector', 'watchdog')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status says whether anything grew."""
    parser = argparse.ArgumentParser(prog='python -m tools.soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=15.0)
    parser.add_argument('--settled-minutes', type=float, default=SETTLED_S / 60.0)
    parser.add_argument('--hz', type=float, default=30.0)
    parser.add_argument('--size', default='640x480', help='of the pictures, WIDTHxHEIGHT')
    parser.add_argument('--model', default='person_nano')
    parser.add_argument('--backend', default='ort')
    said = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stdout)
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        with Processes(environment(logs), logs) as graph:
            _start(graph, said)
            seen = _watch(graph, said)
    return _judge(seen, said.settled_minutes * 60.0)


def _start(graph: Processes, said: argparse.Namespace) -> None:
    autostart = ['--ros-args', '-p', 'autostart:=true']
    model = ['-p', f'model:={said.model}', '-p', f'backend:={said.backend}']
    nodes = 'edge_inference_ros.nodes'
    graph.start('camera_detector', ['-m', f'{nodes}.camera_detector', *autostart, *model])
    robot = ['--params-file', str(share('config/robots/indoor_amr.yaml'))]
    graph.start('watchdog', ['-m', f'{nodes}.watchdog', *autostart, *robot])
    graph.start('camera', ['-m', 'tools.soak.camera', *said.size.split('x'), str(said.hz)])
    graph.start('listener', ['-m', 'tools.soak.listener'], tells=True)


def _watch(graph: Processes, said: argparse.Namespace) -> dict[str, list[Vitals]]:
    """Vitals of each node every ``PERIOD_S``; raises ``ChildEnded`` when one ends."""
    processes = {child.name: child.process.pid for child in graph.children}
    seen: dict[str, list[Vitals]] = {name: [] for name in NODES}
    start_s = time.monotonic()
    minute, heard = 0, {'detections': 0, 'fresh': 0}
    while (at_s := time.monotonic() - start_s) < said.minutes * 60.0:
        if event := graph.hear(PERIOD_S):
            heard = event[1]
        for name, rows in seen.items():
            if not rows or at_s >= rows[-1].at_s + PERIOD_S:
                rows.append(read(processes[name], at_s))
        if at_s >= 60.0 * minute:
            log.info('%4.1f min, %s  %s', at_s / 60.0, _counts(heard), _line(seen))
            minute += 1
    if not all(heard[what] for what in ('detections', 'fresh')):
        raise SystemExit(f'what came out: {_counts(heard)}')
    return seen


def _counts(heard: Mapping[str, int]) -> str:
    return ', '.join(f'{count} {what}' for what, count in heard.items())


def _line(seen: dict[str, list[Vitals]]) -> str:
    return '  '.join(
        f'{name}: {rows[-1].rss_kib / 1024:.1f} MiB, {rows[-1].threads} threads,'
        f' {rows[-1].files} files'
        for name, rows in seen.items()
    )


def _judge(seen: dict[str, list[Vitals]], settled_s: float) -> int:
    grown = False
    for name, rows in seen.items():
        for found in growth(rows, settled_s=settled_s):
            bad = found.part > ALLOWED
            grown |= bad
            log.info(
                '%-16s %-8s %10.1f -> %10.1f  %+.2f %%%s',
                name, found.what, found.settled, found.end, 100.0 * found.part,
                '  GREW' if bad else '',
            )  # fmt: skip
    return int(grown)


if __name__ == '__main__':
    sys.exit(main())
