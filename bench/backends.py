"""What a frame costs on the CPU runtimes, and what their settings are worth.

``python -m bench.backends`` runs a large and a small convolutional network made on the spot (its
weights are random: time does not depend on them), the small one also quantised in two dialects,
through ONNX Runtime with other settings than ours, through our ``ort`` and through our
``openvino``, a frame every 33 ms as from a camera. The CPU column is what the whole process burns
per frame: the part a robot's other work does not get. The last lines are what our ``ort`` costs
beyond the bare session it wraps, the two taking turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, ModelFile, TensorSpec
from edge_inference_ros.errors import BackendError

PERIOD_S = 1 / 30
SMALL = (320, (16, 24, 48, 80, 112))
LARGE = (640, (16, 32, 64, 128, 256))
INT8 = {'u8/s8': 'QUInt8', 's8/s8': 'QInt8'}


def layers(channels: tuple[int, ...]) -> tuple[list[Any], list[Any], str]:
    """Nodes and weights of three 3×3 convolutions a level, bytes in, and the last tensor."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(np.array(1 / 255, np.float32), 'unit')]
    nodes = [
        helper.make_node('Cast', ['images'], ['bytes'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['bytes', 'unit'], ['fractions']),
        helper.make_node('Transpose', ['fractions'], ['x'], perm=[0, 3, 1, 2]),
    ]
    seen, last = 3, 'x'
    for index, width in enumerate(np.repeat(channels, 3)):
        kernel = rng.normal(0, np.sqrt(2 / (9 * seen)), (width, seen, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f'w{index}'))
        options = {'pads': [1] * 4, 'strides': [1 if index % 3 else 2] * 2}
        nodes.append(helper.make_node('Conv', [last, f'w{index}'], [f'c{index}'], **options))
        nodes.append(helper.make_node('Relu', [f'c{index}'], [f'r{index}']))
        seen, last = int(width), f'r{index}'
    return nodes, weights, last


def network(path: Path, side: int, channels: tuple[int, ...]) -> Manifest:
    """Save such a network with an output in YOLOv8's layout, and describe it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, last = layers(channels)
    shapes = {
        'images': (1, side, side, 3),
        'output0': (1, channels[-1], (side >> len(channels)) ** 2),
    }
    weights.append(numpy_helper.from_array(np.array(shapes['output0']), 'shape'))
    nodes.append(helper.make_node('Reshape', [last, 'shape'], ['output0']))
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info('images', TensorProto.UINT8, shapes['images'])],
        [helper.make_tensor_value_info('output0', TensorProto.FLOAT, shapes['output0'])],
        weights,
    )
    opsets = [helper.make_opsetid('', 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return Manifest(
        folder=path.parent,
        name=path.stem,
        task='detect2d',
        licence='Apache-2.0',
        made_by='bench.backends',
        classes=('thing',),
        input=InputSpec('images', shapes['images']),
        outputs=(TensorSpec('output0', shapes['output0']),),
        head=HeadSpec('yolov8'),
        files=(ModelFile(path, ''),),
    )


def quantised(manifest: Manifest, dialect: str) -> Manifest:
    """The same network in int8, its activations being ``dialect``; weights are always s8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            shape = manifest.input.shape
            self._pictures = iter([rng.integers(0, 256, shape, np.uint8) for _ in range(4)])

        def get_next(self) -> Any:
            picture = next(self._pictures, None)
            return None if picture is None else {'images': picture}

    source = manifest.files[0].path
    path = source.with_name(f'{source.stem}_{dialect}.onnx')
    quantize_static(
        str(source),
        str(path),
        Noise(),
        op_types_to_quantize=['Conv'],
        per_channel=True,
        activation_type=getattr(QuantType, dialect),
        weight_type=QuantType.QInt8,
        extra_options={'ActivationSymmetric': dialect == 'QInt8', 'WeightSymmetric': True},
    )
    return dataclasses.replace(manifest, files=(ModelFile(path, ''),))


def networks(folder: Path) -> Iterator[tuple[str, Manifest]]:
    """What is measured."""
    small = network(folder / 'small.onnx', *SMALL)
    yield 'small, fp32', small
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises, at length
    for dialect, kind in INT8.items():
        yield f'small, int8 {dialect}', quantised(small, kind)
    yield 'large, fp32', network(folder / 'large.onnx', *LARGE)


def plain(path: Path, *, threads: int, spin: bool, arena: bool = True) -> Callable[[], Any]:
    """ONNX Runtime with these settings, bound as ours is."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.enable_cpu_mem_arena = arena
    settings.add_session_config_entry('session.intra_op.allow_spinning', str(int(spin)))
    session = onnxruntime.InferenceSession(str(path), settings, ['CPUExecutionProvider'])
    shown = {'images': np.zeros(session.get_inputs()[0].shape, np.uint8)}
    return lambda: session.run(None, shown)


def bare(path: Path, *, threads: int) -> Callable[[], Any]:
    """The session our ``ort`` wraps, with its settings, its tensors bound once; nothing else."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.add_session_config_entry('session.intra_op.allow_spinning', '0')
    session = onnxruntime.InferenceSession(str(path), settings, ['CPUExecutionProvider'])
    binding = session.io_binding()
    ends = (
        (session.get_inputs(), binding.bind_input),
        (session.get_outputs(), binding.bind_output),
    )
    kept = []
    for nodes, bind in ends:
        for node in nodes:
            kind = np.uint8 if node.type == 'tensor(uint8)' else np.float32
            kept.append(array := np.zeros(node.shape, kind))
            bind(node.name, 'cpu', 0, kind, array.shape, array.ctypes.data)

    def run() -> Any:
        session.run_with_iobinding(binding)
        return kept  # the binding knows their addresses only

    return run


def in_turn(
    measures: Sequence[Callable[[], float]], runs: int, *, warm_up: int, block: int
) -> list[np.ndarray[Any, Any]]:
    """``runs`` numbers of each measure, a block of one after a block of another.

    What the machine does meanwhile falls on all of them.
    """
    taken: list[list[float]] = [[] for _ in measures]
    for measure in measures:
        for _ in range(warm_up):
            measure()
    while len(taken[-1]) < runs:
        for measure, numbers in zip(measures, taken, strict=True):
            numbers.extend(measure() for _ in range(min(block, runs - len(numbers))))
    return [np.array(numbers) for numbers in taken]


def wall_ms(run: Callable[[], Any]) -> Callable[[], float]:
    """A measure: how long one run takes."""

    def measure() -> float:
        begin = time.perf_counter_ns()
        run()
        return (time.perf_counter_ns() - begin) / 1e6

    return measure


def over_bare(manifest: Manifest, runs: int) -> dict[str, float]:
    """Our ``ort`` against the bare session: medians of runs one after the other."""
    path = manifest.files[0].path
    engine = registry.load('backends', 'ort').open(manifest, path, threads=1)
    measures = [wall_ms(engine.run), wall_ms(bare(path, threads=1))]
    ours, alone = in_turn(measures, runs, warm_up=10, block=1)
    engine.close()
    return {
        'ort_p50_ms': float(np.median(ours)),
        'bare_session_p50_ms': float(np.median(alone)),
        'ort_over_bare_session': float(np.median(ours) / np.median(alone)),
    }


def contestants(manifest: Manifest) -> Iterator[tuple[str, Callable[[], Any]]]:
    path = manifest.files[0].path
    for backend in ('ort', 'openvino'):
        try:
            module = registry.load('backends', backend)
        except BackendError as error:
            print(f'  {backend}: {error}')
            continue
        for threads in (1, 2):
            engine = module.open(manifest, path, threads=threads)
            yield f'our {backend}, {threads} thread{"s" * (threads > 1)}', engine.run
    yield 'without arena, 1 thread', plain(path, threads=1, spin=False, arena=False)
    yield 'spinning, 2 threads', plain(path, threads=2, spin=True)
    yield 'as it comes', plain(path, threads=0, spin=True)


def measure(run: Callable[[], Any], frames: int) -> tuple[float, float, float]:
    """Median and 95th percentile of a run, and CPU per frame, in milliseconds."""
    for _ in range(5):
        run()
    runs_s = []
    cpu_s, due = time.process_time(), time.perf_counter()
    for _ in range(frames):
        begin = time.perf_counter()
        run()
        runs_s.append(time.perf_counter() - begin)
        due += PERIOD_S
        time.sleep(max(0.0, due - time.perf_counter()))
    cpu_s = time.process_time() - cpu_s
    p50, p95 = np.quantile(runs_s, (0.5, 0.95))
    return p50 * 1e3, p95 * 1e3, cpu_s / frames * 1e3


def main(argv: list[str] | None = None) -> None:
    """Print a table a network."""
    parser = argparse.ArgumentParser(prog='python -m bench.backends', description=__doc__)
    parser.add_argument('--frames', type=int, default=100)
    parser.add_argument('--quick', action='store_true', help='thirty frames')
    said = parser.parse_args(argv)
    frames = 30 if said.quick else said.frames
    with tempfile.TemporaryDirectory() as folder:
        for name, manifest in networks(Path(folder)):
            print(f'{name:36} {"ms p50":>8} {"p95":>7} {"CPU/frame":>10}')
            for title, run in contestants(manifest):
                p50, p95, cpu = measure(run, frames)
                print(f'  {title:34} {p50:8.2f} {p95:7.2f} {cpu:10.2f}')
        small = network(Path(folder) / 'small.onnx', *SMALL)
        for name, value in over_bare(small, 10 * frames).items():
            print(f'{name:36} {value:8.4f}')


if __name__ == '__main__':
    main()
