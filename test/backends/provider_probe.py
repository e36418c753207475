"""Run in a process of its own: a CUDA provider against the ``libcuda.so.1`` on the path.

``python provider_probe.py PROVIDER`` uses every call of the seam and asserts what it must answer;
with ``lost`` as a second argument the context is lost on the way. ``libcuda`` as provider is the
queue alone, which needs no bindings.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from edge_inference_ros.backends import _cuda, _cuda_types
from edge_inference_ros.errors import InferenceFailed, OutOfMemory

SIZE = 1000
fake = _cuda.load_library()
KINDS = {kind: ctypes.c_char(kind.encode()) for kind in 'dhsegx'}


def alive():
    return {kind: fake.fake_count(code) for kind, code in KINDS.items()}


def refused(kind, call, *args, **named):
    try:
        call(*args, **named)
    except kind as error:
        return str(error)
    raise AssertionError(f'{call.__name__} was not refused')


class BareMemory:
    """As much of a memory as it takes to try a queue."""

    def alloc(self, size):
        address = ctypes.c_uint64()
        assert fake.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)) == 0
        return address.value

    def free(self, block):
        assert fake.cuMemFree_v2(ctypes.c_uint64(block)) == 0

    def alloc_host(self, size, *, mapped):
        array = np.zeros(size, np.uint8)
        return _cuda_types.HostBlock(array, array.ctypes.data, 0, None)

    def free_host(self, block):
        pass


@contextmanager
def bare():
    context = ctypes.c_void_p()
    assert fake.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert fake.cuCtxPushCurrent_v2(context) == 0
    yield SimpleNamespace(memory=BareMemory(), queue=_cuda.LibCudaQueue(fake))
    assert fake.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    assert fake.cuDevicePrimaryCtxRelease_v2(0) == 0


def copies(cuda):
    memory, queue = cuda.memory, cuda.queue
    seen, found = (memory.alloc_host(SIZE, mapped=False) for _ in range(2))
    block, stream = memory.alloc(SIZE), queue.stream(-2)
    marks = queue.event(), queue.event()
    assert all(isinstance(handle, int) and handle for handle in (stream, *marks, int(block)))
    seen.bytes[:], found.bytes[:] = np.arange(SIZE) % 251, 0

    queue.record(marks[0], stream)
    queue.copy_in(int(block), seen.address, SIZE, stream)
    queue.copy_out(found.address, int(block), SIZE, stream)
    queue.record(marks[1], stream)
    queue.synchronize(stream)
    assert queue.elapsed_ms(*marks) == 0.5
    done = queue.event(blocking=True)
    queue.record(done, stream)
    queue.wait(done)
    assert 'CUDA error 400' in refused(InferenceFailed, queue.elapsed_ms, marks[0], done)
    queue.end_event(done)
    np.testing.assert_array_equal(found.bytes, seen.bytes)

    graphs(queue, stream, int(block), seen, found)
    refusals(queue, stream, int(block), seen)
    for mark in marks:
        queue.end_event(mark)
    queue.end_stream(stream)
    memory.free(block)
    for host in (found, seen):
        memory.free_host(host)


def graphs(queue, stream, block, seen, found):
    found.bytes[:] = 0
    queue.begin_capture(stream)
    queue.copy_in(block, seen.address, SIZE, stream)
    queue.copy_out(found.address, block, SIZE, stream)
    graph = queue.end_capture(stream)
    assert graph
    assert not found.bytes.any(), 'captured work was done'
    seen.bytes[:] = 7
    queue.launch(graph, stream)
    queue.synchronize(stream)
    assert (found.bytes == 7).all()
    queue.end_graph(graph)


def refusals(queue, stream, block, seen):
    assert 'CUDA error 1' in refused(InferenceFailed, queue.copy_in, 16, seen.address, 8, stream)
    fake.fake_fail(b'cuStreamBeginCapture_v2', 801)
    assert 'CUDA error 801' in refused(InferenceFailed, queue.begin_capture, stream)
    queue.begin_capture(stream)
    refused(InferenceFailed, queue.synchronize, stream)
    assert queue.end_capture(stream) == 0, 'a capture that was disturbed'
    queue.begin_capture(stream)
    fake.fake_fail(b'cuGraphInstantiateWithFlags', 801)
    assert queue.end_capture(stream) == 0, 'a driver that cannot instantiate'
    fake.fake_fail(b'cuGraphLaunch', 2)
    refused(OutOfMemory, queue.launch, 1, stream)


def memories(cuda):
    memory = cuda.memory
    gpu, free_bytes = memory.gpu(), memory.free_bytes()
    assert gpu == _cuda_types.Gpu('A host', '8.7', '13.0', integrated=True), gpu
    block = memory.alloc(SIZE)
    assert memory.free_bytes() == free_bytes - SIZE
    memory.free(block)
    both = memory.alloc_host(SIZE, mapped=True)
    assert both.device == both.address
    assert both.bytes.shape == (SIZE,)
    assert both.bytes.dtype == np.uint8
    assert both.bytes.ctypes.data == both.address
    memory.free_host(both)
    assert memory.alloc_host.__name__
    refused(OutOfMemory, memory.alloc, 1 << 40)
    refused(OutOfMemory, memory.alloc_host, 1 << 40, mapped=False)
    fake.fake_fail(b'cuMemAlloc_v2', 1)
    assert 'cuMemAlloc' in refused(InferenceFailed, memory.alloc, SIZE)


def everything(provider):
    with bare() if provider == 'libcuda' else _cuda.entered(provider) as cuda:
        if provider != 'libcuda':
            assert cuda.provider == provider
            memories(cuda)
        copies(cuda)
    assert fake.fake_depth() == 0, 'left in a context'


def lost(provider):
    with bare() if provider == 'libcuda' else _cuda.entered(provider) as cuda:
        stream = cuda.queue.stream(0)
        fake.fake_fail(b'cuStreamSynchronize', 719)
        cuda.queue.synchronize(stream)


def main(provider, *how):
    failures = []

    def lane():
        try:
            lost(provider) if how else everything(provider)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    for _ in range(2):
        thread = threading.Thread(target=lane)
        thread.start()
        thread.join()
        for failure in failures:
            raise failure
    assert not any(alive().values()), alive()
    assert fake.fake_retained() == 0, 'the primary context is kept by threads that ended'
    sys.stdout.write('all answered')


if __name__ == '__main__':
    main(*sys.argv[1:])
