"""Networks as TensorRT takes them: nothing but a cast reads bytes."""

import numpy as np
import pytest
from backends.nets import save

from edge_inference_ros.optimize.graph import network

onnx = pytest.importorskip('onnx', reason='onnx makes the networks of these tests')
onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX Runtime says what they compute')
node, kind = onnx.helper.make_node, onnx.TensorProto
BYTES = {'images': (kind.UINT8, [1, 4, 6, 3])}
PLANES = {'planes': (kind.FLOAT, [1, 3, 4, 6])}
TURNED = node('Transpose', ['images'], ['turned'], perm=[0, 3, 1, 2])


def test_a_cast_behind_a_transposition_of_bytes_comes_first_and_the_numbers_stay(tmp_path):
    nodes = [TURNED, node('Cast', ['turned'], ['planes'], to=kind.FLOAT)]
    path = save(tmp_path / 'net.onnx', nodes, BYTES, PLANES)
    shown = {'images': np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), np.uint8)}

    model = network.load(path)

    assert [n.op_type for n in model.graph.node] == ['Cast', 'Transpose']
    assert network.bytes_read_by(model) == []
    before, after = (
        onnxruntime.InferenceSession(said, providers=['CPUExecutionProvider']).run(None, shown)[0]
        for said in (path.read_bytes(), model.SerializeToString())
    )
    np.testing.assert_array_equal(after, before)


def test_a_transposition_somebody_else_reads_stays_where_it_is(tmp_path):
    nodes = [
        TURNED,
        node('Cast', ['turned'], ['planes'], to=kind.FLOAT),
        node('Identity', ['turned'], ['again']),
    ]
    outputs = {**PLANES, 'again': (kind.UINT8, [1, 3, 4, 6])}

    model = network.load(save(tmp_path / 'net.onnx', nodes, BYTES, outputs))

    assert network.bytes_read_by(model) == ['Transpose']


def test_a_network_that_casts_first_is_left_alone(tmp_path):
    nodes = [
        node('Cast', ['images'], ['numbers'], to=kind.FLOAT),
        node('Transpose', ['numbers'], ['planes'], perm=[0, 3, 1, 2]),
    ]
    path = save(tmp_path / 'net.onnx', nodes, BYTES, PLANES)

    assert [n.op_type for n in network.load(path).graph.node] == ['Cast', 'Transpose']


def test_the_stem_and_convolutions_in_groups_are_named_without_their_names():
    nodes = [node('Conv', [f'x{i}', 'w'], [f'x{i + 1}'], name=f'conv{i}', group=1 + i % 2)
             for i in range(6)]  # fmt: skip
    graph = network.Graph(onnx.helper.make_model(onnx.helper.make_graph(nodes, 'g', [], [])))

    assert graph.named(['stem']) == ['conv0', 'conv1', 'conv2', 'conv3']
    assert graph.named(['depthwise']) == ['conv1', 'conv3', 'conv5']
