"""What travels on a stream, by the CUDA driver's own library through ctypes."""

from __future__ import annotations

import ctypes
from typing import Any

from edge_inference_ros.backends._cuda_errors import end_process, fail, is_sticky

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
BLOCKING_WITHOUT_TIME = 3  # CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' calls do not disturb it


class LibCudaQueue:
    """Streams, copies, events and graphs by libcuda, on the handles PyCUDA uses too."""

    def __init__(self, library: Any) -> None:
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, ctypes.c_int
        self._library = library

    def health(self) -> int:
        """What the current context answers when asked to synchronise: 0, or what broke it."""
        return int(self._library.cuCtxSynchronize())

    def leave(self) -> None:
        """Take the current context from the thread's stack."""
        self._create('cuCtxPopCurrent_v2')

    def stream(self, priority: int) -> int:
        return self._create('cuStreamCreateWithPriority', NON_BLOCKING, priority)

    def end_stream(self, stream: int) -> None:
        self._call('cuStreamDestroy_v2', stream)

    def synchronize(self, stream: int) -> None:
        self._call('cuStreamSynchronize', stream)

    def copy_in(self, device: int, host: int, size: int, stream: int) -> None:
        self._call('cuMemcpyHtoDAsync_v2', device, host, size, stream)

    def copy_out(self, host: int, device: int, size: int, stream: int) -> None:
        self._call('cuMemcpyDtoHAsync_v2', host, device, size, stream)

    def event(self, *, blocking: bool = False) -> int:
        return self._create('cuEventCreate', BLOCKING_WITHOUT_TIME if blocking else 0)

    def end_event(self, event: int) -> None:
        self._call('cuEventDestroy_v2', event)

    def record(self, event: int, stream: int) -> None:
        self._call('cuEventRecord', event, stream)

    def wait(self, event: int) -> None:
        self._call('cuEventSynchronize', event)

    def elapsed_ms(self, start: int, end: int) -> float:
        elapsed = ctypes.c_float()
        self._call('cuEventElapsedTime', ctypes.byref(elapsed), start, end)
        return elapsed.value

    def begin_capture(self, stream: int) -> None:
        self._call('cuStreamBeginCapture_v2', stream, _THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        code = self._library.cuStreamEndCapture(stream, ctypes.byref(graph))
        if code or not graph.value:
            return _or_end('cuStreamEndCapture', code)
        instantiate = self._library.cuGraphInstantiateWithFlags
        code = instantiate(ctypes.byref(ready), graph.value, 0)
        self._call('cuGraphDestroy', graph.value)
        return _or_end('cuGraphInstantiateWithFlags', code) if code else int(ready.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        self._call('cuGraphLaunch', graph, stream)

    def end_graph(self, graph: int) -> None:
        self._call('cuGraphExecDestroy', graph)

    def _create(self, name: str, *args: int) -> int:
        handle = ctypes.c_void_p()
        self._call(name, ctypes.byref(handle), *args)
        return int(handle.value or 0)

    def _call(self, name: str, *args: Any) -> None:
        if code := getattr(self._library, name)(*args):
            fail(name, code)


def _or_end(call: str, code: int) -> int:
    """0, unless ``code`` says that the context is beyond repair."""
    if is_sticky(code):
        end_process(call, code)
    return 0


_HANDLE, _OUT = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
_DEVICE, _SIZE = ctypes.c_uint64, ctypes.c_size_t
_SIGNATURES: dict[str, list[Any]] = {
    'cuCtxPopCurrent_v2': [_OUT],
    'cuCtxSynchronize': [],
    'cuStreamCreateWithPriority': [_OUT, ctypes.c_uint, ctypes.c_int],
    'cuStreamDestroy_v2': [_HANDLE],
    'cuStreamSynchronize': [_HANDLE],
    'cuMemcpyHtoDAsync_v2': [_DEVICE, _HANDLE, _SIZE, _HANDLE],
    'cuMemcpyDtoHAsync_v2': [_HANDLE, _DEVICE, _SIZE, _HANDLE],
    'cuEventCreate': [_OUT, ctypes.c_uint],
    'cuEventDestroy_v2': [_HANDLE],
    'cuEventRecord': [_HANDLE, _HANDLE],
    'cuEventSynchronize': [_HANDLE],
    'cuEventElapsedTime': [ctypes.POINTER(ctypes.c_float), _HANDLE, _HANDLE],
    'cuStreamBeginCapture_v2': [_HANDLE, ctypes.c_int],
    'cuStreamEndCapture': [_HANDLE, _OUT],
    'cuGraphInstantiateWithFlags': [_OUT, _HANDLE, ctypes.c_uint64],
    'cuGraphDestroy': [_HANDLE],
    'cuGraphLaunch': [_HANDLE, _HANDLE],
    'cuGraphExecDestroy': [_HANDLE],
}
"""Argument types of each call (CUDA driver API reference): without them ctypes cuts pointers."""
