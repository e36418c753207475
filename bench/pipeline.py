"""Everything around the engine: our way and the common recipe, frame by frame in turn.

``python -m bench.pipeline [--frames 200]`` shows both the same 1080p bgr8 pictures and the same
answer of a YOLOv8 network at 640×640 with 80 classes, on one processor. Ours is what the node
runs: view, hand over to the lane's thread, prepare, decode, track, serialise, publish. The recipe
is in ``bench/_recipe.py``. Without rclpy, publishing and the recipe's messages are left out.
"""

from __future__ import annotations

import argparse
import array
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from bench import _recipe
from edge_inference_ros.core.lane import Job, Lane
from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, TensorSpec
from edge_inference_ros.core.pipeline import Pipeline, Prediction
from edge_inference_ros.core.types import Origin, RosNs
from edge_inference_ros.heads.yolov8 import Head
from edge_inference_ros.ros import process
from edge_inference_ros.ros.wire import Detections2DWriter
from edge_inference_ros.sensors import image
from edge_inference_ros.trackers.sort import Tracker

WIDTH, HEIGHT, SIDE, CLASSES, BOXES = 1920, 1080, 640, 80, 8400
SCORE, IOU = 0.25, 0.5
MS = 1e-6
LARGE_BYTES = 64 * 1024


class Engine:
    """Writes the same answer whatever it is shown, so that it lies in the cache as a real one."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.spent_ms = 0.0, 0.0
        self.inputs = {'images': np.zeros((1, SIDE, SIDE, 3), np.uint8)}
        self.outputs = {'output0': np.empty_like(answer)}

    def run(self) -> None:
        """Write, and note how long it took: nobody is charged for it."""
        begin, cpu = time.perf_counter_ns(), time.thread_time_ns()
        np.copyto(self.outputs['output0'], self._answer)
        self.spent_ms = (time.perf_counter_ns() - begin) * MS, (time.thread_time_ns() - cpu) * MS

    def close(self) -> None:
        """Nothing."""


def pictures(count: int) -> list[Any]:
    """Messages with different smooth pictures; rclpy's own kind of data."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (27, 48, 3), np.uint8)
        pixels = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        made.append(
            SimpleNamespace(
                height=HEIGHT,
                width=WIDTH,
                encoding='bgr8',
                is_bigendian=0,
                step=3 * WIDTH,
                data=array.array('B', pixels.tobytes()),
            )
        )
    return made


def answer(objects: int = 40, around: int = 8) -> Any:
    """What a network says about a busy street: several neighbouring cells find every object."""
    rng = np.random.default_rng(1)
    out = np.empty((1, 4 + CLASSES, BOXES), np.float32)
    out[0, :4] = rng.uniform(20, SIDE - 20, (4, BOXES))
    out[0, 4:] = rng.random((CLASSES, BOXES)) ** 8 * 0.1
    cells = rng.choice(BOXES, objects * around, replace=False)
    place = rng.uniform(
        ((60,), (180,), (15,), (15,)), ((580,), (460,), (100,), (70,)), (4, objects)
    )
    out[0, :4, cells] = np.repeat(place, around, axis=1).T + rng.normal(0, 2, (len(cells), 4))
    class_ids = np.repeat(rng.integers(0, CLASSES, objects), around)
    out[0, 4 + class_ids, cells] = rng.uniform(0.2, 0.95, len(cells))
    return out


def manifest() -> Manifest:
    return Manifest(
        folder=Path(),
        name='bench',
        task='detect2d',
        licence='Apache-2.0',
        made_by='bench.pipeline',
        classes=tuple(f'class{i}' for i in range(CLASSES)),
        input=InputSpec('images', (1, SIDE, SIDE, 3)),
        outputs=(TensorSpec('output0', (1, 4 + CLASSES, BOXES)),),
        head=HeadSpec('yolov8', score_threshold=SCORE, iou_threshold=IOU),
        files=(),
    )


@contextmanager
def publisher() -> Iterator[Callable[[Any], None] | None]:
    """Publishes a detection array, as bytes or as an object; None without rclpy."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    try:
        import rclpy
        from vision_msgs.msg import Detection2DArray
    except ImportError:
        yield None
        return
    rclpy.init()
    try:
        node = rclpy.create_node('bench_pipeline')
        yield node.create_publisher(Detection2DArray, 'bench_detections', 1).publish
        node.destroy_node()
    finally:
        rclpy.shutdown()


class Ours:
    """The path of a frame through a detector node, its lane included."""

    def __init__(self, out: Any, publish: Callable[[Any], None] | None, keep: ExitStack) -> None:
        said = manifest()
        self.engine = Engine(out)
        self._pipeline: Pipeline[Any, Any, Any] = Pipeline(
            Head(said, self.engine.outputs), self.engine, Tracker()
        )
        self._write = Detections2DWriter(said.classes)
        self._publish = publish or (lambda _: None)
        self._done = threading.Event()
        self._stamp_ns = 0
        self.prediction: Prediction[Any] | None = None
        self._lane = keep.enter_context(
            Lane(lambda _: [Job('bench', self._see)], on_failure=lambda *_: os.abort())
        )

    def __call__(self, msg: Any) -> None:
        self._done.clear()
        self._stamp_ns += 33_000_000
        origin = Origin('camera', RosNs(self._stamp_ns), monotonic_ns())
        self._lane.post(self._lane.jobs[0], image.view(msg, origin))
        self._done.wait()

    def _see(self, sample: Any) -> None:
        prediction = self._pipeline(sample)
        self._publish(self._write(prediction.tracked))
        prediction.watch.lap('publish')
        self.prediction = prediction
        self._done.set()


class Common:
    """The recipe."""

    def __init__(self, out: Any, publish: Callable[[Any], None] | None) -> None:
        self.engine = Engine(out)
        self._publish = publish
        self._names = list(manifest().classes)
        self.kept: list[Any] = []

    def __call__(self, msg: Any) -> None:
        _, scale, left, top = _recipe.prepare(_recipe.convert(msg))
        self.engine.run()
        found = _recipe.decode(self.engine.outputs['output0'], scale, left, top, score=SCORE)
        self.kept = _recipe.suppress(found, iou=IOU)
        if self._publish:
            from std_msgs.msg import Header

            header = Header(frame_id='camera')
            self._publish(_recipe.message(self.kept, header, self._names))


def allocated(ours: Ours, msg: Any) -> int:
    """Bytes that a warm frame allocates at its worst moment."""
    tracemalloc.start()
    ours(msg)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    ours(msg)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - before


def timed(way: Ours | Common, msg: Any) -> tuple[float, float]:
    """Milliseconds on the clock, and of processor time, all threads together."""
    begin, cpu = time.perf_counter_ns(), time.process_time_ns()
    way(msg)
    clock_ms = (time.perf_counter_ns() - begin) * MS
    cpu_ms = (time.process_time_ns() - cpu) * MS
    return clock_ms - way.engine.spent_ms[0], cpu_ms - way.engine.spent_ms[1]


def row(title: str, samples: Any) -> None:
    p50, p95 = np.quantile(samples, (0.5, 0.95))
    print(f'{title:24} {p50:8.3f} {p95:8.3f}')


def compare(frames: int, publish: Callable[[Any], None] | None, keep: ExitStack) -> None:
    out, msgs = answer(), pictures(4)
    ours, common = Ours(out, publish, keep), Common(out, publish)
    for msg in msgs:
        ours(msg)
        common(msg)
    assert ours.prediction is not None
    laps: list[dict[str, int]] = []
    ours_ms, recipe_ms = [], []
    for frame in range(frames):
        msg = msgs[frame % len(msgs)]
        _, cpu_ms = timed(ours, msg)
        laps.append({k: v for k, v in ours.prediction.timing.laps_ns if k != 'infer'})
        ours_ms.append((sum(laps[-1].values()) * MS, cpu_ms))
        recipe_ms.append(timed(common, msg))
    count = len(ours.prediction.tracked.found)
    assert count == len(common.kept), (count, len(common.kept))
    print(f'{frames} frames, {count} detections each, the same both ways')
    print(f'{"ms":24} {"p50":>8} {"p95":>8}')
    for stage in laps[0]:
        row(f'  {stage}', [lap[stage] * MS for lap in laps])
    for at, kind in enumerate(('on the clock', 'of processor time')):
        pair = [[sample[at] for sample in way] for way in (ours_ms, recipe_ms)]
        row(f'ours, {kind}', pair[0])
        row(f'recipe, {kind}', pair[1])
        print(f'ours / recipe {np.median(pair[0]) / np.median(pair[1]):19.1%}')
    print('goals: 15 % and 3 ms; on a busy machine, the clock also counts waiting for a processor')
    peak = allocated(ours, msgs[0])
    print(f'a warm frame allocates at most {peak / 1024:.0f} KiB, all arrays and objects together')
    print(f'no array above 64 KiB: {"yes" if peak < LARGE_BYTES else "not shown by this peak"}')


def main(argv: list[str] | None = None) -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(prog='python -m bench.pipeline', description=__doc__)
    parser.add_argument('--frames', type=int, default=200)
    parser.add_argument('--quick', action='store_true', help='fifty frames')
    said = parser.parse_args(argv)
    before = os.sched_getaffinity(0)
    process.prepare()  # as every node does; the recipe runs under the same settings
    cv2.setNumThreads(1)
    with ExitStack() as keep:
        publish = keep.enter_context(publisher())
        if publish is None:
            print('rclpy is not here: nothing is published, the recipe builds no messages')
        os.sched_setaffinity(0, {max(before)})  # after rclpy started threads of its own
        keep.callback(os.sched_setaffinity, 0, before)
        compare(50 if said.quick else said.frames, publish, keep)


if __name__ == '__main__':
    main()
