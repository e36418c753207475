"""A network from somebody else, made to harm whoever opens it."""

from pathlib import Path

import numpy as np
import pytest
from backends import nets

from edge_inference_ros.catalog import confined
from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.errors import EdgeInferenceError, ModelError
from edge_inference_ros.optimize import _folder, build

pytestmark = pytest.mark.fault('G6')
pytest.importorskip('onnxruntime', reason='opens the networks')

onnx = nets.onnx
FLOAT = onnx.TensorProto.FLOAT
SECRET = b'root:x:0:0'
GROWTH_BYTES = 64 << 20
HUGE = 1 << 20


def field(number, payload):
    """A protobuf field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def data_elsewhere(path):
    secret = path.parent.parent / 'secret'
    secret.write_bytes(SECRET)
    model = onnx.load(nets.mean_colour(path))
    (tensor,) = model.graph.initializer
    onnx.external_data_helper.set_external_data(tensor, '../secret', length=len(SECRET))
    tensor.ClearField('raw_data')
    path.write_bytes(model.SerializeToString())


def weights_that_are_not_there(path):
    model = onnx.load(nets.mean_colour(path))
    model.graph.initializer[0].dims[:] = [HUGE, HUGE, HUGE]
    path.write_bytes(model.SerializeToString())


def dimensions_without_end(path):
    model = onnx.load(nets.mean_colour(path))
    model.graph.initializer[0].dims[:] = [HUGE] * 50_000
    path.write_bytes(model.SerializeToString())


def an_input_without_end(path):
    nets.save(
        path,
        [onnx.helper.make_node('Identity', ['images'], ['out'])],
        {'images': (FLOAT, [1, 3, HUGE, HUGE])},
        {'out': (FLOAT, [1, 3, HUGE, HUGE])},
    )


def an_output_without_end(path):
    """Small in the file, 64 TiB when it runs."""
    nets.save(
        path,
        [
            onnx.helper.make_node('ConstantOfShape', ['size'], ['much']),
            onnx.helper.make_node('ReduceSum', ['images'], ['sum'], keepdims=0),
            onnx.helper.make_node('Add', ['much', 'sum'], ['out']),
        ],
        {'images': (FLOAT, [1, 3, 4, 4])},
        {'out': (FLOAT, ['a', 'b'])},
        {'size': np.array([HUGE * 16, HUGE], np.int64)},
    )


def a_length_of_2_gib(path):
    path.write_bytes(b'\x08\x08' + varint(7 << 3 | 2) + varint((2 << 30) - 1) + b'\x0a\x00')


def a_number_without_end(path):
    path.write_bytes(b'\x08' + b'\xff' * 1000)


def more_than_protobuf_reads(path):
    with path.open('wb') as stream:
        stream.truncate(2 << 30)  # a hole: no disk is used


def graphs_in_graphs(path):
    message = b''
    for _ in range(3000):
        message = field(1, field(5, field(6, message)))
    path.write_bytes(b'\x08\x08' + field(7, message))


HOSTILE = [
    data_elsewhere,
    weights_that_are_not_there,
    dimensions_without_end,
    an_input_without_end,
    an_output_without_end,
    a_length_of_2_gib,
    a_number_without_end,
    more_than_protobuf_reads,
    graphs_in_graphs,
]


@pytest.fixture
def hostile(tmp_path, request):
    path = tmp_path / 'from_elsewhere/net.onnx'
    path.parent.mkdir()
    request.param(path)
    return path


def peak_bytes(*, reset=False):
    """The most memory this process has had since the last reset."""
    if reset:
        Path('/proc/self/clear_refs').write_text('5')
    (line,) = [x for x in Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in x]
    return int(line.split()[1]) * 1024


def added(path, shelf):
    return add_model(
        path, AddParams(name='mine', head='yolov8', classes=('a',), folder=str(shelf))
    )


@pytest.mark.parametrize('hostile', HOSTILE, indirect=True, ids=lambda f: f.__name__)
def test_a_hostile_network_is_not_added(hostile, tmp_path, figure):
    before = peak_bytes(reset=True)

    with pytest.raises(EdgeInferenceError, match=r'net\.onnx|model\.onnx|allocate memory'):
        added(hostile, tmp_path / 'shelf')

    grew = peak_bytes() - before
    figure('memory of who asked grew by', grew / 2**20, 'MiB')
    assert grew < GROWTH_BYTES
    assert not (tmp_path / 'shelf/mine').exists()


@pytest.mark.parametrize('step', [build.onnx_file, _folder.source], ids=['build', 'quantize'])
@pytest.mark.parametrize(
    'hostile',
    [make for make in HOSTILE if 'put_without_end' not in make.__name__],  # harmful when run
    indirect=True,
    ids=lambda f: f.__name__,
)
def test_a_hostile_network_is_not_let_into_a_step(hostile, step):
    with pytest.raises(ModelError, match=r'net\.onnx'):
        step(hostile)


def test_a_network_that_takes_for_ever_to_read_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / 'net.onnx'
    path.write_bytes(b'\x08\x08' + field(7, field(1, b'') * 4_000_000))
    few = confined.ChildLimits(cpu_s=1)
    monkeypatch.setattr(confined, 'limits_for', lambda _: few)

    with pytest.raises(ModelError, match='more than 1 s of processor time'):
        added(path, tmp_path / 'shelf')


def test_a_network_that_crashes_its_reader_is_not_added(tmp_path, monkeypatch):
    path = nets.mean_colour(tmp_path / 'net.onnx')
    real = confined.call
    monkeypatch.setattr(confined, 'call', lambda _, *rest: real('os:abort', {}, *rest[1:]))

    with pytest.raises(ModelError, match='SIGABRT'):
        added(path, tmp_path / 'shelf')

    assert not (tmp_path / 'shelf/mine').exists()


def test_an_honest_network_is_let_in(tmp_path):
    path = nets.mean_colour(tmp_path / 'net.onnx')

    assert build.onnx_file(path) == path
    assert _folder.source(path).path == path
