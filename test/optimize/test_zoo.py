"""`bench.models` measures every model folder there is, and holds the figures against the goals."""

from __future__ import annotations

import json

import pytest
from optimize import blocks

from bench import _zoo, models
from bench._zoo import Row

pytest.importorskip('onnxruntime', reason='runs the networks')
pytest.importorskip('pycocotools', reason='scores them')


def near(recall, false):
    return {'recall': recall, 'people': 100, 'false_per_picture': false}


def row(**changes):
    scores = {
        'held_out': {'ap50': 0.91, 'per_class': {'person': 0.92}, 'near_people': near(0.98, 0.2)},
        'foreign': {'ap50': 0.70, 'per_class': {'person': 0.71}, 'near_people': None},
    }
    said = {
        'model': 'm', 'file': 'model.onnx', 'precision': 'fp32', 'backend': 'ort',
        'size_bytes': 2_000_000, 'ms': 4.0, 'quiet_ms': 3.5, 'speedup': 1.0,
        'parameters': 680_000, 'licence': 'Apache-2.0', 'made_by': 'train', 'scores': scores,
    }  # fmt: skip
    return Row(**{**said, **changes})


def test_a_file_that_nothing_here_can_run_counts_for_the_size():
    shipped = {'model.onnx': 2_000_000, 'model_int8_trt.onnx': 9_000_000}

    found = {goal.name: goal.measured for goal in _zoo.goals([row(shipped=shipped)])}

    assert found['shipped set'] == '10.49 MiB'
    assert '10742 KiB in 2 files' in _zoo.models([row(shipped=shipped)])


def scored(ap50):
    return {'held_out': {'ap50': ap50, 'per_class': {'person': ap50}}}


def test_every_goal_of_the_shipped_models_stands_beside_its_figure():
    small = row(
        file='model_int8.onnx', precision='int8', size_bytes=600_000, speedup=2.0,
        scores=scored(0.905),
    )  # fmt: skip
    other = row(
        file='model_int8_trt.onnx', precision='int8', backend='openvino', size_bytes=800_000,
        scores=scored(0.88),
    )  # fmt: skip

    found = {goal.name: (goal.measured, goal.met) for goal in _zoo.goals([row(), small, other])}

    assert found == {
        'shipped set': ('3.24 MiB', True),
        'largest file': ('1.91 MiB', True),
        'm: AP@0.5 held_out': ('0.910', True),
        'm: AP@0.5 foreign': ('0.700', False),
        'm: people found within 8 m': ('0.980 of 100, 0.20 false people a picture', True),
        'm: model_int8.onnx on ort, speed': ('2.00 times', True),
        'm: model_int8.onnx on ort, size': ('0.30', True),
        'm: model_int8.onnx on ort, AP@0.5 lost': ('0.50 points', True),
        'm: model_int8_trt.onnx on openvino, size': ('0.40', False),
        'm: model_int8_trt.onnx on openvino, AP@0.5 lost': ('3.00 points', False),
    }


def test_enough_people_may_be_found_at_a_lower_score_whose_price_is_stated():
    seen = row(scores={
        'held_out': {
            'ap50': 0.9, 'per_class': {'person': 0.9}, 'near_people': near(0.95, 0.2),
            'people_at': [
                {'score_threshold': 0.3, 'recall': 0.95, 'false_per_picture': 0.2},
                {'score_threshold': 0.1, 'recall': 0.971, 'false_per_picture': 0.8},
                {'score_threshold': 0.05, 'recall': 0.98, 'false_per_picture': 1.5},
            ],
        },
    })  # fmt: skip

    (goal,) = (goal for goal in _zoo.goals([seen]) if 'people' in goal.name)

    assert goal.met
    assert '0.971 with 0.80 at a score of 0.1' in goal.measured
    assert '| `m` | 0.1 | 0.971 | 0.80 |' in _zoo.people([seen])


@pytest.mark.parametrize(
    ('changes', 'name'),
    [
        ({'speedup': 1.49}, 'speed'),
        ({'size_bytes': 701_000}, 'size'),
        ({'scores': scored(0.899)}, 'lost'),
    ],
)
def test_a_goal_that_is_missed_says_so(changes, name):
    said = {'size_bytes': 600_000, 'speedup': 2.0, 'scores': scored(0.91), **changes}
    found = _zoo.goals([row(), row(file='b', precision='int8', **said)])

    missed = [goal.name for goal in found if 'int8' not in goal.name and not goal.met]
    assert [one for one in missed if one.startswith('m: b')] == [
        f'm: b on ort, {"AP@0.5 lost" if name == "lost" else name}'
    ]


def test_a_figure_nobody_measured_is_left_blank():
    table = _zoo.files([row(), row(backend='openvino', scores={})])

    assert '| 0.910 | 0.700 | 0.920 | 0.980 | 0.20 |  |  |' in table
    assert '|  |  |  |  |  |  |  |' in table


def test_several_models_are_measured_and_written_as_a_zoo(tmp_path, capsys):
    blocks.model(tmp_path / 'models' / 'both')
    blocks.model(tmp_path / 'models' / 'nano', classes=('person',))
    blocks.split(tmp_path / 'data' / 'held_out', *blocks.scenes(3))
    blocks.split(tmp_path / 'data' / 'foreign', *blocks.scenes(2, dim_near=True))

    status = models.main([
        '--models', str(tmp_path / 'models'), '--labelled', str(tmp_path / 'data'), '--runs', '3',
        '--markdown', str(tmp_path / 'zoo.md'), '--json', str(tmp_path / 'zoo.json'),
    ])  # fmt: skip

    zoo = (tmp_path / 'zoo.md').read_text()
    said = json.loads((tmp_path / 'zoo.json').read_text())
    assert status == 0
    assert zoo.strip() in capsys.readouterr().out
    assert '| `both` | person, car |' in zoo
    assert '| `nano` | person |' in zoo
    mine = [r for r in said['rows'] if r['model'] == 'nano' and r['backend'] == 'ort']
    assert mine[0]['scores']['held_out']['ap50'] == pytest.approx(1)
    assert mine[0]['scores']['held_out']['near_people']['recall'] == 1
    assert {goal['name'] for goal in said['goals']} >= {'both: AP@0.5 foreign', 'shipped set'}


def test_pictures_that_are_not_there_are_rendered_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(models, 'SPLITS', ('held_out',))
    blocks.model(tmp_path / 'models' / 'nano', classes=('person',))
    said = ['--models', str(tmp_path / 'models'), '--share', '0.002', '--runs', '2']

    assert models.main(said) == 0
    assert 'rendering 2 pictures' in capsys.readouterr().err
    assert models.main(said) == 0
    assert 'rendering' not in capsys.readouterr().err


def test_an_empty_shelf_is_bad_input(tmp_path):
    assert models.main(['--models', str(tmp_path)]) == 2
