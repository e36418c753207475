"""Models are listed, checked and added without an editor."""

import shutil

import pytest
from support.models import scripted_model

from edge_inference_ros.catalog.shelf import (
    AddParams,
    CheckParams,
    ListParams,
    add_model,
    check_model,
    list_models,
)
from edge_inference_ros.core.manifest import load
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
        ({'name': '../x'}, '--name'),
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


# ---- networks of others

NAMES = "{0: 'person', 1: 'car', 2: 'dog'}"


@pytest.fixture
def foreign():
    pytest.importorskip('onnx', reason='makes the networks')
    pytest.importorskip('onnxruntime', reason='opens the networks')
    from support import foreign

    return foreign


def added(tmp_path, network, **said):
    return add_model(network, AddParams(folder=str(tmp_path / 'shelf'), **said))


@pytest.mark.parametrize(
    ('layout', 'usual'),
    [
        ('yolov5', ('rgb', 'letterbox', 1 / 255)),
        ('yolov8', ('rgb', 'letterbox', 1 / 255)),
        ('yolo_end2end', ('rgb', 'letterbox', 1 / 255)),
        ('yolox', ('bgr', 'letterbox', 1.0)),
        ('detr', ('rgb', 'stretch', 1 / 255)),
        ('efficient_nms', ('rgb', 'letterbox', 1 / 255)),
    ],
)
def test_a_foreign_network_is_added_without_a_word_said(foreign, tmp_path, layout, usual):
    network = foreign.network(tmp_path / 'net.onnx', layout, metadata={'names': NAMES})

    report = added(tmp_path, network)

    made = load(tmp_path / 'shelf' / 'net')
    assert made.head.name == layout
    assert made.classes == ('person', 'car', 'dog')
    assert (made.input.layout, made.input.height_px, made.input.width_px) == ('nchw', 96, 128)
    assert (made.input.order, made.input.fit, made.input.scale) == pytest.approx(usual)
    assert report.facts['head'].startswith(layout)
    assert any(layout in note for note in report.notes)


def test_what_is_said_wins_over_what_is_proposed(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolox', metadata={'names': NAMES})

    report = added(
        tmp_path, network, name='mine', head='yolov5', classes=('a', 'b', 'c'), order='rgb',
        fit='stretch', scale=0.5, licence='MIT',
    )  # fmt: skip

    made = load(tmp_path / 'shelf' / 'mine')
    assert (made.head.name, made.classes, made.licence) == ('yolov5', ('a', 'b', 'c'), 'MIT')
    assert (made.input.order, made.input.fit, made.input.scale) == ('rgb', 'stretch', 0.5)
    assert any('although yolox fits' in note for note in report.notes)


def test_classes_that_nobody_names_are_asked_for_with_their_number(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', classes=5)

    with pytest.raises(ConfigError, match='name the classes, all 5 of them'):
        added(tmp_path, network)
    assert not (tmp_path / 'shelf' / 'net').exists()


def test_another_number_of_classes_than_the_network_has_is_refused(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', classes=5)

    with pytest.raises(ConfigError, match='no head of 2 classes fits'):
        added(tmp_path, network, classes=('a', 'b'))


def test_open_sizes_are_settled_by_the_metadata_and_the_licence_is_kept(foreign, tmp_path):
    network = foreign.network(
        tmp_path / 'net.onnx', 'detr', open_axes=True,
        metadata={'names': NAMES, 'imgsz': '[96, 128]', 'license': 'AGPL-3.0 License\n(…)'},
    )  # fmt: skip

    added(tmp_path, network)
    added(tmp_path, network, name='small', height_px=64, width_px=64)

    made = load(tmp_path / 'shelf' / 'net')
    assert made.input.shape == (1, 3, 96, 128)
    assert made.licence == 'AGPL-3.0 License (…)'
    assert load(tmp_path / 'shelf' / 'small').input.shape == (1, 3, 64, 64)


def test_what_takes_no_picture_is_refused(foreign, tmp_path):
    from support.quantisable import products

    with pytest.raises(ConfigError, match=r'shape \[1, 4, 64\]; expected one picture'):
        added(tmp_path, products(tmp_path / 'net.onnx'), classes=('a',))
    assert not (tmp_path / 'shelf' / 'net').exists()


def test_pictures_with_colours_last_are_recognised(foreign, tmp_path):
    network = foreign.network(
        tmp_path / 'net.onnx', 'yolov8', layout_in='nhwc', metadata={'names': NAMES}
    )

    added(tmp_path, network)

    made = load(tmp_path / 'shelf' / 'net')
    assert (made.input.layout, made.input.height_px, made.input.width_px) == ('nhwc', 96, 128)
