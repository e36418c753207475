"""How far two detectors agree, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from optimize.networks import detector, onnx

from edge_inference_ros import cli
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.types import Detections2D, MonoNs, Origin, RosNs
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.optimize import preprocess, validate
from edge_inference_ros.optimize.judge.agreement import Agreement, add, add_outputs, matches
from edge_inference_ros.optimize.judge.expected import expected
from edge_inference_ros.optimize.validate import Params

pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the networks of these tests')


def found(*rows):
    """Rows of x1 y1 x2 y2 score class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    origin = Origin('', RosNs(0), MonoNs(0))
    return Detections2D(origin, table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


PERSON = (0, 0, 10, 20, 0.9, 0)
NEAR = (1, 0, 11, 20, 0.8, 0)
FAR = (50, 0, 60, 20, 0.7, 0)
CAR = (0, 0, 10, 20, 0.6, 1)


def agreement(one, other):
    said = Agreement()
    add(said, found(*one), found(*other), iou_threshold=0.5)
    return said


@pytest.mark.parametrize(
    ('one', 'other', 'f1'),
    [
        ([PERSON], [PERSON], 1.0),
        ([PERSON], [NEAR], 1.0),
        ([PERSON], [CAR], 0.0),
        ([PERSON], [FAR], 0.0),
        ([PERSON], [], 0.0),
        ([], [], 1.0),
        ([PERSON, FAR], [NEAR], 2 / 3),
        ([PERSON, NEAR], [PERSON], 2 / 3),
        ([PERSON], [PERSON, NEAR], 2 / 3),
        ([PERSON, FAR, CAR], [FAR, CAR, PERSON], 1.0),
    ],
)
def test_objects_are_paired_once_by_class_and_overlap(one, other, f1):
    assert agreement(one, other).f1 == pytest.approx(f1)


def test_the_surest_object_takes_the_best_partner():
    pairs = matches(found(PERSON, NEAR), found(NEAR, PERSON), iou_threshold=0.5)

    assert pairs == [(0, 1), (1, 0)]


def test_scores_of_pairs_are_compared():
    assert agreement([PERSON], [NEAR]).score_p95() == pytest.approx(0.1)


def test_elements_are_compared_with_signal_to_noise():
    said = Agreement()
    one, other = np.array([3.0, 4.0]), np.array([3.0, 3.5])

    add_outputs(said, {'y': one, 'only': one}, {'y': other, 'others': one})

    assert list(said.outputs) == ['y']
    assert said.outputs['y'].furthest == 0.5
    assert said.outputs['y'].output_db == pytest.approx(10 * np.log10(25 / 0.25))


def test_outputs_without_any_difference_are_200_db_apart():
    said = Agreement()
    add_outputs(said, {'y': np.ones(3)}, {'y': np.ones(3)})

    assert said.outputs['y'].output_db == 200


# ---- whole runs

SELF = {'other_backend': 'ort', 'count': 4}


def test_a_model_agrees_with_itself(tmp_path):
    report = validate.run(detector(tmp_path / 'a'), tmp_path / 'out', Params(**SELF))

    assert not report.refused
    assert report.facts['agreement_f1'] == 1
    assert report.facts['objects'] > 20
    assert report.rows[0]['furthest'] == 0
    assert json.loads((tmp_path / 'out' / 'validate.json').read_text())['refused'] == ''


@pytest.fixture
def only_ort(monkeypatch):
    def missing(*_, **__):
        raise BackendUnavailable('not on this machine')

    for name in ('trt', 'openvino'):
        monkeypatch.setattr(registry.load('backends', name), 'open', missing)


def test_with_nothing_said_another_file_that_can_run_here_is_judged(tmp_path, only_ort):
    folder = detector(tmp_path / 'a')
    path, copy = folder / 'manifest.yaml', folder / 'other.onnx'
    copy.write_bytes((folder / 'net.onnx').read_bytes())
    (row,) = (said := yaml.safe_load(path.read_text()))['files']
    said['files'].append({**row, 'path': 'other.onnx', 'precision': 'fp16'})
    path.write_text(yaml.safe_dump(said))

    report = validate.run(folder, None, Params(count=2))

    assert report.model.partition(' judged by ')[0].endswith('other.onnx on ort')
    assert report.notes[-1].startswith('PASSED, on few pictures')
    assert not report.refused


def test_another_file_goes_before_another_runtime_and_tensorrt_before_both(tmp_path, monkeypatch):
    folder = detector(tmp_path / 'a')
    path = folder / 'manifest.yaml'
    (folder / 'other.onnx').write_bytes((folder / 'net.onnx').read_bytes())
    (row,) = (said := yaml.safe_load(path.read_text()))['files']
    said['files'].append({**row, 'path': 'other.onnx', 'precision': 'fp16'})
    path.write_text(yaml.safe_dump(said))
    ort, gone = registry.load('backends', 'ort').open, set()

    def opened(name):
        def opener(*given, **_):
            if name in gone:
                raise BackendUnavailable('not on this machine')
            return ort(*given)

        return opener

    for name in ('trt', 'openvino'):
        monkeypatch.setattr(registry.load('backends', name), 'open', opened(name))

    def judged():
        return (
            validate.run(folder, None, Params(count=1))
            .model.partition(' judged by ')[0]
            .rpartition('/')[2]
        )

    assert judged() == 'net.onnx on trt'
    gone.add('trt')
    assert judged() == 'other.onnx on openvino'
    gone.add('openvino')
    assert judged() == 'other.onnx on ort'


def test_of_two_files_of_one_precision_none_is_judged_against_itself(tmp_path, only_ort):
    folder = detector(tmp_path / 'a')
    path = folder / 'manifest.yaml'
    (folder / 'other.onnx').write_bytes((folder / 'net.onnx').read_bytes())
    (row,) = (said := yaml.safe_load(path.read_text()))['files']
    said['files'].append({**row, 'path': 'other.onnx'})
    path.write_text(yaml.safe_dump(said))

    with pytest.raises(ConfigError, match='nothing here to hold against'):
        validate.run(folder, None, Params(count=2))


def test_a_model_of_one_file_and_one_runtime_has_nothing_to_be_held_against(tmp_path, only_ort):
    with pytest.raises(ConfigError, match=r'nothing here to hold against .*; quantize it'):
        validate.run(detector(tmp_path / 'a'), None, Params(count=2))


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
def test_a_model_agrees_with_itself_behind_a_camera(tmp_path, tail):
    before, after = detector(tmp_path / 'before', width=160, height=128), tmp_path / 'after'
    preprocess.run(before, after, preprocess.Params(width=320, height=240, tail=tail))

    report = validate.run(
        before, None, Params(other_backend='ort', other=str(after), count=5, agreement=0.97)
    )

    assert not report.refused
    assert report.facts['objects'] > 20


def damaged(folder, factor):
    """The same model with its weights scaled: more or less another model."""
    path = folder / 'net.onnx'
    model = onnx.load(str(path))
    weights = next(w for w in model.graph.initializer if w.name == 'weights')
    changed = onnx.numpy_helper.to_array(weights) * np.float32(factor)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, 'weights'))
    old = manifests.digest(path)
    onnx.save(model, str(path))
    said = folder / 'manifest.yaml'
    said.write_text(said.read_text().replace(old, manifests.digest(path)))
    return folder


def test_a_damaged_model_is_refused_and_the_reason_has_both_numbers(tmp_path):
    good = detector(tmp_path / 'good')
    bad = damaged(detector(tmp_path / 'bad'), -1.0)

    report = validate.run(good, None, Params(other=str(bad), **SELF))

    assert 'objects agree to 0.' in report.refused
    assert 'wanted 0.98' in report.refused


def test_a_refusal_is_an_exit_code(tmp_path):
    good = detector(tmp_path / 'good')
    bad = damaged(detector(tmp_path / 'bad'), -1.0)
    said = ['optimize', 'validate', str(good), '--other-backend', 'ort', '--count', '2']

    assert cli.main(said) == 0
    assert cli.main([*said, '--other', str(bad)]) == 1


def test_a_slightly_changed_model_passes_unless_elements_are_judged(tmp_path):
    good = detector(tmp_path / 'good')
    close = damaged(detector(tmp_path / 'close'), 1.0005)

    assert not validate.run(good, None, Params(other=str(close), **SELF)).refused
    judged = Params(other=str(close), output_db=150.0, **SELF)
    assert 'dB, wanted 150.0' in validate.run(good, None, judged).refused


def test_scores_that_move_too_far_are_refused(tmp_path):
    good = detector(tmp_path / 'good')
    bad = damaged(detector(tmp_path / 'bad'), 0.2)

    report = validate.run(good, None, Params(other=str(bad), agreement=0.0, **SELF))

    assert 'scores differ by' in report.refused


def test_pictures_are_read_from_a_folder(tmp_path):
    cv2 = pytest.importorskip('cv2')
    (tmp_path / 'images' / 'deep').mkdir(parents=True)
    draw = np.random.default_rng(0)
    for i in range(3):
        picture = draw.integers(0, 256, (50, 70, 3), np.uint8)
        cv2.imwrite(str(tmp_path / 'images' / 'deep' / f'{i}.png'), picture)
    (tmp_path / 'images' / 'notes.txt').write_text('not a picture')

    report = validate.run(
        detector(tmp_path / 'a'),
        None,
        Params(images=str(tmp_path / 'images'), other_backend='ort', count=2),
    )

    assert report.facts['pictures'] == 2


def test_an_empty_folder_is_a_fault_of_the_command(tmp_path):
    with pytest.raises(ConfigError, match='no pictures'):
        validate.run(detector(tmp_path / 'a'), None, Params(images=str(tmp_path / 'a'), **SELF))


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'x.png').write_text('text')

    with pytest.raises(ConfigError, match=r'x\.png'):
        validate.run(
            detector(tmp_path / 'a'), None, Params(images=str(tmp_path / 'images'), **SELF)
        )


def test_agreement_about_nothing_says_that_it_says_little(tmp_path):
    folder = damaged(detector(tmp_path / 'a'), 0.0)

    assert 'says little' in validate.run(folder, None, Params(**SELF)).notes[0]


@pytest.mark.parametrize(
    ('one', 'other', 'agreement'),
    [
        ('fp32', 'fp32', 0.98),
        ('fp32', 'fp16', 0.98),
        ('fp32', 'int8', 0.95),
        ('int8', 'int8', 0.95),
        ('int8', 'fp32', 0.95),
        ('fp32', 'fp8', 0.95),
        ('fp32', 'int4', 0.95),
    ],
)
def test_what_agreement_is_expected_depends_on_the_numbers_of_the_pair(one, other, agreement):
    assert expected(one, other).agreement == agreement
    assert expected(one, other).pair == f'{one} and {other}'


@pytest.mark.parametrize(
    ('asked', 'wanted'), [({}, 0.98), ({'agreement': 0.5}, 0.5), ({'agreement': 0.0}, 0.0)]
)
def test_what_is_asked_for_goes_before_what_is_expected(tmp_path, asked, wanted):
    report = validate.run(detector(tmp_path / 'a'), None, Params(**SELF, **asked))

    assert report.facts['agreement_wanted'] == wanted
    assert report.facts['pair'] == 'fp32 and fp32'


@pytest.mark.parametrize('images', ['', 'world'])
@pytest.mark.parametrize('name', ['street_tiny', 'person_nano'])
def test_the_shipped_int8_passes_the_gate_that_the_pages_send_people_to(tmp_path, name, images):
    """On AVX2 and on VNNI: CI has both."""
    shipped = Path(__file__).parents[2] / 'models' / name

    report = validate.run(
        shipped,
        tmp_path,
        Params(other_backend='ort', other_precision='int8', images=images, count=30),
    )

    assert report.refused == ''
    assert report.facts['pair'] == 'fp32 and int8'
    assert (tmp_path / 'validate.png').read_bytes().startswith(b'\x89PNG')


def test_a_picture_shows_how_far_two_models_agree_without_labels(tmp_path):
    good, out = detector(tmp_path / 'good'), tmp_path / 'out'

    validate.run(good, out, Params(**SELF))

    assert (out / 'validate.png').read_bytes().startswith(b'\x89PNG')
