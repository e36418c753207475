"""What TensorRT made of a network: its layers, what they were fused from, what each takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ONNX_LAYER = re.compile(r'\[ONNX Layer: ([^\]]+)\]')
_TYPE_KEYS = ('datatype', 'format/datatype')  # the second until version 10; case varies
_FORMAT = re.compile(r'\b(float|half|bool|(?:FP|BF|U?INT)\d+)', re.IGNORECASE)
_SAME = {'FLOAT': 'FP32', 'HALF': 'FP16'}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an engine.

    Attributes:
        kind: as TensorRT calls it, such as 'CaskConvolution'.
        precision: number format of its first output, such as 'FP16'.
        nodes: the network's nodes it was fused from; empty for what TensorRT added.
        time_ms: mean of a run.
    """

    name: str
    kind: str
    precision: str
    nodes: tuple[str, ...]
    time_ms: float


@dataclass(frozen=True, slots=True)
class Explained:
    """An engine, layer by layer.

    Attributes:
        memory_bytes: device memory for what lies between layers.
        raw: the inspector's own words.
    """

    layers: tuple[Layer, ...]
    memory_bytes: int
    raw: str


def explain(
    trt: Any, engine: Any, context: Any, run: Callable[[], None], *, runs: int
) -> Explained:
    """Ask the inspector for the layers and time each over ``runs`` runs."""
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    raw = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    times = _profile(trt, context, run, runs)
    layers = json.loads(raw, strict=False).get('Layers', [])  # names are parted by control codes
    return Explained(tuple(_layer(layer, times) for layer in layers), _memory(engine), raw)


def _profile(trt: Any, context: Any, run: Callable[[], None], runs: int) -> Mapping[str, float]:
    """Layer name → mean milliseconds. ``run`` must not replay a graph, which hides its layers."""
    totals: dict[str, float] = {}

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        """Adds up what TensorRT reports after each run."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            totals[layer_name] = totals.get(layer_name, 0.0) + ms

    context.profiler = profiler = Profiler()  # held here too: TensorRT only points at it
    for _ in range(runs):
        run()
    del profiler
    return {name: total / runs for name, total in totals.items()}


def _layer(layer: Mapping[str, Any] | str, times: Mapping[str, float]) -> Layer:
    if isinstance(layer, str):  # all there is without detailed verbosity
        return Layer(layer, '', '', (), times.get(layer, 0.0))
    name = str(layer.get('Name', ''))
    nodes = tuple(_ONNX_LAYER.findall(str(layer.get('Metadata', ''))))
    kind = str(layer.get('LayerType', ''))
    return Layer(name, kind, _precision(layer.get('Outputs', ())), nodes, times.get(name, 0.0))


def _precision(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Out of 'Half' as well as 'Thirty-two wide channel vectorized row major Int8 format'."""
    for output in outputs:
        for key, entry in output.items():
            if key.lower() in _TYPE_KEYS and (match := _FORMAT.search(str(entry))):
                name = match.group().upper()
                return _SAME.get(name, name)
    return ''


def _memory(engine: Any) -> int:
    """Renamed in 10.3; the old name left in 11."""
    for name in ('device_memory_size_v2', 'device_memory_size'):
        if (size := getattr(engine, name, None)) is not None:
            return int(size)
    return 0
