"""Two results become a verdict, an exit code and a page; what cannot be compared becomes none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support import bags

from edge_inference_ros import cli
from edge_inference_ros.replay.paces import run
from edge_inference_ros.replay.verdict import compare, result
from edge_inference_ros.replay.verdict.result import Result, Run

FRAMES = {'received': 100, 'done': 90, 'superseded': 10, 'rejected': 0}


def measured(folder, factors, *, void=(), frames=FRAMES, **changes):
    """A result of measured runs: 20 ms times each factor."""
    runs = tuple(
        Run(
            {'sensor_to_output': {'p50': round(20e6 * f), 'p95': round(30e6 * f), 'max': 10**8}},
            frames,
            void='CPU pressure' if i in void else '',
        )
        for i, f in enumerate(factors)
    )
    made = Result('pipeline', 'drive', 'abc', runs, {'model': 'street_tiny'})
    result.write(replace(made, **changes), folder)
    return folder


STEADY = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01]


@pytest.mark.parametrize(
    ('factor', 'word', 'code'),
    [(1.0, 'UNCHANGED', 0), (1.3, 'REGRESSED', 1), (0.7, 'IMPROVED', 0)],
)
def test_the_exit_code_is_the_verdict(tmp_path, capsys, factor, word, code):
    one = measured(tmp_path / 'a', STEADY)
    other = measured(tmp_path / 'b', [f * factor for f in STEADY])

    assert cli.main(['replay', 'compare', str(one), str(other)]) == code
    assert capsys.readouterr().out.startswith(f'{word}: ')


def test_too_few_pairs_are_inconclusive_with_a_code_of_its_own(tmp_path, capsys):
    one, other = measured(tmp_path / 'a', STEADY[:4]), measured(tmp_path / 'b', STEADY[:4])

    assert cli.main(['replay', 'compare', str(one), str(other)]) == 3
    assert 'More pairs may decide' in capsys.readouterr().out


def test_pairs_in_which_a_run_is_void_are_left_out_and_counted(tmp_path):
    one = measured(tmp_path / 'a', [*STEADY, 9.0], void={8})
    other = measured(tmp_path / 'b', [*STEADY, 1.0], void={0})

    said = compare.run(one, other, compare.Params(out=str(tmp_path / 'out')))

    assert said.judgement.void == {'CPU pressure': 2}
    assert said.judgement.rows[0].pairs == 7
    page = (tmp_path / 'out/verdict.md').read_text()
    assert page.startswith('**UNCHANGED**')
    assert '* 2 pairs left out: CPU pressure' in page
    machine = json.loads((tmp_path / 'out/verdict.json').read_text())
    assert machine['exit_code'] == 0
    assert machine['judgement']['verdict'] == 'UNCHANGED'


def test_frames_that_are_not_accounted_for_are_a_regression(tmp_path):
    one = measured(tmp_path / 'a', STEADY)
    other = measured(tmp_path / 'b', STEADY, frames={**FRAMES, 'done': 80})

    said = compare.run(one, other, compare.Params())

    assert said.exit_code == 1
    assert '100 received, but 90 accounted for' in said.as_table()


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'bag_sha256': 'other'}, 'differ in bag_sha256'),
        ({'pace': 'logic'}, 'differ in pace'),
        ({'settings': {'model': 'person_nano'}}, 'differ in settings'),
        ({'runs': ()}, '8 runs and 0'),
    ],
)
def test_what_has_not_enough_in_common_gives_no_verdict(tmp_path, capsys, changes, words):
    one, other = measured(tmp_path / 'a', STEADY), measured(tmp_path / 'b', STEADY, **changes)

    assert cli.main(['replay', 'compare', str(one), str(other)]) == 2
    said = capsys.readouterr()
    assert 'INVALID INPUT' in said.err
    assert words in said.err
    assert not said.out


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{}', '{"schema": 2}', '{"schema": 1, "runs": [{}]}', 'nan', '"x"', '[' * 9999, (
     '{"schema": 1, "pace": "logic", "bag": "", "bag_sha256": "", "settings": {}, "runs": [{'
     '"latency_ns": {"sensor_to_output": {"p50": -1}}, "frames": {}, "verdicts": {},'
     ' "outputs_sha256": "", "void": ""}]}')],
)  # fmt: skip
def test_a_file_that_is_no_result_gives_no_verdict(tmp_path, capsys, text):
    (tmp_path / 'a.json').write_text(text)

    assert cli.main(['replay', 'compare', str(tmp_path / 'a.json'), str(tmp_path)]) == 2
    assert 'INVALID INPUT' in capsys.readouterr().err


def logic(tmp_path, name, **asked):
    bag = tmp_path / 'bag'
    if not bag.exists():
        bags.pictures(bag, 80, period_ns=10**8)
    run.run(bag, run.Params(out=str(tmp_path / name), **asked))
    return tmp_path / name


def slower(tmp_path, name, **asked):
    """As if the logic had changed, not what was asked of it: the settings stay those of `one`."""
    folder = logic(tmp_path, name, **asked)
    settings = result.read(tmp_path / 'one').settings
    result.write(replace(result.read(folder), settings=settings), folder)
    return folder


@pytest.mark.parametrize(
    ('service_ms', 'code'),
    [((20.0,), 0), ((20.001,), 1), ((19.999,), 0), ((20.0, 20.0, 120.0), 1)],
)
def test_of_logic_any_difference_for_the_worse_counts(tmp_path, service_ms, code):
    one = logic(tmp_path, 'one')
    other = slower(tmp_path, 'two', service_ms=service_ms)

    assert compare.run(one, other, compare.Params()).exit_code == code


def test_a_frame_more_that_is_lost_is_a_regression_even_if_all_is_faster(tmp_path):
    one, other = logic(tmp_path, 'one'), slower(tmp_path, 'two', service_ms=(1.0, 1.0, 250.0))

    said = compare.run(one, other, compare.Params(stages=('nothing',)))

    assert said.exit_code == 1
    assert 'frames lost: superseded 0 → ' in said.as_table()
