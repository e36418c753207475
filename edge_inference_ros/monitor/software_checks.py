"""Whether the runtimes load beside each other, and whether models and engines are ready."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from edge_inference_ros.core.manifest import FILE_NAME, load, verify
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.share import own_models, share
from edge_inference_ros.core.types import Level
from edge_inference_ros.errors import (
    BackendUnavailable,
    ConfigError,
    EdgeInferenceError,
    EngineMissing,
    EngineStale,
    ModelError,
)
from edge_inference_ros.monitor.finding import Check, Finding, Machine

NEEDED = {
    'numpy': 'sudo apt-get install python3-numpy',
    'cv2': 'sudo apt-get install python3-opencv',
}
WANTED = {
    'cv_bridge': 'sudo apt-get install ros-{distro}-cv-bridge, with your ROS 2 sourced',
    'onnxruntime': 'pip install onnxruntime "numpy<2"',
}
_TWO_NUMPYS = ('numpy.core.multiarray failed to import', '_ARRAY_API', 'compiled using NumPy 1')


def imports(machine: Machine) -> Iterator[Finding]:
    """Each library is imported in a process of its own: a clash may crash the one that tries."""
    for modules, remedies, level in ((NEEDED, NEEDED, Level.ERROR), (WANTED, WANTED, Level.WARN)):
        for module in modules:
            distro = machine.environ.get('ROS_DISTRO') or 'jazzy'
            yield _imported(machine, module, remedies[module].format(distro=distro), level)


def _imported(machine: Machine, module: str, remedy: str, level: Level) -> Finding:
    code = f'import {module}; print(getattr({module}, "__version__", ""))'
    ran = machine.run([sys.executable, '-c', code])
    if ran.status == 0 and not any(word in ran.text for word in _TWO_NUMPYS):
        return Finding(module, Level.OK, ran.text.rpartition('\n')[2])
    see = f"python3 -c 'import {module}'"
    if any(word in ran.text for word in _TWO_NUMPYS):
        return Finding(
            module, Level.ERROR, 'was built for NumPy 1, and NumPy 2 is installed beside it',
            'pip install "numpy<2"', see,
        )  # fmt: skip
    last = ran.text.rpartition('\n')[2] or 'does not load'
    return Finding(module, level, last, remedy, see)


def gpu(machine: Machine) -> Iterator[Finding]:
    """Driver, TensorRT and a provider of CUDA, in this order: each needs the one before."""
    see = 'edge_inference doctor'
    driver = machine.run(
        [sys.executable, '-c', 'import ctypes; ctypes.CDLL("libcuda.so.1").cuInit(0) and exit(3)']
    )
    if driver.status != 0:
        yield Finding('gpu', Level.OK, 'no NVIDIA driver answers: networks run on the processor')
        return
    yield Finding('gpu', Level.OK, 'the NVIDIA driver answers')
    tensorrt = machine.run([sys.executable, '-c', 'import tensorrt; print(tensorrt.__version__)'])
    if tensorrt.status != 0:
        yield Finding(
            'tensorrt', Level.ERROR,
            f'a GPU is here and TensorRT does not load: {tensorrt.text.rpartition(chr(10))[2]}',
            'sudo apt-get install python3-libnvinfer (docs/jetson.md)', see,
        )  # fmt: skip
    else:
        yield Finding('tensorrt', Level.OK, tensorrt.text)
    missing = [
        name
        for name, code in (
            ('pycuda', 'import pycuda.driver'),
            ('cuda-bindings', 'import cuda.bindings.driver'),
        )
        if machine.run([sys.executable, '-c', code]).status == 0
    ]
    if missing:
        yield Finding('cuda', Level.OK, ', '.join(missing))
    else:
        yield Finding(
            'cuda', Level.ERROR, 'neither PyCUDA nor cuda-bindings loads',
            'pip install cuda-bindings, or build PyCUDA (docs/jetson.md)', see,
        )  # fmt: skip


def models(_: Machine) -> Iterator[Finding]:
    """Every model that ships or was added: whole, and with an engine for the GPU that is there."""
    for shelf in (share('models'), own_models()):
        for path in sorted(shelf.glob(f'*/{FILE_NAME}')):
            yield from check_model(path.parent)


def check_model(folder: Path) -> Iterator[Finding]:
    """One model folder."""
    name, see = f'model {folder.name}', f'edge_inference models check --model {folder.name}'
    try:
        manifest = load(folder)
        for file in manifest.files:
            verify(file)
    except (ConfigError, ModelError) as error:
        yield Finding(name, Level.ERROR, str(error), 'restore its files, or add it again', see)
        return
    if not any('trt' in file.backends for file in manifest.files):
        yield Finding(name, Level.OK, 'whole')
        return
    try:
        with ExitStack() as keep:
            open_pipeline(manifest, keep, backend='trt')
    except BackendUnavailable:
        yield Finding(name, Level.OK, 'whole; no TensorRT here to open it with')
    except (EngineMissing, EngineStale) as error:
        yield Finding(
            name, Level.WARN, f'whole, but this robot would have to build its engine: {error}',
            f'edge_inference optimize build {folder.name}', see,
        )  # fmt: skip
    except EdgeInferenceError as error:
        yield Finding(name, Level.ERROR, f'TensorRT cannot open it: {error}', '', see)
    else:
        yield Finding(name, Level.OK, 'whole, with an engine for this GPU')


CHECKS: tuple[Check, ...] = (imports, gpu, models)
