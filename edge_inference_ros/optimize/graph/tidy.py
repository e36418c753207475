"""Other people's graphs, made into what the steps work on: ordered, folded, of a known opset.

Every change keeps the numbers. Exporters leave nodes unsorted, hide constants behind ``Identity``
and write opsets that lack what quantised networks need.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.errors import ModelError

log = logging.getLogger(__name__)

OLDEST_OPSET = 13
"""From here on scales may be per channel, and Pad, Slice and Squeeze take sizes as inputs."""

FURTHEST = 1e-5
"""How far outputs may move when the opset is raised, of the largest number in them."""

_KEPT = ('QuantizeLinear', 'DequantizeLinear', 'RandomNormal', 'RandomUniform', 'Bernoulli')
_LARGEST = 1 << 26


def fold(model: Any) -> int:
    """Replace nodes that read nothing but constants by what they make; returns how many.

    Evaluated by ONNX's own reference implementation. Names of the tensors stay. Quantisation
    nodes stay too: they say how weights are stored.
    """
    from onnx import numpy_helper

    known = {tensor.name: tensor for tensor in model.graph.initializer}
    fed = {value.name for value in model.graph.input}
    ends = {value.name for value in model.graph.output}
    kept, folded = [], 0
    for node in model.graph.node:
        values = None if ends & set(node.output) else _evaluated(node, known, fed, model)
        if values is None:
            kept.append(node)
            continue
        folded += 1
        for name, value in zip(node.output, values, strict=True):
            known[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
    if folded:
        read = {name for node in kept for name in node.input} | ends
        del model.graph.node[:]
        model.graph.node.extend(kept)
        constants = [t for name, t in known.items() if name in read or _inner(kept)]
        del model.graph.initializer[:]
        model.graph.initializer.extend(constants)
    return folded


def _inner(nodes: Any) -> bool:
    """Whether a node holds a graph of its own, which may read any constant."""
    return any(_has_graph(node) for node in nodes)


def _has_graph(node: Any) -> bool:
    return any(attribute.HasField('g') or attribute.graphs for attribute in node.attribute)


def _evaluated(
    node: Any, known: dict[str, Any], fed: set[str], model: Any
) -> list[NDArray[Any]] | None:
    """What a node makes of constants; None if it does not read only those."""
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    if node.op_type in _KEPT or node.domain or _has_graph(node) or not set(names) <= set(known):
        return None
    if fed & set(names) or not all(node.output):
        return None
    if node.op_type == 'Identity':
        return [numpy_helper.to_array(known[names[0]])]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = helper.make_graph([node], 'one', [], outputs, [known[name] for name in set(names)])
    single = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    try:
        values = [np.asarray(value) for value in ReferenceEvaluator(single).run(None, {})]
    except Exception:  # noqa: BLE001 - what the reference lacks stays a node
        return None
    return (
        None if any(value.size > _LARGEST or value.dtype == object for value in values) else values
    )


def raised(model: Any, name: str) -> Any:
    """The same network in an opset that the steps know, if its is older.

    Raises:
        ModelError: ONNX cannot convert it, or the converted network answers otherwise.
    """
    import onnx

    versions = [o.version for o in model.opset_import if o.domain in ('', 'ai.onnx')]
    if versions and versions[0] >= OLDEST_OPSET:
        return model
    was = f'{name}: opset {versions[0] if versions else "none"}, needed {OLDEST_OPSET}'
    remedy = f'export it again with opset {OLDEST_OPSET} or newer'
    try:
        converted = onnx.version_converter.convert_version(model, OLDEST_OPSET)
        apart = _apart(model, converted)
    except Exception as error:
        # the converter is C++ and raises what it likes
        raise ModelError(f'{was}; ONNX cannot convert it ({error}): {remedy}') from error
    if apart > FURTHEST:
        raise ModelError(f'{was}; converted, its outputs move by {apart:.2g}: {remedy}')
    log.info('%s; converted, its outputs move by %.2g', was, apart)
    return converted


def _apart(left: Any, right: Any) -> float:
    """Largest difference of the outputs, by the largest number in each."""
    draw = np.random.default_rng(0)
    session, again = _session(left), _session(right)
    fed = {node.name: _noise(node, draw) for node in session.get_inputs()}
    pairs = zip(session.run(None, fed), again.run(None, fed), strict=True)
    return max(
        float(np.abs(a.astype(np.float64) - b).max(initial=0))
        / max(float(np.abs(a.astype(np.float64)).max(initial=0)), 1e-9)
        for a, b in pairs
    )


def _session(model: Any) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=['CPUExecutionProvider']
    )


def _noise(node: Any, draw: np.random.Generator) -> NDArray[Any]:
    shape = [size if isinstance(size, int) else 1 for size in node.shape]
    kinds = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}
    if node.type in kinds:
        return draw.random(shape).astype(kinds[node.type])
    return draw.integers(0, 255, shape).astype(str(node.type)[7:-1])
