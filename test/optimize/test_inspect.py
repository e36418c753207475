"""What became of the nodes of a network, in numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from backends.conftest import Machine
from optimize.networks import detector, onnx

from edge_inference_ros.errors import EngineMissing, ModelError
from edge_inference_ros.optimize import inspect
from edge_inference_ros.optimize.graph.fusion import (
    Layer,
    Network,
    convolution_chains,
    fused_chains,
    shared_out,
)
from edge_inference_ros.optimize.inspect import Params

pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the networks of these tests')


def small(path, *, named=True):
    """Conv, BN, SiLU; Conv, Relu; Conv, Add: three convolutions, two of them with activation."""
    helper, kind = onnx.helper, onnx.TensorProto
    draw = np.random.default_rng(0)
    constants = {
        'w1': draw.normal(size=(16, 3, 3, 3)),
        'w2': draw.normal(size=(16, 16, 3, 3)),
        'b': draw.normal(size=16),
        'v': np.ones(16),
    }
    nodes = [
        ('Conv', ['x', 'w1', 'b'], ['c1'], {'pads': [1] * 4}),
        ('BatchNormalization', ['c1', 'v', 'b', 'b', 'v'], ['n1'], {}),
        ('Sigmoid', ['n1'], ['g1'], {}),
        ('Mul', ['n1', 'g1'], ['s1'], {}),
        ('Conv', ['s1', 'w2', 'b'], ['c2'], {'pads': [1] * 4}),
        ('Relu', ['c2'], ['r2'], {}),
        ('Conv', ['r2', 'w2', 'b'], ['c3'], {'pads': [1] * 4}),
        ('Add', ['c3', 's1'], ['y'], {}),
    ]
    graph = helper.make_graph(
        [
            helper.make_node(op, *ends, name=f'{op.lower()}_{ends[1][0]}' if named else '', **more)
            for op, *ends, more in nodes
        ],
        'net',
        [helper.make_tensor_value_info('x', kind.FLOAT, [1, 3, 24, 24])],
        [helper.make_tensor_value_info('y', kind.FLOAT, [1, 16, 24, 24])],
        [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, str(path))
    return model


@pytest.fixture
def network(tmp_path):
    return Network.of(small(tmp_path / 'net.onnx'))


# ---- counting


def test_convolutions_are_followed_to_their_activation(network):
    assert convolution_chains(network) == [
        ('conv_c1', 'batchnormalization_n1', 'sigmoid_g1', 'mul_s1'),
        ('conv_c2', 'relu_r2'),
    ]


def test_a_chain_counts_as_fused_only_if_one_layer_has_all_of_it(network):
    chains = convolution_chains(network)
    whole = Layer('a', 'k', '', ('conv_c2', 'relu_r2', 'something'))
    split = [Layer('b', 'k', '', ('conv_c1', 'batchnormalization_n1')),
             Layer('c', 'k', '', ('sigmoid_g1', 'mul_s1'))]  # fmt: skip

    assert fused_chains(chains, [whole, *split]) == 1
    assert fused_chains(chains, split) == 0


def test_every_node_goes_to_the_first_layer_that_needs_it(network):
    shared = shared_out(network, [('one', 's1'), ('added', None), ('two', 'r2'), ('three', 'y')])

    assert shared['one'] == ('conv_c1', 'batchnormalization_n1', 'sigmoid_g1', 'mul_s1')
    assert shared['two'] == ('conv_c2', 'relu_r2')
    assert shared['three'] == ('conv_c3', 'add_y')
    assert shared['added'] == ()


def test_nodes_without_names_are_named_after_what_they_write(tmp_path):
    network = Network.of(small(tmp_path / 'net.onnx', named=False))

    assert list(network.nodes)[:2] == ['node_of_c1', 'node_of_n1']


# ---- ONNX Runtime


def test_onnxruntime_fuses_and_the_report_says_so_in_numbers(tmp_path):
    small(tmp_path / 'net.onnx')

    report = inspect.run(tmp_path / 'net.onnx', tmp_path / 'out', Params(runs=3))

    assert report.facts['nodes_before'] == 8
    assert report.facts['layers_after'] < 8
    assert report.facts['conv_activation_before'] == 2
    assert report.facts['conv_activation_fused'] >= 1
    assert '2 convolutions with bias and activation were 6 nodes' in report.notes[1]


@pytest.mark.parametrize('named', [True, False])
def test_no_node_is_lost_and_none_counted_twice(tmp_path, named):
    model = small(tmp_path / 'net.onnx', named=named)

    report = inspect.run(tmp_path / 'net.onnx', None, Params(runs=2))

    told = [name for row in report.rows for name in row['nodes'].split(' + ') if name]
    assert sorted(told) == sorted(Network.of(model).nodes)


def test_times_shares_and_formats_are_measured(tmp_path):
    small(tmp_path / 'net.onnx')

    report = inspect.run(tmp_path / 'net.onnx', None, Params(runs=3))

    times = [row['time_ms'] for row in report.rows]
    assert times == sorted(times, reverse=True)
    assert max(times) > 0
    assert sum(row['share'] for row in report.rows) == pytest.approx(1, abs=0.01)
    assert {row['precision'] for row in report.rows} == {'float'}
    assert report.facts['memory_bytes'] > 0


def test_a_table_json_and_a_picture_are_written(tmp_path):
    small(tmp_path / 'net.onnx')

    report = inspect.run(tmp_path / 'net.onnx', tmp_path / 'out', Params(runs=2, top=1))

    assert len(report.rows) == 1
    assert json.loads((tmp_path / 'out' / 'inspect.json').read_text())['step'] == 'inspect'
    assert (tmp_path / 'out' / 'inspect.png').read_bytes().startswith(b'\x89PNG')
    assert 'layer' in report.as_table()


def test_a_model_folder_is_inspected_too(tmp_path):
    report = inspect.run(detector(tmp_path / 'model'), None, Params(runs=2))

    assert report.model.endswith('net.onnx')
    assert report.facts['layers_after'] > 0


def test_a_network_of_open_sizes_is_refused(tmp_path):
    model = small(tmp_path / 'net.onnx')
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = 'height'
    onnx.save(model, str(tmp_path / 'net.onnx'))

    with pytest.raises(ModelError, match='fixed sizes'):
        inspect.run(tmp_path / 'net.onnx', None, Params(runs=1))


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / 'net.onnx').write_bytes(b'\x00\x01')

    with pytest.raises(ModelError, match='not an ONNX file'):
        inspect.run(tmp_path / 'net.onnx', None, Params())


# ---- TensorRT


def test_tensorrts_own_words_are_put_beside_the_networks_nodes(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path).start()
    layers = ['conv_c1 + batchnormalization_n1 + sigmoid_g1 + mul_s1', 'Reformat']
    _, path = machine.model(layers=layers)
    machine.build(path)
    network = small(tmp_path / 'real.onnx')
    monkeypatch.setattr(inspect, 'read', lambda path: network)

    report = inspect.run(path, None, Params(backend='trt', runs=2, cache=str(machine.cache)))

    assert report.facts['layers_after'] == 2
    assert report.facts['layers_added'] == 1
    assert report.facts['conv_activation_fused'] == 1
    assert report.facts['memory_bytes'] == 4096
    assert report.rows[0]['precision'] == 'FP16'


def test_an_engine_that_is_not_there_is_not_built_to_be_inspected(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path).start()
    _, path = machine.model()
    network = small(tmp_path / 'real.onnx')
    monkeypatch.setattr(inspect, 'read', lambda path: network)

    with pytest.raises(EngineMissing, match='optimize build'):
        inspect.run(path, None, Params(backend='trt', cache=str(machine.cache)))
    assert machine.trt._builds == []
