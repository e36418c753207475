# ruff: noqa: N802, C901 - libcuda's names; a module is one long list of small things
"""A CUDA device made of numpy: same calls, same rules, everything written down.

Work on a stream waits until somebody synchronises, as on the real device, so that a host that
reads too early reads stale bytes. While a stream is captured, nothing runs. Memory that was freed
is gone: a copy that touches it is an error here, where a real device might get away with it.

Three faces over one device: ``LibCuda`` (what ctypes sees), ``pycuda_module`` and
``bindings_module``.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SUCCESS, OUT_OF_MEMORY, INVALID, CAPTURE_UNSUPPORTED = 0, 2, 1, 900
NO_CONTEXT, NO_HANDLE, NOT_READY = 201, 400, 600
_NEVER, _QUEUED = -1.0, -2.0  # an event that was not recorded, or not passed yet
ALIGNMENT = 256
_WITHOUT_CONTEXT = frozenset({'retain', 'release', 'push'})


class CudaFault(Exception):
    """A call answered with ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(f'fake CUDA error {code}')
        self.code = code


class FakeDevice:
    """One device with a log of everything that was asked of it."""

    def __init__(self, *, capacity: int = 1 << 30, integrated: bool = False) -> None:
        self.capacity = capacity
        self.integrated = integrated
        self.name = 'Fake Orin' if integrated else 'Fake GPU'
        self.log: list[tuple[str, int]] = []
        self.threads: set[int] = set()
        self.live: dict[int, tuple[str, np.ndarray]] = {}
        self.peak = 0
        self.contexts: list[int] = []
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.priorities: list[int] = []
        self.capturing: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.events: dict[int, float] = {}
        self.timeless: set[int] = set()
        self.marked: dict[int, int] = {}
        self.clock_ms = 0.0
        self.broken = SUCCESS
        self.retained = 0
        self.fail_next: dict[str, int] = {}
        self._handles = itertools.count(0x1000, 16)

    # -- what every call does

    def say(self, call: str, handle: int = 0) -> None:
        """Write the call down; answer with an error if one is due."""
        self.log.append((call, handle))
        self.threads.add(threading.get_ident())
        if call not in _WITHOUT_CONTEXT and threading.get_ident() not in self.contexts:
            raise CudaFault(NO_CONTEXT)
        if self.broken:
            raise CudaFault(self.broken)
        if code := self.fail_next.pop(call, 0):
            raise CudaFault(code)

    def calls(self, *names: str) -> list[tuple[str, int]]:
        return [entry for entry in self.log if entry[0] in names]

    # -- memory

    def alloc(self, call: str, size: int) -> int:
        self.say(call, size)
        if self.capturing:
            raise CudaFault(CAPTURE_UNSUPPORTED)
        if size <= 0:
            raise CudaFault(INVALID)
        if sum(a.nbytes for _, a in self.live.values()) + size > self.capacity:
            raise CudaFault(OUT_OF_MEMORY)
        room = np.full(size + ALIGNMENT, 0xCD, np.uint8)
        start = -room.ctypes.data % ALIGNMENT
        block = room[start : start + size]
        address = block.ctypes.data
        self.live[address] = (call, block)
        self.log[-1] = (call, address)
        return address

    def free(self, call: str, address: int) -> None:
        self.say(call, address)
        if address not in self.live:
            raise CudaFault(INVALID)
        del self.live[address]

    def mapped(self, address: int) -> int:
        """The same memory as the device sees it."""
        self.say('cuMemHostGetDevicePointer', address)
        return address

    def check(self, address: int, size: int) -> None:
        """An address must lie in memory that is there."""
        for base, (_, block) in self.live.items():
            if base <= address and address + size <= base + block.nbytes:
                return
        raise AssertionError(f'{size} bytes at {address:#x} are not allocated')

    def memory_info(self) -> tuple[int, int]:
        self.say('cuMemGetInfo')
        return self.capacity - sum(a.nbytes for _, a in self.live.values()), self.capacity

    # -- streams

    def stream(self, priority: int) -> int:
        handle = next(self._handles)
        self.say('cuStreamCreateWithPriority', handle)
        self.streams[handle] = []
        self.priorities.append(priority)
        return handle

    def queue(self, stream: int, work: Callable[[], None]) -> None:
        """Do ``work`` when the stream gets there, or write it into the graph being captured."""
        if stream in self.capturing:
            self.capturing[stream].append(work)
        else:
            self.streams[stream].append(work)

    def copy(self, call: str, to: int, origin: int, size: int, stream: int) -> None:
        self.say(call, size)

        def work() -> None:
            self.check(to, size)
            self.check(origin, size)
            ctypes.memmove(to, origin, size)
            self.clock_ms += 0.25

        self.queue(stream, work)

    def synchronize(self, stream: int) -> None:
        self.say('cuStreamSynchronize', stream)
        if stream in self.capturing:
            raise CudaFault(CAPTURE_UNSUPPORTED)
        work, self.streams[stream] = self.streams[stream], []
        for do in work:
            do()

    def event(self, flags: int = 0) -> int:
        assert flags in (0, 3), 'a blocking event keeps no time'
        handle = next(self._handles)
        self.say('cuEventCreate', handle)
        self.events[handle] = _NEVER
        if flags:
            self.timeless.add(handle)
        return handle

    def record(self, event: int, stream: int) -> None:
        self.say('cuEventRecord', event)
        self.events[event] = _QUEUED
        self.marked[event] = stream
        self.queue(stream, lambda: self.events.__setitem__(event, self.clock_ms))

    def wait(self, event: int) -> None:
        """Let the device work up to the event, and no further."""
        self.say('cuEventSynchronize', event)
        while self.events[event] == _QUEUED:
            self.streams[self.marked[event]].pop(0)()

    def elapsed_ms(self, start: int, end: int) -> float:
        self.say('cuEventElapsedTime', start)
        if self.timeless & {start, end}:
            raise CudaFault(NO_HANDLE)
        marked = self.events[start], self.events[end]
        if _NEVER in marked:
            raise CudaFault(NO_HANDLE)
        if _QUEUED in marked:
            raise CudaFault(NOT_READY)
        return marked[1] - marked[0]

    # -- graphs

    def begin_capture(self, stream: int) -> None:
        self.say('cuStreamBeginCapture', stream)
        if self.streams[stream]:
            raise CudaFault(INVALID)  # not the driver's rule but ours: nothing is left behind
        self.capturing[stream] = []

    def end_capture(self, stream: int) -> int:
        work = self.capturing.pop(stream)
        self.say('cuStreamEndCapture', stream)
        graph = next(self._handles)
        self.graphs[graph] = work
        return graph

    def instantiate(self, graph: int) -> int:
        ready = next(self._handles)
        self.say('cuGraphInstantiate', ready)
        self.graphs[ready] = self.graphs[graph]
        return ready

    def launch(self, graph: int, stream: int) -> None:
        self.say('cuGraphLaunch', graph)
        self.streams[stream].extend(self.graphs[graph])

    def end_graph(self, call: str, graph: int) -> None:
        self.say(call, graph)
        del self.graphs[graph]


class LibCuda:
    """libcuda as ctypes sees it: numbers in, out-parameters by reference, an error code back."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        for name in ('cuInit', 'cuDeviceGetCount', *(n for n in dir(self) if n.startswith('_cu'))):
            plain = getattr(self, '_' + name.lstrip('_'))
            setattr(self, name.lstrip('_'), _answering(plain))

    def _cuInit(self, flags: int) -> None:
        pass

    def _cuDeviceGetCount(self, count: Any) -> None:
        count._obj.value = 1

    def _cuCtxPopCurrent_v2(self, out: Any) -> None:
        leave(self._device)

    def _cuCtxSynchronize(self) -> None:
        self._device.say('cuCtxSynchronize')

    def _cuStreamCreateWithPriority(self, out: Any, flags: int, priority: int) -> None:
        assert flags == 1
        out._obj.value = self._device.stream(priority)

    def _cuStreamDestroy_v2(self, stream: int) -> None:
        self._device.say('cuStreamDestroy', stream)
        del self._device.streams[stream]

    def _cuStreamSynchronize(self, stream: int) -> None:
        self._device.synchronize(stream)

    def _cuMemcpyHtoDAsync_v2(self, to: int, origin: int, size: int, stream: int) -> None:
        self._device.copy('cuMemcpyHtoDAsync', to, origin, size, stream)

    def _cuMemcpyDtoHAsync_v2(self, to: int, origin: int, size: int, stream: int) -> None:
        self._device.copy('cuMemcpyDtoHAsync', to, origin, size, stream)

    def _cuEventCreate(self, out: Any, flags: int) -> None:
        out._obj.value = self._device.event(flags)

    def _cuEventDestroy_v2(self, event: int) -> None:
        self._device.say('cuEventDestroy', event)
        del self._device.events[event]

    def _cuEventRecord(self, event: int, stream: int) -> None:
        self._device.record(event, stream)

    def _cuEventSynchronize(self, event: int) -> None:
        self._device.wait(event)

    def _cuEventElapsedTime(self, out: Any, start: int, end: int) -> None:
        out._obj.value = self._device.elapsed_ms(start, end)

    def _cuStreamBeginCapture_v2(self, stream: int, mode: int) -> None:
        assert mode == 1
        self._device.begin_capture(stream)

    def _cuStreamEndCapture(self, stream: int, out: Any) -> None:
        out._obj.value = self._device.end_capture(stream)

    def _cuGraphInstantiateWithFlags(self, out: Any, graph: int, flags: int) -> None:
        out._obj.value = self._device.instantiate(graph)

    def _cuGraphDestroy(self, graph: int) -> None:
        self._device.end_graph('cuGraphDestroy', graph)

    def _cuGraphLaunch(self, graph: int, stream: int) -> None:
        self._device.launch(graph, stream)

    def _cuGraphExecDestroy(self, graph: int) -> None:
        self._device.end_graph('cuGraphExecDestroy', graph)


def enter(device: FakeDevice) -> None:
    device.say('push')
    device.contexts.append(threading.get_ident())


def leave(device: FakeDevice) -> None:
    device.say('pop')
    assert device.contexts.pop() == threading.get_ident(), 'popped on another thread'


def retain(device: FakeDevice) -> int:
    device.say('retain')
    device.retained += 1
    return 7


def release(device: FakeDevice) -> None:
    device.say('release')
    assert device.retained, 'released more often than retained'
    device.retained -= 1


def _answering(plain: Callable[..., None]) -> Callable[..., int]:
    def call(*args: Any) -> int:
        try:
            plain(*args)
        except CudaFault as fault:
            return fault.code
        return SUCCESS

    return call


def pycuda_module(device: FakeDevice) -> ModuleType:
    """``pycuda.driver``: objects that own what they allocated, exceptions without a number."""
    module = ModuleType('pycuda.driver')

    class Error(Exception):
        pass

    class CudaMemoryError(Error):
        pass

    def ask(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except CudaFault as fault:
            kind = CudaMemoryError if fault.code == OUT_OF_MEMORY else Error
            raise kind(f'cu call failed: {fault}') from None

    class Context:
        """The primary one: only ``detach`` releases it, and leaves it current."""

        def __init__(self) -> None:
            ask(lambda: retain(device))

        def push(self) -> None:
            ask(lambda: enter(device))

        def pop(self) -> None:
            ask(lambda: leave(device))

        def detach(self) -> None:
            ask(lambda: release(device))

    class Device:
        def __init__(self, index: int) -> None:
            assert index == 0

        def retain_primary_context(self) -> Context:
            return Context()

        def name(self) -> str:
            return device.name

        def compute_capability(self) -> tuple[int, int]:
            return (8, 7)

        def get_attribute(self, attribute: str) -> int:
            return int(device.integrated) if attribute == 'INTEGRATED' else 0

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self._address = ask(lambda: device.alloc('cuMemAlloc', size))

        def __int__(self) -> int:
            return self._address

        def free(self) -> None:
            ask(lambda: device.free('cuMemFree', self._address))

    class HostAllocation:
        def __init__(self, size: int, flags: int) -> None:
            self.flags = flags
            self.address = ask(lambda: device.alloc('cuMemHostAlloc', size))

        def get_device_pointer(self) -> int:
            assert self.flags & 2, 'not mapped'
            return ask(lambda: device.mapped(self.address))

        def free(self) -> None:
            ask(lambda: device.free('cuMemFreeHost', self.address))

    def pagelocked_empty(shape: int, dtype: Any, order: str = 'C', mem_flags: int = 0) -> Any:
        owner = HostAllocation(shape, mem_flags)
        return _based(device.live[owner.address][1], owner)

    module.init = lambda: None
    module.Error, module.MemoryError = Error, CudaMemoryError
    module.Device, module.mem_alloc = Device, DeviceAllocation
    module.pagelocked_empty = pagelocked_empty
    module.mem_get_info = lambda: ask(device.memory_info)
    module.get_driver_version = lambda: 12060
    module.device_attribute = SimpleNamespace(INTEGRATED='INTEGRATED')
    module.host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
    return module


class _Based(np.ndarray):
    """An array whose ``base`` is what owns its memory, as PyCUDA's are."""

    owner: Any = None

    @property
    def base(self) -> Any:
        return self.owner if self.owner is not None else super().base


def _based(block: np.ndarray, owner: Any) -> np.ndarray:
    array = block.view(_Based)
    array.owner = owner
    return array


def bindings_module(device: FakeDevice) -> ModuleType:
    """``cuda.bindings.driver``: every call answers (code, results…)."""
    module = ModuleType('cuda.bindings.driver')

    def answering(call: Callable[..., Any], results: int) -> Callable[..., tuple[Any, ...]]:
        def ask(*args: Any) -> tuple[Any, ...]:
            try:
                answer = call(*args)
            except CudaFault as fault:
                return (fault.code, *[None] * results)
            return (SUCCESS, *((answer,) if results == 1 else answer or ()))

        return ask

    class CUstreamCaptureMode(enum.IntEnum):
        CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1

    def push(context: int) -> None:
        assert context == 7, 'not a context'
        enter(device)

    def pop() -> int:
        leave(device)
        return 7

    def begin(stream: int, mode: CUstreamCaptureMode) -> None:
        if not isinstance(mode, CUstreamCaptureMode):
            raise TypeError("Argument 'mode' has incorrect type")
        device.begin_capture(stream)

    def destroy(call: str, table: dict[int, Any]) -> Callable[[int], None]:
        def do(handle: int) -> None:
            device.say(call, handle)
            del table[handle]

        return do

    attributes = {'INTEGRATED': int(device.integrated), 'MAJOR': 8, 'MINOR': 7}
    table: dict[str, tuple[Callable[..., Any], int]] = {
        'cuInit': (lambda flags: None, 0),
        'cuDeviceGet': (lambda ordinal: 0, 1),
        'cuDevicePrimaryCtxRetain': (lambda dev: retain(device), 1),
        'cuDevicePrimaryCtxRelease': (lambda dev: release(device), 0),
        'cuCtxPushCurrent': (push, 0),
        'cuCtxPopCurrent': (pop, 1),
        'cuDriverGetVersion': (lambda: 12060, 1),
        'cuDeviceGetName': (lambda size, dev: device.name.encode().ljust(size, b'\0'), 1),
        'cuDeviceGetAttribute': (lambda key, dev: attributes[key], 1),
        'cuMemGetInfo': (device.memory_info, 2),
        'cuMemAlloc': (lambda size: device.alloc('cuMemAlloc', size), 1),
        'cuMemFree': (lambda at: device.free('cuMemFree', at), 0),
        'cuMemHostAlloc': (lambda size, flags: device.alloc('cuMemHostAlloc', size), 1),
        'cuMemFreeHost': (lambda at: device.free('cuMemFreeHost', at), 0),
        'cuMemHostGetDevicePointer': (lambda at, flags: device.mapped(at), 1),
        'cuStreamCreateWithPriority': (lambda flags, priority: device.stream(priority), 1),
        'cuStreamDestroy': (destroy('cuStreamDestroy', device.streams), 0),
        'cuStreamSynchronize': (device.synchronize, 0),
        'cuMemcpyHtoDAsync': (lambda *a: device.copy('cuMemcpyHtoDAsync', *a), 0),
        'cuMemcpyDtoHAsync': (lambda *a: device.copy('cuMemcpyDtoHAsync', *a), 0),
        'cuEventCreate': (device.event, 1),
        'cuEventDestroy': (destroy('cuEventDestroy', device.events), 0),
        'cuEventRecord': (device.record, 0),
        'cuEventSynchronize': (device.wait, 0),
        'cuEventElapsedTime': (device.elapsed_ms, 1),
        'cuStreamBeginCapture': (begin, 0),
        'cuStreamEndCapture': (device.end_capture, 1),
        'cuGraphInstantiate': (lambda graph, flags: device.instantiate(graph), 1),
        'cuGraphDestroy': (lambda graph: device.end_graph('cuGraphDestroy', graph), 0),
        'cuGraphLaunch': (device.launch, 0),
        'cuGraphExecDestroy': (lambda graph: device.end_graph('cuGraphExecDestroy', graph), 0),
    }
    for name, (call, results) in table.items():
        setattr(module, name, answering(call, results))
    prefix = 'CU_DEVICE_ATTRIBUTE_'
    names = {'INTEGRATED': 'INTEGRATED', 'COMPUTE_CAPABILITY_MAJOR': 'MAJOR'}
    names['COMPUTE_CAPABILITY_MINOR'] = 'MINOR'
    module.CUdevice_attribute = SimpleNamespace(**{prefix + k: v for k, v in names.items()})
    module.CUstreamCaptureMode = CUstreamCaptureMode
    return module
