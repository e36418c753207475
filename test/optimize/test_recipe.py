"""A recipe does every step once, and again only when something it read has changed."""

import importlib.util
from pathlib import Path

import pytest
import yaml
from optimize import blocks
from support.quantisable import detector, model_folder, picture_folder, pictures

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import digest, load
from edge_inference_ros.core.params import build
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize import _folder, _sources, recipe


@pytest.fixture
def said(tmp_path):
    """A recipe as a mapping, with its inputs made."""
    return {
        'schema': 1,
        'inputs': {
            'model': str(model_folder(tmp_path / 'small')),
            'source': str(picture_folder(tmp_path / 'images', pictures(4))),
        },
        'steps': [
            {'name': 'ranges', 'step': 'calibrate', 'model': '$model',
             'params': {'source': '$source'}},
            {'name': 'eight', 'step': 'quantize', 'model': '$model',
             'params': {'calibration': '$ranges', 'runs': 2}},
            {'name': 'both', 'step': 'quantize', 'model': '$eight',
             'params': {'calibration': '$ranges', 'runs': 2, 'dialect': 'trt'}},
        ],
    }  # fmt: skip


def cook(tmp_path, said, **asked):
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(said))
    return recipe.run(path, tmp_path / 'out', build(recipe.Params, asked))


def did(report):
    return [row['did'] for row in report.rows]


def test_the_chain_ends_in_a_model_folder_with_both_dialects(tmp_path, said):
    report = cook(tmp_path, said)

    assert did(report) == ['made'] * 3
    manifest = load(tmp_path / 'out/both')
    assert [f.precision for f in manifest.files] == ['fp32', 'int8', 'int8']
    assert manifest.files[1].provenance['command'].startswith('edge_inference optimize recipe')


def test_a_second_run_does_nothing(tmp_path, said):
    cook(tmp_path, said)

    assert did(cook(tmp_path, said)) == ['kept'] * 3
    assert did(cook(tmp_path, said, fresh=True)) == ['made'] * 3


def test_only_what_follows_a_change_is_done_again(tmp_path, said):
    cook(tmp_path, said)
    said['steps'][1]['params']['keep'] = ['squeeze']

    assert did(cook(tmp_path, said)) == ['kept', 'made', 'made']


def test_a_changed_input_starts_from_there(tmp_path, said):
    cook(tmp_path, said)
    folder = tmp_path / 'small'
    detector(folder / 'model.onnx', seed=9)
    manifest = yaml.safe_load((folder / 'manifest.yaml').read_text())
    manifest['files'][0]['sha256'] = digest(folder / 'model.onnx')
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(manifest))

    assert did(cook(tmp_path, said)) == ['made'] * 3


def test_a_damaged_result_is_made_again(tmp_path, said):
    cook(tmp_path, said)
    (tmp_path / 'out/both/model_int8_trt.onnx').write_bytes(b'half')

    assert did(cook(tmp_path, said)) == ['kept', 'kept', 'made']


def test_what_was_done_before_a_failure_is_kept(tmp_path, said):
    said['steps'][2]['params']['keep'] = ['nothing_of_that_name']
    with pytest.raises(ConfigError, match='no node is called'):
        cook(tmp_path, said)
    del said['steps'][2]['params']['keep']

    assert did(cook(tmp_path, said)) == ['kept', 'kept', 'made']


def test_two_runs_give_the_same_networks(tmp_path, said):
    names = ('model_int8.onnx', 'model_int8_trt.onnx')
    made = []
    for _ in range(2):
        cook(tmp_path, said, fresh=True)
        made.append([digest(tmp_path / 'out/both' / name) for name in names])

    assert made[0] == made[1]


def gated(said, **asked):
    """The recipe with the gate at its end."""
    judge = {'other_backend': 'ort', 'other_precision': 'int8', 'images': '$source', **asked}
    line = {'name': 'gate', 'step': 'validate', 'model': '$both', 'params': judge}
    return {**said, 'steps': [*said['steps'], line]}


def test_a_gate_at_the_end_does_not_change_what_is_published(tmp_path, said):
    target = tmp_path / 'small'

    report = cook(
        tmp_path,
        gated(said, agreement=0.0, score_difference=1.0, labelled=['']),
        publish=str(target),
    )

    assert did(report) == ['made'] * 4
    assert load(target).file('trt', 'int8').path.is_file()
    assert not (target / 'validate.json').exists()


def test_what_the_gate_refused_is_not_published_and_not_forgotten_either(tmp_path, said):
    target = tmp_path / 'small'
    strict = gated(said, output_db=200.0)

    first = cook(tmp_path, strict, publish=str(target))
    second = cook(tmp_path, strict, publish=str(target))

    assert 'dB, wanted 200.0' in first.refused
    assert second.refused == first.refused
    assert did(second) == ['kept'] * 3 + ['made']
    assert len(load(target).files) == 1


def test_the_result_is_published_where_asked(tmp_path, said):
    target = tmp_path / 'small'
    report = cook(tmp_path, said, publish=str(target))

    assert report.facts['result'] == str(target)
    assert load(target).file('trt', 'int8').path.is_file()


def test_inputs_are_replaced_from_outside(tmp_path, said):
    other = picture_folder(tmp_path / 'others', pictures(2))

    report = cook(tmp_path, said, inputs=[f'source={other}'])

    assert report.rows[0]['frames'] == 2
    with pytest.raises(ConfigError, match='the recipe has model, source'):
        cook(tmp_path, said, inputs=['bag=x'])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'step': 'quantise'}, 'no step'),
        ({'model': '$modle'}, 'modle'),
        ({'colour': 'red'}, 'needs step and model'),
        ({'name': 'model'}, 'taken'),
        ({'name': '../../elsewhere'}, 'outside of'),
        ({'out': '/elsewhere'}, 'outside of'),
    ],
)
def test_a_fault_names_the_line(tmp_path, said, change, words):
    said['steps'][0].update(change)

    with pytest.raises(ConfigError, match=words) as caught:
        cook(tmp_path, said)
    assert 'steps[0]' in str(caught.value)


@pytest.mark.parametrize(
    'path',
    sorted((Path(__file__).parents[2] / 'config/recipes').glob('*.yaml')),
    ids=lambda p: p.stem,
)
def test_a_shipped_recipe_asks_for_what_its_steps_know(path, tmp_path):
    for step in recipe.read(path, tmp_path):
        build(registry.load('optimize', step.step).Params, step.params)


def test_a_changed_file_in_a_list_is_noticed(tmp_path, said):
    pytest.importorskip('pycocotools', reason='the gate scores with it')
    robot = tmp_path / 'robot.yaml'
    shipped = (Path(__file__).parents[2] / 'config/robots/indoor_amr.yaml').read_text()
    robot.write_text(shipped)
    split = blocks.split(tmp_path / 'labelled', *blocks.scenes(2))
    judge = gated(
        said, agreement=0.0, score_difference=1.0, ap_loss=1.0, allow_inconclusive=True,
        recall_loss=1.0, labelled=[str(split)], robots=[str(robot)],
    )  # fmt: skip
    assert did(cook(tmp_path, judge)) == ['made'] * 4

    robot.write_text(shipped + '\n# looked at again\n')

    assert did(cook(tmp_path, judge)) == ['kept'] * 3 + ['made']


@pytest.mark.parametrize(
    ('what', 'value'),
    [('digest', 'another source'), ('libraries', {'torch': '9.9'}), ('libraries', {})],
)
def test_another_version_of_ours_or_of_a_library_makes_everything_again(
    tmp_path, said, monkeypatch, what, value
):
    cook(tmp_path, said)

    monkeypatch.setattr(_sources, what, lambda *_: value)

    assert did(cook(tmp_path, said)) == ['made'] * 3


def test_what_a_step_imports_of_ours_and_what_it_loads_by_name_are_its_sources():
    found = _sources._all_of(registry.path('optimize', 'quantize_mixed'))
    rendered = _sources._all_of(registry.path('optimize', 'calibrate'))

    assert {
        f'edge_inference_ros.{name}' for name in ('optimize.quantize_mixed', 'optimize.graph.int8')
    } <= (found.keys())
    assert 'edge_inference_ros.sim.dataset' in rendered
    assert not any(name.startswith('edge_inference_ros.nodes') for name in found)
    assert _sources.digest('quantize') != _sources.digest('quantize_mixed')


def test_every_library_that_shapes_results_is_in_the_key():
    versions = _sources.libraries()

    assert {'numpy', 'onnx', 'onnxruntime'} <= versions.keys()
    assert ('torch' in versions) == (importlib.util.find_spec('torch') is not None)
    assert {'python', 'numpy', 'onnx', 'onnxruntime'} <= _folder.tools().keys()


def test_a_word_that_happens_to_name_a_folder_is_a_word(tmp_path, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said['steps'][1]['params'] |= {'dialect': 'ort', 'precision': 'int8'}
    cook(tmp_path, said)

    for name in ('ort', 'int8', 'world'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'something').write_text('new')

    assert did(cook(tmp_path, said)) == ['kept'] * 3


@pytest.mark.parametrize('step', ['train', 'graph', 'judge', '_folder', 'nothing'])
def test_what_is_no_step_is_refused_by_name(tmp_path, said, step):
    said['steps'][0]['step'] = step

    with pytest.raises(ConfigError, match=f"no step '{step}'; there are build, calibrate"):
        cook(tmp_path, said)


def test_a_step_that_fails_leaves_what_was_there(tmp_path, said):
    cook(tmp_path, said)
    there = recipe.digest_of(tmp_path / 'out/both')
    said['steps'][2]['params']['keep'] = ['nothing_of_that_name']

    with pytest.raises(ConfigError, match='no node is called'):
        cook(tmp_path, said)

    assert recipe.digest_of(tmp_path / 'out/both') == there
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        'both', 'eight', 'ranges', 'recipe.json',
    ]  # fmt: skip
