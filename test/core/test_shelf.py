"""Models are listed, checked and added without an editor."""

import shutil

import pytest
from support.models import scripted_model

from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.shelf import (
    AddParams,
    CheckParams,
    ListParams,
    add_model,
    check_model,
    list_models,
)
from edge_inference_ros.errors import ConfigError, DigestMismatch, ModelError


def test_every_model_has_a_row_and_a_broken_one_says_why(tmp_path):
    scripted_model(tmp_path / 'good')
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'manifest.yaml').write_text('schema: 99\n')

    report = list_models(ListParams(str(tmp_path)))

    rows = {row['model']: row for row in report.rows}
    assert rows['good']['head'] == 'yolov8'
    assert rows['bad']['task'] == 'BROKEN'
    assert 'schema = 99' in rows['bad']['classes']


def test_an_empty_shelf_says_how_to_fill_it(tmp_path):
    assert 'models add' in list_models(ListParams(str(tmp_path))).as_table()


def test_a_sound_model_passes(tmp_path):
    model = scripted_model(tmp_path / 'model')

    report = check_model(CheckParams(str(model), 'null'))

    assert report.notes == ('good',)
    assert report.rows[0]['file'] == 'script.json'


def test_an_altered_file_is_found(tmp_path):
    model = scripted_model(tmp_path / 'model')
    (model / 'script.json').write_text('{}')

    with pytest.raises(DigestMismatch):
        check_model(CheckParams(str(model), 'null'))


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'name': ''}, '--name'),
        ({'name': '../x'}, '--name'),
        ({'classes': ()}, 'name the classes'),
        ({'head': 'yolo99'}, '--head'),
        ({'classes_file': '/nowhere'}, '/nowhere'),
    ],
)
def test_an_addition_that_is_not_described_is_refused(tmp_path, changes, words):
    said = {'name': 'mine', 'head': 'yolov8', 'classes': ('a',), 'folder': str(tmp_path)}
    (tmp_path / 'net.onnx').write_bytes(b'')

    with pytest.raises(ConfigError, match=words):
        add_model(tmp_path / 'net.onnx', AddParams(**{**said, **changes}))

    assert not (tmp_path / 'mine').exists()


def test_a_file_that_is_no_network_leaves_nothing_behind(tmp_path):
    pytest.importorskip('onnxruntime', reason='opens the network')
    (tmp_path / 'net.onnx').write_bytes(b'not a network')

    with pytest.raises(ModelError):
        add_model(
            tmp_path / 'net.onnx',
            AddParams(name='mine', head='yolov8', classes=('a',), folder=str(tmp_path)),
        )

    assert not (tmp_path / 'mine').exists()


def test_a_network_is_added_with_what_its_file_says(tmp_path):
    pytest.importorskip('onnxruntime', reason='opens the network')
    from edge_inference_ros.core.share import share

    shipped = load(share('models/street_tiny'))
    network = shutil.copyfile(shipped.files[0].path, tmp_path / 'net.onnx')

    report = add_model(
        network,
        AddParams(
            name='mine',
            head=shipped.head.name,
            classes=shipped.classes,
            layout='nhwc',
            order=shipped.input.order,
            folder=str(tmp_path),
        ),
    )

    made = load(tmp_path / 'mine')
    assert made.input.shape == shipped.input.shape
    assert [o.shape for o in made.outputs] == [o.shape for o in shipped.outputs]
    assert made.classes == shipped.classes
    assert report.out == str(tmp_path / 'mine')
