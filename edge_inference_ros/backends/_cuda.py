"""The few CUDA calls the TensorRT backend makes, behind one seam with two providers.

PyCUDA holds the context and the memory. It has no stream priority, capture or graph and cannot
adopt a stream it did not make, so whatever travels on a stream goes to libcuda on the same
handles. NVIDIA's cuda-bindings are the second provider; they are complete by themselves.

A thread enters the device's *primary* context, the one every CUDA library in the process agrees
on, and leaves it before it ends: PyCUDA aborts a process whose thread ends inside a context.
Nothing here may be used outside ``entered()`` or from another thread.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edge_inference_ros.backends._cuda_errors import fail
from edge_inference_ros.backends._cuda_types import Gpu, HostBlock, Memory, with_device_address
from edge_inference_ros.backends._libcuda import LibCudaQueue
from edge_inference_ros.errors import BackendUnavailable, OutOfMemory

PROVIDERS = ('pycuda', 'cuda-bindings')
_LIBRARY = 'libcuda.so.1'


class Queue(Protocol):
    """What travels on a stream. Handles are integers, the same for every CUDA library."""

    def stream(self, priority: int) -> int:
        """A stream that does not wait for the default one; lower ``priority`` goes first."""

    def end_stream(self, stream: int) -> None:
        """Give it back."""

    def synchronize(self, stream: int) -> None:
        """Wait for everything on it."""

    def copy_in(self, device: int, host: int, size: int, stream: int) -> None:
        """Host to device, in the stream's order."""

    def copy_out(self, host: int, device: int, size: int, stream: int) -> None:
        """Device to host, in the stream's order."""

    def event(self, *, blocking: bool = False) -> int:
        """A point in time on a stream; a blocking one has no time, and lets who waits sleep."""

    def end_event(self, event: int) -> None:
        """Give it back."""

    def record(self, event: int, stream: int) -> None:
        """Mark the point the stream reaches next."""

    def wait(self, event: int) -> None:
        """Wait until the device has passed the point it marks."""

    def elapsed_ms(self, start: int, end: int) -> float:
        """Time between two events the device has passed."""

    def begin_capture(self, stream: int) -> None:
        """From here on the stream's work is written down instead of done."""

    def end_capture(self, stream: int) -> int:
        """What was written down, ready to launch; 0 if nothing could be."""

    def launch(self, graph: int, stream: int) -> None:
        """Do what was written down."""

    def end_graph(self, graph: int) -> None:
        """Give it back."""


@dataclass(frozen=True, slots=True)
class Cuda:
    """A provider: its name, its memory, its queue."""

    provider: str
    memory: Memory
    queue: Queue


def load_library() -> Any:
    """The driver's own library. Raises ``OSError``."""
    return ctypes.CDLL(_LIBRARY)


def probe() -> None:
    """Ask the driver whether there is a device.

    TensorRT must not be touched before: without a driver its runtime crashes the process.

    Raises:
        BackendUnavailable: there is no driver or no device.
    """
    try:
        library = load_library()
    except OSError as error:
        raise BackendUnavailable(f'no CUDA driver: {error}') from error
    count = ctypes.c_int(0)
    if code := library.cuInit(0):
        raise BackendUnavailable(f'the CUDA driver does not start: cuInit gave {code}')
    if library.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        raise BackendUnavailable('the CUDA driver finds no device')


_here = threading.local()


@contextmanager
def entered(provider: str = 'auto') -> Iterator[Cuda]:
    """Device 0's primary context, current on this thread as long as the block lasts.

    May be nested; the blocks of one thread share one provider and may end in any order.

    Raises:
        BackendUnavailable: no driver, no device, or none of ``PROVIDERS`` is installed.
    """
    if not getattr(_here, 'users', 0):
        cuda = getattr(_here, 'cuda', None)
        if cuda is None or provider not in ('auto', cuda.provider):
            cuda = _open(provider)
        cuda.memory.push()
        _here.users, _here.cuda = 0, cuda
    _here.users += 1
    try:
        yield _here.cuda
    finally:
        _here.users -= 1
        if not _here.users:
            _here.cuda.memory.pop()


def _open(provider: str) -> Cuda:
    probe()
    names = PROVIDERS if provider == 'auto' else (provider,)
    reasons = []
    for name in names:
        if isinstance(cuda := _try(name), Cuda):
            return cuda
        reasons.append(f'{name} ({cuda})')
    why = '; '.join(reasons)
    raise BackendUnavailable(f'no CUDA provider: {why}; install pycuda or cuda-bindings')


def _try(provider: str) -> Cuda | Exception:
    try:
        return _OPENERS[provider]()
    except (ImportError, RuntimeError) as error:  # RuntimeError: bindings that miss a part
        return error


def _open_pycuda() -> Cuda:
    driver = importlib.import_module('pycuda.driver')
    queue = LibCudaQueue(load_library())
    return Cuda('pycuda', PyCudaMemory(driver, queue), queue)


def _open_bindings() -> Cuda:
    module = importlib.import_module('edge_inference_ros.backends._cuda_bindings')
    memory, queue = module.open_provider()
    return Cuda('cuda-bindings', memory, queue)


_OPENERS: dict[str, Callable[[], Cuda]] = {
    'pycuda': _open_pycuda,
    'cuda-bindings': _open_bindings,
}


class PyCudaMemory:
    """Context and memory by PyCUDA."""

    def __init__(self, driver: Any, queue: LibCudaQueue) -> None:
        self._driver = driver
        self._queue = queue
        driver.init()
        self._device = driver.Device(0)
        self._context: Any = None

    def push(self) -> None:
        with self._translated('cuDevicePrimaryCtxRetain'):
            self._context = self._device.retain_primary_context()
            self._context.push()

    def pop(self) -> None:
        # Context.pop() would keep the device's context retained: PyCUDA releases it in detach()
        # only (its destructor detaches it as one it had created, which fails), and detach()
        # leaves it current.
        self._context.detach()
        self._context = None
        self._queue.leave()

    def gpu(self) -> Gpu:
        driver = self._driver.get_driver_version()
        major, minor = self._device.compute_capability()
        attribute = self._driver.device_attribute.INTEGRATED
        return Gpu(
            name=self._device.name(),
            capability=f'{major}.{minor}',
            driver=f'{driver // 1000}.{driver % 1000 // 10}',
            integrated=bool(self._device.get_attribute(attribute)),
        )

    def free_bytes(self) -> int:
        with self._translated('cuMemGetInfo'):
            return int(self._driver.mem_get_info()[0])

    def alloc(self, size: int) -> Any:
        with self._translated(f'cuMemAlloc of {size} bytes'):
            return self._driver.mem_alloc(size)

    def free(self, block: Any) -> None:
        with self._translated('cuMemFree'):
            block.free()

    def alloc_host(self, size: int, *, mapped: bool) -> HostBlock:
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with self._translated(f'cuMemHostAlloc of {size} bytes'):
            array = self._driver.pagelocked_empty(size, np.uint8, mem_flags=flags)
        block = HostBlock(array, int(array.ctypes.data), 0, array.base)
        return with_device_address(self, block, self._seen_by_device) if mapped else block

    def free_host(self, block: HostBlock) -> None:
        with self._translated('cuMemFreeHost'):
            block.owner.free()

    def _seen_by_device(self, block: HostBlock) -> int:
        with self._translated('cuMemHostGetDevicePointer'):
            return int(block.owner.get_device_pointer())

    @contextmanager
    def _translated(self, call: str) -> Iterator[None]:
        try:
            yield
        except self._driver.MemoryError as error:
            raise OutOfMemory(f'{call}: {error}') from error
        except self._driver.Error as error:
            # PyCUDA's exceptions carry no number; a broken context repeats its own on request.
            fail(f'{call}: {error}', self._queue.health())
