"""No row of the table is forgotten."""

import ast
from pathlib import Path

import pytest

from tools.faults import __main__ as command
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


def outcome(report, row_id, *, passed=0, failed=0):
    report.outcomes[row_id].passed += passed
    report.outcomes[row_id].failed += failed
    return report


def rows_of(text):
    return {line.split(' | ')[0]: line for line in text.splitlines() if line.startswith('| ')}


def test_a_part_of_the_tests_changes_only_the_rows_that_ran_in_full():
    before = outcome(outcome(Report(), 'M4', passed=3), 'M5', passed=4).markdown()
    part = outcome(outcome(Report(), 'M4', passed=2, failed=1), 'M5', passed=1)

    after = part.markdown(before)

    old, new = rows_of(before), rows_of(after)
    assert {name for name in new if new[name] != old[name]} == {'| M4'}
    assert '| 2 of 3 tests |' in new['| M4']
    assert '* **M4** stamp repeated: 1 failed.' in after


def test_a_row_that_is_new_and_was_not_asked_for_is_said_to_be_that():
    whole = outcome(outcome(Report(), 'M4', passed=3), 'K6', passed=4).markdown()
    before = '\n'.join(line for line in whole.split('\n') if not line.startswith('| K6 '))

    after = outcome(Report(), 'M4', passed=3).markdown(before)

    assert '* **K6** deactivated in mid-stream: not asked for.' in after


def test_what_was_not_met_before_and_did_not_run_now_is_still_said():
    before = outcome(outcome(Report(), 'M4', passed=2, failed=1), 'K1', passed=9).markdown()

    after = outcome(Report(), 'K1', passed=9).markdown(before)

    assert '* **M4** stamp repeated: 1 failed.' in after
    assert after == before


def test_the_command_keeps_what_it_was_not_asked_for(tmp_path, monkeypatch):
    before = outcome(outcome(Report(), 'M4', passed=3), 'K1', passed=9).markdown()
    page = tmp_path / 'faults.md'
    page.write_text(before)

    def ran(_arguments, plugins):
        outcome(plugins[0]._report, 'M4', passed=3)
        return code

    monkeypatch.setattr(pytest, 'main', ran)
    monkeypatch.setattr('sys.argv', ['faults', '--write', str(page), '-k', 'M4'])
    for code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        assert command.main() == code
        assert rows_of(page.read_text())['| K1'] == rows_of(before)['| K1']
