"""Runs ONNX files on the CPU with OpenVINO, an optional second runtime for x86 robots.

A float32 network costs the same CPU time as in ``ort``, an int8 one two thirds of it
(``python -m bench.backends``). As many threads as ``ort`` takes, for the same reason. Left alone,
OpenVINO computes in bfloat16 where the processor can: faster, and not what was validated, so we
keep float32 unless the manifest says ``precision: bf16`` of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.backends import _cores, _openvino
from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import InferenceFailed, ModelError, OutOfMemory, SpecMismatch
from edge_inference_ros.machine import processor

openvino = _openvino.load()

_FAULTS = (RuntimeError, MemoryError, ValueError, TypeError)


class Engine:
    """A compiled network whose tensors are numpy arrays it reads and writes in place.

    An output whose size the data decides is looked up again after every run.

    Attributes:
        notes: how many threads it has, and why, for the log.
    """

    def __init__(self, network: Any, manifest: Manifest, *, notes: tuple[str, ...] = ()) -> None:
        self.notes = notes
        self._request = network.create_infer_request()
        self._inputs = {
            _name(port, (manifest.input.tensor,)): _zeros(port) for port in network.inputs
        }
        wanted = tuple(spec.tensor for spec in manifest.outputs)
        ports = {_name(port, wanted): port for port in network.outputs}
        self._outputs: dict[str, NDArray[Any]] = {}
        self._loose: dict[str, Any] = {}
        for port, array in zip(network.inputs, self._inputs.values(), strict=True):
            self._request.set_tensor(port, openvino.Tensor(array, shared_memory=True))
        for name, port in ports.items():
            if port.partial_shape.is_static:
                array = self._outputs[name] = _zeros(port)
                self._request.set_tensor(port, openvino.Tensor(array, shared_memory=True))
            else:
                self._loose[name] = port
        self.run()  # the first run is slow, and shows the sizes that data decide

    @property
    def inputs(self) -> Tensors:
        """Arrays to fill, by tensor name."""
        return self._inputs

    @property
    def outputs(self) -> Tensors:
        """Arrays to read, by tensor name."""
        return self._outputs

    def run(self) -> None:
        """Infer.

        Raises:
            OutOfMemory: the runtime could not allocate.
            InferenceFailed: the runtime abandoned the run for another reason.
        """
        try:
            self._request.infer()
            for name, port in self._loose.items():
                self._outputs[name] = self._request.get_tensor(port).data
        except _FAULTS as error:
            if _is_memory(error):
                raise _out_of_memory(error) from error
            raise InferenceFailed(f'OpenVINO abandoned the run: {_line(error)}') from error

    def close(self) -> None:
        """Let the network go."""
        del self._request
        self._loose.clear()


def open(manifest: Manifest, path: Path, *, threads: int = 0) -> Engine:  # noqa: A001
    """Load ``path`` and run it once.

    Args:
        manifest: settles the sizes that the file leaves open.
        path: an ONNX file that holds its own weights.
        threads: how many work on one frame; 0 for as many as ``_cores.threads`` finds.

    Raises:
        ModelError: no network, or one this runtime cannot run.
        SpecMismatch: an input of no settled size.
        OutOfMemory: it does not fit.
    """
    source = onnx_file.read(path)
    chosen = _cores.threads(threads)
    try:
        core = openvino.Core()
        model = core.read_model(source)
        _settle(model, manifest)
        network = core.compile_model(model, 'CPU', _settings(manifest, path, chosen.count))
    except _FAULTS as error:
        if _is_memory(error):
            raise _out_of_memory(error) from error
        raise ModelError(
            f'{path}: OpenVINO {openvino.__version__} cannot load it:'
            f' {_line(error)};'
            ' export the network again, or take backend ort'
        ) from error
    return Engine(network, manifest, notes=(f'OpenVINO: {chosen}',))


def caution(path: Path) -> str:
    """What this processor costs the network in ``path``, in words; empty when nothing."""
    if not processor.pairs_saturate():
        return ''
    if onnx_file.largest_int8(onnx_file.read(path)) <= processor.SAFE_INT8:
        return ''
    return (
        f'{path.name}: this processor ({processor.instruction_set(processor.flags())}) cuts off'
        ' sums of its eight-bit weights, and the answers are worse than those it was judged by.'
        ' Quantise with weights of 7 bits (edge_inference optimize quantize), or take fp32'
    )


def _settings(manifest: Manifest, path: Path, threads: int) -> dict[str, Any]:
    bf16 = any(file.precision == 'bf16' for file in manifest.files if file.path == path)
    return {
        'PERFORMANCE_HINT': 'LATENCY',
        'NUM_STREAMS': 1,
        'INFERENCE_NUM_THREADS': threads,
        'INFERENCE_PRECISION_HINT': 'bf16' if bf16 else 'f32',
    }


def _settle(model: Any, manifest: Manifest) -> None:
    for port in model.inputs:
        if port.partial_shape.is_static:
            continue
        if manifest.input.tensor not in port.names:
            raise SpecMismatch(
                f'input {sorted(port.names)} has shape {port.partial_shape}, which the manifest'
                ' does not settle; export the network with a fixed input shape'
            )
        model.reshape({manifest.input.tensor: manifest.input.shape})


def _name(port: Any, wanted: tuple[str, ...]) -> str:
    """What the manifest calls a tensor that may have several names."""
    names = sorted(port.names)
    return next((name for name in names if name in wanted), names[0] if names else '')


def _zeros(port: Any) -> NDArray[Any]:
    return np.zeros(list(port.shape), port.element_type.to_dtype())


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or 'alloc' in str(error)


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())


def _out_of_memory(error: Exception) -> OutOfMemory:
    return OutOfMemory(f'OpenVINO: {_line(error)}; close other programs or take a smaller model')
