"""What an offline step did to a model: facts, one table, notes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = 'str | int | float'


@dataclass(frozen=True)
class Report:
    """The result of one optimise step.

    Attributes:
        step: the step's name, as on the command line.
        model: the file that was read.
        out: the file or folder that was written; empty if none.
        facts: one value a name; the name carries the unit (``plan_bytes``, ``build_s``).
        rows: a table; a row may leave a column out.
        tables: further tables by title.
        notes: sentences for the reader.
        refused: why what was made must not be used; empty if it may. The command then exits
            with 1.
    """

    step: str
    model: str
    out: str = ''
    facts: Mapping[str, Value] = field(default_factory=dict)
    rows: tuple[Mapping[str, Value], ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ''
    tables: Mapping[str, tuple[Mapping[str, Value], ...]] = field(default_factory=dict)

    def as_json(self) -> str:
        """The report as a JSON object, keys in the order of the attributes."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def as_table(self) -> str:
        """The report as text for a terminal: facts, tables in aligned columns, notes."""
        head = f'{self.step}: {self.model}' + (f' -> {self.out}' if self.out else '')
        width = max(map(len, self.facts), default=0)
        facts = [f'  {name:<{width}}  {_text(value)}' for name, value in self.facts.items()]
        more = [line for name, rows in self.tables.items() for line in (name, *_aligned(rows))]
        refused = [f'REFUSED: {self.refused}'] if self.refused else []
        return '\n'.join([head, *facts, *_aligned(self.rows), *more, *self.notes, *refused])


def _aligned(rows: tuple[Mapping[str, Value], ...]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_text(row.get(name, '')) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ['  '.join(f'{c:<{w}}' for c, w in zip(line, widths, strict=True)) for line in cells]
    return [line.rstrip() for line in lines] if rows else []


def _text(value: Value) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
