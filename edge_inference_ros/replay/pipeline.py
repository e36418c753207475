"""Bag to detections without ROS: the same frames, the same queue, the same table.

The queue is played in thought: frames arrive when their stamps say, divided by ``rate``; the one
being worked on is finished; of those that come meanwhile the newest waits and the others are
superseded, as on the live lane. Only the work itself takes real time, so a minute of driving is
through in the seconds its frames cost, and an overload can be studied on any machine. What is
missing is ROS: transport is 0 and nothing is published.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.core.latency import WHOLE, Stopwatch
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.params import param
from edge_inference_ros.core.pipeline import Pipeline, Prediction, open_pipeline
from edge_inference_ros.core.share import locate
from edge_inference_ros.core.types import Image
from edge_inference_ros.errors import BadStamp, BagError, ConfigError, SampleError
from edge_inference_ros.replay import plot, stamps
from edge_inference_ros.replay.bags import Record, open_bag
from edge_inference_ros.replay.figures import MS, Observed, Output
from edge_inference_ros.replay.paces.queue import Done, Queue
from edge_inference_ros.replay.pictures import picture_topic, viewer
from edge_inference_ros.replay.report import write
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.replay.summary import RunReport, judge


@dataclass(frozen=True)
class Params:
    """What to run on what."""

    bag: str = param('', 'folder or file with pictures', required=True)
    topic: str = param('', 'topic of the pictures; empty takes the only one')
    model: str = param('street_tiny', 'a shipped model, or the path of a folder with a manifest')
    backend: str = param('ort', 'runtime: ort, openvino, trt, null, or a plug-in')
    precision: str = param(
        '', 'precision of the model file: fp32, fp16, int8, …; empty takes the first that suits'
    )
    tracker: str = param('sort', 'tracker: none, sort, or a plug-in')
    rate: float = param(1.0, 'frames come so many times faster', low=0.01, high=100.0)
    frames: int = param(0, 'stop after so many; 0 takes all', low=0)
    warm_up: int = param(5, 'frames seen before anything is counted', low=0, high=1000)
    out: str = param('', 'folder for report.json, report.txt and latency.png')


def run(params: Params) -> RunReport:
    """See every frame the queue lets through, and report.

    Raises:
        BagError: the recording cannot be read or has no pictures.
        ModelError: the model does not fit its manifest.
        ConfigError: an unknown backend, head or tracker.
    """
    if not params.bag:
        raise ConfigError('pipeline needs --bag: a recording with pictures')
    manifest = load(locate('models', params.model))
    with ExitStack() as keep:
        bag = keep.enter_context(open_bag(Path(params.bag)))
        topic = picture_topic(bag, params.topic)
        pipeline = open_pipeline(
            manifest,
            keep,
            backend=params.backend,
            precision=params.precision,
            tracker=params.tracker,
        )
        work = worker(pipeline, viewer(bag.topics[topic].msgtype))
        _warm_up(work, itertools.islice(bag.records((topic,)), params.warm_up))
        lost = bag.lost
        frames = itertools.islice(bag.records((topic,)), params.frames or None)
        seen = through(frames, work, params.rate)
    seen = replace(seen, engine={'model': manifest.name, 'backend': params.backend})
    return _report(seen, params, [lost] if lost else [])


def through(
    frames: Iterable[Record], work: Callable[[Record], dict[str, float]], rate: float
) -> Observed:
    """Play ``frames`` through a queue in front of ``work``.

    Raises:
        BagError: a frame without a stamp, or stamps that do not increase.
    """
    queue = Queue(lambda record: {stage: round(ms / MS) for stage, ms in work(record).items()})
    expected: list[int] = []
    schedule: Schedule | None = None
    rising: stamps.Rising | None = None
    for record in frames:
        rising = rising or stamps.Rising(record.topic)
        rising.take(stamp_ns := _stamp(record))
        schedule = schedule or Schedule(stamp_ns, stamp_ns, rate)
        at_ns = int(schedule.now_ns(stamp_ns))
        expected.append(at_ns)
        queue.arrive(at_ns, at_ns, record)
    queue.finish()
    return Observed(tuple(expected), tuple(map(_output, queue.done)), queue.counts())


def _output(done: Done) -> Output:
    laps = {WHOLE: done.ended_ns - done.stamp_ns, 'wait': done.started_ns - done.arrived_ns}
    return Output(done.stamp_ns, {k: ns * MS for k, ns in {**laps, **done.laps_ns}.items()})


def worker(
    pipeline: Pipeline[Any, Any, Any], see: Callable[[Record], Image]
) -> Callable[[Record], dict[str, float]]:
    """What works on one frame: sees it, runs it, and says how long each stage took."""

    def work(record: Record) -> dict[str, float]:
        watch = Stopwatch(pipeline.now(), pipeline.now)
        sample = see(record)
        watch.lap('view')
        return laps_of(pipeline(sample, watch))

    return work


def laps_of(prediction: Prediction[Any]) -> dict[str, float]:
    """Stage to milliseconds."""
    return {stage: lap_ns * MS for stage, lap_ns in prediction.timing.laps_ns}


def _warm_up(work: Callable[[Record], object], frames: Iterable[Record]) -> None:
    for record in frames:
        with suppress(SampleError):
            work(record)


def _stamp(record: Record) -> int:
    try:
        return int(stamps.read(record.data))
    except BadStamp as error:
        raise BagError(f'{record.topic}: {error}') from error


def _report(seen: Observed, params: Params, notes: Sequence[str]) -> RunReport:
    if not params.out:
        return judge(seen, params.bag, notes=notes)
    out = Path(params.out)
    out.mkdir(parents=True, exist_ok=True)
    plot.save(seen, out / 'latency.png')
    written = tuple(str(path) for path in out.glob('latency.png'))
    report = replace(judge(seen, params.bag, notes), written=written)
    write(report, out)
    return report
