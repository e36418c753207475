"""``python -m tools.faults [--write docs/faults.md] [pytest arguments]``: break it, and report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from tools.faults.report import NAME, Report
from tools.faults.rows import ROWS

INTRODUCTION = """# Faults

What we broke on purpose, and what came of it. Written by `make faults-report`; do not edit. Times
are of the machine it ran on, whose load shows in them; what each is held against is in the last
column. What each row breaks, and how, is in `tools/faults/rows.py`. Tier 0 is pure functions on
clocks of our own, 1 a process without ROS, 2 real nodes over loopback. `make mutants` breaks our
own code instead, and checks that tests notice.

"""


def main() -> int:
    """Run every test that meets a row, print the table, and write it if asked to.

    pytest arguments choose among the tests; rows of which not all ran are left as they stand.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--write', type=Path, help='also write the table there, as Markdown')
    said, rest = parser.parse_known_args()
    report = Report()
    elsewhere = sorted({test for row in ROWS for test in row.elsewhere if _exists(test)})
    everything = ['test/faults', *elsewhere]
    chosen = [] if any(not word.startswith('-') and '::' in word for word in rest) else everything
    arguments = ['-q', '-m', 'not gpu and not train', *chosen, *rest]
    plugin = _Named(report)
    code = pytest.main(arguments, plugins=[plugin])
    # Asked for a part, the rest of the report stays what it was.
    before = said.write.read_text() if rest and said.write and said.write.is_file() else ''
    table = report.markdown(before)
    sys.stdout.write(f'\n{table}')
    if said.write is not None and code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        said.write.write_text(INTRODUCTION + table)
    return int(code)


class _Named:
    """Registers the report under its name, by which tests know that they may take their time."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register."""
        config.pluginmanager.register(self._report, NAME)


def _exists(test: str) -> bool:
    file, _, name = test.partition('::')
    path = Path(file)
    return path.is_file() and f'def {name}(' in path.read_text()


if __name__ == '__main__':
    sys.exit(main())
