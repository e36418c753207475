# ruff: noqa: N815, C901, PLR0915 - TensorRT's names; a module is one long list of small things
"""The few tensorrt calls the backend makes, on a ``FakeDevice``.

A network is a JSON text: tensors and a ``program``; as an ONNX file it is that text as the
model's doc_string. A plan is the same text behind a magic word. The module leaves out what the
version it plays does not have. ``test_trt_contract.py`` holds every name and parameter of this
file against NVIDIA's own bindings.
"""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import json
import operator
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from backends.fake_device import CudaFault, FakeDevice

MAGIC = b'fake-plan '
ADDRESS_BYTES = 256  # TensorRT's alignment of what it is given
_DTYPES = {
    'float32': 'FLOAT',
    'float16': 'HALF',
    'int32': 'INT32',
    'uint8': 'UINT8',
    'int8': 'INT8',
    'int64': 'INT64',
}


def network(**change: Any) -> dict[str, Any]:
    """A network that doubles its input, 1×2×3×3 bytes to floats, unless changed."""
    return {
        'inputs': [{'name': 'images', 'dtype': 'uint8', 'shape': [1, 2, 3, 3]}],
        'outputs': [{'name': 'output0', 'dtype': 'float32', 'shape': [1, 2, 3, 3]}],
        'program': 'double',
        'layers': ['Convolution', 'Activation'],
        **change,
    }


def onnx_bytes(said: dict[str, Any]) -> bytes:
    """The network as an ONNX file: the text, an opset, and the nodes that read an input."""
    graph = b''.join(_reader(tensor) for tensor in said['inputs'] if 'read_by' in tensor)
    opset = _field(8, bytes([2 << 3, said.get('opset', 17)]))
    return _field(6, json.dumps(said).encode()) + _field(7, graph) + opset


def _reader(tensor: dict[str, Any]) -> bytes:
    """A node that reads the tensor, and the tensor as an input of uint8 (2)."""
    name, kind = tensor['name'].encode(), _field(1, bytes([1 << 3, 2]))
    node = _field(1, name) + _field(4, tensor['read_by'].encode())
    return _field(1, node) + _field(11, _field(1, name) + _field(2, kind))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    size, left = b'', len(content)
    while left > 127:
        size, left = size + bytes([left & 127 | 128]), left >> 7
    return bytes([number << 3 | 2]) + size + bytes([left]) + content


PROGRAMS: dict[str, Callable[[list[np.ndarray]], list[np.ndarray]]] = {
    'double': lambda arrays: [arrays[0].astype(np.float32) * 2],
    'nonzero': lambda arrays: [np.flatnonzero(arrays[0]).astype(np.int32)[:, None]],
}


def tensorrt_module(device: FakeDevice, version: str = '10.3.0') -> ModuleType:
    trt = ModuleType('tensorrt')
    trt.__version__ = version
    major, minor = (int(part) for part in version.split('.')[:2])
    trt._loaded = []  # not TensorRT's: the plans that reached deserialisation
    trt._builds = []  # not TensorRT's: the networks that were built
    trt._destroyed = []  # not TensorRT's: what was freed, in order

    def owned(thing: Any, name: str) -> None:
        weakref.finalize(thing, trt._destroyed.append, name)
        weakref.finalize(thing, device.log.append, (f'~{name}', 0))

    def options(name: str, members: dict[str, bool]) -> type[enum.IntEnum]:
        return enum.IntEnum(name, [m for m, there in members.items() if there], start=0)

    trt.TensorIOMode = options('TensorIOMode', {'NONE': True, 'INPUT': True, 'OUTPUT': True})
    trt.TensorLocation = options('TensorLocation', {'DEVICE': True, 'HOST': True})
    trt.DataType = options(
        'DataType',
        dict.fromkeys(('FLOAT', 'HALF', 'INT8', 'INT32', 'BOOL', 'UINT8'), True)
        | {'BF16': major >= 10, 'INT64': major >= 10},
    )
    trt.NetworkDefinitionCreationFlag = options(
        'NetworkDefinitionCreationFlag',
        {'EXPLICIT_BATCH': major < 11, 'STRONGLY_TYPED': major >= 10},
    )
    trt.BuilderFlag = options(
        'BuilderFlag',
        {
            'FP16': major < 11,
            'INT8': major < 11,
            'TF32': True,
            'GPU_FALLBACK': True,
            'SPARSE_WEIGHTS': True,
            'VERSION_COMPATIBLE': True,
        },
    )
    trt.HardwareCompatibilityLevel = options(
        'HardwareCompatibilityLevel',
        {'NONE': True, 'AMPERE_PLUS': True, 'SAME_COMPUTE_CAPABILITY': (major, minor) >= (10, 11)},
    )
    trt.MemoryPoolType = options('MemoryPoolType', {'WORKSPACE': True})
    trt.ProfilingVerbosity = options('ProfilingVerbosity', {'NONE': True, 'DETAILED': True})
    trt.DeviceType = options('DeviceType', {'GPU': True, 'DLA': True})
    kinds = ('CONVOLUTION', 'QUANTIZE', 'CAST', 'IDENTITY', 'SHUFFLE')
    trt.LayerType = options('LayerType', dict.fromkeys(kinds, True))
    sources = {'CUBLAS': major < 11, 'CUBLAS_LT': major < 11, 'CUDNN': major < 11}
    trt.TacticSource = options(
        'TacticSource', {**sources, 'EDGE_MASK_CONVOLUTIONS': True, 'JIT_CONVOLUTIONS': True}
    )
    trt.LayerInformationFormat = options('LayerInformationFormat', {'ONELINE': True, 'JSON': True})

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self) -> None:
            pass

    trt.ILogger = ILogger
    trt.init_libnvinfer_plugins = lambda logger, namespace: True

    class IProfiler:
        def __init__(self) -> None:
            pass

    class IOutputAllocator:
        def __init__(self) -> None:
            pass

    trt.IProfiler, trt.IOutputAllocator = IProfiler, IOutputAllocator
    if major >= 10:

        class IProgressMonitor:
            def __init__(self) -> None:
                pass

        trt.IProgressMonitor = IProgressMonitor

    class IExecutionContext:
        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self._shapes = {t['name']: tuple(t['shape']) for t in engine._tensors}
            self._addresses: dict[str, int] = {}
            self._allocators: dict[str, Any] = {}
            self._unread_error = False
            self.profiler: Any = None
            owned(self, 'context')

        def set_input_shape(self, name: str, shape: Any) -> bool:
            low, _, high = self._engine.get_tensor_profile_shape(name, 0)
            fits = len(low) == len(shape) and all(
                a <= b <= c for a, b, c in zip(low, shape, high, strict=True)
            )
            if fits:
                self._shapes[name] = tuple(shape)
            return fits

        def infer_shapes(self) -> list[str]:
            inputs = {t['name'] for t in self._engine._said['inputs']}
            return [n for n in inputs if -1 in self._shapes[n]]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return self._shapes[name]

        def get_max_output_size(self, name: str) -> int:
            return int(self._engine._said.get('max_output_size', -1))

        def set_tensor_address(self, name: str, memory: int) -> bool:
            if name not in self._shapes or not memory or memory % ADDRESS_BYTES:
                why = f'{name}: {memory:#x} is no address'
                self._engine._logger.log(ILogger.ERROR, why)
                return False
            self._addresses[name] = int(memory)
            return True

        def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
            self._allocators[name] = output_allocator
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            if why := self._refusal(stream_handle):
                self._engine._logger.log(ILogger.ERROR, why)
                return False
            if self._allocators:
                return self._run_now(stream_handle)
            device.queue(stream_handle, self._run)
            return True

        def _refusal(self, stream: int) -> str:
            """Why a run cannot be queued; empty if it can."""
            said = self._engine._said
            try:
                device.say('execute_async_v3', stream)
            except CudaFault as fault:
                return f'Cuda Runtime ({fault})'
            if stream not in device.streams:
                return 'invalid resource handle'
            if missing := self._shapes.keys() - self._addresses.keys() - self._allocators.keys():
                return f'no address for {sorted(missing)}'
            if self._unread_error:  # the CUDA runtime keeps an error until somebody asks
                self._unread_error = False
                return 'operation failed due to a previous error during capture'
            if said.get('uncapturable') and stream in device.capturing:
                self._unread_error = True
                return 'operation not permitted when stream is capturing'
            return str(said.get('fails', ''))

        def _arrays(self, kind: str) -> list[np.ndarray]:
            return [self._view(t) for t in self._engine._said[kind]]

        def _view(self, tensor: dict[str, Any]) -> np.ndarray:
            shape, dtype = self._shapes[tensor['name']], np.dtype(tensor['dtype'])
            return _at(device, self._addresses[tensor['name']], shape, dtype)

        def _run(self) -> None:
            found = PROGRAMS[self._engine._said['program']](self._arrays('inputs'))
            for view, value in zip(self._arrays('outputs'), found, strict=True):
                view[...] = value
            device.clock_ms += 1.0
            if self.profiler is not None:
                for layer in self._engine._said['layers']:
                    self.profiler.report_layer_time(layer, 0.5)

        def _run_now(self, stream: int) -> bool:
            """Sizes the data decides: the device is waited for in mid-run."""
            device.queue(stream, lambda: None)
            device.synchronize(stream)
            found = PROGRAMS[self._engine._said['program']](self._arrays('inputs'))
            for tensor, value in zip(self._engine._said['outputs'], found, strict=True):
                allocator, name = self._allocators[tensor['name']], tensor['name']
                ask = getattr(allocator, 'reallocate_output_async', None)
                memory = (
                    ask(name, None, value.nbytes, 256, stream)
                    if major >= 10 and ask
                    else allocator.reallocate_output(name, None, value.nbytes, 256)
                )
                if not memory:
                    return False
                allocator.notify_shape(name, value.shape)
                _at(device, memory, value.shape, value.dtype)[...] = value
            return True

    class EngineInspector:
        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self.execution_context: Any = None

        def get_engine_information(self, format: Any) -> str:  # noqa: A002
            key, kind, ends = {
                8: ('Format/Datatype', 'Row major linear FP16 format', 'Bindings'),
                10: ('Format/Datatype', 'Half', 'Bindings'),
                11: ('DataType', 'Half', 'I/O Tensors'),
            }[major]
            layers = [
                {
                    'Name': name,
                    'LayerType': name.split()[0],
                    'Outputs': [{'Name': name, key: kind}],
                    'Metadata': '\x1e'.join(f'[ONNX Layer: {n}]' for n in name.split(' + ')),
                }
                for name in self._engine._said['layers']
            ]
            written = json.dumps({'Layers': layers, ends: []})
            return written.replace('\\u001e', '\x1e')  # TensorRT does not escape it

    class ICudaEngine:
        def __init__(self, said: dict[str, Any], logger: Any) -> None:
            self._said, self._logger = said, logger
            self._tensors = [*said['inputs'], *said['outputs']]
            if (major, minor) >= (10, 3):
                self.device_memory_size_v2 = 4096
            if major < 11:
                self.device_memory_size = 4096
            owned(self, 'engine')

        @property
        def num_io_tensors(self) -> int:
            return len(self._tensors)

        @property
        def num_layers(self) -> int:
            return len(self._said['layers'])

        def _tensor(self, name: str) -> dict[str, Any]:
            return next(t for t in self._tensors if t['name'] == name)

        def get_tensor_name(self, index: int) -> str:
            return str(self._tensors[index]['name'])

        def get_tensor_mode(self, name: str) -> Any:
            is_input = self._tensor(name) in self._said['inputs']
            return trt.TensorIOMode.INPUT if is_input else trt.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            kind = self._tensor(name)['dtype']
            return getattr(trt.DataType, _DTYPES.get(kind, kind))

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return tuple(self._tensor(name)['shape'])

        def get_tensor_location(self, name: str) -> Any:
            return getattr(trt.TensorLocation, self._tensor(name).get('location', 'DEVICE'))

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
            return [tuple(shape) for shape in self._said['profile'][name]]

        def create_execution_context(self) -> Any:
            if self._said.get('no_context'):
                self._logger.log(ILogger.ERROR, self._said['no_context'])
                return None
            return IExecutionContext(self)

        def create_engine_inspector(self) -> Any:
            return EngineInspector(self)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            if trt._driver_too_old:
                raise TypeError('pybind11::init(): factory function returned nullptr')
            self._logger = logger
            self.engine_host_code_allowed = False
            self.DLA_core = -1
            owned(self, 'runtime')

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            trt._loaded.append(bytes(serialized_engine))
            if not serialized_engine.startswith(MAGIC):
                self._logger.log(ILogger.ERROR, 'magic tag mismatch')
                return None
            said = json.loads(serialized_engine[len(MAGIC) :])
            if why := said.get('no_engine') or self._forbids(said):
                self._logger.log(ILogger.ERROR, why)
                return None
            return ICudaEngine(said, self._logger)

        def _forbids(self, said: dict[str, Any]) -> str:
            """A version-compatible plan brings the code of a runtime, which must be allowed."""
            if said.get('version_compatible') and not self.engine_host_code_allowed:
                return 'The engine holds host code, which engine_host_code_allowed forbids'
            return ''

    trt._driver_too_old = False  # not TensorRT's
    trt.Runtime, trt.ICudaEngine, trt.IExecutionContext = Runtime, ICudaEngine, IExecutionContext
    trt.EngineInspector = EngineInspector

    class ITensor:
        def __init__(self, said: dict[str, Any]) -> None:
            self.name = said['name']
            self.shape = tuple(said['shape'])
            self.dtype = getattr(trt.DataType, _DTYPES.get(said['dtype'], 'FLOAT'))

    class ILayer:
        def __init__(self, name: str) -> None:
            kind = name.upper() if name.upper() in trt.LayerType.__members__ else 'CONVOLUTION'
            self.type = trt.LayerType.QUANTIZE if name == 'Quantize' else trt.LayerType[kind]
            self.name = name
            self.num_outputs = 1
            self._half = name == 'Half'

        def get_output(self, index: int) -> Any:
            kind = 'float16' if self._half else 'float32'
            return ITensor({'name': '', 'shape': (), 'dtype': kind})

    class INetworkDefinition:
        def __init__(self, flags: int) -> None:
            self._made_with = flags
            self._said: dict[str, Any] = {}

        @property
        def num_inputs(self) -> int:
            return len(self._said['inputs'])

        @property
        def num_layers(self) -> int:
            return len(self._said['layers'])

        def get_input(self, index: int) -> Any:
            return ITensor(self._said['inputs'][index])

        def get_layer(self, index: int) -> Any:
            return ILayer(self._said['layers'][index])

    class ParserError:
        def __init__(self, text: str) -> None:
            self._text = text

        def __str__(self) -> str:
            return self._text

    class OnnxParser:
        def __init__(self, network: Any, logger: Any) -> None:
            self._network = network
            self._errors: list[str] = []

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> Any:
            return ParserError(self._errors[index])

        def parse(self, model: bytes, path: str | None = None) -> bool:
            try:
                self._network._said, _ = json.JSONDecoder().raw_decode(
                    model[model.index(b'{') :].decode('latin-1')
                )
            except ValueError:
                self._errors.append('Failed to parse the ONNX model')
            else:
                self._errors.extend(_errors(self._network._said))
            if major < 10:  # it stops at the first
                del self._errors[1:]
            return not self._errors

    class IOptimizationProfile:
        def __init__(self) -> None:
            self._said: dict[str, Any] = {}

        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
            self._said[input] = [list(min), list(opt), list(max)]

    class IHostMemory:
        def __init__(self, data: bytes) -> None:
            self._data = data

        @property
        def nbytes(self) -> int:
            return len(self._data)

        def __bytes__(self) -> bytes:
            return self._data

    class ITimingCache:
        def __init__(self, data: bytes) -> None:
            self._data = data

        def serialize(self) -> Any:
            return IHostMemory(self._data + b'+')

    class IBuilderConfig:
        def __init__(self) -> None:
            self._set: dict[str, Any] = {'flags': {trt.BuilderFlag.TF32}}
            self.builder_optimization_level = 3
            self.profiling_verbosity: Any = None
            self.hardware_compatibility_level: Any = None
            self.default_device_type: Any = None
            self.DLA_core = -1
            self._cache: Any = None
            if major >= 10:
                self.progress_monitor: Any = None

        def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
            self._set['workspace'] = pool_size

        def set_flag(self, flag: Any) -> None:
            self._set['flags'].add(flag)

        def clear_flag(self, flag: Any) -> None:
            self._set['flags'].discard(flag)

        def set_tactic_sources(self, tactic_sources: int) -> bool:
            self._set['sources'] = tactic_sources
            return True

        def add_optimization_profile(self, profile: Any) -> int:
            self._set['profile'] = profile._said
            return 0

        def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
            return ITimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
            if cache._data.startswith(b'other'):
                return False
            self._cache = cache
            return True

        def get_timing_cache(self) -> Any:
            return self._cache

    class Builder:
        num_DLA_cores = 2 if device.integrated else 0

        def __init__(self, logger: Any) -> None:
            if trt._driver_too_old:
                raise TypeError('pybind11::init(): factory function returned nullptr')
            self._logger = logger

        def create_network(self, flags: int = 0) -> Any:
            return INetworkDefinition(flags)

        def create_builder_config(self) -> Any:
            return IBuilderConfig()

        def create_optimization_profile(self) -> Any:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            trt._builds.append((network, config))
            if refusal := network._said.get('refused'):
                self._logger.log(ILogger.ERROR, refusal)
                return None
            if not self._report(getattr(config, 'progress_monitor', None)):
                return None
            said = {**network._said, 'profile': config._set.get('profile', {})}
            # Two builds of one network differ, as real ones do.
            said['build'] = next(_builds)
            said['version_compatible'] = trt.BuilderFlag.VERSION_COMPATIBLE in config._set['flags']
            return IHostMemory(MAGIC + json.dumps(said).encode())

        @staticmethod
        def _report(monitor: Any) -> bool:
            if monitor is None:
                return True
            monitor.phase_start('Building Engine', None, 2)
            monitor.phase_start('Tactic', 'Building Engine', 1)
            monitor.phase_finish('Tactic')
            go_on = all(monitor.step_complete('Building Engine', step) for step in range(2))
            monitor.phase_finish('Building Engine')
            return go_on

    trt.Builder, trt.OnnxParser, trt.IBuilderConfig = Builder, OnnxParser, IBuilderConfig
    trt.INetworkDefinition, trt.ITimingCache = INetworkDefinition, ITimingCache
    trt.IOptimizationProfile, trt.IHostMemory, trt.ITensor = (
        IOptimizationProfile,
        IHostMemory,
        ITensor,
    )
    trt.ILayer, trt.ParserError = ILayer, ParserError
    for kind in [thing for thing in vars(trt).values() if inspect.isclass(thing)]:
        if not issubclass(kind, enum.Enum):
            _be_strict(kind)
    return trt


def _be_strict(kind: type) -> None:
    """Refuse arguments of another type, as pybind11 does, by the types each method says."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith('_'):
            setattr(kind, name, _strict(f'{kind.__name__}.{name}', method))


def _strict(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        said = signature.bind(*args, **named).arguments
        for parameter, value in said.items():
            accepts = _ACCEPTED.get(str(signature.parameters[parameter].annotation))
            if accepts and not accepts(value):
                kind = type(value).__name__
                raise TypeError(f'{name}(): incompatible function arguments: {parameter}={kind}')
        return method(*args, **named)

    return call


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _is_integer(value: Any) -> bool:
    try:
        return operator.index(value) >= 0
    except TypeError:
        return False


_ACCEPTED: dict[str, Callable[[Any], bool]] = {
    'str': lambda value: isinstance(value, str),
    'int': _is_integer,
    'bool': lambda value: isinstance(value, bool),
    'bytes': _is_buffer,
}


def _errors(said: dict[str, Any]) -> list[str]:
    """What the parser refuses: unknown operators, and bytes that anything but a cast reads."""
    found = [
        'In node 0 (parseGraph): UNSUPPORTED_NODE: Assertion failed: legalUINT8 && "TensorRT does'
        ' not support UINT8 types for intermediate tensors!"'
        for tensor in said['inputs']
        if tensor.get('read_by', 'Cast') != 'Cast'
    ]
    return found + [
        f'In node {place} (importFallbackPluginImporter): UNSUPPORTED_NODE: {name}: Plugin not'
        ' found'
        for place, name in enumerate(said.get('unknown', ()))
    ]


_builds = itertools.count()


def _at(device: FakeDevice, address: int, shape: Any, dtype: np.dtype[Any]) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    device.check(address, size)
    base = next(b for b, (_, a) in device.live.items() if b <= address < b + max(a.nbytes, 1))
    block = device.live[base][1]
    return block[address - base : address - base + size].view(dtype).reshape(shape)


__all__ = ['MAGIC', 'PROGRAMS', 'CudaFault', 'network', 'onnx_bytes', 'tensorrt_module']
