"""The CUDA seam by NVIDIA's own Python bindings (``cuda-bindings``)."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

import numpy as np

from edge_inference_ros.backends import _cuda_errors
from edge_inference_ros.backends._cuda_types import DEVICE_MAP, Gpu, HostBlock, with_device_address
from edge_inference_ros.backends._libcuda import BLOCKING_WITHOUT_TIME, NON_BLOCKING


def open_provider() -> tuple[BindingsMemory, BindingsQueue]:
    """Memory and queue on device 0. Raises ``ImportError``."""
    driver = importlib.import_module('cuda.bindings.driver')
    return BindingsMemory(driver), BindingsQueue(driver)


def _call(driver: Any, name: str, *args: Any) -> Any:
    """Call ``name``; return its only result, the tuple of several, or None."""
    code, *results = getattr(driver, name)(*args)
    if int(code):
        _cuda_errors.fail(name, int(code))
    return results[0] if len(results) == 1 else tuple(results) or None


class BindingsMemory:
    """Context and memory by cuda-bindings."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._ask('cuInit', 0)
        self._device = self._ask('cuDeviceGet', 0)

    def push(self) -> None:
        self._ask('cuCtxPushCurrent', self._ask('cuDevicePrimaryCtxRetain', self._device))

    def pop(self) -> None:
        self._ask('cuCtxPopCurrent')
        self._ask('cuDevicePrimaryCtxRelease', self._device)

    def gpu(self) -> Gpu:
        version = int(self._ask('cuDriverGetVersion'))
        major = self._attribute('CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR')
        minor = self._attribute('CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR')
        name = self._ask('cuDeviceGetName', 256, self._device)
        return Gpu(
            name=bytes(name).split(b'\0')[0].decode(),
            capability=f'{major}.{minor}',
            driver=f'{version // 1000}.{version % 1000 // 10}',
            integrated=bool(self._attribute('CU_DEVICE_ATTRIBUTE_INTEGRATED')),
        )

    def free_bytes(self) -> int:
        return int(self._ask('cuMemGetInfo')[0])

    def alloc(self, size: int) -> Any:
        return self._ask('cuMemAlloc', size)

    def free(self, block: Any) -> None:
        self._ask('cuMemFree', block)

    def alloc_host(self, size: int, *, mapped: bool) -> HostBlock:
        flags = DEVICE_MAP if mapped else 0
        address = int(self._ask('cuMemHostAlloc', size, flags))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        block = HostBlock(array, address, 0, address)
        return with_device_address(self, block, self._seen_by_device) if mapped else block

    def free_host(self, block: HostBlock) -> None:
        self._ask('cuMemFreeHost', block.owner)

    def _seen_by_device(self, block: HostBlock) -> int:
        return int(self._ask('cuMemHostGetDevicePointer', block.address, 0))

    def _attribute(self, name: str) -> int:
        attribute = getattr(self._driver.CUdevice_attribute, name)
        return int(self._ask('cuDeviceGetAttribute', attribute, self._device))

    def _ask(self, name: str, *args: Any) -> Any:
        return _call(self._driver, name, *args)


class BindingsQueue:
    """Streams, copies, events and graphs by cuda-bindings."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def stream(self, priority: int) -> int:
        return int(self._ask('cuStreamCreateWithPriority', NON_BLOCKING, priority))

    def end_stream(self, stream: int) -> None:
        self._ask('cuStreamDestroy', stream)

    def synchronize(self, stream: int) -> None:
        self._ask('cuStreamSynchronize', stream)

    def copy_in(self, device: int, host: int, size: int, stream: int) -> None:
        self._ask('cuMemcpyHtoDAsync', device, host, size, stream)

    def copy_out(self, host: int, device: int, size: int, stream: int) -> None:
        self._ask('cuMemcpyDtoHAsync', host, device, size, stream)

    def event(self, *, blocking: bool = False) -> int:
        return int(self._ask('cuEventCreate', BLOCKING_WITHOUT_TIME if blocking else 0))

    def end_event(self, event: int) -> None:
        self._ask('cuEventDestroy', event)

    def record(self, event: int, stream: int) -> None:
        self._ask('cuEventRecord', event, stream)

    def wait(self, event: int) -> None:
        self._ask('cuEventSynchronize', event)

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(self._ask('cuEventElapsedTime', start, end))

    def begin_capture(self, stream: int) -> None:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._ask('cuStreamBeginCapture', stream, mode)

    def end_capture(self, stream: int) -> int:
        code, graph = self._driver.cuStreamEndCapture(stream)
        if int(code) or not int(graph):
            return self._nothing('cuStreamEndCapture', int(code))
        code, ready = self._driver.cuGraphInstantiate(graph, 0)
        self._ask('cuGraphDestroy', graph)
        return self._nothing('cuGraphInstantiate', int(code)) if int(code) else int(ready)

    def launch(self, graph: int, stream: int) -> None:
        self._ask('cuGraphLaunch', graph, stream)

    def end_graph(self, graph: int) -> None:
        self._ask('cuGraphExecDestroy', graph)

    @staticmethod
    def _nothing(call: str, code: int) -> int:
        if _cuda_errors.is_sticky(code):
            _cuda_errors.end_process(call, code)
        return 0

    def _ask(self, name: str, *args: Any) -> Any:
        return _call(self._driver, name, *args)
