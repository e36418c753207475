"""Runs networks on TensorRT 8.6 … 11 by engines built for exactly this device.

The driver is probed before TensorRT is touched. An ONNX file is never compiled silently: the
engine is looked up in the cache by everything it depends on, and if there is none, ``open`` says
which command builds it (or builds it, if the options say so).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import math
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from edge_inference_ros.backends import (
    _cuda,
    _trt_build,
    _trt_inspect,
    _trt_io,
    _trt_plans,
    _trt_words,
)
from edge_inference_ros.backends._engine_cache import EngineCache, Plan, default_folder
from edge_inference_ros.backends._trt_plans import Options
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import check
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import (
    BackendError,
    BackendUnavailable,
    EngineStale,
    InferenceFailed,
    OutOfMemory,
)

_OLDEST = (8, 6)
_WARM_UP_RUNS = 2  # TensorRT settles its state in the first; a graph must be captured after it
_TRIAL_RUNS = 20


def open(  # noqa: A001 - the seam's word
    manifest: Manifest,
    path: Path,
    *,
    options: Options | None = None,
    build_engine: str = '',
    checkpoint: Callable[[], None] = lambda: None,
) -> Engine:
    """Load ``path``, an ONNX file or an engine, on the calling thread.

    ``build_engine``, if not empty, replaces the one in ``options``. ``checkpoint`` is called
    between two steps that may take long; what it raises ends them.

    Raises:
        EngineMissing: no engine was built from the network; the message has the command.
        EngineStale: those there are were built for something else; the same.
        ModelError: TensorRT cannot load it, or its tensors are not the manifest's.
        BackendError: no driver, device or TensorRT; or they failed.
    """
    options = options or Options()
    if build_engine:
        options = dataclasses.replace(options, build_engine=build_engine)
    check(options)
    engine = Engine()
    try:
        engine.load(manifest, path, options, checkpoint=checkpoint)
    except BaseException:
        engine.close()
        raise
    return engine


class Engine:
    """An engine with all the memory it will ever need, on the thread that opened it."""

    def __init__(self) -> None:
        self._keep = ExitStack()
        self._thread = threading.get_ident()
        self._cuda: Any = None
        self._trt: Any = None
        self._log: Any = None
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._buffers: tuple[_trt_io.Buffer, ...] = ()
        self._allocators: dict[str, Any] = {}
        self._inputs: Tensors = {}
        self._outputs: dict[str, Any] = {}
        self._stream = 0
        self._graph = 0
        self._done = 0
        self.digest = ''
        self.memory = ''

    @property
    def inputs(self) -> Tensors:
        """Page-locked arrays to fill, by tensor name. Gone after ``close``."""
        return self._inputs

    @property
    def outputs(self) -> Tensors:
        """Page-locked arrays to read, by tensor name. Gone after ``close``."""
        return self._outputs

    @property
    def replays_graph(self) -> bool:
        """Whether a run is one launch; otherwise its parts are queued one by one."""
        return bool(self._graph)

    def load(
        self,
        manifest: Manifest | None,
        path: Path,
        options: Options,
        *,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> None:
        """Reserve everything; what was reserved before a failure is freed by ``close``."""
        self._cuda = self._keep.enter_context(_cuda.entered(options.provider))
        self._trt = trt = library()
        self._log = _trt_words.log(trt)
        opened = _trt_plans.Library(trt, self._log, self._cuda)
        plan, built = _trt_plans.find(opened, manifest, path, options)
        checkpoint()
        self.digest = hashlib.sha256(plan).hexdigest()
        self._hold('_stream', self._cuda.queue.stream(options.priority), 'end_stream')
        if options.wait == 'block':
            self._hold('_done', self._cuda.queue.event(blocking=True), 'end_event')
        self._hold('_runtime', _runtime(trt, self._log, built, options))
        self._log.take()  # what others left is no reason why this one is refused
        self._hold('_engine', self._runtime.deserialize_cuda_engine(plan))
        if self._engine is None:
            self._refuse_engine(path, options)
        self._hold('_context', self._engine.create_execution_context())
        if self._context is None:
            self._refuse(f'{path}: no execution context')
        checkpoint()
        specs = _trt_io.specs(trt, self._engine, self._context, manifest)
        self.memory = self._choose_memory(trt, specs, options)
        self._bind(trt, _trt_io.allocate(self._cuda, specs, self.memory, self._keep), self._keep)
        self._warm_up(capture=options.graph)

    def run(self) -> None:
        """Infer; the outputs are valid when this returns.

        Raises:
            OutOfMemory: an output grew beyond what the device can hold.
            InferenceFailed: TensorRT refused, or this is not the thread that opened the engine.
        """
        if threading.get_ident() != self._thread:
            raise InferenceFailed('an engine runs on the thread that opened it')
        if self._graph:
            self._cuda.queue.launch(self._graph, self._stream)
            self._wait()
        else:
            self._run_queued()
        for name, allocator in self._allocators.items():
            self._outputs[name] = allocator.buffer.array

    def close(self) -> None:
        """Free everything in the reverse of the order it was reserved in."""
        if threading.get_ident() != self._thread:
            raise InferenceFailed('an engine is closed on the thread that opened it')
        self._inputs, self._outputs = {}, {}
        if self._stream:  # nothing may be freed under a run that failed half-way
            with suppress(InferenceFailed):
                self._cuda.queue.synchronize(self._stream)
        self._keep.close()

    def device_ms(self, start: int, end: int) -> float:
        """Run piece by piece and say how long the device took between the two events."""
        queue = self._cuda.queue
        queue.record(start, self._stream)
        accepted = self._enqueue()
        queue.record(end, self._stream)
        queue.synchronize(self._stream)
        if not accepted:
            self._refuse('execute_async_v3 refused')
        return float(queue.elapsed_ms(start, end))

    def explain(self, *, runs: int) -> _trt_inspect.Explained:
        """What the engine consists of and where a run's time goes.

        The engine must have been opened without a graph. It stays slower afterwards.
        """
        run, context = self._run_queued, self._context
        return _trt_inspect.explain(self._trt, self._engine, context, run, runs=runs)

    def _hold(self, name: str, value: Any, end: str = '') -> None:
        """Keep ``value`` as an attribute until it is this one's turn to be freed."""
        setattr(self, name, value)
        if end:
            self._keep.callback(getattr(self._cuda.queue, end), value)
        self._keep.callback(setattr, self, name, None)

    def _choose_memory(self, trt: Any, specs: tuple[_trt_io.Spec, ...], options: Options) -> str:
        """On a device with its own memory a copy is needed; on a Jetson it is worth a trial."""
        if options.memory != 'auto':
            return options.memory
        if not self._cuda.memory.gpu().integrated:
            return 'paired'
        refused: list[BackendError] = []

        def taken_ms(kind: str) -> float:
            try:
                return self._trial_ms(trt, specs, kind)
            except (OutOfMemory, InferenceFailed) as error:  # the other kind may still fit
                refused.append(error)
                return math.inf

        kinds = ('paired', 'mapped')
        fastest = min(kinds, key=taken_ms)
        if len(refused) == len(kinds):
            raise refused[0]
        return fastest

    def _trial_ms(self, trt: Any, specs: tuple[_trt_io.Spec, ...], kind: str) -> float:
        """Median time of a run with this kind of memory, which is freed again."""
        queue = self._cuda.queue
        with ExitStack() as trial:
            self._bind(trt, _trt_io.allocate(self._cuda, specs, kind, trial), trial)
            marks = [queue.event(), queue.event()]
            for mark in marks:
                trial.callback(queue.end_event, mark)
            taken_ms = [self.device_ms(*marks) for _ in range(_WARM_UP_RUNS + _TRIAL_RUNS)]
            return median(taken_ms[_WARM_UP_RUNS:])

    def _bind(self, trt: Any, buffers: tuple[_trt_io.Buffer, ...], keep: ExitStack) -> None:
        """Tell TensorRT where its tensors lie."""
        self._buffers, self._allocators = buffers, {}
        for buffer in buffers:
            name = buffer.spec.name
            if buffer.spec.data_decides:
                allocator = _trt_io.make_allocator(trt, self._cuda, buffer, keep)
                self._allocators[name] = allocator
                accepted = self._context.set_output_allocator(name, allocator)
            else:
                accepted = self._context.set_tensor_address(name, buffer.device)
            if not accepted:
                self._refuse(f'{name}: address not accepted')
        keep.callback(self._unbind)
        self._inputs = {b.spec.name: b.array for b in buffers if b.spec.is_input}
        self._outputs = {b.spec.name: b.array for b in buffers if not b.spec.is_input}

    def _unbind(self) -> None:
        self._buffers, self._allocators = (), {}
        self._inputs, self._outputs = {}, {}

    def _enqueue(self) -> bool:
        """Queue one run; False if TensorRT does not accept it."""
        _trt_io.copy_in(self._cuda, self._buffers, self._stream)
        accepted = bool(self._context.execute_async_v3(self._stream))
        if accepted:
            _trt_io.copy_out(self._cuda, self._buffers, self._stream)
        return accepted

    def _run_queued(self) -> None:
        if not self._enqueue():
            self._cuda.queue.synchronize(self._stream)  # a lost context answers here
            self._refuse('execute_async_v3 refused')
        self._wait()

    def _wait(self) -> None:
        """Until the stream is done. Waiting for the stream itself keeps a core busy."""
        if self._done:
            self._cuda.queue.record(self._done, self._stream)
            self._cuda.queue.wait(self._done)
        else:
            self._cuda.queue.synchronize(self._stream)

    def _warm_up(self, *, capture: bool) -> None:
        for _ in range(_WARM_UP_RUNS):
            self._run_queued()
        # Sizes the data decides are read by the host in mid-run: nothing to replay.
        if capture and not self._allocators:
            if graph := self._capture():
                self._hold('_graph', graph, 'end_graph')
            else:  # the CUDA runtime in TensorRT may report the refused capture once more
                with suppress(InferenceFailed):
                    self._run_queued()
        self.run()

    def _capture(self) -> int:
        """The run as a graph; 0 if the driver or some layer cannot, which is no fault."""
        queue, accepted = self._cuda.queue, False
        try:
            queue.begin_capture(self._stream)
        except InferenceFailed:
            return 0
        with suppress(InferenceFailed, OutOfMemory):
            accepted = self._enqueue()
        graph = int(queue.end_capture(self._stream))
        self._log.take()
        if graph and not accepted:
            queue.end_graph(graph)
        return graph if accepted else 0

    def _refuse_engine(self, path: Path, options: Options) -> NoReturn:
        """Say why TensorRT loads no engine. A full device is no fault of the engine's."""
        messages = self._log.take()
        if _trt_words.out_of_memory(messages):
            raise OutOfMemory(f'{path}: the device has no room for the engine: {messages}')
        raise EngineStale(
            f'{path}: TensorRT {self._trt.__version__} cannot load the engine: {messages};'
            f' {_trt_plans.build_command(path, options)}'
        )

    def _refuse(self, what: str) -> NoReturn:
        """Say why TensorRT answered no."""
        for allocator in self._allocators.values():
            if failure := allocator.take_failure():
                raise failure
        messages = self._log.take()
        if _trt_words.out_of_memory(messages):
            raise OutOfMemory(f'{what}: {messages}')
        raise InferenceFailed(f'{what}: {messages or "TensorRT did not say why"}')


def library() -> Any:
    """The ``tensorrt`` module. Call it only after the driver has been probed.

    Raises:
        BackendUnavailable: it is not installed, does not load, or is too old.
    """
    try:
        trt = importlib.import_module('tensorrt')
    except (ImportError, OSError) as error:  # JetPack containers lack libraries it links
        raise BackendUnavailable(f'TensorRT does not load: {error}') from error
    if _trt_build.version(trt) < _OLDEST:
        raise BackendUnavailable(f'TensorRT {trt.__version__} is too old; 8.6 is the oldest')
    return trt


def _runtime(trt: Any, logger: Any, built: Mapping[str, Any], options: Options) -> Any:
    runtime = _trt_build.create(trt.Runtime, logger)
    if built.get('version_compatible'):
        runtime.engine_host_code_allowed = True  # the plan brings its own lean runtime
    if options.dla_core >= 0:
        runtime.DLA_core = options.dla_core
    return runtime


def build(
    path: Path,
    options: EngineOptions,
    *,
    cache: str = '',
    provider: str = 'auto',
    anew: bool = False,
    progress: _trt_build.Progress | None = None,
) -> tuple[Plan, tuple[str, ...]]:
    """Build an engine from the ONNX file ``path`` into the cache, or take it from there.

    Raises:
        ParameterError: this TensorRT or this GPU cannot do what ``options`` ask.
        ModelError: the network is missing or TensorRT does not accept it.
        BackendError: no driver, device or TensorRT; or they failed.
    """
    check(options)
    store = EngineCache(Path(cache) if cache else default_folder())
    with _cuda.entered(provider) as cuda:
        trt = library()
        opened = _trt_plans.Library(trt, _trt_words.log(trt), cuda)
        return _trt_plans.build(opened, path, options, store, anew=anew, progress=progress)


def explain(
    manifest: Manifest | None, path: Path, *, options: Options | None = None, runs: int = 50
) -> _trt_inspect.Explained:
    """Open the engine of ``path``, take it apart, close it.

    Without a manifest the sizes it would fix are the largest the engine was built for.

    Raises:
        ModelError, BackendError: as ``open``.
    """
    options = dataclasses.replace(options or Options(), graph=False)
    check(options)
    engine = Engine()
    try:
        engine.load(manifest, path, options)
        return engine.explain(runs=runs)
    finally:
        engine.close()
