"""Runs ONNX files on the CPU with ONNX Runtime.

Settings, chosen for the latency of one frame beside a busy ROS process, and measured with a frame
every 33 ms (``python -m bench.backends``; the figures are from two otherwise idle cores and
convolutional networks of 25 and 4 ms):

* As many threads as we have cores but one, at most four (``_cores.py``, which asks for the quota
  of a container too): the last core receives the next image and publishes the last answer. A
  second thread halves the large network's time and gives the small one nothing; beside other work
  it makes both worse. A machine that does little else may ask for more.
* No spinning. Threads that spin while they wait shorten the small network's run by a third, but
  burn a whole core between frames: 37 ms of CPU a frame instead of 5, on the core that the
  executor needs.
* The memory arena stays on: without it the large network's p95 grows by a fifth.
* All graph optimisations; operators run one after the other, for there is only one frame.
* Where the processor would cut off sums of eight-bit products, and the weights are large enough
  for it (``machine/processor.py``), slower kernels that do not. ``caution`` says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _faults

from edge_inference_ros.backends import _cores
from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import InferenceFailed, ModelError, OutOfMemory, SpecMismatch
from edge_inference_ros.machine import processor

_EXACT_ON_AVX2 = 'session.x64quantprecision'
_FATAL_ONLY = 4  # what is less is raised, and logged by whoever meets it
_DTYPES = {
    'tensor(bool)': np.bool_,
    'tensor(double)': np.float64,
    'tensor(float)': np.float32,
    'tensor(float16)': np.float16,
    'tensor(int32)': np.int32,
    'tensor(int64)': np.int64,
    'tensor(int8)': np.int8,
    'tensor(uint8)': np.uint8,
}
_FAULTS: tuple[type[Exception], ...] = (
    _faults.EngineError,
    _faults.EPFail,
    _faults.Fail,
    _faults.InvalidArgument,
    _faults.InvalidGraph,
    _faults.InvalidProtobuf,
    _faults.NoSuchFile,
    _faults.NotImplemented,
    _faults.RuntimeException,
    MemoryError,
    RuntimeError,
    ValueError,
)


class Engine:
    """A session whose tensors are numpy arrays it reads and writes in place.

    An output whose size the data decides is allocated by the runtime in every run; its array is
    looked up again afterwards.

    Attributes:
        notes: how many threads it has, and why, for the log.
    """

    def __init__(self, session: Any, manifest: Manifest, *, notes: tuple[str, ...] = ()) -> None:
        self._session = session
        self.notes = notes
        self._binding = session.io_binding()
        self._inputs = {node.name: _input(node, manifest) for node in session.get_inputs()}
        for name, array in self._inputs.items():
            self._binding.bind_input(
                name, 'cpu', 0, array.dtype.type, array.shape, array.ctypes.data
            )
        self._names = [node.name for node in session.get_outputs()]
        self._loose = list(self._names)
        self._outputs: dict[str, NDArray[Any]] = {}
        self.run()  # sizes the arena, and shows the sizes of outputs that do not say theirs
        promised = {spec.tensor: spec.shape for spec in manifest.outputs}
        for node in session.get_outputs():
            if _is_fixed(node.shape) or self._outputs[node.name].shape == promised.get(node.name):
                self._hold(node.name)

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter wrote into the file, beside the network."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

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
            for name in self._loose:
                self._binding.bind_output(name, 'cpu')  # else it must fit the last run's array
            self._session.run_with_iobinding(self._binding)
            if self._loose:
                values = self._binding.get_outputs()
                for name in self._loose:
                    self._outputs[name] = values[self._names.index(name)].numpy()
        except _FAULTS as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Let the session go."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        del self._binding, self._session

    def _hold(self, name: str) -> None:
        """From now on, this output is written into the array it has."""
        array = self._outputs[name] = np.array(self._outputs[name], order='C')
        self._binding.bind_output(name, 'cpu', 0, array.dtype.type, array.shape, array.ctypes.data)
        self._loose.remove(name)


def open(manifest: Manifest, path: Path, *, threads: int = 0) -> Engine:  # noqa: A001
    """Load ``path`` and run it once.

    Args:
        manifest: settles the sizes that the file leaves open.
        path: an ONNX file that holds its own weights.
        threads: how many work on one frame; 0 for as many as ``_cores.threads`` finds.

    Raises:
        ModelError: no network, or one this runtime cannot run.
        SpecMismatch: an input of a type we do not run, or of no settled size.
        OutOfMemory: it does not fit.
    """
    network = onnx_file.read(path)
    chosen = _cores.threads(threads)
    settings = _settings(chosen.count)
    if _saturates(network):
        settings.add_session_config_entry(_EXACT_ON_AVX2, '1')
    try:
        session = onnxruntime.InferenceSession(
            network, settings, providers=['CPUExecutionProvider']
        )
    except MemoryError as error:
        raise OutOfMemory(
            f'{path}: {error}; close other programs or take a smaller model'
        ) from error
    except _FAULTS as error:
        raise ModelError(
            f'{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: {error};'
            ' export the network again, with an opset this version knows'
        ) from error
    return Engine(session, manifest, notes=(f'ONNX Runtime: {chosen}',))


def caution(path: Path) -> str:
    """What this processor costs the network in ``path``, in words; empty when nothing."""
    if not _saturates(onnx_file.read(path)):
        return ''
    return (
        f'{path.name}: this processor ({processor.instruction_set(processor.flags())}) would cut'
        ' off sums of its eight-bit weights; exact kernels run instead, hardly faster than fp32.'
        ' Quantise with weights of 7 bits (edge_inference optimize quantize), or take fp32'
    )


def _saturates(network: bytes) -> bool:
    return processor.pairs_saturate() and onnx_file.largest_int8(network) > processor.SAFE_INT8


def _settings(threads: int) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.enable_cpu_mem_arena = True
    settings.log_severity_level = _FATAL_ONLY
    settings.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return settings


def _input(node: Any, manifest: Manifest) -> NDArray[Any]:
    """Zeros of the size the network wants; where it leaves that open, of the manifest's size."""
    if node.type not in _DTYPES:
        raise SpecMismatch(
            f'input {node.name!r} is {node.type}; we run {", ".join(_DTYPES)}:'
            ' export the network with one of these'
        )
    shape, promised = node.shape, manifest.input.shape
    if manifest.input.tensor in ('', node.name) and len(shape) == len(promised):
        shape = [
            size if isinstance(size, int) else ours
            for size, ours in zip(shape, promised, strict=True)
        ]
    if not _is_fixed(shape):
        raise SpecMismatch(
            f'input {node.name!r} has shape {node.shape}, which the manifest does not settle;'
            ' export the network with a fixed input shape'
        )
    return np.zeros(shape, _DTYPES[node.type])


def _is_fixed(shape: list[Any]) -> bool:
    return all(isinstance(size, int) and size >= 0 for size in shape)


def _failed(error: Exception) -> InferenceFailed | OutOfMemory:
    if isinstance(error, MemoryError) or 'Failed to allocate memory' in str(error):
        return OutOfMemory(f'ONNX Runtime: {error}; close other programs or take a smaller model')
    return InferenceFailed(f'ONNX Runtime abandoned the run: {error}')
