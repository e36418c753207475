"""Says whether a candidate has become slower than a baseline: `replay compare A B`.

Run i of A is paired with run i of B: make them in turns (A B B A …), each in a fresh process.
Exits with 0 for UNCHANGED and IMPROVED, 1 for REGRESSED, 2 for input that allows no verdict, 3
for INCONCLUSIVE. Results of the pace `logic` are exact: any difference for the worse counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.core.params import param
from edge_inference_ros.errors import BagError
from edge_inference_ros.machine import files
from edge_inference_ros.replay.figures import CORRECTED
from edge_inference_ros.replay.verdict.result import LOGIC, Result, Run, read
from edge_inference_ros.replay.verdict.rule import (
    MATTERS,
    Comparison,
    Gate,
    Measure,
    MetricRow,
    Trend,
    judge,
    judge_exact,
)


@dataclass(frozen=True)
class Params:
    """What decides."""

    stages: tuple[str, ...] = param(
        (WHOLE, CORRECTED), 'stages that decide; the more there are, the surer each has to be'
    )
    out: str = param('', 'folder for verdict.json and verdict.md')


@dataclass(frozen=True)
class Compared:
    """A verdict with the names of the two sides."""

    baseline: str
    candidate: str
    judgement: Comparison

    @property
    def exit_code(self) -> int:
        """0 unchanged or improved, 1 regressed, 3 inconclusive."""
        return self.judgement.exit_code

    def as_table(self) -> str:
        """The verdict for a terminal."""
        head_row = ('stage', '', 'pairs', 'ratio', '95 % bounds', '')
        rows: list[tuple[str, ...]] = [head_row]
        rows += [_cells(row) for row in self.judgement.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ['  '.join(f'{c:<{w}}' for c, w in zip(r, widths, strict=True)) for r in rows]
        head = f'{self.judgement.verdict.value}: {self.candidate} against {self.baseline}'
        return '\n'.join([head, '', *(line.rstrip() for line in lines), *self._notes()])

    def as_markdown(self) -> str:
        """The verdict for a pull request."""
        head = ('stage', 'quantile', 'pairs', 'ratio', '95 % bounds', 'verdict')
        rows = [head, ('---',) * len(head), *map(_cells, self.judgement.rows)]
        table = [f'| {" | ".join(row)} |' for row in rows]
        title = f'**{self.judgement.verdict.value}**: `{self.candidate}` against `{self.baseline}`'
        return '\n'.join([title, '', *table, '', *(f'* {note}' for note in self._notes())]) + '\n'

    def as_json(self) -> str:
        """The verdict for a machine."""
        table = asdict(self)
        table['judgement']['verdict'] = self.judgement.verdict.value
        for row, it in zip(table['judgement']['rows'], self.judgement.rows, strict=True):
            row['verdict'] = it.verdict.value
            row |= {k: None for k in ('low', 'high', 'ratio') if row[k] in (float('inf'), 0.0)}
        return json.dumps({**table, 'exit_code': self.exit_code}, indent=2)

    def _notes(self) -> Iterator[str]:
        for gate in self.judgement.gates:
            if not gate.holds:
                yield f'{gate.name}: {gate.why}'
        for reason, count in sorted(self.judgement.void.items()):
            yield f'{count} pairs left out: {reason}'
        if self.judgement.more_pairs_may_help:
            yield 'More pairs may decide: up to 16 are worth it.'


def run(baseline: Path, candidate: Path, params: Params) -> Compared:
    """Compare two results of the same recording at the same pace.

    Args:
        baseline: a result, or the folder it lies in.
        candidate: what may have become worse.
        params: what decides.

    Raises:
        BagError: INVALID INPUT: no result, another recording or pace, or nothing to compare.
    """
    before, after = read(baseline), read(candidate)
    _check(before, after)
    judgement = _judge(before, after, params.stages)
    compared = Compared(str(baseline), str(candidate), judgement)
    if params.out:
        out = Path(params.out)
        files.write_text(out / 'verdict.json', compared.as_json() + '\n')
        files.write_text(out / 'verdict.md', compared.as_markdown())
    return compared


def _check(before: Result, after: Result) -> None:
    for name in ('pace', 'bag_sha256', 'settings'):
        value, other_value = getattr(before, name), getattr(after, name)
        if value != other_value:
            raise BagError(
                f'INVALID INPUT: the two differ in {name}: {value!r} and {other_value!r};'
                ' nothing can be said of what they have not in common'
            )
    if not before.runs or len(before.runs) != len(after.runs):
        raise BagError(
            f'INVALID INPUT: {len(before.runs)} runs and {len(after.runs)}: need as many of each'
        )
    if before.pace == LOGIC and len(before.runs) != 1:
        raise BagError('INVALID INPUT: a result of the pace logic is one run')


def _judge(before: Result, after: Result, stages: Sequence[str]) -> Comparison:
    pairs, void = _paired(before, after)
    if not pairs:
        raise BagError(f'INVALID INPUT: no pair of runs counts: {", ".join(sorted(void))}')
    gates = [_adds_up(pairs), *_same_outputs(pairs, exact=before.pace == LOGIC)]
    measures = list(_measures(pairs, stages, exact=before.pace == LOGIC))
    if before.pace == LOGIC:
        return judge_exact(measures, gates)
    return judge(measures, gates, void)


def _paired(before: Result, after: Result) -> tuple[list[tuple[Run, Run]], Counter[str]]:
    """Pairs of which both runs count, and why others do not."""
    pairs = list(zip(before.runs, after.runs, strict=True))
    void = Counter(a.void or b.void for a, b in pairs if a.void or b.void)
    return [(a, b) for a, b in pairs if not (a.void or b.void)], void


def _measures(
    pairs: Sequence[tuple[Run, Run]], stages: Sequence[str], *, exact: bool
) -> Iterator[Measure]:
    """What every run of both sides has; of the stages that decide first."""
    runs = [run for pair in pairs for run in pair]
    shared = set.intersection(*(set(run.latency_ns) for run in runs))
    for stage in sorted(shared, key=lambda name: (name not in stages, name)):
        names = set.intersection(*(set(run.latency_ns[stage]) for run in runs))
        for name in sorted(names):
            before, after = (
                [run.latency_ns[stage][name] for run in side] for side in zip(*pairs, strict=True)
            )
            decides = stage in stages and (exact or name in MATTERS)
            if min(before + after) > 0:
                yield Measure(stage, name, before, after, decides=decides)


def _adds_up(pairs: Sequence[tuple[Run, Run]]) -> Gate:
    for run in (run for pair in pairs for run in pair):
        gone = sum(
            run.frames.get(name, 0) for name in ('done', 'superseded', 'rejected', 'failed')
        )
        if gone != run.frames.get('received', -1):
            why = f'{run.frames.get("received")} received, but {gone} accounted for'
            return Gate('frames in = out + dropped', holds=False, why=why)
    return Gate('frames in = out + dropped', holds=True)


def _same_outputs(pairs: Sequence[tuple[Run, Run]], *, exact: bool) -> Iterator[Gate]:
    """Whether no more is lost; only where nothing is left to chance."""
    if not exact:
        return
    ((first, second),) = pairs
    lost = [
        f'{name} {first.frames.get(name, 0)} → {second.frames.get(name, 0)}'
        for name in ('superseded', 'rejected', 'failed')
        if second.frames.get(name, 0) > first.frames.get(name, 0)
    ]
    yield Gate('frames lost', holds=not lost, why=', '.join(lost))
    before, after = first.verdicts.get('VALID', 0), second.verdicts.get('VALID', 0)
    yield Gate('predictions forwarded', holds=after >= before, why=f'VALID {before} → {after}')


def _cells(row: MetricRow) -> tuple[str, ...]:
    word = row.verdict.value if row.decides else f'({row.verdict.value.lower()})'
    if not row.decides and row.verdict is Trend.INCONCLUSIVE:
        word = ''
    bounds = f'{row.low:.3f} … {row.high:.3f}'
    return row.stage, row.quantile, str(row.pairs), f'{row.ratio:.3f}', bounds, word
