"""Finds what makes perception late or deaf on this machine, with a remedy for each finding."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from edge_inference_ros.core.params import param
from edge_inference_ros.core.types import Level
from edge_inference_ros.errors import EdgeInferenceError
from edge_inference_ros.monitor.finding import Finding, Machine
from edge_inference_ros.ros.tool import open_node

SICK = 1
"""Exit status when a finding is an ERROR."""


@dataclass(frozen=True)
class Params:
    """What to look at, and how to say it."""

    json: bool = param(default=False, doc='print one JSON object a finding instead of a table')
    graph: bool = param(default=True, doc='look at the nodes that run in this ROS domain as well')
    probe: bool = param(
        default=True, doc='send real images through the middleware, about 10 seconds'
    )
    listen_s: float = param(
        2.0, 'how long to listen to sensors whose stamps are checked', low=0.1, high=60.0
    )


def run(*, params: Params) -> int:
    """Check everything; print each finding as it is made.

    Returns:
        0 when nothing is an ERROR, else 1.
    """
    worst = Level.OK
    show = _as_json if params.json else _as_lines
    for finding in examine(params):
        worst = max(worst, finding.level)
        show(finding, sys.stdout)
    if not params.json:
        words = {
            Level.OK: 'nothing found',
            Level.WARN: 'perception may be late here',
            Level.ERROR: 'perception is late, deaf or blind here',
        }
        sys.stdout.write(f'\n{words[worst]}\n')
    return SICK if worst is Level.ERROR else 0


def examine(params: Params, machine: Machine | None = None) -> Iterator[Finding]:
    """Every finding, machine first, then software, then the graph."""
    from edge_inference_ros.monitor import machine_checks, software_checks

    machine = machine or Machine()
    for check in (*machine_checks.CHECKS, *software_checks.CHECKS):
        yield from _guarded(check.__name__, check(machine))
    if not (params.graph or params.probe):
        return
    try:
        with open_node('edge_inference_doctor') as node:
            yield from _on_graph(node, params)
    except EdgeInferenceError as error:
        yield Finding('graph', Level.ERROR, str(error))


def _on_graph(node: Any, params: Params) -> Iterator[Finding]:
    from edge_inference_ros.monitor import graph_checks, probe

    if params.probe:
        yield from _guarded('transport', probe.transport(node))
    if params.graph:
        graph_checks.wait_for_discovery(node)
        for check in graph_checks.CHECKS:
            options = {'listen_s': params.listen_s} if check is graph_checks.stamps else {}
            yield from _guarded(check.__name__, check(node, **options))


def _guarded(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """A check that fails is a finding, and the others still run."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - a defect of one check must not hide the rest
        yield Finding(name, Level.WARN, f'could not be checked: {type(error).__name__}: {error}')


def _as_json(finding: Finding, out: TextIO) -> None:
    row = finding._asdict() | {'level': finding.level.name}
    out.write(json.dumps(row) + '\n')
    out.flush()


def _as_lines(finding: Finding, out: TextIO) -> None:
    out.write(f'{finding.level.name:<5}  {finding.check:<18} {finding.text}\n')
    if finding.remedy:
        out.write(f'       {"":<18} → {finding.remedy}\n')
    if finding.see and finding.level is not Level.OK:
        out.write(f'       {"":<18}   cured? {finding.see}\n')
    out.flush()
