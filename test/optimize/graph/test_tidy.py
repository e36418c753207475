"""Graphs of others are read as meant: unsorted, with hidden constants, of old opsets."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import quantisable

from edge_inference_ros import cli
from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.graph import network, nodes, tidy


def answers(model, given):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: given})[0]


def pictures():
    shape = (1, quantisable.HIGH_PX, quantisable.WIDE_PX, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def hidden(path):
    """The detector with its biases behind an Identity and its nodes in reverse."""
    model = onnx.load(path)
    for node in [n for n in model.graph.node if n.op_type == 'Conv']:
        through = helper.make_node('Identity', [node.input[2]], [f'{node.name}_bias'])
        node.input[2] = f'{node.name}_bias'
        model.graph.node.append(through)
    backwards = list(reversed(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(backwards)
    onnx.save(model, path)
    return path


def test_unsorted_nodes_and_hidden_constants_are_put_right(tmp_path):
    wanted = onnx.load(quantisable.detector(tmp_path / 'net.onnx'))

    read = network.load(hidden(tmp_path / 'net.onnx'))

    assert 'Identity' not in {node.op_type for node in read.graph.node}
    np.testing.assert_array_equal(answers(read, pictures()), answers(wanted, pictures()))


def test_what_is_computed_from_constants_becomes_one():
    half = helper.make_node(
        'Constant', [], ['half'], value=numpy_helper.from_array(np.float32(0.5))
    )
    made = helper.make_node('Mul', ['two', 'half'], ['one'])
    used = helper.make_node('Mul', ['x', 'one'], ['y'])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [half, made, used], 'g', [value('x', TensorProto.FLOAT, [2])],
        [value('y', TensorProto.FLOAT, [2])], [numpy_helper.from_array(np.float32(2), 'two')],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])

    assert tidy.fold(model) == 2
    assert [node.op_type for node in model.graph.node] == ['Mul']
    assert [t.name for t in model.graph.initializer] == ['one']


def test_quantised_weights_stay_as_they_are_stored():
    node = helper.make_node('DequantizeLinear', ['w', 's'], ['wide'])
    used = helper.make_node('Add', ['x', 'wide'], ['y'])
    value = helper.make_tensor_value_info
    constants = [numpy_helper.from_array(np.ones(2, np.int8), 'w'),
                 numpy_helper.from_array(np.float32(0.1), 's')]  # fmt: skip
    graph = helper.make_graph([node, used], 'g', [value('x', TensorProto.FLOAT, [2])],
                              [value('y', TensorProto.FLOAT, [2])], constants)  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])

    assert tidy.fold(model) == 0


@pytest.mark.parametrize('load', [network.load, nodes.load])
def test_an_old_opset_is_raised_and_answers_the_same(tmp_path, load, caplog):
    path = quantisable.detector(tmp_path / 'net.onnx', opset=11)
    was = onnx.load(path)
    caplog.set_level('INFO')

    made = load(path)

    assert network.opset(made) == tidy.OLDEST_OPSET
    np.testing.assert_allclose(answers(made, pictures()), answers(was, pictures()), rtol=1e-5)
    assert 'opset 11, needed 13; converted' in caplog.text


def test_what_answers_otherwise_after_conversion_is_refused(tmp_path, monkeypatch):
    path = quantisable.detector(tmp_path / 'net.onnx', opset=11)
    other = onnx.load(quantisable.detector(tmp_path / 'other.onnx', seed=1, opset=13))
    monkeypatch.setattr(onnx.version_converter, 'convert_version', lambda *_: other)

    with pytest.raises(ModelError, match=r'outputs move by .* export it again with opset 13'):
        nodes.load(path)


@pytest.mark.parametrize('dialect', ['ort', 'trt'])
def test_int8_of_such_a_network_is_made_in_both_dialects(tmp_path, dialect):
    folder = quantisable.model_folder(tmp_path / 'model', opset=11)
    shown = quantisable.picture_folder(tmp_path / 'shown', quantisable.pictures(4))
    ranges = str(tmp_path / 'ranges')
    cli.main(['optimize', 'calibrate', str(folder), '--out', ranges, '--source', str(shown)])

    status = cli.main([
        'optimize', 'quantize', str(folder), '--out', str(folder), '--calibration', ranges,
        '--dialect', dialect, '--runs', '2',
    ])  # fmt: skip

    assert status == 0
    assert not list(folder.glob('*.part'))


@pytest.mark.parametrize('out', ['new/place', 'model'])
def test_a_step_that_fails_leaves_everything_as_it_was(tmp_path, out, monkeypatch):
    folder = quantisable.model_folder(tmp_path / 'model')
    before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}

    def fails(*_, **__):
        raise ModelError('the network made is not valid')

    monkeypatch.setattr('edge_inference_ros.optimize.quantize.measured', fails)
    status = cli.main([
        'optimize', 'quantize', str(folder), '--out', str(tmp_path / out), '--precision', 'fp16',
    ])  # fmt: skip

    assert status == 2
    assert {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()} == before
    assert not (tmp_path / 'new').exists()
