"""A pytest plugin that says, fault by fault, what was tried, what passed and how bad it got."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tools.faults.rows import ROWS, Row

NAME = 'faults-report'
HEAD = ('id', 'fault', 'tier', 'tried', 'passed', 'worst figure', 'bound')


@dataclass
class Outcome:
    """What came of one row.

    Attributes:
        passed, failed, skipped: tests.
        tried: injections in all of them; one each unless the test says otherwise.
        worst: greatest figure by label, with its unit.
        why: reasons for skipping.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    tried: int = 0
    worst: dict[str, tuple[float, str]] = field(default_factory=dict)
    why: set[str] = field(default_factory=set)

    def note(self, properties: list[tuple[str, Any]]) -> None:
        """Take over what a test recorded."""
        self.tried += sum(value for name, value in properties if name == 'tried') or 1
        for name, value in properties:
            if name == 'figure':
                label, number, unit = value
                before = self.worst.get(label, (float('-inf'), unit))[0]
                self.worst[label] = (max(before, number), unit)


class Report:
    """Collects while pytest runs; hand it over as a plugin under the name ``NAME``."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {row.id: Outcome() for row in ROWS}
        self._elsewhere = {test: row.id for row in ROWS for test in row.elsewhere}
        self._ids: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Remember which rows each test meets; leave out what meets none."""
        for item in items:
            ids = [row_id for mark in item.iter_markers('fault') for row_id in mark.args]
            name = item.nodeid.partition('[')[0]
            if name in self._elsewhere:
                ids.append(self._elsewhere[name])
            self._ids[item.nodeid] = ids

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count the outcome of a test, or of a setup that failed or skipped."""
        if report.when != 'call' and report.passed:
            return
        for row_id in self._ids.get(report.nodeid, ()):
            outcome = self.outcomes[row_id]
            if report.skipped:
                outcome.skipped += 1
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ''
                outcome.why.add(str(reason).removeprefix('Skipped: '))
                continue
            outcome.passed += report.passed
            outcome.failed += report.failed
            outcome.note(report.user_properties)

    def markdown(self, before: str = '') -> str:
        """The table, and below it what is not met and why.

        Args:
            before: the last report, if not every test was asked for: rows of which more tests
                ran then stay as they are in it.
        """
        kept = {row.id for row in ROWS if self._tests(row) < _tests_in(_line(before, row))}
        lines = ['| ' + ' | '.join(HEAD) + ' |', '|---' * len(HEAD) + '|']
        lines += [
            _line(before, row) if row.id in kept else '| ' + ' | '.join(self._cells(row)) + ' |'
            for row in ROWS
        ]
        lines += ['', '## Not met, or not in full', '']
        for row in ROWS:
            here = f'* **{row.id}** {row.fault}: '
            known = [line for line in before.splitlines() if line.startswith(f'* **{row.id}** ')]
            is_new = bool(before) and not _line(before, row)
            gaps = [f'{here}{why}.' for why in self._gaps(row, is_new=is_new)]
            lines += known if row.id in kept else gaps
        return '\n'.join(lines) + '\n'

    def _tests(self, row: Row) -> int:
        """How many of its tests ran."""
        return self.outcomes[row.id].passed + self.outcomes[row.id].failed

    def _cells(self, row: Row) -> tuple[str, ...]:
        out = self.outcomes[row.id]
        tests = out.passed + out.failed
        passed = f'{out.passed} of {tests} tests' if tests else 'no test ran'
        worst = '; '.join(
            f'{label} {_short(v)} {u}'.strip() for label, (v, u) in out.worst.items()
        )
        return row.id, row.fault, row.tier, f'{out.tried or ""}', passed, worst, row.bound

    def _gaps(self, row: Row, *, is_new: bool) -> list[str]:
        out = self.outcomes[row.id]
        gaps = [row.absent] if row.absent else []
        gaps += [f'{out.failed} failed'] if out.failed else []
        gaps += [f'{out.skipped} skipped ({why})' for why in sorted(out.why)]
        if not (row.absent or out.passed or out.failed or out.skipped):
            there = ', '.join(row.elsewhere) or 'none is named'
            gaps.append('not asked for' if is_new else f'its tests are not in this tree: {there}')
        return gaps


def _line(text: str, row: Row) -> str:
    """The line of ``row`` in a report; empty if it has none."""
    return next((s for s in text.splitlines() if s.startswith(f'| {row.id} | ')), '')


def _tests_in(line: str) -> int:
    """How many tests ran, by a line of a report."""
    found = re.search(r' of (\d+) tests', line)
    return int(found[1]) if found else 0


def _short(value: float) -> str:
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'
