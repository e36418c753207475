"""The report of a run, for people and for machines."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_inference_ros.core.stats import samples_needed
from edge_inference_ros.machine import processor
from edge_inference_ros.replay.figures import (
    QUANTILES,
    Accounting,
    Guarded,
    LatencyRow,
    Observed,
    Rhythm,
    accounting,
    guarded,
    in_ms,
    ms,
    rhythm,
    table,
)

_COLUMNS = ('frames', 'p50', 'p95', 'p99', 'max')


@dataclass(frozen=True)
class RunReport:
    """Everything a run says about itself.

    Attributes:
        source: what was played.
        written: files that belong to it.
        notes: what else a reader must know, one sentence each.
        unwritten: files that could not be written, and why, one sentence each.
    """

    source: str
    latency: Sequence[LatencyRow]
    frames: Accounting
    rhythm: Rhythm
    guard: Guarded | None
    engine: dict[str, str] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """2 when something could not be written."""
        return 2 if self.unwritten else 0

    def as_table(self) -> str:
        """The report as text for a terminal."""
        lines = [*_latency(self.latency), '', *_frames(self.frames), *_guard(self.guard), '']
        lines += [*_rhythm(self.rhythm), *self.notes]
        lines += [f'NOT WRITTEN  {why}' for why in self.unwritten]
        return '\n'.join(lines)

    def as_json(self) -> str:
        """The report as a JSON object, with the machine it was made on."""
        table = dataclasses.asdict(self)
        table['frames']['adds_up'] = self.frames.adds_up
        table['quantiles'] = QUANTILES
        table['machine'] = {
            'system': platform.platform(),
            'processor': processor.name(),
            'cores': os.cpu_count(),
            'load': os.getloadavg(),
        }
        return json.dumps(table, indent=2)


def judge(seen: Observed, source: str, notes: Sequence[str] = ()) -> RunReport:
    """Work out every figure of ``seen``."""
    return RunReport(
        source=source,
        latency=table(seen),
        frames=accounting(seen),
        rhythm=rhythm(seen),
        guard=guarded(seen),
        engine=dict(seen.engine),
        notes=tuple(notes),
    )


def _latency(rows: Sequence[LatencyRow]) -> list[str]:
    width = max([len(row.stage) for row in rows] + [len('latency, ms')]) + 2
    head = 'latency, ms'.ljust(width) + ''.join(f'{name:>9}' for name in _COLUMNS)
    lines = [head, '─' * len(head)]
    for row in rows:
        numbers = [*row.quantiles_ms, row.max_ms]
        label = row.stage.replace('_', ' ')
        lines.append(
            label.ljust(width) + f'{row.samples:>9}' + ''.join(f'{ms(n):>9}' for n in numbers)
        )
    if any(None in row.quantiles_ms for row in rows):
        needs = ', '.join(f'{samples_needed(q)} for p{q * 100:g}' for q in QUANTILES)
        lines.append(f'n/a: too few frames to know it with 95 % confidence ({needs})')
    return lines


def _frames(frames: Accounting) -> list[str]:
    lines = []
    if frames.published is not None:
        lines.append(
            f'frames  {frames.published} published = {frames.received} received'
            f' + {frames.lost} lost on the way'
        )
    parts = [(frames.detected, 'detected'), (frames.superseded, 'superseded'),
             (frames.rejected, 'rejected')]  # fmt: skip
    parts += [
        (n, name) for n, name in ((frames.failed, 'failed'), (frames.waiting, 'waiting')) if n
    ]
    sentence = ' + '.join(f'{count} {name}' for count, name in parts)
    verdict = 'adds up' if frames.adds_up else 'DOES NOT ADD UP'
    lines.append(f'        {frames.received} received = {sentence}   ({verdict})')
    return lines


def _guard(guard: Guarded | None) -> list[str]:
    if guard is None:
        return []
    refused = ', '.join(f'{verdict} {n}' for verdict, n in sorted(guard.refused.items()))
    lines = [
        f'guard   {guard.judged} predictions judged = {guard.forwarded} forwarded'
        f' + {sum(guard.refused.values())} refused' + (f': {refused}' if refused else '')
    ]
    if guard.miss_ratio is not None:
        lines.append(
            f'        {100 * guard.miss_ratio:.1f} % of the frames gave no usable prediction'
        )
    return lines


def _rhythm(it: Rhythm) -> list[str]:
    even = (
        f'rhythm  an output every {in_ms(it.period_ms)}; jitter (p95) {in_ms(it.jitter_ms)};'
        f' p99 - p50 {in_ms(it.spread_ms)}; longest gap {in_ms(it.longest_gap_ms)}'
    )
    worst = (
        f'worst   data age {in_ms(it.data_age_ms)};'
        f' reaction to a missed event {in_ms(it.reaction_ms)}'
    )
    return [even, worst]
