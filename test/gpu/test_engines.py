"""What leaves a real engine is what leaves ONNX Runtime, and a run allocates nothing."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from backends import nets
from gpu.conftest import ROOT, readable, shipped, version
from optimize.networks import detector

from edge_inference_ros.backends import _cuda, _cuda_errors, _trt_plans, trt
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.errors import (
    DigestMismatch,
    EngineMissing,
    InferenceFailed,
    ModelError,
    OutOfMemory,
    ParameterError,
)
from edge_inference_ros.optimize import inspect, preprocess, validate
from edge_inference_ros.optimize.judge import agreement

pytestmark = pytest.mark.gpu
PROVIDERS = _cuda.PROVIDERS
LEAST_SQNR_DB = {'fp32': 45.0, 'fp16': 25.0, 'int8': 15.0}
"""Against ONNX Runtime on the same file; TF32 rounds float32 to 10 bits, which is about 60 dB."""
UNREADABLE_BY_8 = 'graphOptimizer.cpp::chooseHigherPrecision'
MIB = 1 << 20


def filled(engine, seed=0):
    draw = np.random.default_rng(seed)
    for array in engine.inputs.values():
        top = 256 if array.dtype == np.uint8 else 1
        array[...] = (draw.random(array.shape) * top).astype(array.dtype)
    return engine


def answer(engine, seed=0):
    filled(engine, seed).run()
    return {name: array.copy() for name, array in engine.outputs.items()}


def onnxruntime(manifest, path):
    return registry.load('backends', 'ort').open(manifest, path)


def assert_close(found, wanted, least_db):
    said = agreement.Agreement()
    agreement.add_outputs(said, wanted, found)
    assert set(said.outputs) == set(wanted)
    for name, difference in said.outputs.items():
        assert difference.output_db >= least_db, f'{name}: {difference.output_db:.1f} dB'


def available(provider):
    try:
        with _cuda.entered(provider):
            return True
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not there
        return False


@pytest.fixture
def network(tmp_path):
    folder = detector(tmp_path / 'model', width=320, height=256)
    said = manifests.load(folder)
    return said, said.files[0].path


# ---- the same numbers


@pytest.mark.parametrize(('folder', 'file'), shipped())
def test_shipped_models_agree_with_onnx_runtime(opened, tmp_path, folder, file):
    said = manifests.load(folder)
    manifests.verify(file)
    try:
        engine = opened(said, readable(file.path, tmp_path))
    except ModelError as error:
        if version() >= (10,) or UNREADABLE_BY_8 not in str(error):
            raise
        pytest.skip(f'TensorRT 8 has a fault of its own on this Q/DQ network: {UNREADABLE_BY_8}')
    reference = onnxruntime(said, file.path)

    for seed in range(3):
        assert_close(
            answer(engine, seed), answer(reference, seed), LEAST_SQNR_DB.get(file.precision, 15.0)
        )


@pytest.mark.parametrize('precision', ['graph', 'fp16'])
def test_precisions_agree_with_onnx_runtime(opened, network, precision):
    said, path = network
    if precision == 'fp16' and version() >= (11,):
        pytest.skip('TensorRT 11 has no precision flags')
    engine = opened(said, path, build={'precision': precision})

    least = LEAST_SQNR_DB['fp32' if precision == 'graph' else 'fp16']
    assert_close(answer(engine), answer(onnxruntime(said, path)), least)


def test_tf32_off_is_float32(opened, network):
    said, path = network
    engine = opened(said, path, build={'tf32': False})

    assert_close(answer(engine), answer(onnxruntime(said, path)), 80.0)


def test_flags_that_are_gone_are_refused(cache, network):
    if version() < (11,):
        pytest.skip('this TensorRT still has them')

    with pytest.raises(ParameterError, match='knows no builder flag'):
        trt.build(network[1], EngineOptions(precision='int8'), cache=str(cache))


@pytest.mark.parametrize('provider', PROVIDERS)
@pytest.mark.parametrize('memory', ['paired', 'mapped'])
@pytest.mark.parametrize('graph', [True, False])
def test_every_way_of_running_gives_the_same_numbers(opened, network, provider, memory, graph):
    if not available(provider):
        pytest.skip(f'{provider} is not installed')
    engine = opened(*network, provider=provider, memory=memory, graph=graph)
    plain = opened(*network, graph=False)

    for seed in range(5):
        found, wanted = answer(engine, seed), answer(plain, seed)
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)
    assert engine.replays_graph == graph
    assert engine.memory == memory


def test_outputs_belong_to_the_inputs_of_the_same_run(opened, network):
    engine = opened(*network)
    wanted = [answer(engine, seed) for seed in range(8)]

    for _ in range(20):
        for seed, arrays in enumerate(wanted):
            found = answer(engine, seed)
            for name, array in arrays.items():
                np.testing.assert_array_equal(found[name], array)


def test_sizes_the_data_decides_follow_the_data(opened, tmp_path):
    path = nets.bright_pixels(tmp_path / 'net.onnx')
    said = nets.manifest(path, outputs=(('where', (4, -1), 'int64'),))
    if version() < (10,):
        pytest.skip('TensorRT 8 has no 64-bit tensors')
    engine, reference = opened(said, path), onnxruntime(said, path)

    for bright in (0, 1, 5, 72):
        for each in (engine, reference):
            each.inputs['images'].fill(0)
            each.inputs['images'].reshape(-1)[:bright] = 200
            each.run()
        np.testing.assert_array_equal(engine.outputs['where'], reference.outputs['where'])
    assert not engine.replays_graph


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
def test_a_picture_prepared_in_the_graph_is_the_hosts(cache, tmp_path, monkeypatch, tail):
    before = detector(tmp_path / 'before', width=320, height=256)
    after = tmp_path / 'after'
    preprocess.run(before, after, preprocess.Params(width=640, height=480, tail=tail))
    monkeypatch.setenv('EDGE_INFERENCE_ENGINES', str(cache))
    said = manifests.load(after)
    trt.build(said.files[0].path, EngineOptions(tf32=False))
    params = validate.Params(other_backend='trt', other=str(after), count=10, agreement=0.97)

    report = validate.run(before, None, params)

    assert not report.refused
    assert report.facts['objects'] > 50


# ---- nothing is allocated


def free_bytes():
    with _cuda.entered() as cuda:
        return cuda.memory.free_bytes()


def others_bytes():
    """What the rest of the machine may take meanwhile: something where the memory is its too."""
    with _cuda.entered() as cuda:
        return 64 * MIB if cuda.memory.gpu().integrated else 0


def test_a_run_allocates_no_device_memory(opened, network):
    engine = filled(opened(*network))
    engine.run()
    before = free_bytes()

    for _ in range(300):
        engine.run()

    assert before - free_bytes() <= others_bytes()


def test_a_run_keeps_no_host_memory(opened, network):
    engine = filled(opened(*network))
    for _ in range(50):
        engine.run()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(50):
            engine.run()
        before = tracemalloc.take_snapshot()
        for _ in range(200):
            engine.run()
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()

    grown = sum(
        entry.size_diff
        for entry in after.compare_to(before, 'filename')
        if entry.traceback[0].filename.startswith(str(ROOT / 'edge_inference_ros'))
    )
    assert grown <= 0


def test_opening_and_closing_gives_everything_back(cache, network):
    said, path = network
    options = _trt_plans.Options(cache=str(cache))
    trt.build(path, EngineOptions(), cache=str(cache))
    trt.open(said, path, options=options).close()
    before = free_bytes()

    for _ in range(10):
        trt.open(said, path, options=options).close()

    assert before - free_bytes() <= 2 * MIB + others_bytes()


# ---- threads, priorities, other engines


def test_an_engine_lives_on_the_thread_that_opened_it(cache, network):
    said, path = network
    trt.build(path, EngineOptions(), cache=str(cache))
    failures = []

    def lane():
        try:
            engine = trt.open(said, path, options=_trt_plans.Options(cache=str(cache)))
            answer(engine)
            engine.close()
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    for _ in range(3):
        thread = threading.Thread(target=lane)
        thread.start()
        thread.join()

    assert failures == []


def test_another_thread_is_turned_away(opened, network):
    engine = opened(*network)
    failures = []

    def other():
        try:
            engine.run()
        except InferenceFailed as error:
            failures.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()

    assert len(failures) == 1


def test_engines_of_different_priority_share_a_context(opened, network):
    urgent, patient = opened(*network, priority=-5), opened(*network, priority=0)

    assert_close(answer(urgent), answer(patient), 100.0)


# ---- faults


def test_a_full_device_is_no_end(opened, network):
    engine = opened(*network)
    wanted = answer(engine)

    with _cuda.entered() as cuda, pytest.raises(OutOfMemory):
        cuda.memory.alloc(1 << 46)

    assert_close(answer(engine), wanted, 100.0)


KERNEL = """
.version 6.3
.target sm_75
.address_size 64
.visible .entry fault()
{
  .reg .b64 %address;
  .reg .b32 %value;
  mov.u64 %address, 16;
  mov.u32 %value, 1;
  st.global.u32 [%address], %value;
  ret;
}
"""
FAULT = f"""
import ctypes
from edge_inference_ros.backends import _cuda
with _cuda.entered() as cuda:
    library = ctypes.CDLL('libcuda.so.1')
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.cuModuleLoadData(ctypes.byref(module), {KERNEL!r}.encode() + b'\\0') == 0
    assert library.cuModuleGetFunction(ctypes.byref(function), module, b'fault') == 0
    stream = cuda.queue.stream(0)
    one = ctypes.c_uint(1)
    launched = library.cuLaunchKernel(function, one, one, one, one, one, one, ctypes.c_uint(0),
                                      ctypes.c_void_p(stream), None, None)
    assert launched == 0, launched
    cuda.queue.synchronize(stream)
print('still alive')
"""


def test_an_illegal_address_ends_the_process_at_once():
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, '-c', FAULT], capture_output=True, text=True, cwd=ROOT,
        timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == _cuda_errors.EXIT_CODE, done.stderr
    assert 'CUDA error 7' in done.stderr
    assert 'still alive' not in done.stdout


def test_a_damaged_engine_is_not_loaded(tmp_path, network):
    said, path = network
    cache = tmp_path / 'engines'
    plan, _ = trt.build(path, EngineOptions(optimization_level=0), cache=str(cache))
    file = cache / f'{plan.sha256}.engine'
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(DigestMismatch):
        trt.open(said, path, options=_trt_plans.Options(cache=str(cache)))


def test_without_an_engine_the_command_is_printed(tmp_path, network):
    said, path = network

    with pytest.raises(EngineMissing, match='edge_inference optimize build'):
        trt.open(said, path, options=_trt_plans.Options(cache=str(tmp_path / 'none')))


# ---- building and taking apart


def test_the_second_build_is_found_and_timings_are_kept(cache, network):
    first, _ = trt.build(network[1], EngineOptions(), cache=str(cache))

    again, _ = trt.build(network[1], EngineOptions(), cache=str(cache))

    assert again.sha256 == first.sha256
    assert [file.stat().st_size > 0 for file in cache.glob('*.timing')] == [True]


def test_progress_is_shown(tmp_path, network):
    if version() < (10,):
        pytest.skip('TensorRT 8 has no progress monitor')
    told = []

    def progress(phase, done, steps):
        told.append((phase, done, steps))
        return True

    options = EngineOptions(optimization_level=1)
    trt.build(network[1], options, cache=str(tmp_path / 'engines'), progress=progress)

    assert len({phase for phase, _, _ in told}) >= 2
    assert all(done >= 0 for _, done, _ in told)


def test_convolutions_and_activations_are_fused(cache, tmp_path):
    from optimize.test_inspect import small

    path = tmp_path / 'net.onnx'
    small(path)
    trt.build(path, EngineOptions(), cache=str(cache))
    params = inspect.Params(backend='trt', runs=20, cache=str(cache))

    report = inspect.run(path, tmp_path / 'out', params)

    assert report.facts['layers_after'] < report.facts['nodes_before']
    assert report.facts['conv_activation_fused'] >= 1
    assert report.facts['time_ms'] > 0
    assert report.facts['memory_bytes'] > 0
    assert (tmp_path / 'out' / 'inspect.png').exists()
