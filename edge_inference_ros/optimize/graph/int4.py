"""Four-bit weights for networks that are mostly matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize.graph import network
from edge_inference_ros.optimize.graph.network import Graph

_QDQ_OPSET = 21


def weights_in_four_bits(model: Any, *, dialect: str, block: int, keep: Sequence[str] = ()) -> Any:
    """A copy whose matrix products have symmetric four-bit weights, one scale per block.

    Args:
        model: the float network.
        dialect: ``ort`` uses its MatMulNBits operator; ``trt`` standard blocked DQ nodes, which
            begin with opset 21.
        block: weights that share a scale.
        keep: names of nodes that stay float.

    Raises:
        ConfigError: no matrix product with constant weights.
    """
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    if not (products := _products(model, keep)):
        raise ConfigError(
            'no matrix product with constant weights: four-bit weights pay in transformers, not in'
            ' networks of convolutions; use int8'
        )
    own = type(model).FromString(model.SerializeToString())
    form = QuantFormat.QOperator if dialect == 'ort' else QuantFormat.QDQ
    quantiser = MatMulNBitsQuantizer(
        own,
        block_size=block,
        is_symmetric=True,
        accuracy_level=4,
        nodes_to_exclude=[name for name in Graph(model).layers if name not in products],
        quant_format=form,
    )
    quantiser.process()
    quantised = quantiser.model.model
    if dialect == 'trt' and network.opset(quantised) < _QDQ_OPSET:
        quantised = _raised(quantised)
    network.unused(quantised)
    return quantised


def _products(model: Any, keep: Sequence[str]) -> list[str]:
    graph = Graph(model)
    return [
        node.name
        for node in graph.nodes
        if node.op_type == 'MatMul' and node.input[1] in graph.constants and node.name not in keep
    ]


def _raised(model: Any) -> Any:
    """Say opset 21: of the operators before, only Q and DQ nodes changed their meaning."""
    for entry in model.opset_import:
        if entry.domain in ('', 'ai.onnx'):
            entry.version = _QDQ_OPSET
    return model
