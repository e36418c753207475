"""The TensorRT engine on a fake device: what it allocates, when, where, and in which order."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_inference_ros.backends import _cuda, _cuda_errors, trt
from edge_inference_ros.errors import (
    Abandoned,
    BackendUnavailable,
    InferenceFailed,
    OutOfMemory,
    ParameterError,
    SpecMismatch,
)

ALLOCATIONS = ('cuMemAlloc', 'cuMemHostAlloc', 'cuStreamCreateWithPriority', 'cuEventCreate')
VERSIONS = ('8.6.0', '10.3.0', '10.13.2.6', '10.16.1.11', '11.4.0.106')
PROVIDERS = _cuda.PROVIDERS
ROOT = Path(trt.__file__).parents[2]


def answer(engine, value=3):
    engine.inputs['images'][:] = value
    engine.run()
    return engine.outputs['output0']


@pytest.mark.parametrize('provider', PROVIDERS)
@pytest.mark.parametrize('version', VERSIONS)
def test_outputs_are_the_inputs_doubled_once_run_returns(machine, version, provider):
    machine.start(version=version)
    engine = machine.opened(options={'provider': provider})

    assert np.all(answer(engine, 3) == 6)
    assert np.all(answer(engine, 7) == 14)
    engine.close()


@pytest.mark.parametrize('steps', [0, 1])
def test_an_opening_nobody_wants_any_more_ends_between_two_steps(machine, steps):
    left = [None] * steps

    def checkpoint():
        if not left:
            raise Abandoned('nobody waits')
        left.pop()

    machine.start()
    with pytest.raises(Abandoned):
        machine.opened(checkpoint=checkpoint)

    assert not machine.device.live
    assert not machine.device.calls('execute_async_v3')


def test_the_second_provider_steps_in_when_the_first_is_missing(machine):
    machine.start(providers=('cuda-bindings',))

    engine = machine.opened()

    assert np.all(answer(engine) == 6)
    engine.close()


@pytest.mark.parametrize('graph', [True, False])
@pytest.mark.parametrize('provider', PROVIDERS)
def test_nothing_is_allocated_after_open(machine, provider, graph):
    machine.start()
    engine = machine.opened(options={'provider': provider, 'graph': graph})
    before = len(machine.device.calls(*ALLOCATIONS)), set(machine.device.live)

    for value in range(50):
        answer(engine, value)

    assert (len(machine.device.calls(*ALLOCATIONS)), set(machine.device.live)) == before
    engine.close()


def test_the_arrays_are_never_rebound(machine):
    engine = machine.start().opened()
    seen, found = engine.inputs['images'], engine.outputs['output0']

    answer(engine)

    assert engine.inputs['images'] is seen
    assert engine.outputs['output0'] is found
    engine.close()


WAITS = {'block': ['cuEventRecord', 'cuEventSynchronize'], 'spin': ['cuStreamSynchronize']}


@pytest.mark.parametrize('wait', WAITS)
@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_run_is_one_launch_and_one_wait(machine, provider, wait):
    engine = machine.start().opened(options={'provider': provider, 'wait': wait})
    machine.device.log.clear()

    engine.run()

    assert [call for call, _ in machine.device.log] == ['cuGraphLaunch', *WAITS[wait]]
    assert engine.replays_graph
    engine.close()


@pytest.mark.parametrize('wait', WAITS)
def test_without_a_graph_the_copies_enclose_the_inference(machine, wait):
    engine = machine.start().opened(options={'graph': False, 'wait': wait})
    machine.device.log.clear()

    engine.run()

    assert [call for call, _ in machine.device.log] == [
        'cuMemcpyHtoDAsync',
        'execute_async_v3',
        'cuMemcpyDtoHAsync',
        *WAITS[wait],
    ]
    engine.close()


def test_nobody_who_did_not_ask_for_it_keeps_a_core_busy(machine):
    engine = machine.start().opened()
    machine.device.log.clear()

    engine.run()

    assert not machine.device.calls('cuStreamSynchronize')
    engine.close()


def test_the_graph_is_captured_after_the_engine_has_run(machine):
    engine = machine.start().opened()

    calls = [call for call, _ in machine.device.log]

    assert calls.index('execute_async_v3') < calls.index('cuStreamBeginCapture')
    engine.close()


@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_layer_that_cannot_be_captured_is_run_without_a_graph(machine, provider):
    engine = machine.start().opened(uncapturable=True, options={'provider': provider})

    assert not engine.replays_graph
    assert np.all(answer(engine) == 6)
    engine.close()
    assert not machine.device.graphs


@pytest.mark.parametrize(
    'call', ['cuStreamBeginCapture', 'cuStreamEndCapture', 'cuGraphInstantiate']
)
@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_driver_that_gives_no_graph_is_run_without_one(machine, provider, call):
    machine.start().device.fail_next[call] = 801

    engine = machine.opened(options={'provider': provider})

    assert not engine.replays_graph
    assert np.all(answer(engine) == 6)
    engine.close()


@pytest.mark.parametrize('provider', PROVIDERS)
def test_everything_is_freed_in_reverse_order_on_the_thread_that_opened(machine, provider):
    machine.start()
    engine = machine.opened(options={'provider': provider})
    machine.device.log.clear()

    engine.close()

    calls = [call for call, _ in machine.device.log]
    assert calls == [
        'cuStreamSynchronize',
        'cuGraphExecDestroy',
        'cuMemFree',
        'cuMemFreeHost',
        'cuMemFree',
        'cuMemFreeHost',
        '~context',
        '~engine',
        '~runtime',
        'cuEventDestroy',
        'cuStreamDestroy',
        *(('release', 'pop') if provider == 'pycuda' else ('pop', 'release')),
    ]
    assert not machine.device.retained
    assert machine.device.threads == {threading.get_ident()}
    assert not machine.device.live
    assert not machine.device.contexts


def test_the_arrays_are_gone_once_the_engine_is_closed(machine):
    engine = machine.start().opened()

    engine.close()

    assert not engine.inputs
    assert not engine.outputs


@pytest.mark.parametrize(
    'call', ['cuMemAlloc', 'cuMemHostAlloc', 'cuStreamCreateWithPriority', 'cuEventCreate']
)
@pytest.mark.parametrize('provider', PROVIDERS)
def test_an_open_that_fails_half_way_leaves_nothing_behind(machine, provider, call):
    manifest, path = machine.start().model()
    machine.build(path)
    machine.device.fail_next[call] = 2

    with pytest.raises(OutOfMemory):
        machine.open(manifest, path, provider=provider)

    gc.collect()
    assert not machine.device.live
    assert not machine.device.contexts
    assert not machine.device.streams


def test_a_full_device_says_out_of_memory_and_the_next_open_works(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    machine.device.capacity = 20

    with pytest.raises(OutOfMemory):
        machine.open(manifest, path)

    machine.device.capacity = 1 << 20
    engine = machine.open(manifest, path)
    assert np.all(answer(engine) == 6)
    engine.close()


@pytest.mark.parametrize('verb', ['run', 'close'])
def test_another_thread_is_turned_away(machine, verb):
    engine = machine.start().opened()
    failures = []

    def other():
        try:
            getattr(engine, verb)()
        except InferenceFailed as error:
            failures.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()

    assert 'thread that opened it' in failures[0]
    engine.close()


def test_engines_of_one_thread_share_its_context_and_close_in_any_order(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    machine.device.log.clear()

    one, two = machine.open(manifest, path), machine.open(manifest, path)
    one.close()

    assert np.all(answer(two) == 6)
    two.close()
    assert len(machine.device.calls('push')) == len(machine.device.calls('pop')) == 1


def test_priority_reaches_the_stream(machine):
    engine = machine.start().opened(options={'priority': -3})

    assert machine.device.priorities[-1] == -3
    engine.close()


# ---- memory of a Jetson


def test_one_memory_is_used_where_it_is_faster(machine):
    machine.start(integrated=True)

    engine = machine.opened()

    assert engine.memory == 'mapped'
    machine.device.log.clear()
    assert np.all(answer(engine) == 6)
    assert not machine.device.calls('cuMemcpyHtoDAsync', 'cuMemcpyDtoHAsync')
    engine.close()
    assert not machine.device.live


@pytest.mark.parametrize(
    ('call', 'code', 'left'),
    [('cuMemAlloc', 2, 'mapped'), ('cuMemHostGetDevicePointer', 801, 'paired')],
)
@pytest.mark.parametrize('provider', PROVIDERS)
def test_where_one_kind_of_memory_cannot_be_had_the_other_is_used(
    machine, provider, call, code, left
):
    manifest, path = machine.start(integrated=True).model()
    machine.build(path)
    machine.device.fail_next[call] = code

    engine = machine.open(manifest, path, provider=provider)

    assert engine.memory == left
    assert np.all(answer(engine) == 6)
    engine.close()
    assert not machine.device.live


@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_device_that_holds_neither_kind_of_memory_is_full(machine, provider):
    manifest, path = machine.start(integrated=True).model()
    machine.build(path)
    machine.device.capacity = 20

    with pytest.raises(OutOfMemory):
        machine.open(manifest, path, provider=provider)
    assert not machine.device.live


@pytest.mark.parametrize('kind', ['paired', 'mapped'])
@pytest.mark.parametrize('provider', PROVIDERS)
def test_the_kind_of_memory_can_be_said(machine, provider, kind):
    machine.start(integrated=True)

    engine = machine.opened(options={'memory': kind, 'provider': provider})

    assert engine.memory == kind
    assert np.all(answer(engine) == 6)
    engine.close()


def test_a_device_with_its_own_memory_gets_copies_without_a_trial(machine):
    engine = machine.start().opened()

    assert engine.memory == 'paired'
    assert not machine.device.calls('cuEventElapsedTime')
    engine.close()


# ---- sizes the data decides

WHERE = {
    'outputs': [{'name': 'where', 'dtype': 'int32', 'shape': [-1, 1]}],
    'program': 'nonzero',
}


def where(machine, **change):
    manifest, path = machine.model(**{**WHERE, **change}, shape=(1, 2, 3, 3))
    machine.build(path)
    return machine.open(manifest, path)


@pytest.mark.parametrize('version', VERSIONS)
def test_an_output_is_as_large_as_the_data_say(machine, version):
    machine.start(version=version)
    engine = where(machine, max_output_size=72)

    for bright in ([4], [0, 7, 17], []):
        engine.inputs['images'].fill(0)
        engine.inputs['images'].reshape(-1)[bright] = 9
        engine.run()
        assert engine.outputs['where'].ravel().tolist() == bright
    assert not engine.replays_graph
    engine.close()


def test_an_output_with_a_bound_allocates_nothing_when_it_grows(machine):
    machine.start()
    engine = where(machine, max_output_size=72)
    before = set(machine.device.live)

    engine.inputs['images'][:] = 1
    engine.run()

    assert len(engine.outputs['where']) == 18
    assert set(machine.device.live) == before
    engine.close()


def test_an_output_beyond_its_bound_grows_once(machine):
    machine.start()
    engine = where(machine, max_output_size=8)
    before = len(machine.device.live)

    for _ in range(5):
        engine.inputs['images'][:] = 1
        engine.run()
        assert engine.outputs['where'].ravel().tolist() == list(range(18))

    assert len(machine.device.live) == before + 2
    engine.close()
    assert not machine.device.live


def test_an_output_the_device_cannot_hold_is_out_of_memory_and_the_next_run_works(machine):
    machine.start()
    engine = where(machine, max_output_size=8)
    engine.inputs['images'][:] = 1
    before = set(machine.device.live)
    capacity = machine.device.capacity
    machine.device.capacity -= machine.device.memory_info()[0] - 100

    for _ in range(3):
        with pytest.raises(OutOfMemory):
            engine.run()
        assert set(machine.device.live) == before

    machine.device.capacity = capacity
    engine.run()
    assert len(engine.outputs['where']) == 18
    engine.close()


def test_an_output_grows_to_what_is_needed_where_there_is_no_room_for_more(machine):
    machine.start()
    engine = where(machine, max_output_size=8)
    engine.inputs['images'][:] = 1
    machine.device.fail_next['cuMemAlloc'] = 2

    engine.run()

    assert engine.outputs['where'].ravel().tolist() == list(range(18))
    engine.close()
    assert not machine.device.live


# ---- engines that are not what the manifest says


def dynamic(low, high):
    return {
        'inputs': [{'name': 'images', 'dtype': 'uint8', 'shape': [1, -1, -1, 3]}],
        'outputs': [{'name': 'output0', 'dtype': 'float32', 'shape': [1, 2, 3, 3]}],
        'build': {'shapes': f'images={low}/{low}/{high}'},
    }


def test_a_dynamic_input_gets_the_manifests_size(machine):
    machine.start()
    change = dynamic('1x1x1x3', '1x9x9x3')
    build = change.pop('build')
    manifest, path = machine.model(shape=(1, 2, 3, 3), **change)
    machine.build(path, **build)

    engine = machine.open(manifest, path)

    assert engine.inputs['images'].shape == (1, 2, 3, 3)
    assert np.all(answer(engine) == 6)
    engine.close()


def test_a_size_outside_the_profile_names_both(machine):
    machine.start()
    change = dynamic('1x4x4x3', '1x9x9x3')
    build = change.pop('build')
    manifest, path = machine.model(shape=(1, 2, 3, 3), **change)
    machine.build(path, **build)

    with pytest.raises(SpecMismatch, match=r'\(1, 2, 3, 3\).*\(1, 4, 4, 3\) … \(1, 9, 9, 3\)'):
        machine.open(manifest, path)


@pytest.mark.parametrize(
    ('promised', 'words'),
    [
        ([('other', (1, 2, 3, 3), 'float32')], 'other'),
        ([('output0', (1, 2, 3, 4), 'float32')], r'\[1, 2, 3, 4\]'),
        ([('output0', (1, 2, 3), 'float32')], r'\[1, 2, 3\]'),
        ([('output0', (1, 2, 3, 3), 'float16')], 'float16'),
    ],
)
def test_outputs_that_are_not_the_manifests_are_refused(machine, promised, words):
    manifest, path = machine.start().model(promised=promised)
    machine.build(path)

    with pytest.raises(SpecMismatch, match=words):
        machine.open(manifest, path)


@pytest.mark.parametrize(
    ('tensor', 'words'),
    [
        ({'dtype': 'BF16'}, 'BF16'),
        ({'location': 'HOST'}, 'shape tensor'),
    ],
)
def test_tensors_numpy_cannot_hold_are_refused(machine, tensor, words):
    machine.start()
    output = {'name': 'output0', 'dtype': 'float32', 'shape': [1, 2, 3, 3]}
    manifest, path = machine.model(
        outputs=[{**output, **tensor}], promised=[('output0', (1, 2, 3, 3), 'float32')]
    )
    machine.build(path)

    with pytest.raises(SpecMismatch, match=words):
        machine.open(manifest, path)


# ---- errors


def test_without_a_driver_tensorrt_is_not_touched(machine, monkeypatch):
    manifest, path = machine.start().model()

    def missing():
        raise OSError('libcuda.so.1: cannot open shared object file')

    monkeypatch.setattr(_cuda, 'load_library', missing)
    monkeypatch.setitem(sys.modules, 'tensorrt', None)

    with pytest.raises(BackendUnavailable, match=r'no CUDA driver: libcuda\.so\.1'):
        machine.open(manifest, path)


@pytest.mark.parametrize(('call', 'words'), [('cuInit', 'does not start'), ('count', 'no device')])
def test_a_driver_without_a_device_is_told_apart(machine, monkeypatch, call, words):
    manifest, path = machine.start().model()
    library = _cuda.load_library()
    if call == 'cuInit':
        library.cuInit = lambda flags: 100
    else:
        library.cuDeviceGetCount = lambda count: 0
    monkeypatch.setattr(_cuda, 'load_library', lambda: library)

    with pytest.raises(BackendUnavailable, match=words):
        machine.open(manifest, path)


def test_without_bindings_both_are_named(machine):
    manifest, path = machine.start(providers=()).model()

    with pytest.raises(BackendUnavailable, match=r'pycuda .*cuda-bindings'):
        machine.open(manifest, path)


def test_a_tensorrt_that_does_not_load_is_unavailable(machine, monkeypatch):
    manifest, path = machine.start().model()
    monkeypatch.setitem(sys.modules, 'tensorrt', None)

    with pytest.raises(BackendUnavailable, match='TensorRT does not load'):
        machine.open(manifest, path)
    assert not machine.device.contexts


def test_a_tensorrt_older_than_names_is_unavailable(machine):
    manifest, path = machine.start(version='8.5.3').model()

    with pytest.raises(BackendUnavailable, match=r'8\.6 is the oldest'):
        machine.open(manifest, path)


def test_a_driver_too_old_for_tensorrt_is_unavailable(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    machine.trt._driver_too_old = True

    with pytest.raises(BackendUnavailable, match='no Runtime'):
        machine.open(manifest, path)
    with pytest.raises(BackendUnavailable, match='no Builder'):
        machine.build(path, workspace_mib=64)


@pytest.mark.parametrize(
    ('change', 'kind'),
    [
        ({'no_context': 'Requested amount of GPU memory: OutOfMemory'}, OutOfMemory),
        ({'no_context': 'unsupported'}, InferenceFailed),
        ({'fails': 'Cuda failure: out of memory'}, OutOfMemory),
        ({'fails': 'input not set'}, InferenceFailed),
    ],
)
def test_what_tensorrt_logged_decides_the_error(machine, change, kind):
    machine.start()

    with pytest.raises(kind):
        machine.opened(**change)
    assert not machine.device.live


def test_an_option_outside_its_range_is_refused(machine):
    manifest, path = machine.start().model()

    with pytest.raises(ParameterError, match='build_engine'):
        machine.open(manifest, path, build_engine='always')


@pytest.mark.parametrize('code', sorted(_cuda_errors.STICKY))
@pytest.mark.parametrize('graph', [True, False])
@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_lost_context_ends_the_process(machine, monkeypatch, provider, graph, code):
    engine = machine.start().opened(options={'provider': provider, 'graph': graph})
    ended = []

    def end(status):
        ended.append(status)
        raise SystemExit(status)

    monkeypatch.setattr(_cuda_errors.os, '_exit', end)
    machine.device.broken = code

    with pytest.raises(SystemExit):
        engine.run()

    assert ended == [_cuda_errors.EXIT_CODE]
    machine.device.broken = 0
    engine.close()


@pytest.mark.parametrize('provider', PROVIDERS)
def test_a_lost_context_is_found_by_an_allocation_too(machine, monkeypatch, provider):
    machine.start()

    def end(status):
        raise SystemExit(status)

    monkeypatch.setattr(_cuda_errors.os, '_exit', end)
    with _cuda.entered(provider) as cuda:
        machine.device.broken = 700

        with pytest.raises(SystemExit):
            cuda.memory.alloc(8)
        machine.device.broken = 0


def test_the_process_says_why_and_does_not_linger():
    script = 'from edge_inference_ros.backends import _cuda_errors as e; e.fail("cuCall", 700)'

    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, '-c', script], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert done.returncode == _cuda_errors.EXIT_CODE
    assert 'cuCall: CUDA error 700 (ILLEGAL_ADDRESS)' in done.stderr
    assert 'Traceback' not in done.stderr


def test_an_ordinary_refusal_leaves_the_engine_usable(machine):
    engine = machine.start().opened()
    machine.device.fail_next['cuGraphLaunch'] = 1

    with pytest.raises(InferenceFailed, match='cuGraphLaunch: CUDA error 1'):
        engine.run()

    assert np.all(answer(engine) == 6)
    engine.close()


# ---- taken apart


def test_an_address_tensorrt_does_not_take_is_named(machine, monkeypatch):
    machine.start()
    monkeypatch.setattr(_cuda.PyCudaMemory, 'alloc', lambda self, size: 0x1001)
    monkeypatch.setattr(_cuda.PyCudaMemory, 'free', lambda self, block: None)

    with pytest.raises(InferenceFailed, match='images: address not accepted: images: 0x1001'):
        machine.opened(options={'provider': 'pycuda'})


def test_a_refusal_that_left_no_trace_in_the_context_is_told_by_its_words(machine):
    machine.start()
    with _cuda.entered('pycuda') as cuda:
        machine.device.fail_next['cuMemAlloc'] = 1

        with pytest.raises(InferenceFailed, match=r'fake CUDA error 1$'):
            cuda.memory.alloc(8)


@pytest.mark.parametrize('version', VERSIONS)
def test_an_engine_explains_its_layers(machine, version):
    manifest, path = machine.start(version=version).model(layers=['Conv + Relu', 'Reformat'])
    machine.build(path)

    found = trt.explain(manifest, path, options=machine.options(), runs=4)

    first, second = found.layers
    assert (first.name, first.nodes) == ('Conv + Relu', ('Conv', 'Relu'))
    assert (first.precision, first.time_ms) == ('FP16', 0.5)
    assert second.kind == 'Reformat'
    assert found.memory_bytes == 4096
    assert not machine.device.live


def test_an_engine_is_explained_without_a_manifest(machine):
    _, path = machine.start().model()
    machine.build(path)

    assert trt.explain(None, path, options=machine.options(), runs=1).layers


def test_the_errors_no_context_survives_are_the_ones_cuda_names():
    """The driver API reference says of these that the process must be relaunched."""
    named = {214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810}

    assert named | {999} == set(_cuda_errors.STICKY)
    assert not {2, 1, 201, 701, 900, 901} & set(_cuda_errors.STICKY)
