"""The tensors of an engine, and the memory they are given once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_inference_ros.backends._cuda import Cuda
from edge_inference_ros.backends._cuda_types import HostBlock
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.errors import BackendError, OutOfMemory, SpecMismatch

_DTYPES: dict[str, DTypeLike] = {
    'FLOAT': np.float32,
    'HALF': np.float16,
    'INT8': np.int8,
    'INT32': np.int32,
    'INT64': np.int64,
    'BOOL': np.bool_,
    'UINT8': np.uint8,
}
_FIRST_GUESS_BYTES = 1 << 26
"""An output without a bound starts with this much and grows once it must."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One input or output.

    Attributes:
        shape: -1 where the data decides.
        capacity: bytes to reserve; all of them are used unless the data decides.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    capacity: int
    is_input: bool

    @property
    def data_decides(self) -> bool:
        """Whether the size is known only after a run."""
        return -1 in self.shape


@dataclass(slots=True, eq=False)
class Buffer:
    """A tensor's memory: page-locked on the host, and the device's side of it.

    Attributes:
        device: what the device reads or writes.
        array: the host's view, in the tensor's shape; empty while the data has not decided.
        paired: host and device are two memories with a copy between them.
    """

    spec: Spec
    host: HostBlock
    device: int
    paired: bool
    array: NDArray[Any]

    def resize(self, shape: tuple[int, ...]) -> None:
        """View the first bytes of the host's memory as ``shape``."""
        size = math.prod(shape) * self.spec.dtype.itemsize
        self.array = self.host.bytes[:size].view(self.spec.dtype).reshape(shape)


def specs(trt: Any, engine: Any, context: Any, manifest: Manifest | None) -> tuple[Spec, ...]:
    """Fix every input's shape in ``context`` and tell what all tensors are.

    Raises:
        SpecMismatch: the engine's tensors are not the manifest's, or not ones we can hold.
    """
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    inputs = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
    if manifest:
        _check_names(manifest, set(inputs), set(names) - set(inputs))
    for name in inputs:
        _set_shape(engine, context, name, manifest)
    try:
        missing = context.infer_shapes()
    except RuntimeError as error:
        raise SpecMismatch(f'the shapes of the engine contradict each other: {error}') from error
    if missing:
        raise SpecMismatch(f'engine needs sizes for {", ".join(missing)}')
    tensors = tuple(_spec(trt, engine, context, name, is_input=name in inputs) for name in names)
    if manifest:
        _check_shapes(manifest, {spec.name: spec for spec in tensors})
    return tensors


def allocate(
    cuda: Cuda, wanted: tuple[Spec, ...], kind: str, keep: ExitStack
) -> tuple[Buffer, ...]:
    """Reserve memory for every tensor; ``keep`` frees it in reverse order.

    ``kind`` is 'paired' host and device memory, or one 'mapped' memory that both see.

    Raises:
        OutOfMemory: the device or the host cannot hold it.
    """
    return tuple(_buffer(cuda, spec, kind, keep) for spec in wanted)


def copy_in(cuda: Cuda, buffers: tuple[Buffer, ...], stream: int) -> None:
    """Queue the way of all inputs to the device."""
    for buffer in buffers:
        if buffer.paired and buffer.spec.is_input:
            size = buffer.array.nbytes
            cuda.queue.copy_in(buffer.device, buffer.host.address, size, stream)


def copy_out(cuda: Cuda, buffers: tuple[Buffer, ...], stream: int) -> None:
    """Queue the way of all outputs to the host."""
    for buffer in buffers:
        if buffer.paired and not buffer.spec.is_input and buffer.array.nbytes:
            size = buffer.array.nbytes
            cuda.queue.copy_out(buffer.host.address, buffer.device, size, stream)


def _buffer(cuda: Cuda, spec: Spec, kind: str, keep: ExitStack) -> Buffer:
    host = cuda.memory.alloc_host(spec.capacity, mapped=kind == 'mapped')
    keep.callback(cuda.memory.free_host, host)
    device = host.device
    if kind == 'paired':
        block = cuda.memory.alloc(spec.capacity)
        keep.callback(cuda.memory.free, block)
        device = int(block)
    host.bytes[:] = 0
    buffer = Buffer(spec, host, device, kind == 'paired', host.bytes[:0])
    buffer.resize(tuple(max(size, 0) for size in spec.shape))
    return buffer


def _spec(trt: Any, engine: Any, context: Any, name: str, *, is_input: bool) -> Spec:
    if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
        raise SpecMismatch(f'{name} is a shape tensor; make it a constant of the graph')
    kind = engine.get_tensor_dtype(name).name
    if kind not in _DTYPES:
        raise SpecMismatch(f'{name} is {kind}, which numpy has not; cast it in the graph')
    dtype = np.dtype(_DTYPES[kind])
    shape = tuple(int(size) for size in context.get_tensor_shape(name))
    if -1 not in shape:
        size = math.prod(shape) * dtype.itemsize
    else:
        bound = int(context.get_max_output_size(name))
        size = min(bound, _FIRST_GUESS_BYTES) if bound > 0 else _FIRST_GUESS_BYTES
    return Spec(name, dtype, shape, max(size, 1), is_input)


def _set_shape(engine: Any, context: Any, name: str, manifest: Manifest | None) -> None:
    declared = tuple(engine.get_tensor_shape(name))
    if -1 not in declared:
        return
    low, _, high = (tuple(shape) for shape in engine.get_tensor_profile_shape(name, 0))
    # What the manifest does not fix, such as a point count, is opened at its largest.
    shape = manifest.input.shape if manifest and name == manifest.input.tensor else high
    if not context.set_input_shape(name, shape):
        raise SpecMismatch(f'{name}: manifest says {shape}, engine was built for {low} … {high}')


def _check_names(manifest: Manifest, inputs: set[str], outputs: set[str]) -> None:
    if manifest.input.tensor not in inputs:
        raise SpecMismatch(
            f'manifest names input {manifest.input.tensor!r}, engine has {sorted(inputs)}'
        )
    if missing := {spec.tensor for spec in manifest.outputs} - outputs:
        raise SpecMismatch(f'manifest names {sorted(missing)}, engine has {sorted(outputs)}')


def _check_shapes(manifest: Manifest, actual: Mapping[str, Spec]) -> None:
    promised = [(manifest.input.tensor, manifest.input.shape, manifest.input.dtype)]
    promised += [(spec.tensor, spec.shape, spec.dtype) for spec in manifest.outputs]
    for name, shape, dtype in promised:
        spec = actual[name]
        open_or_equal = all(
            -1 in pair or len(set(pair)) == 1 for pair in _pairs(shape, spec.shape)
        )
        if not open_or_equal or len(shape) != len(spec.shape) or spec.dtype != np.dtype(dtype):
            raise SpecMismatch(
                f'{name}: manifest says {dtype} {list(shape)},'
                f' engine has {spec.dtype} {list(spec.shape)}'
            )


def _pairs(left: tuple[int, ...], right: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(left, right, strict=False))


def make_allocator(trt: Any, cuda: Cuda, buffer: Buffer, keep: ExitStack) -> Any:
    """What TensorRT asks for memory when an output's size is known.

    It remembers what went wrong instead of raising: TensorRT would lose the exception.
    """

    class Allocator(trt.IOutputAllocator):  # type: ignore[misc]
        """Hands out the memory reserved at open; grows it if that was too little."""

        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.buffer = buffer
            self._failure: BackendError | None = None

        def take_failure(self) -> BackendError | None:
            """What went wrong since the last call."""
            failure, self._failure = self._failure, None
            return failure

        def reallocate_output(
            self, _tensor: str, _memory: int | None, size: int, _alignment: int
        ) -> int:
            try:
                if size > len(buffer.host.bytes):
                    _grow(cuda, buffer, size, keep)
            except BackendError as error:
                self._failure = error
                return 0
            return buffer.device

        def reallocate_output_async(
            self, tensor: str, memory: int | None, size: int, alignment: int, _stream: int
        ) -> int:
            return self.reallocate_output(tensor, memory, size, alignment)

        def notify_shape(self, _tensor: str, shape: Any) -> None:
            buffer.resize(tuple(shape))

    return Allocator()


def _grow(cuda: Cuda, buffer: Buffer, size: int, keep: ExitStack) -> None:
    """Reserve twice ``size``, or ``size`` if there is no more.

    What is outgrown stays until the engine closes: somebody may still look at it.
    """
    try:
        new = _larger(cuda, buffer, 2 * size, keep)
    except OutOfMemory:
        new = _larger(cuda, buffer, size, keep)
    buffer.host, buffer.device = new.host, new.device


def _larger(cuda: Cuda, buffer: Buffer, size: int, keep: ExitStack) -> Buffer:
    kind = 'paired' if buffer.paired else 'mapped'
    with ExitStack() as attempt:
        larger = _buffer(cuda, replace(buffer.spec, capacity=size), kind, attempt)
        keep.push(attempt.pop_all())  # what came of half an attempt is given back at once
    return larger
