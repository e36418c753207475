"""Which engine a model runs on: found in the cache, given as a file, or built."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_inference_ros.backends import _cuda, _trt_build
from edge_inference_ros.backends._engine_cache import (
    EngineCache,
    Key,
    Plan,
    default_folder,
    onnx_digest,
)
from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import param
from edge_inference_ros.errors import EngineMissing, ModelError

PLAN_SUFFIXES = ('.engine', '.plan')
_LARGEST_TIMINGS_BYTES = 1 << 30
_POWER = ('var/lib/nvpmodel/status', 'sys/class/devfreq/*gpu*/m??_freq')
_VOUCHED_FOR = {'version_compatible': True}
"""What is assumed of an engine that a manifest vouches for: nobody wrote down how it was built.

A version-compatible one loads only if it may bring its own runtime, and any engine is code.
"""


@dataclass(frozen=True)
class Options:
    """What a node may say about its engine.

    ``build_engine`` is the only one most robots need.
    """

    build_engine: str = param(
        'never',
        'without an engine: refuse and print the build command, or build (minutes)',
        choices=('never', 'if_missing'),
    )
    precision: str = param(
        'graph',
        'precision the engine was built with',
        choices=('graph', 'fp16', 'int8', 'int8_fp16'),
    )
    dla_core: int = param(-1, 'deep learning accelerator; -1: the GPU', low=-1, high=1)
    priority: int = param(0, 'stream priority; lower goes first', low=-5, high=0)
    memory: str = param(
        'auto',
        'paired host and device memory, one mapped memory, or the faster where they are one',
        choices=('auto', 'paired', 'mapped'),
    )
    wait: str = param(
        'block',
        'how to wait for the device: sleep, or keep a core busy to answer some 0.1 ms sooner',
        choices=('block', 'spin'),
    )
    graph: bool = param(True, 'replay copies and inference as one CUDA graph')
    provider: str = param('auto', 'CUDA bindings', choices=('auto', *_cuda.PROVIDERS))
    cache: str = param('', 'folder of the engines; empty: the user cache')

    def engine_cache(self) -> EngineCache:
        """Where engines are looked for."""
        return EngineCache(Path(self.cache) if self.cache else default_folder())


def build_command(path: Path, options: Options) -> str:
    """What a person types to get the engine that is missing.

    A ROS workspace keeps the program off the path.
    """
    program = 'edge_inference'
    if not shutil.which(program):
        program = f'ros2 run edge_inference_ros {program}'
    words = [f'build it with: {program} optimize build {shlex.quote(str(path))}']
    if options.precision != 'graph':
        words.append(f'--precision {options.precision}')
    if options.dla_core >= 0:
        words.append(f'--dla-core {options.dla_core}')
    if options.cache:
        words.append(f'--out {shlex.quote(options.cache)}')
    return ' '.join(words)


@dataclass(frozen=True, slots=True)
class Library:
    """What it takes to find or build an engine: the module, its logger, the device."""

    trt: Any
    log: Any
    cuda: _cuda.Cuda

    def key(self, onnx_sha256: str, options: EngineOptions) -> Key:
        """The key of an engine for this network on this device."""
        gpu, settings = self.cuda.memory.gpu(), dataclasses.asdict(options)
        return Key(
            onnx_sha256, self.trt.__version__, gpu.name, gpu.capability, gpu.driver, settings
        )


def find(
    library: Library, manifest: Manifest | None, path: Path, options: Options
) -> tuple[bytes, Mapping[str, Any]]:
    """The verified engine for ``path``, and how it was built.

    A file that is an engine is compared with its manifest's digest; for an ONNX file the newest
    engine of the cache is taken that was built from it for this device, precision and TensorRT.
    """
    if path.suffix in PLAN_SUFFIXES:
        return _given(manifest, path), _VOUCHED_FOR
    wanted = EngineOptions(precision=options.precision, dla_core=options.dla_core)
    try:
        plan = options.engine_cache().find(library.key(onnx_digest(path), wanted))
    except ModelError as error:
        if options.build_engine == 'never':
            raise type(error)(f'{error}; {build_command(path, options)}') from error
        plan = build(library, path, wanted, options.engine_cache())[0]
    return plan.data, plan.key.options


def build(
    library: Library,
    path: Path,
    options: EngineOptions,
    store: EngineCache,
    *,
    anew: bool = False,
    progress: _trt_build.Progress | None = None,
) -> tuple[Plan, tuple[str, ...]]:
    """Build an engine from ``path`` into ``store``, or take the one of the same key from it.

    Several processes that ask at once make one engine. The strings are notes for a person.

    Raises:
        ParameterError: this TensorRT or this GPU cannot do what ``options`` ask.
        ModelError: the network is missing or TensorRT does not accept it.
        BackendError: the device failed.
    """
    network = _network(path)
    key = library.key(hashlib.sha256(network).hexdigest(), options)
    timings = _timings_name(key, power(Path('/')))
    notes: list[str] = []

    def make() -> tuple[bytes, Mapping[str, Any]]:
        built = _trt_build.build(
            library.trt,
            library.log,
            network,
            options,
            path=path,
            timing_cache=_timings(store, timings),
            progress=progress,
        )
        notes.extend(built.notes)
        with suppress(OSError):
            store.write(timings, built.timing_cache)
        return built.plan, built.facts

    return store.build_once(key, make, anew=anew), tuple(notes)


def _network(path: Path) -> bytes:
    """Its bytes, read once: what is parsed is what the engine's key is the digest of."""
    if not path.is_file():
        raise EngineMissing(f'{path}: there is no such network')
    return onnx_file.read(path)


def _given(manifest: Manifest | None, path: Path) -> bytes:
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise EngineMissing(f'{path}: {error.strerror}; restore the file') from error
    promised = {file.path: file.sha256 for file in manifest.files} if manifest else {}
    if promised.get(path) != hashlib.sha256(plan).hexdigest():
        raise ModelError(f'{path} is not an engine its manifest promises: not loaded')
    return plan


def power(root: Path) -> str:
    """What a Jetson's power mode and clocks are set to; empty elsewhere.

    A kernel's time, by which another is preferred to it, is one of these clocks.
    """
    mode = ''
    for path in sorted(path for where in _POWER for path in root.glob(where)):
        with suppress(OSError):
            mode += path.read_text()
    return mode


def _timings_name(key: Key, power: str) -> str:
    machine = hashlib.sha256(f'{key.gpu}\n{power}'.encode()).hexdigest()[:8]
    return f'{key.tensorrt}-{key.capability}-{machine}.timing'


def _timings(store: EngineCache, name: str) -> bytes:
    with suppress(OSError, ModelError):
        return store.read(name, largest=_LARGEST_TIMINGS_BYTES)
    return b''
