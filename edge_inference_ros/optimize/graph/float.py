"""Networks in shorter floating-point numbers: sixteen bits, and eight bits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.graph import int8, network
from edge_inference_ros.optimize.graph.int8 import Ranges
from edge_inference_ros.optimize.graph.network import Graph
from edge_inference_ros.optimize.graph.nodes import rename

LARGEST_FP8, LARGEST_INT8 = 448.0, 127.0
_TYPED_SCALES_OPSET = 19


def half(model: Any, *, keep: Sequence[str] = ()) -> Any:
    """A copy with weights and arithmetic in float16, inputs and outputs as they were.

    What follows the last layers stays float32: a box at 640 pixels would move by half a pixel.
    """
    return _halved(model, [*Graph(model).edges(), *keep])


def half_beside(quantised: Any, model: Any, *, keep: Sequence[str] = ()) -> Any:
    """A copy of ``quantised``, ``model`` with Q/DQ nodes of opset 19, with the rest in float16.

    The scales become float16 too: they say what a DQ node makes, and a strongly typed network of
    TensorRT runs just what is written.
    """
    return _halved(quantised, [*Graph(model).edges(), *keep])


def _halved(model: Any, kept: Sequence[str]) -> Any:
    """A copy in float16 but for the nodes ``kept``, inputs and outputs."""
    from onnxruntime.transformers import float16

    own = type(model).FromString(model.SerializeToString())
    names = {node.name for node in own.graph.node}
    blocked = [name for name in float16.DEFAULT_OP_BLOCK_LIST if name != 'Resize']
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of values that float16 rounds to its smallest
        halved = float16.convert_float_to_float16(
            own, keep_io_types=True, op_block_list=blocked, node_block_list=kept
        )
    _once(halved)
    _unrounded(halved, names)
    network.unused(halved)
    return halved


def _unrounded(model: Any, own: set[str]) -> None:
    """Let a kept node read what another one made as it is.

    The converter casts every result of a node that stays float32 to float16, and back where such
    a node or the network's edge reads it. ``own`` are the nodes it found.
    """
    from onnx import TensorProto

    casts = {n.output[0]: n for n in model.graph.node if n.op_type == 'Cast' and n.name not in own}
    exact: dict[str, str] = {}
    for name, up in casts.items():
        down = casts.get(up.input[0])
        if down is not None and (_to(down), _to(up)) == (TensorProto.FLOAT16, TensorProto.FLOAT):
            exact[name] = down.input[0]
    for node in model.graph.node:
        node.input[:] = [exact.get(name, name) for name in node.input]
    for output in model.graph.output:
        if (reader := exact.pop(output.name, '')) and reader not in _edges(model):
            model.graph.node.remove(casts[output.name])
            rename(model, reader, output.name)
    network.drop_dead(model)


def _to(cast: Any) -> int:
    return next(int(attribute.i) for attribute in cast.attribute if attribute.name == 'to')


def _edges(model: Any) -> set[str]:
    """Tensors whose names are the network's own."""
    return {value.name for value in [*model.graph.input, *model.graph.output]}


def _once(model: Any) -> None:
    """Drop the second of two casts of one tensor: the converter adds one for each reader."""
    seen: set[str] = set()
    nodes = []
    for node in model.graph.node:
        if node.op_type != 'Cast' or node.output[0] not in seen:
            nodes.append(node)
            seen |= set(node.output)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def eighth(model: Any, ranges: Ranges, *, keep: Sequence[str] = ()) -> Any:
    """A copy with Q/DQ nodes of float8 (E4M3, finite) where the ``trt`` dialect has int8 ones.

    Raises:
        ModelError: an older network that cannot be raised to opset 19, where float8 begins.
    """
    from onnx import numpy_helper

    quantised = int8.quantised(raised(model), ranges, dialect='trt', keep=keep)
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    places = {t.name: i for i, t in enumerate(quantised.graph.initializer)}
    scales: dict[str, Any] = {}
    for node in quantised.graph.node:
        if node.op_type in ('QuantizeLinear', 'DequantizeLinear'):
            _to_fp8(quantised.graph, node, places, weights, scales)
    return quantised


def _to_fp8(graph: Any, node: Any, places: Any, weights: Any, scales: dict[str, Any]) -> None:
    """Turn one int8 Q or DQ node, its scale, zero point and constant weights into float8."""
    from onnx import numpy_helper

    value, scale, zero = node.input
    if scale not in scales:
        steps = numpy_helper.to_array(graph.initializer[places[scale]])
        scales[scale] = (steps * (LARGEST_INT8 / LARGEST_FP8)).astype(np.float32)
        graph.initializer[places[scale]].CopyFrom(numpy_helper.from_array(scales[scale], scale))
        zeros = np.zeros_like(steps, np.float32)
        graph.initializer[places[zero]].CopyFrom(_fp8(zero, zeros))
    if value in places:
        original = weights[value.removesuffix('_quantized')]
        axis = next((a.i for a in node.attribute if a.name == 'axis'), 0)
        shape = [1] * original.ndim
        if scales[scale].ndim:
            shape[axis] = -1
        tensor = _fp8(value, original / scales[scale].reshape(shape))
        graph.initializer[places[value]].CopyFrom(tensor)


def _fp8(name: str, values: Any) -> Any:
    from onnx import TensorProto, helper

    clipped = np.clip(values, -LARGEST_FP8, LARGEST_FP8)
    kind = helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN)
    bytes_ = np.asarray(clipped, np.float32).astype(kind).tobytes()
    return helper.make_tensor(name, TensorProto.FLOAT8E4M3FN, np.shape(values), bytes_, raw=True)


def raised(model: Any) -> Any:
    """The network in opset 19, where float8 and float16 scales begin.

    Raises:
        ModelError: an older network that cannot be raised to it.
    """
    import onnx

    if network.opset(model) >= _TYPED_SCALES_OPSET:
        return model
    try:
        raised = onnx.version_converter.convert_version(model, _TYPED_SCALES_OPSET)
    except Exception as error:
        raise ModelError(
            f'this needs opset {_TYPED_SCALES_OPSET}, and the network cannot be raised to it:'
            f' {error}; export it again'
        ) from error
    return onnx.shape_inference.infer_shapes(raised)
