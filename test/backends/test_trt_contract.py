"""What we call exists: our code uses the fakes, and they claim nothing the real thing lacks."""

from __future__ import annotations

import ast
import enum
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backends import genuine
from backends.fake_device import FakeDevice, bindings_module
from backends.fake_tensorrt import MAGIC, network, onnx_bytes, tensorrt_module

from edge_inference_ros.backends import trt as backend

ROOT = Path(backend.__file__).parents[2]
SOURCES = [ROOT / 'edge_inference_ros/backends' / name for name in (
    'trt.py', '_trt_build.py', '_trt_io.py', '_trt_plans.py', '_trt_inspect.py',
    '_trt_words.py',
)]  # fmt: skip
CALLBACKS = {
    'IProgressMonitor.phase_start': ['phase_name', 'parent_phase', 'num_steps'],
    'IProgressMonitor.step_complete': ['phase_name', 'step'],
    'IProgressMonitor.phase_finish': ['phase_name'],
    'IProfiler.report_layer_time': ['layer_name', 'ms'],
    'ILogger.log': ['severity', 'msg'],
}
"""What the real thing calls on ours: name and parameters of the base classes' own methods."""


def instances(trt):
    """One of everything the fake can make, to see the attributes only instances have."""
    logger = trt.ILogger()
    builder = trt.Builder(logger)
    made = builder.create_network(0)
    parser = trt.OnnxParser(made, logger)
    parser.parse(onnx_bytes(network()))
    engine = trt.Runtime(logger).deserialize_cuda_engine(MAGIC + json.dumps(network()).encode())
    return [
        builder,
        made,
        parser,
        engine,
        engine.create_execution_context(),
        engine.create_engine_inspector(),
        builder.create_builder_config(),
        builder.create_optimization_profile(),
        trt.Runtime(logger),
        made.get_input(0),
        made.get_layer(0),
    ]


def claims(trt):
    """Everything the fake says TensorRT has: dotted name → parameters, or None."""
    said = {}
    for name, thing in vars(trt).items():
        if isinstance(thing, type):
            said.update({f'{name}.{member}': value for member, value in members(thing)})
    for instance in instances(trt):
        kind = type(instance).__name__
        for attribute in vars(instance):
            if not attribute.startswith('_'):
                said.setdefault(f'{kind}.{attribute}', None)
    return said


def members(kind):
    if issubclass(kind, enum.Enum):
        return [(name, None) for name in kind.__members__]
    return [(n, parameters(value)) for n, value in vars(kind).items() if not n.startswith('_')]


def parameters(value):
    if not inspect.isfunction(value):
        return None
    return [name for name in inspect.signature(value).parameters if name != 'self']


def probe(kind, place, wanted, **environment):
    path = os.pathsep.join(map(str, (place, ROOT)))
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(Path(__file__).with_name('genuine_probe.py')), kind],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': path, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.contract
@pytest.mark.parametrize('version', genuine.TENSORRT)
def test_the_real_tensorrt_has_what_the_fake_claims(version):
    place = genuine.unpacked(genuine.TENSORRT[version], version)
    wanted = {**claims(tensorrt_module(FakeDevice(), version)), **CALLBACKS}
    wanted['init_libnvinfer_plugins'] = None

    found = probe('tensorrt', place, wanted, LD_LIBRARY_PATH=str(place / 'tensorrt_bindings'))

    assert found['version'] == version
    assert found['missing'] == []
    assert len(wanted) > 90


@pytest.mark.contract
def test_the_probe_can_say_no():
    version = '10.3.0'
    place = genuine.unpacked(genuine.TENSORRT[version], version)
    wanted = {
        'IExecutionContext.execute_async_v4': None,
        'BuilderFlag.FP3': None,
        'ICudaEngine.get_tensor_name': ['name'],
        'ICudaEngine.get_tensor_mode': ['name'],
    }

    found = probe('tensorrt', place, wanted, LD_LIBRARY_PATH=str(place / 'tensorrt_bindings'))

    assert [text.split('(')[0] for text in found['missing']] == list(wanted)[:3]


@pytest.mark.contract
@pytest.mark.parametrize('version', genuine.CUDA)
def test_the_real_cuda_bindings_have_what_the_fake_claims(version):
    place = genuine.unpacked(genuine.CUDA[version], version)
    finder = genuine.unpacked(*genuine.PATHFINDER)
    wanted = dict.fromkeys(n for n in vars(bindings_module(FakeDevice())) if n.startswith('cu'))
    wanted |= dict.fromkeys(
        f'CUdevice_attribute.CU_DEVICE_ATTRIBUTE_{name}'
        for name in ('INTEGRATED', 'COMPUTE_CAPABILITY_MAJOR', 'COMPUTE_CAPABILITY_MINOR')
    )
    wanted['CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL'] = None

    found = probe('cuda', os.pathsep.join((str(place), str(finder))), wanted)

    assert found['missing'] == []


def test_every_name_of_tensorrt_in_our_sources_is_one_the_fakes_have():
    """Names behind ``getattr`` are the shims; the tests run them on several versions."""
    fakes = [tensorrt_module(FakeDevice(), version) for version in ('8.6.0', '10.16.1.11')]
    known = {name for fake in fakes for name in claims(fake)} | {
        name for fake in fakes for name in vars(fake)
    }
    used = {name for path in SOURCES if path.exists() for name in names(path)}

    assert used <= known
    assert {'Runtime', 'ILogger.ERROR', 'BuilderFlag.TF32', 'TensorIOMode.INPUT'} <= used


def names(path):
    """``trt.A`` and ``trt.A.B`` as written in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == 'trt' and parts and parts[-1] != '__init__':
            yield '.'.join(parts[:1] if parts[0] == '__version__' else parts[:2])
