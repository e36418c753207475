"""Somebody's network becomes a model without an editor, or is refused and leaves nothing."""

import errno
import shutil

import pytest

from edge_inference_ros import cli
from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.share import locate
from edge_inference_ros.errors import ConfigError, ModelError

onnx = pytest.importorskip('onnx', reason='makes the networks')
quantisable = pytest.importorskip('support.quantisable')
picture_folder, pictures = quantisable.picture_folder, quantisable.pictures


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
    (tmp_path / 'net.onnx').write_bytes(b'x')

    with pytest.raises(ConfigError, match=words):
        add_model(tmp_path / 'net.onnx', AddParams(**{**said, **changes}))

    assert not (tmp_path / 'mine').exists()


@pytest.mark.parametrize(
    ('changes', 'error', 'words'),
    [
        ({'despite': True, 'head': ''}, ConfigError, '--despite: name the head'),
        ({'folder': '', 'name': 'street_tiny'}, ConfigError, 'a shipped model is called'),
        ({'content': b''}, ModelError, 'the file is empty'),
    ],
)
def test_what_cannot_become_a_model_says_so_before_it_is_opened(
    tmp_path, changes, error, words, monkeypatch
):
    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path / 'own'))
    (tmp_path / 'net.onnx').write_bytes(changes.pop('content', b'x'))

    with pytest.raises(error, match=words):
        add_model(tmp_path / 'net.onnx', AddParams(**{'folder': str(tmp_path), **changes}))


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


def test_what_is_wrong_with_a_file_is_said_of_the_file_that_was_given(tmp_path):
    network = tmp_path / 'exports' / 'net.onnx'
    network.parent.mkdir()
    network.write_bytes(b'\x0c' * 2000)

    with pytest.raises(ModelError) as raised:
        added(tmp_path, network)

    assert str(raised.value).startswith(f'{network}: not an ONNX file')
    assert list((tmp_path / 'shelf').iterdir()) == []
    with pytest.raises(ConfigError, match='is a folder; give the file'):
        added(tmp_path, network.parent, name='net')


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
    network = foreign.network(tmp_path / 'net.onnx', 'yolox decoded', metadata={'names': NAMES})

    added(
        tmp_path, network, name='mine', head='yolov5', classes=('a', 'b', 'c'), order='rgb',
        fit='stretch', scale=0.5, licence='MIT',
    )  # fmt: skip

    made = load(tmp_path / 'shelf' / 'mine')
    assert (made.head.name, made.classes, made.licence) == ('yolov5', ('a', 'b', 'c'), 'MIT')
    assert (made.input.order, made.input.fit, made.input.scale) == ('rgb', 'stretch', 0.5)


def test_classes_that_nobody_names_are_asked_for_with_their_number(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', classes=5)

    with pytest.raises(ConfigError, match='name the classes, all 5 of them'):
        added(tmp_path, network)
    assert not (tmp_path / 'shelf' / 'net').exists()


def test_another_number_of_classes_than_the_network_has_is_refused(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', classes=5)

    with pytest.raises(ConfigError, match='2 classes are named, the network has 5 '):
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


def test_a_model_goes_beside_the_others_a_person_has_added(foreign, tmp_path, monkeypatch):
    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path / 'own'))
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES})

    add_model(network, AddParams())

    assert load(locate('models', 'net')).folder == tmp_path / 'own' / 'net'


def test_eighty_classes_without_names_are_offered_those_of_coco(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', classes=80)

    with pytest.raises(ConfigError, match=r'all 80 of them: .*--classes coco80'):
        added(tmp_path, network)
    added(tmp_path, network, classes=('coco80',))

    made = load(tmp_path / 'shelf' / 'net')
    assert (made.classes[0], made.classes[79], len(made.classes)) == ('person', 'toothbrush', 80)


def test_names_that_come_twice_in_the_file_are_numbered_and_it_is_said(foreign, tmp_path):
    metadata = {'names': "{0: 'person', 1: 'car', 2: 'car'}"}
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata=metadata)

    report = added(tmp_path, network)

    assert load(tmp_path / 'shelf' / 'net').classes == ('person', 'car', 'car_2')
    assert "class 2 is called 'car' like another: it goes by 'car_2'" in report.notes


def test_names_that_are_there_but_cannot_be_taken_are_said(foreign, tmp_path):
    metadata = {'names': "{1: 'person', 2: 'car', 3: 'dog'}"}
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata=metadata)

    with pytest.raises(ConfigError, match='numbers 3 classes from 1 to 3'):
        added(tmp_path, network)


def test_a_head_that_was_said_is_tried_too_and_taken_only_if_told_twice(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8 logits', metadata={'names': NAMES})

    with pytest.raises(ModelError, match='no probabilities'):
        added(tmp_path, network, head='yolov8')
    report = added(tmp_path, network, head='yolov8', despite=True)

    assert any('taken all the same, although scores go' in note for note in report.notes)


def test_several_pictures_at_once_are_refused_with_the_remedy(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES}, batch=2)

    with pytest.raises(ConfigError, match=r'\[2, 3, 96, 128\]: 2 pictures at once.*batch 1'):
        added(tmp_path, network)


def test_half_floats_are_told_from_the_weights(foreign, tmp_path):
    from onnx import numpy_helper

    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES})
    model = onnx.load(network)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype('float16')
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    onnx.save(model, tmp_path / 'half.onnx')

    assert onnx_file.precision(network) == 'fp32'
    assert onnx_file.precision(tmp_path / 'half.onnx') == 'fp16'


def test_how_many_boxes_are_looked_at_can_be_said(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES})

    added(tmp_path, network, candidates=3000)

    assert load(tmp_path / 'shelf' / 'net').head.candidates == 3000


def test_a_network_is_tried_on_the_pictures_that_are_given(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES})
    picture_folder(tmp_path / 'photos', pictures(2))

    report = added(tmp_path, network, images=str(tmp_path / 'photos'))

    assert any(f'tried on {tmp_path}/photos: ' in note for note in report.notes)
    (note,) = (n for n in added(
        tmp_path, network, name='sure', images=str(tmp_path / 'photos'), score_threshold=1.0
    ).notes if 'nothing reaches' in n)  # fmt: skip
    assert note.endswith('is it trained, and on such pictures?')
    (note,) = (n for n in added(tmp_path, network, name='more', score_threshold=1.0).notes
               if 'nothing reaches' in n)  # fmt: skip
    assert note.endswith('--images FOLDER')
    with pytest.raises(ConfigError, match='no picture in it'):
        added(tmp_path, network, name='other', images=str(tmp_path))


def test_a_misspelt_list_of_classes_is_no_class(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8')

    with pytest.raises(ConfigError, match='did you mean the list coco80'):
        added(tmp_path, network, classes=('coco81',))


def test_a_full_disk_names_what_could_not_be_written_and_leaves_nothing(
    foreign, tmp_path, monkeypatch, capsys
):
    network = foreign.network(tmp_path / 'net.onnx', 'yolov8', metadata={'names': NAMES})

    def full(_, target):
        target.write_bytes(b'half')
        raise OSError(errno.ENOSPC, 'No space left on device', str(network), None, str(target))

    monkeypatch.setattr(shutil, 'copyfile', full)
    words = ['models', 'add', str(network), '--name', 'mine', '--folder', str(tmp_path / 'own')]

    assert cli.main(words) == 2
    assert f'{tmp_path}/own/mine/model.onnx: No space left' in capsys.readouterr().err
    assert not (tmp_path / 'own' / 'mine').exists()


def test_many_classes_are_six_and_a_count(foreign, tmp_path):
    network = foreign.network(tmp_path / 'net.onnx', 'yolox', classes=80)

    report = added(tmp_path, network, classes=('coco80',))

    assert report.facts['classes'] == 'person, bicycle, car, motorcycle, airplane, bus, … (80)'
