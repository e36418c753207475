"""Says which layers a runtime made of a network's nodes, and where the time of a run goes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report
from edge_inference_ros.errors import ModelError
from edge_inference_ros.machine import files
from edge_inference_ros.optimize import _foreign
from edge_inference_ros.optimize.graph.fusion import (
    Layer,
    Network,
    convolution_chains,
    fused_chains,
    shared_out,
)
from edge_inference_ros.optimize.graph.nodes import read

_KERNEL = '_kernel_time'
_BLOCKED = '_nchwc'
_MOST_BARS = 30
_WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Params:
    """Which runtime to ask, and how long to measure."""

    backend: str = param('ort', 'runtime to measure on', choices=('ort', 'trt'))
    precision: str = param('', 'take the file of this precision; empty: the first')
    engine_precision: str = param(
        'graph',
        'precision that the TensorRT engine was built with',
        choices=('graph', 'fp16', 'int8', 'int8_fp16'),
    )
    cache: str = param('', 'folder of the TensorRT engines; empty: the user cache')
    runs: int = param(50, 'runs to measure latency', low=1, high=100_000)
    top: int = param(0, 'rows of the table, slowest first; 0: all', low=0, high=100_000)


def run(model: Path, out: Path | None, params: Params) -> Report:
    """Take the network apart as ``params.backend`` runs it.

    Args:
        model: a model folder, or an ONNX file of fixed sizes.
        out: folder for ``inspect.json`` and ``inspect.png``; None writes nothing.
        params: which runtime, how long.

    Raises:
        ModelError: no network, or one the runtime cannot run.
        BackendError: the runtime is not installed or has no device.
    """
    check(params)
    manifest, path = _file(model, params)
    network = Network.of(read(path))
    look = _of_tensorrt if params.backend == 'trt' else _of_onnxruntime
    layers, facts = look(manifest, path, network, params)
    report = Report(
        'inspect',
        str(path),
        str(out or ''),
        {'backend': params.backend, **_numbers(network, layers), **facts},
        tuple(_row(layer, layers) for layer in _slowest(layers)[: params.top or None]),
        tuple(_sentences(network, layers)),
    )
    if out:
        files.write_text(out / 'inspect.json', report.as_json())
        draw(layers, out / 'inspect.png', title=f'{path.name} on {params.backend}')
    return report


def _file(model: Path, params: Params) -> tuple[Manifest | None, Path]:
    if not model.is_dir():
        return None, _foreign.admit(model)
    manifest = manifests.load(model)
    file = manifest.file(params.backend, params.precision)
    manifests.verify(file)
    return manifest, file.path


# What follows asks ONNX Runtime.


def _of_onnxruntime(
    _said: Manifest | None, path: Path, network: Network, params: Params
) -> tuple[list[Layer], dict[str, str | int | float]]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / 'optimised.onnx'
        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 4
        settings.optimized_model_filepath = str(optimised)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / 'profile')
        session = _session(onnxruntime, path, settings)
        fed = {node.name: _zeros(node, path) for node in session.get_inputs()}
        for _ in range(_WARM_UP_RUNS + params.runs):
            session.run(None, fed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding='utf-8'))
        optimised_network = read(optimised)
    spent = _spent(events)
    peak = max((e['args'].get('mem_in_use_peak', 0) for e in _kernels(events)), key=int, default=0)
    facts: dict[str, str | int | float] = {
        'onnxruntime': onnxruntime.__version__,
        'memory_bytes': int(peak),
    }
    return _layers(optimised_network, network, spent), facts


def _session(onnxruntime: Any, path: Path, settings: Any) -> Any:
    try:
        return onnxruntime.InferenceSession(
            str(path), settings, providers=['CPUExecutionProvider']
        )
    except Exception as error:  # its exceptions have no common base of their own
        raise ModelError(f'{path}: ONNX Runtime cannot load it: {error}') from error


def _zeros(node: Any, path: Path) -> Any:
    if not all(isinstance(size, int) for size in node.shape):
        raise ModelError(f'{path}: input {node.name!r} is {node.shape}; export with fixed sizes')
    kinds = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}
    return np.zeros(node.shape, kinds.get(node.type) or node.type[7:-1])


def _kernels(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in events if e.get('cat') == 'Node' and e['name'].endswith(_KERNEL)]


def _spent(events: Sequence[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """Layer → mean milliseconds after warming up, and number format of what it writes."""
    times: dict[str, list[float]] = {}
    formats: dict[str, str] = {}
    for event in _kernels(events):
        name = event['name'].removesuffix(_KERNEL)
        times.setdefault(name, []).append(event['dur'] / 1e3)
        written = event['args'].get('output_type_shape') or [{}]
        formats[name] = next(iter(written[0]), '')
    return {n: (float(np.mean(ms[_WARM_UP_RUNS:])), formats[n]) for n, ms in times.items()}


def _layers(optimised: Any, network: Network, spent: dict[str, tuple[float, str]]) -> list[Layer]:
    ends = [(node.name, _end(node, network)) for node in optimised.graph.node]
    nodes = shared_out(network, ends)
    return [
        Layer(
            node.name,
            f'{node.domain}.{node.op_type}'.lstrip('.'),
            spent.get(node.name, (0.0, ''))[1],
            nodes[node.name],
            spent.get(node.name, (0.0, ''))[0],
        )
        for node in optimised.graph.node
    ]


def _end(node: Any, network: Network) -> str | None:
    """The network's tensor a layer ends with.

    ONNX Runtime keeps its name, or puts it before '_nchwc' in the layer's, or puts the name of the
    node that wrote it first in the layer's.
    """
    written = network.writer()
    for name in (*node.output, node.name.removesuffix(_BLOCKED)):
        if name in written:
            return str(name)
    for name in (node.name, node.name.split('/')[0]):
        if name in network.outputs:
            return network.outputs[name][0]
    return None


# What follows asks TensorRT.


def _of_tensorrt(
    manifest: Manifest | None, path: Path, network: Network, params: Params
) -> tuple[list[Layer], dict[str, str | int | float]]:
    backend = registry.load('backends', 'trt')
    options = backend.Options(precision=params.engine_precision, cache=params.cache)
    explained = backend.explain(manifest, path, options=options, runs=params.runs)
    layers = [
        Layer(
            layer.name,
            layer.kind,
            layer.precision,
            tuple(name for name in layer.nodes if name in network.nodes),
            layer.time_ms,
        )
        for layer in explained.layers
    ]
    return layers, {'memory_bytes': explained.memory_bytes}


# What follows says it.


def _numbers(network: Network, layers: Sequence[Layer]) -> dict[str, str | int | float]:
    chains = convolution_chains(network)
    return {
        'nodes_before': len(network.nodes),
        'layers_after': len(layers),
        'layers_of_several_nodes': sum(len(layer.nodes) > 1 for layer in layers),
        'layers_added': sum(not layer.nodes for layer in layers),
        'conv_activation_before': len(chains),
        'conv_activation_fused': fused_chains(chains, layers),
        'time_ms': sum(layer.time_ms for layer in layers),
    }


def _sentences(network: Network, layers: Sequence[Layer]) -> list[str]:
    chains = convolution_chains(network)
    nodes = sum(len(chain) for chain in chains)
    fused = fused_chains(chains, layers)
    chained = f'{len(chains)} convolutions with bias and activation were {nodes} nodes'
    return [
        f'{len(network.nodes)} nodes became {len(layers)} layers.',
        f'{chained}; {fused} of them run as one layer each.',
    ]


def _slowest(layers: Sequence[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: -layer.time_ms)


def _row(layer: Layer, layers: Sequence[Layer]) -> dict[str, str | int | float]:
    total = sum(each.time_ms for each in layers) or 1.0
    return {
        'layer': layer.name,
        'kind': layer.kind,
        'precision': layer.precision,
        'time_ms': round(layer.time_ms, 4),
        'share': round(layer.time_ms / total, 4),
        'fused': len(layer.nodes),
        'nodes': ' + '.join(layer.nodes),
    }


def draw(layers: Sequence[Layer], path: Path, *, title: str) -> None:
    """A bar a layer, slowest on top, coloured by how many nodes it was made from."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _slowest(layers)[:_MOST_BARS][::-1]
    figure = Figure(figsize=(10, 1.5 + 0.28 * len(shown)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = [f'C{min(len(layer.nodes), 4)}' for layer in shown]
    axes.barh(range(len(shown)), [layer.time_ms for layer in shown], color=colours)
    labels = [f'{layer.name[:40]} ({layer.kind.split(".")[-1]})' for layer in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.set_xlabel('ms, mean of a run')
    axes.set_title(f'{title}: {len(layers)} layers')
    marks = [axes.barh([0], [0], color=f'C{n}') for n in range(5)]
    axes.legend(marks, ['added', '1 node', '2 nodes', '3 nodes', '4 or more'], fontsize=7)
    with files.whole(path) as part:
        figure.savefig(part, dpi=110, format='png')
