"""No row of the table is forgotten."""

import ast
from pathlib import Path

import pytest

from tools.faults.report import Report
from tools.faults.rows import ROWS

HERE = Path(__file__).parent


def marked():
    for path in HERE.glob('test_*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == 'pytest.mark.fault':
                yield from (ast.literal_eval(one) for one in node.args)


def test_every_row_is_met_or_says_why_not():
    met = set(marked())

    assert not [row.id for row in ROWS if not (row.id in met or row.elsewhere or row.absent)]


def test_every_mark_names_a_row():
    assert set(marked()) <= {row.id for row in ROWS}


def test_no_row_is_there_twice():
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.id)
def test_what_is_elsewhere_is_there(row):
    for test in row.elsewhere:
        file, _, name = test.partition('::')
        path = HERE.parents[1] / file
        assert f'def {name}(' in path.read_text()


def test_the_report_has_a_line_for_every_row():
    text = Report().markdown()

    assert all(f'| {row.id} | {row.fault} |' in text for row in ROWS)
