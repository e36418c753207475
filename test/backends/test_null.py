import json

import numpy as np
import pytest
from backends import nets

from edge_inference_ros.backends import null
from edge_inference_ros.errors import InferenceFailed, ModelError, OutOfMemory


def opened(tmp_path, script, outputs=(('twice', (1, 3), 'float32'),)):
    path = tmp_path / 'script.json'
    path.write_text(script if isinstance(script, str) else json.dumps(script))
    slept = []
    return null.open(nets.manifest(path, outputs), path, sleep=slept.append), slept


def test_durations_are_played_in_turn(tmp_path):
    engine, slept = opened(tmp_path, {'durations_ms': [5, 40]})

    for _ in range(3):
        engine.run()

    assert slept == [0.005, 0.04, 0.005]


def test_frames_are_played_in_turn_into_the_same_arrays(tmp_path):
    engine, _ = opened(tmp_path, {'outputs': {'twice': [[[0, 1, 0.5]], []]}})
    answer = engine.outputs['twice']

    shown = []
    for _ in range(3):
        engine.run()
        shown.append(answer.tolist())

    assert shown == [[[0, 0.5, 0]], [[0, 0, 0]], [[0, 0.5, 0]]]
    assert engine.outputs['twice'] is answer


@pytest.mark.parametrize(
    ('fault', 'error'), [('InferenceFailed', InferenceFailed), ('OutOfMemory', OutOfMemory)]
)
def test_a_fault_happens_in_the_run_it_is_for(tmp_path, fault, error):
    engine, _ = opened(tmp_path, {'faults': {'1': fault}})

    engine.run()
    with pytest.raises(error, match='run 1'):
        engine.run()
    engine.run()


def test_a_run_that_hangs_takes_an_hour(tmp_path):
    engine, slept = opened(tmp_path, {'faults': {'0': 'hang'}})

    engine.run()

    assert slept == [null.HANG_S]


def test_tensors_are_those_of_the_manifest(tmp_path):
    engine, _ = opened(tmp_path, {}, outputs=(('a', (1, -1, 4), 'float16'),))

    engine.run()

    assert engine.inputs['images'].shape == (1, 4, 6, 3)
    assert engine.inputs['images'].dtype == np.uint8
    assert engine.outputs['a'].shape == (1, 0, 4)
    assert engine.outputs['a'].dtype == np.float16
    engine.close()


@pytest.mark.parametrize(
    ('script', 'words'),
    [
        ('{', 'not a JSON'),
        ('[' * 100_000, 'not a JSON'),
        ([1], 'unknown key'),
        (7, 'int'),
        ({'duration_ms': [1]}, "'duration_ms'"),
        ({'durations_ms': [-1]}, '-1'),
        ({'durations_ms': 'soon'}, 's'),
        ({'faults': {'1': 'Explosion'}}, "'Explosion'"),
        ({'faults': {'first': 'hang'}}, 'first'),
        ({'outputs': {'thrice': [[]]}}, "'thrice'.*twice"),
        ({'outputs': {'twice': [[[0, 0.5]]]}}, '2 indices'),
        ({'outputs': {'twice': [[[0, 3, 0.5]]]}}, 'out of bounds'),
    ],
)
def test_a_script_that_cannot_be_played_is_refused_by_name(tmp_path, script, words):
    with pytest.raises(ModelError, match=rf'script\.json.*{words}'):
        opened(tmp_path, script)


def test_a_missing_script_is_refused(tmp_path):
    path = tmp_path / 'script.json'

    with pytest.raises(ModelError, match='No such file'):
        null.open(nets.manifest(path), path)
