"""Eight-bit networks in the two dialects their runtimes want.

``ort``: unsigned activations with a zero point, signed weights; what the x86 kernels of ONNX
Runtime and OpenVINO are made for. ``trt``: everything signed and symmetric, scales only on what
enters a layer, biases in float; what TensorRT fuses. A network in one dialect is slow in the
other's home.

x86 processors without VNNI add two products of an activation and a weight in 16 bits, and what
does not fit is cut off: 255 × 127 twice is twice too much. Weights of seven bits, -64 to 64,
cannot get there (255 × 64 × 2 = 32640): the same file answers the same on every processor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize.graph import network
from edge_inference_ros.optimize.graph.network import HEAVY, Graph

DIALECTS = ('ort', 'trt')
WEIGHT_BITS = {'ort': 7, 'trt': 8}
"""What weights take in each dialect unless said otherwise."""

WEIGHT_STEPS = {7: 64, 8: 127}
"""The largest number a symmetric weight takes, by its bits."""

FORMS = ('qdq', 'qoperator')
SUM = 'Add'
PASSING = (
    'AveragePool',
    'Clip',
    'Concat',
    'Flatten',
    'GlobalAveragePool',
    'LeakyRelu',
    'MaxPool',
    'Relu',
    'Reshape',
    'Resize',
    'Slice',
    'Split',
    'Squeeze',
    'Transpose',
    'Unsqueeze',
)
"""Operators that only move or clamp values: between quantised layers they stay in eight bits."""

_QUANTISERS = ('QuantizeLinear', 'DequantizeLinear')
_ACTIVATIONS = ('Clip', 'LeakyRelu', 'Relu')

Ranges = Mapping[str, tuple[float, float]]


def quantised(
    model: Any,
    ranges: Ranges,
    *,
    dialect: str,
    form: str = 'qdq',
    weight_bits: int = 0,
    keep: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Any:
    """An eight-bit copy of ``model``, weights per channel.

    What precedes the first layer and what follows the last ones stays float.

    Args:
        model: the float network, as `network.load` reads it.
        ranges: of its tensors.
        dialect: ``ort`` or ``trt``.
        form: ``qdq`` (float operators between Q and DQ nodes) or ``qoperator``; ``trt`` has only
            the first.
        weight_bits: 7 or 8; 0 for the dialect's own, see ``WEIGHT_BITS``.
        keep: names of nodes that stay float too.
        only: names of the only layers to quantise; empty means all.

    Raises:
        ConfigError: nothing is left to quantise, or a form the dialect does not have.
    """
    if dialect == 'trt' and form != 'qdq':
        raise ConfigError('TensorRT reads Q/DQ nodes only; leave the form at qdq')
    graph = Graph(model)
    layers = [name for name in graph.layers if name not in keep and (not only or name in only)]
    if not layers:
        raise ConfigError('no layer is left to quantise')
    left_out = [name for name in graph.layers if name not in layers]
    excluded = [*graph.edges(), *left_out, *keep, *_constant_sums(graph)]
    quantiser = _quantiser(
        model,
        ranges,
        dialect,
        form,
        excluded,
        seven=(weight_bits or WEIGHT_BITS[dialect]) == 7,
        layers_only=bool(only),
    )
    network.ordered(quantiser)
    if dialect == 'trt':
        _free_sums(quantiser)
    network.unused(quantiser)
    return quantiser


def _quantiser(
    model: Any,
    ranges: Ranges,
    dialect: str,
    form: str,
    excluded: list[str],
    *,
    seven: bool,
    layers_only: bool,
) -> Any:
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import QuantizationMode

    own = type(model).FromString(model.SerializeToString())  # the quantisers write into theirs
    kinds: list[Any] = [QuantType.QInt8, QuantType.QUInt8]
    operators = list(HEAVY) if layers_only else [*HEAVY, SUM]
    options: dict[str, Any] = {'WeightSymmetric': True}
    if dialect == 'trt':
        kinds = [QuantType.QInt8, QuantType.QInt8]
        options |= {
            'ActivationSymmetric': True,
            'QuantizeBias': False,
            'OpTypesToExcludeOutputQuantization': operators,
        }
    elif not layers_only:
        operators += PASSING
    rest = [_ranges(ranges), [], excluded, operators, options]
    with _hushed():
        if form == 'qdq':
            quantiser = QDQQuantizer(own, True, seven, *kinds, *rest)  # noqa: FBT003
        else:
            mode = QuantizationMode.QLinearOps
            quantiser = ONNXQuantizer(own, True, seven, mode, True, *kinds, *rest)  # noqa: FBT003
        quantiser.quantize_model()
    return quantiser.model.model


def _ranges(ranges: Ranges) -> Any:
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import TensorsData

    pairs = {
        name: (np.array(low, np.float32), np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, pairs)


def _constant_sums(graph: Graph) -> list[str]:
    """Additions of a constant, which no runtime fuses in eight bits."""
    return [
        node.name
        for node in graph.nodes
        if node.op_type == SUM and any(name in graph.constants for name in node.input)
    ]


def _free_sums(model: Any) -> None:
    """Let a sum read what a layer makes unquantised, so that TensorRT adds inside the layer.

    Only the other summand, which comes from memory, keeps its Q and DQ, as NVIDIA's guide to
    explicit quantisation recommends for the residual input of element-wise additions. A summand
    others read too has to be in memory: it is never the one. Of two, the layer that comes last.
    """
    graph = Graph(model)
    makers = {name: node for node in graph.nodes for name in node.output}
    place = {node.name: index for index, node in enumerate(graph.nodes)}
    for node in [node for node in graph.nodes if node.op_type == SUM]:
        free = {
            place[makers[origin].name]: (index, origin)
            for index, name in enumerate(node.input)
            if (origin := _undequantised(makers, name)) in makers
            and _comes_from_layer(makers, origin)
            and _only_way(graph, makers[origin], node)
        }
        if free:
            index, origin = free[max(free)]
            node.input[index] = origin
    network.drop_dead(model)


def _only_way(graph: Graph, start: Any, end: Any) -> bool:
    """Whether what ``start`` makes goes to ``end`` alone, at most through a Q and a DQ node."""
    node = start
    while len(after := graph.after(node)) == 1:
        if after[0] is end:
            return True
        if after[0].op_type not in _QUANTISERS:
            return False
        node = after[0]
    return False


def _undequantised(makers: Mapping[str, Any], name: str) -> str:
    """The float tensor behind a Q and a DQ node, or ``name`` itself."""
    back = makers.get(name)
    if back is None or back.op_type != 'DequantizeLinear':
        return name
    maker = makers.get(back.input[0])
    return str(maker.input[0]) if maker is not None else name


def _comes_from_layer(makers: Mapping[str, Any], name: str) -> bool:
    """Whether a heavy node makes ``name``, at most through its activation."""
    node = makers.get(name)
    while node is not None and node.op_type in _ACTIVATIONS:
        node = makers.get(node.input[0])
    return node is not None and node.op_type in HEAVY


@contextmanager
def _hushed() -> Iterator[None]:
    """Silence hints about preparations that were made; the quantisers log to the root."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
