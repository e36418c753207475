import contextlib

import numpy as np
import pytest
from backends import nets
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core import onnx_file
from edge_inference_ros.errors import ModelError

onnx = nets.onnx


def outside(name='w'):
    """A tensor whose numbers are in another file."""
    tensor = onnx.numpy_helper.from_array(np.ones(3, np.float32), name)
    onnx.external_data_helper.set_external_data(tensor, '../../etc/passwd')
    tensor.ClearField('raw_data')
    return tensor


def as_weight(graph):
    graph.initializer.append(outside())


def as_constant(graph):
    graph.node.append(onnx.helper.make_node('Constant', [], ['c'], value=outside()))


def as_list_of_tensors(graph):
    node = onnx.helper.make_node('Custom', [], ['c'])
    attribute = onnx.AttributeProto(name='many', type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(outside())
    node.attribute.append(attribute)
    graph.node.append(node)


def in_a_branch(graph):
    inner = onnx.helper.make_graph([], 'inner', [], [])
    as_constant(inner)
    graph.node.append(
        onnx.helper.make_node('If', ['x'], ['y'], then_branch=inner, else_branch=inner)
    )


def in_a_list_of_graphs(graph):
    inner = onnx.helper.make_graph([], 'inner', [], [])
    as_weight(inner)
    node = onnx.helper.make_node('Custom', [], ['c'])
    attribute = onnx.AttributeProto(name='many', type=onnx.AttributeProto.GRAPHS)
    attribute.graphs.append(inner)
    node.attribute.append(attribute)
    graph.node.append(node)


def as_sparse_weight(graph):
    indices = onnx.numpy_helper.from_array(np.arange(3), 'at')
    graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(outside(), indices, [9]))


@pytest.mark.parametrize(
    'hide',
    [
        as_weight,
        as_constant,
        as_list_of_tensors,
        in_a_branch,
        in_a_list_of_graphs,
        as_sparse_weight,
    ],
)
def test_data_in_other_files_is_found_wherever_it_hides(tmp_path, hide):
    model = onnx.load(nets.mean_colour(tmp_path / 'net.onnx'))
    hide(model.graph)
    (tmp_path / 'net.onnx').write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match=r'net\.onnx.*other files'):
        onnx_file.read(tmp_path / 'net.onnx')


def test_data_in_other_files_is_found_in_functions(tmp_path):
    model = onnx.load(nets.mean_colour(tmp_path / 'net.onnx'))
    constant = onnx.helper.make_node('Constant', [], ['c'], value=outside())
    model.functions.append(
        onnx.helper.make_function('local', 'f', [], ['c'], [constant], model.opset_import)
    )
    (tmp_path / 'net.onnx').write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match='other files'):
        onnx_file.read(tmp_path / 'net.onnx')


def test_a_network_in_one_file_is_read_as_it_is(tmp_path):
    path = nets.mean_colour(tmp_path / 'net.onnx')

    assert onnx_file.read(path) == path.read_bytes()


def test_a_graph_without_end_is_refused(tmp_path):
    message = b''
    for _ in range(200):  # graphs in attributes of nodes of graphs
        for field in (6, 5, 1):
            size = len(message)
            length = bytes(((size & 127) | 128, (size >> 7 & 127) | 128, size >> 14))
            message = bytes((field << 3 | 2,)) + length + message
    size = len(message)
    length = bytes(((size & 127) | 128, (size >> 7 & 127) | 128, size >> 14))
    path = tmp_path / 'net.onnx'
    path.write_bytes(b'\x3a' + length + message)

    with pytest.raises(ModelError, match='deeper'):
        onnx_file.read(path)


@settings(max_examples=3000, deadline=None)
@given(data=st.data())
def test_no_bytes_get_anything_but_a_verdict(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'fuzzed.onnx'
    if not path.exists():
        nets.mean_colour(path.with_suffix('.good'))
    good = bytearray(path.with_suffix('.good').read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(good[: data.draw(st.integers(0, len(good)))])

    with contextlib.suppress(ModelError):
        assert onnx_file.read(path) == path.read_bytes()


def small(*nodes, kind=onnx.TensorProto.UINT8, opset=17, domains=('',)):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        list(nodes), 'net', [value('images', kind, [1, 4])], [value('y', kind, [1, 4])]
    )
    opsets = [onnx.helper.make_opsetid(domain, opset) for domain in domains]
    return onnx.helper.make_model(graph, opset_imports=opsets).SerializeToString()


@pytest.mark.parametrize('opset', [1, 17, 18, 300])
@pytest.mark.parametrize('domains', [('',), ('ai.onnx',), ('com.microsoft', '')])
def test_the_opset_is_the_standard_operators(opset, domains):
    node = onnx.helper.make_node('Identity', ['images'], ['y'])

    assert onnx_file.opset(small(node, opset=opset, domains=domains)) == opset


def test_the_readers_of_bytes_are_those_onnx_names():
    make = onnx.helper.make_node
    nodes = [
        make('Cast', ['images'], ['floats'], to=onnx.TensorProto.FLOAT),
        make('Transpose', ['images'], ['turned']),
        make('Relu', ['floats'], ['y']),
        make('Concat', ['turned', 'images'], ['both'], axis=0),
    ]

    assert onnx_file.readers_of_bytes(small(*nodes)) == ['Transpose', 'Concat']
    assert onnx_file.readers_of_bytes(small(*nodes, kind=onnx.TensorProto.INT8)) == []


@given(st.data())
@settings(max_examples=60)
def test_what_is_no_network_has_no_opset_and_no_readers(data):
    whole = small(onnx.helper.make_node('Neg', ['images'], ['y']))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + 1 :]

    assert onnx_file.opset(broken) >= 0
    assert isinstance(onnx_file.readers_of_bytes(broken), list)
