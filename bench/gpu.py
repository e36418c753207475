"""What a frame costs on the GPU, as ratios measured in one run.

``python -m bench.gpu`` (or ``make gpu-bench``) builds the engines it needs and prints, beside the
bound each is held to:

* ``Engine.run`` against the device's own time for copies and inference, and its p99 against p50;
  the two take turns, twenty runs each. A third engine takes turns that sleeps until the device is
  done (``wait: block``, what a node does): what that adds, and what of a core each way takes.
* From a 1080p picture's bytes to detections: what the host does outside ``Engine.run``, beyond
  the one copy of the picture into page-locked memory that it cannot do without.
* Allocations a frame, on the host and on the device. The host's peak during a run is what its
  numbers take; an array of any tensor would be more.
* ONNX Runtime on the CPU through our backend, against its bare session, in turn.

Without a device it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.backends import LARGE, SMALL, in_turn, network, over_bare, wall_ms
from edge_inference_ros.backends import _cuda, trt
from edge_inference_ros.backends._trt_plans import Options
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import BackendUnavailable
from edge_inference_ros.optimize import preprocess

WARM_UP = 50
BLOCK = 20
CAMERA = (1080, 1920)
BOUNDS = {
    'run_over_device': 1.05,
    'run_p99_over_p50': 1.3,
    'host_beyond_copy_ms': 0.5,
    'host_bytes_per_frame': 0.0,
    'host_peak_bytes': 4096.0,
    'device_bytes_per_frame': 0.0,
    'ort_over_bare_session': 1.05,
}


def opened(manifest: Manifest, path: Path, cache: Path, **said: Any) -> trt.Engine:
    """The engine of a network, built if it was not."""
    trt.build(path, EngineOptions(), cache=str(cache))
    return trt.open(manifest, path, options=Options(cache=str(cache), **said))


def run_against_device(manifest: Manifest, cache: Path, runs: int) -> dict[str, float]:
    """First figure: how much a run costs beyond what the device needs, from copy to copy."""
    path = manifest.files[0].path
    with ExitStack() as keep:
        bare = opened(manifest, path, cache, graph=False, wait='spin')
        keep.callback(bare.close)
        engine = opened(manifest, path, cache, wait='spin')
        keep.callback(engine.close)
        asleep = opened(manifest, path, cache, wait='block')
        keep.callback(asleep.close)
        queue = keep.enter_context(_cuda.entered()).queue
        marks = queue.event(), queue.event()
        for mark in marks:
            keep.callback(queue.end_event, mark)
        measures = [wall_ms(engine.run), lambda: bare.device_ms(*marks), wall_ms(asleep.run)]
        wall, alone, slept = in_turn(measures, runs, warm_up=WARM_UP, block=BLOCK)
        p50, p99 = np.quantile(wall, (0.5, 0.99))
        slept_p50, slept_p99 = np.quantile(slept, (0.5, 0.99))
        return {
            'run_p50_ms': float(p50),
            'device_p50_ms': float(np.median(alone)),
            'run_over_device': float(p50 / np.median(alone)),
            'run_p99_over_p50': float(p99 / p50),
            'replays_graph': float(engine.replays_graph),
            'block_adds_p50_ms': float(slept_p50 - p50),
            'block_adds_p99_ms': float(slept_p99 - p99),
            'spin_core_share': core_share(engine, runs),
            'block_core_share': core_share(asleep, runs),
        }


def core_share(engine: trt.Engine, runs: int) -> float:
    """How much of a core the calling thread takes while the device works."""
    wall, used = time.perf_counter(), time.thread_time()
    for _ in range(runs):
        engine.run()
    return (time.thread_time() - used) / (time.perf_counter() - wall)


def host_share(folder: Path, cache: Path, runs: int) -> dict[str, float]:
    """Second figure: what the host does between a 1080p picture and its detections."""
    said = manifests.load(in_graph(folder))
    engine = opened(said, said.files[0].path, cache)
    with ExitStack() as keep:
        keep.callback(engine.close)
        head = registry.load('heads', said.head.name).Head(said, engine.outputs)
        pixels = np.random.default_rng(0).integers(0, 256, (*CAMERA, 3), np.uint8)
        sample = Image(Origin('', RosNs(0), MonoNs(0)), pixels, 'bgr')
        host, whole, copies = np.empty(runs), np.empty(runs), np.empty(runs)
        place = next(iter(engine.inputs.values()))[0]
        for i in range(-WARM_UP, runs):
            alone = time.perf_counter_ns()
            np.copyto(place, pixels)
            begin = time.perf_counter_ns()
            fit = head.prepare(sample, engine.inputs)
            prepared = time.perf_counter_ns()
            engine.run()
            ran = time.perf_counter_ns()
            head.decode(engine.outputs, sample, fit)
            end = time.perf_counter_ns()
            host[max(i, 0)] = (prepared - begin + end - ran) / 1e6
            whole[max(i, 0)] = (end - begin) / 1e6
            copies[max(i, 0)] = (begin - alone) / 1e6
    return {
        'host_beyond_copy_ms': float(np.median(host) - np.median(copies)),
        'copy_ms': float(np.median(copies)),
        'host_outside_run_ms': float(np.median(host)),
        'bytes_to_detections_ms': float(np.median(whole)),
    }


def in_graph(folder: Path) -> Path:
    """A model folder whose network takes the camera's own bytes."""
    before, after = folder / 'before', folder / 'after'
    before.mkdir()
    said = network(before / 'net.onnx', *SMALL)
    classes = [f'c{i}' for i in range(said.outputs[0].shape[1] - 4)]
    (before / manifests.FILE_NAME).write_text(
        yaml.safe_dump(
            {
                'schema': manifests.SCHEMA,
                'name': 'bench',
                'task': 'detect2d',
                'licence': 'Apache-2.0',
                'made_by': 'bench.gpu',
                'classes': classes,
                'input': {'tensor': 'images', 'shape': list(said.input.shape)},
                'outputs': [{'tensor': 'output0', 'shape': list(said.outputs[0].shape)}],
                'head': {'name': 'yolov8', 'score_threshold': 1.0},
                'files': [{'path': 'net.onnx', 'sha256': manifests.digest(before / 'net.onnx')}],
            }
        )
    )
    params = preprocess.Params(width=CAMERA[1], height=CAMERA[0], tail='best')
    preprocess.run(before, after, params)
    return after


def allocations(manifest: Manifest, cache: Path, runs: int) -> dict[str, float]:
    """Third figure: bytes that a frame leaves allocated, on the host and on the device."""
    engine = opened(manifest, manifest.files[0].path, cache)
    with ExitStack() as keep:
        keep.callback(engine.close)
        cuda = keep.enter_context(_cuda.entered())
        for _ in range(WARM_UP):
            engine.run()
        gc.collect()
        before = cuda.memory.free_bytes()
        tracemalloc.start()
        for _ in range(WARM_UP):
            engine.run()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        engine.run()
        _, peak = tracemalloc.get_traced_memory()
        for _ in range(runs):
            engine.run()
        left, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        lost = before - cuda.memory.free_bytes()
    return {
        'host_bytes_per_frame': float(max(0, (left - held) // runs)),
        'host_peak_bytes': float(peak - held),
        'device_bytes_per_frame': float(max(0, lost) / runs),
    }


def measure(folder: Path, cache: Path, runs: int) -> dict[str, float]:
    """All figures of one run."""
    small = network(folder / 'small.onnx', *SMALL)
    large = network(folder / 'large.onnx', *LARGE)
    return {
        **run_against_device(large, cache, runs),
        **host_share(folder, cache, runs),
        **allocations(large, cache, runs),
        **over_bare(small, max(30, runs // 5)),
    }


def table(figures: dict[str, float]) -> str:
    """A line a figure, with its bound and whether it holds."""
    lines = []
    for name, value in figures.items():
        bound = BOUNDS.get(name)
        verdict = '' if bound is None else f'<= {bound:<6} {"ok" if value <= bound else "MISSED"}'
        lines.append(f'{name:26} {value:12.4f}  {verdict}'.rstrip())
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the figures; with ``--out``, write them as JSON beside what they were measured on."""
    parser = argparse.ArgumentParser(prog='python -m bench.gpu', description=__doc__)
    parser.add_argument('--runs', type=int, default=1000)
    parser.add_argument('--quick', action='store_true', help='200 runs')
    parser.add_argument('--out', type=Path)
    said = parser.parse_args(argv)
    try:
        with _cuda.entered() as cuda:
            gpu, library = cuda.memory.gpu(), trt.library().__version__
    except BackendUnavailable as error:
        print(f'nothing to measure on: {error}')
        return 0
    where = f'{gpu.name}, TensorRT {library}, driver for CUDA {gpu.driver}, {cuda.provider}'
    print(f'{where}, load {os.getloadavg()[0]:.1f} at start')
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), Path(folder) / 'engines', 200 if said.quick else said.runs)
    print(table(figures))
    if said.out:
        said.out.mkdir(parents=True, exist_ok=True)
        report = {'where': where, 'figures': figures, 'bounds': BOUNDS}
        (said.out / 'gpu.json').write_text(json.dumps(report, indent=2))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
