"""The figures of `bench.models` as Markdown: the model zoo, and goals beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_inference_ros.core.manifest import Manifest

REFERENCE = 'ort'
HELD_OUT, FOREIGN = 'held_out', 'foreign'
MIB = 1 << 20
SET_BYTES, FILE_BYTES = 8 * MIB, 2.8 * MIB
NEAR_RECALL = 0.97
MET, MISSED = 'yes', '**no**'


@dataclass(frozen=True)
class Row:
    """One file of a model on one backend.

    Attributes:
        scores: by split, as a manifest states them.
        shipped: bytes of every file of the model, those that nothing here can run included.
    """

    model: str
    file: str
    precision: str
    backend: str
    size_bytes: int
    ms: float
    quiet_ms: float
    speedup: float
    parameters: int
    licence: str
    made_by: str
    scores: dict[str, Any] = field(default_factory=dict)
    shipped: dict[str, int] = field(default_factory=dict)

    def score(self, split: str, *names: str) -> float | None:
        """A figure of a split, if there is one."""
        value: Any = self.scores.get(split)
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, float) else None


@dataclass(frozen=True)
class Goal:
    """A figure asked for, and what was measured."""

    name: str
    asked: str
    measured: str
    met: bool


def made_by(manifest: Manifest, provenance: Any) -> str:
    """The command that made a file: its own, or the model's."""
    return str(provenance.get('command') or manifest.made_by)


def models(rows: Sequence[Row]) -> str:
    """One line a model: what it is and the commands that made it."""
    lines = []
    for name in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == name]
        files = {file: size for (_, file), size in _shipped(mine).items()}
        commands = dict.fromkeys(row.made_by for row in mine)
        lines.append([
            f'`{name}`', ', '.join(_classes(mine)), f'{mine[0].parameters / 1e6:.2f} M',
            f'{sum(files.values()) / 1024:.0f} KiB in {len(files)} files', mine[0].licence,
            '; '.join(f'`{command}`' for command in commands),
        ])  # fmt: skip
    return _table(['model', 'classes', 'parameters', 'size', 'licence', 'made by'], lines)


def files(rows: Sequence[Row]) -> str:
    """One line a file and backend: size, latency, average precision, people near the robot."""
    splits = list(dict.fromkeys(split for row in rows for split in row.scores))
    classes = _classes(rows)
    head = ['model', 'file', 'precision', 'KiB', 'backend', 'ms', 'quiet ms', 'speed-up']
    head += [f'AP50 {split}' for split in splits] + [f'AP50 {name}' for name in classes]
    head += [f'{word} {split}' for split in splits for word in ('people found', 'false people')]
    lines = []
    for row in rows:
        cells = [
            row.model, row.file, row.precision, f'{row.size_bytes / 1024:.0f}', row.backend,
            f'{row.ms:.2f}', f'{row.quiet_ms:.2f}', f'{row.speedup:.2f}',
        ]  # fmt: skip
        cells += [_number(row.score(split, 'ap50')) for split in splits]
        first = splits[0] if splits else ''
        cells += [_number(row.score(first, 'per_class', name)) for name in classes]
        for split in splits:
            cells.append(_number(row.score(split, 'near_people', 'recall')))
            cells.append(_number(row.score(split, 'near_people', 'false_per_picture'), 2))
        lines.append(cells)
    return _table(head, lines)


def goals(rows: Sequence[Row]) -> list[Goal]:
    """What was asked of shipped models, for every model that has the figures."""
    found = list(_sizes(rows))
    for name in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == name]
        reference = next(
            (r for r in mine if (r.precision, r.backend) == ('fp32', REFERENCE)), None
        )
        if reference:
            found += [*_accuracy(reference), *_smaller(reference, mine)]
    return found


def people(rows: Sequence[Row]) -> str:
    """People within 8 m and false people a picture at other thresholds, of fp32 on ort."""
    lines = [
        [f'`{row.model}`', f'{at["score_threshold"]:g}', f'{at["recall"]:.3f}',
         f'{at["false_per_picture"]:.2f}']
        for row in rows
        if (row.precision, row.backend) == ('fp32', REFERENCE)
        for at in row.scores.get(HELD_OUT, {}).get('people_at', ())
    ]  # fmt: skip
    return _table(['model', 'score of at least', 'people found', 'false people a picture'], lines)


def goal_table(found: Sequence[Goal]) -> str:
    """Goals beside what was measured."""
    lines = [[g.name, g.asked, g.measured, MET if g.met else MISSED] for g in found]
    return _table(['figure', 'asked', 'measured', 'met'], lines)


def _shipped(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """Bytes of every file, by model and name."""
    sizes = {(row.model, row.file): row.size_bytes for row in rows}
    for row in rows:
        sizes.update({(row.model, file): size for file, size in row.shipped.items()})
    return sizes


def _sizes(rows: Sequence[Row]) -> Iterator[Goal]:
    sizes = _shipped(rows)
    if not sizes:
        return
    whole, largest = sum(sizes.values()), max(sizes.values())
    yield Goal('shipped set', '≤ 8 MiB', f'{whole / MIB:.2f} MiB', whole <= SET_BYTES)
    yield Goal('largest file', '≤ 2.8 MiB', f'{largest / MIB:.2f} MiB', largest <= FILE_BYTES)


def _accuracy(row: Row) -> Iterator[Goal]:
    for split, asked in ((HELD_OUT, 0.90), (FOREIGN, 0.80)):
        if (ap := row.score(split, 'ap50')) is not None:
            yield Goal(f'{row.model}: AP@0.5 {split}', f'≥ {asked:.2f}', f'{ap:.3f}', ap >= asked)
    recall = row.score(HELD_OUT, 'near_people', 'recall')
    false = row.score(HELD_OUT, 'near_people', 'false_per_picture')
    if recall is not None and false is not None:
        people = row.scores[HELD_OUT]['near_people']['people']
        words = f'{recall:.3f} of {people}, {false:.2f} false people a picture'
        enough = recall >= NEAR_RECALL
        if not enough and (other := _enough(row.scores[HELD_OUT].get('people_at', ()))):
            enough = True
            words += (
                f'; {other["recall"]:.3f} with {other["false_per_picture"]:.2f} at a score of'
                f' {other["score_threshold"]:g}'
            )
        yield Goal(f'{row.model}: people found within 8 m', f'≥ {NEAR_RECALL}', words, enough)


def _enough(thresholds: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """The highest threshold at which enough people are found."""
    return next((at for at in thresholds if at['recall'] >= NEAR_RECALL), None)


def _smaller(reference: Row, rows: Sequence[Row]) -> Iterator[Goal]:
    for row in rows:
        if row.precision != 'int8':
            continue
        name = f'{row.model}: {row.file} on {row.backend}'
        if row.backend == REFERENCE:
            yield Goal(
                f'{name}, speed',
                'at least 1.5 times fp32',
                f'{row.speedup:.2f} times',
                row.speedup >= 1.5,
            )
        share = row.size_bytes / reference.size_bytes
        yield Goal(f'{name}, size', '≤ 0.35 of fp32', f'{share:.2f}', share <= 0.35)
        before, after = reference.score(HELD_OUT, 'ap50'), row.score(HELD_OUT, 'ap50')
        if before is not None and after is not None:
            lost = 100 * (before - after)
            yield Goal(f'{name}, AP@0.5 lost', '≤ 1 point', f'{lost:.2f} points', lost <= 1.0)


def _classes(rows: Sequence[Row]) -> list[str]:
    named = (name for row in rows for s in row.scores.values() for name in s['per_class'])
    return list(dict.fromkeys(named))


def _number(value: float | None, digits: int = 3) -> str:
    return '' if value is None else f'{value:.{digits}f}'


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ['--'] * len(head), *lines]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows)
