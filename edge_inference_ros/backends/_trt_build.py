"""ONNX to a serialised TensorRT engine.

Every function takes the ``tensorrt`` module, so that this file works with the version at hand:
what a version lacks is looked up and named in the refusal, never guessed from its number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from edge_inference_ros.backends import _trt_words
from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.engine_options import EngineOptions, profile
from edge_inference_ros.errors import BackendUnavailable, ModelError, OutOfMemory, ParameterError

Progress = Callable[[str, int, int], bool]
"""Called with phase, steps done, steps in all, from TensorRT's threads; False cancels."""

_MIB = 1 << 20
_ERRORS_SHOWN = 3
_FLAGS = {'graph': (), 'fp16': ('FP16',), 'int8': ('INT8',), 'int8_fp16': ('INT8', 'FP16')}
_OWN_KERNELS = ('EDGE_MASK_CONVOLUTIONS', 'JIT_CONVOLUTIONS')
_OLD_OPSET = 17  # the newest that TensorRT 8.6's parser was written for
_DEPRECATED = (10, 12)  # the weakly typed network and its precision flags


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised engine, what is known of it, and the timings worth keeping."""

    plan: bytes
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    timing_cache: bytes = field(default=b'', repr=False)


def version(trt: Any) -> tuple[int, ...]:
    """Major and minor of the library, as numbers: '10.3' is newer than '8.6'."""
    return tuple(int(part) for part in trt.__version__.split('.')[:2])


def build(
    trt: Any,
    log: Any,
    data: bytes,
    options: EngineOptions,
    *,
    path: Path,
    timing_cache: bytes = b'',
    progress: Progress | None = None,
) -> Built:
    """Build an engine from the ONNX network ``data``; minutes, on the calling thread.

    ``path`` is where it was read from, for the messages.

    Raises:
        ParameterError: this TensorRT or this GPU cannot do what ``options`` ask.
        ModelError: TensorRT does not accept the network, or found no way to build it.
        OutOfMemory: the device cannot hold what building needs.
    """
    _check_opset(trt, data, path)
    started = time.monotonic()
    builder = create(trt.Builder, log)
    network = builder.create_network(_network_flags(trt, options))
    parser = _parse(trt, log, network, data, path)
    config = builder.create_builder_config()
    _configure(trt, builder, network, config, options)
    _add_profile(builder, network, config, options)
    _set_timing_cache(config, timing_cache)
    monitor = _watch(trt, config, progress)
    log.take()
    serialised = builder.build_serialized_network(network, config)
    del monitor, parser  # they had to outlive the build; the parser owns the weights
    if serialised is None:
        _refuse(path, log, options)
    facts = {
        'tensorrt': trt.__version__,
        'build_s': round(time.monotonic() - started, 3),
        'network_layers': network.num_layers,
        'plan_bytes': serialised.nbytes,
    }
    return Built(bytes(serialised), facts, tuple(_notes(trt, options)), _timings(config))


def create(factory: Any, log: Any) -> Any:
    """A Builder or Runtime.

    Raises:
        BackendUnavailable: TensorRT gives none, as with a driver that is too old for it.
    """
    try:
        part = factory(log)
    except TypeError:  # how pybind11 says that the factory returned nothing
        part = None
    if part is None:
        raise BackendUnavailable(f'TensorRT gives no {factory.__name__}: {log.take()}')
    return part


def _network_flags(trt: Any, options: EngineOptions) -> int:
    known = trt.NetworkDefinitionCreationFlag
    wanted = ['EXPLICIT_BATCH']  # the only mode since 10.0, where the flag does nothing
    if _is_strong(trt, options):
        wanted.append('STRONGLY_TYPED')
    flags = 0
    for name in wanted:
        if (flag := getattr(known, name, None)) is not None:
            flags |= 1 << int(flag)
    return flags


def _is_strong(trt: Any, options: EngineOptions) -> bool:
    """Whether every tensor is of the type the graph says; else flags say what is allowed.

    8.6 knows no such networks. Until the flags went (11), they were what put a layer on a DLA.
    """
    known = hasattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED')
    by_flag = options.dla_core >= 0 and hasattr(trt.BuilderFlag, 'FP16')
    return known and options.precision == 'graph' and not by_flag


def _parse(trt: Any, log: Any, network: Any, data: bytes, path: Path) -> Any:
    """Read the network, or say why it cannot be: of bytes the parser's own words do not."""
    parser = trt.OnnxParser(network, log)
    log.take()
    if not parser.parse(data):
        remedy = ''
        if readers := onnx_file.readers_of_bytes(data):
            remedy = (
                f'. {", ".join(readers)} reads an input of bytes, and TensorRT lets only a cast'
                ' read them: cast first, then transpose, and export the network again'
            )
        raise ModelError(
            f'{path}: TensorRT {trt.__version__} does not accept it: {_errors(parser)}{remedy}'
        )
    return parser


def _errors(parser: Any) -> str:
    """The first few: a network of operators it does not know gives one for each."""
    shown = [str(parser.get_error(i)) for i in range(min(parser.num_errors, _ERRORS_SHOWN))]
    if more := parser.num_errors - len(shown):
        shown.append(f'and {more} more')
    return '; '.join(shown)


def _check_opset(trt: Any, data: bytes, path: Path) -> None:
    """An old parser warns of a newer opset, goes on, and misses what moved into an input."""
    if version(trt) < (10,) and (opset := onnx_file.opset(data)) > _OLD_OPSET:
        raise ModelError(
            f'{path}: opset {opset}, and TensorRT {trt.__version__} reads up to {_OLD_OPSET};'
            ' of newer operators it misses parts without a word. Lower it with'
            f' onnx.version_converter.convert_version(model, {_OLD_OPSET}), or use TensorRT 10'
        )


def _configure(trt: Any, builder: Any, network: Any, config: Any, options: EngineOptions) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    config.builder_optimization_level = options.optimization_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # names for the inspector
    names = _FLAGS[options.precision]
    if options.precision == 'graph' and not _is_strong(trt, options):
        names = _graph_flags(trt, network)
    for name in names:
        config.set_flag(_builder_flag(trt, name, options))
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.sparse:
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if version(trt) < (10,):  # from 10 on TensorRT leaves cuBLAS and cuDNN out by itself
        own = (1 << int(getattr(trt.TacticSource, name)) for name in _OWN_KERNELS)
        config.set_tactic_sources(sum(own))
    _set_hardware(trt, config, options)
    _set_dla(trt, builder, config, options)


def _builder_flag(trt: Any, name: str, options: EngineOptions) -> Any:
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is None:
        raise ParameterError(
            f'precision = {options.precision!r}: TensorRT {trt.__version__} knows no builder flag'
            f' {name}; the graph itself says the precision there: convert it with edge_inference'
            ' optimize quantize, then build with precision graph'
        )
    return flag


def _graph_flags(trt: Any, network: Any) -> tuple[str, ...]:
    """The flags a weakly typed network needs to run as its graph says."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    quantised = any(layer.type == trt.LayerType.QUANTIZE for layer in layers)
    half = any(
        layer.get_output(i).dtype == trt.DataType.HALF
        for layer in layers
        for i in range(layer.num_outputs)
    )
    return tuple(name for name, on in (('INT8', quantised), ('FP16', half)) if on)


def _set_hardware(trt: Any, config: Any, options: EngineOptions) -> None:
    if options.hardware_compatible == 'none':
        return
    level = getattr(trt.HardwareCompatibilityLevel, options.hardware_compatible.upper(), None)
    if level is None:
        raise ParameterError(
            f'hardware_compatible = {options.hardware_compatible!r}: TensorRT'
            f' {trt.__version__} does not know it'
        )
    config.hardware_compatibility_level = level


def _set_dla(trt: Any, builder: Any, config: Any, options: EngineOptions) -> None:
    if options.dla_core < 0:
        return
    if options.dla_core >= builder.num_DLA_cores:
        raise ParameterError(
            f'dla_core = {options.dla_core}: this device has {builder.num_DLA_cores} cores'
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = options.dla_core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _add_profile(builder: Any, network: Any, config: Any, options: EngineOptions) -> None:
    wanted = profile(options.shapes)
    inputs = {(t := network.get_input(i)).name: tuple(t.shape) for i in range(network.num_inputs)}
    dynamic = {name: shape for name, shape in inputs.items() if -1 in shape}
    if unknown := sorted(wanted.keys() - inputs.keys()):
        raise ParameterError(f'shapes names {unknown}; the inputs are {sorted(inputs)}')
    if missing := sorted(dynamic.keys() - wanted.keys()):
        told = '; '.join(f'{name} {dynamic[name]}' for name in missing)
        raise ParameterError(
            f'{told}: -1 is a size left open; give --shapes "{missing[0]}=MIN/OPT/MAX"'
        )
    for name, sizes in wanted.items():
        if not all(_fits(inputs[name], size) for size in sizes):
            raise ParameterError(f'shapes = {options.shapes!r}: {name} is {inputs[name]}')
    if not dynamic:
        return
    declared_profile = builder.create_optimization_profile()
    for name in dynamic:
        declared_profile.set_shape(name, *wanted[name])
    config.add_optimization_profile(declared_profile)


def _fits(declared: tuple[int, ...], size: tuple[int, ...]) -> bool:
    return len(declared) == len(size) and all(
        a in (-1, b) for a, b in zip(declared, size, strict=True)
    )


def _set_timing_cache(config: Any, data: bytes) -> None:
    """Start from timings already taken; TensorRT refuses those of another version or GPU."""
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b''), ignore_mismatch=False)


def _timings(config: Any) -> bytes:
    cache = config.get_timing_cache()
    return bytes(cache.serialize()) if cache is not None else b''


def _watch(trt: Any, config: Any, progress: Progress | None) -> Any:
    """Report phases as they pass; TensorRT 8 has no way to. The answer must outlive the build."""
    if progress is None or not hasattr(trt, 'IProgressMonitor'):
        return None
    config.progress_monitor = monitor = _monitor(trt, progress)
    return monitor


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Passes TensorRT's phases on. Called from several of its threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._go_on = True

        def phase_start(self, phase_name: str, _parent: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return self._go_on

        def phase_finish(self, phase_name: str) -> None:
            self._tell(phase_name, self._steps.get(phase_name, 0))

        def _tell(self, phase: str, done: int) -> None:
            # An exception must not enter TensorRT's threads: it would end the process.
            try:
                self._go_on &= progress(phase, done, self._steps.get(phase, 0))
            except BaseException:  # noqa: BLE001 - Ctrl-C too: it cancels the build
                self._go_on = False

    return Monitor()


def _refuse(path: Path, log: Any, options: EngineOptions) -> NoReturn:
    messages = log.take()
    if _trt_words.out_of_memory(messages):
        raise OutOfMemory(
            f'{path}: building ran out of device memory: {messages}; end what else uses the'
            f' device, or give less than --workspace-mib {options.workspace_mib}'
        )
    if _trt_words.lacks_workspace(messages):
        raise ModelError(
            f'{path}: TensorRT built no engine: {messages}; give more than --workspace-mib'
            f' {options.workspace_mib}'
        )
    raise ModelError(f'{path}: TensorRT built no engine: {messages or "cancelled"}')


def _notes(trt: Any, options: EngineOptions) -> Iterator[str]:
    if options.precision != 'graph' and version(trt) >= _DEPRECATED:
        yield (
            f'TensorRT {trt.__version__} still takes precision flags but calls them deprecated;'
            ' version 11 has none. A typed or Q/DQ graph builds everywhere.'
        )
    if options.dla_core >= 0 and options.precision == 'graph':
        yield 'A DLA computes in fp16 and int8 only; what is typed otherwise runs on the GPU.'
    if options.version_compatible or options.hardware_compatible != 'none':
        yield 'A compatible engine may be slower than one built for this machine alone.'
