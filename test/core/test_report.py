from __future__ import annotations

import json

from edge_inference_ros.core.report import Report

REPORT = Report(
    'build',
    'a.onnx',
    'a.engine',
    facts={'build_s': 1.23456, 'layers': 7},
    rows=({'layer': 'conv', 'time_ms': 0.5}, {'layer': 'a longer name'}),
    notes=('Done.',),
)


def test_json_holds_everything_that_was_said():
    said = json.loads(REPORT.as_json())

    assert said['facts'] == {'build_s': 1.23456, 'layers': 7}
    assert said['rows'] == [{'layer': 'conv', 'time_ms': 0.5}, {'layer': 'a longer name'}]
    assert (said['step'], said['out']) == ('build', 'a.engine')


def test_table_lines_its_columns_up_and_leaves_gaps_empty():
    lines = REPORT.as_table().splitlines()

    assert lines[0] == 'build: a.onnx -> a.engine'
    assert lines[1:3] == ['  build_s  1.235', '  layers   7']
    assert lines[3:6] == ['layer          time_ms', 'conv           0.5', 'a longer name']
    assert lines[6] == 'Done.'


def test_an_empty_report_is_one_line():
    assert Report('inspect', 'b.onnx').as_table() == 'inspect: b.onnx'


def test_a_refusal_is_the_last_word_and_part_of_the_json():
    report = Report(
        'validate', 'c.onnx', notes=('Compared.',), refused='agreement 0.5, wanted 0.9'
    )

    assert report.as_table().splitlines()[-1] == 'REFUSED: agreement 0.5, wanted 0.9'
    assert json.loads(report.as_json())['refused'] == 'agreement 0.5, wanted 0.9'
