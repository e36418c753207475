"""Bag to detections without ROS: the same frames, the same queue, the same table.

The queue is played in thought: frames arrive when their stamps say, divided by ``rate``; the one
being worked on is finished; of those that come meanwhile the newest waits and the others are
superseded, as on the live lane. Only the work itself takes real time, so a minute of driving is
through in the seconds its frames cost, and an overload can be studied on any machine. What is
missing is ROS: transport is 0 and nothing is published.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.latency import Stopwatch
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.params import param
from edge_inference_ros.core.pipeline import Pipeline, Prediction, open_pipeline
from edge_inference_ros.core.share import locate
from edge_inference_ros.core.types import Image
from edge_inference_ros.errors import BadStamp, BagError, ConfigError, SampleError
from edge_inference_ros.replay import plot, stamps
from edge_inference_ros.replay.bags import Record, open_bag
from edge_inference_ros.replay.figures import MS, WHOLE, Observed, Output
from edge_inference_ros.replay.pictures import picture_topic, viewer
from edge_inference_ros.replay.report import write
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.replay.summary import RunReport, judge


@dataclass(frozen=True)
class Params:
    """What to run on what."""

    bag: str = param('', 'folder or file with pictures')
    topic: str = param('', 'topic of the pictures; empty takes the only one')
    model: str = param('street_tiny', 'a shipped model, or the path of a folder with a manifest')
    backend: str = param('ort', 'runtime: ort, openvino, trt, null, or a plug-in')
    precision: str = param('', 'fp32, fp16, int8, …; empty takes the first that suits')
    tracker: str = param('sort', 'none, sort, or a plug-in')
    rate: float = param(1.0, 'frames come so many times faster', low=0.01, high=100.0)
    frames: int = param(0, 'stop after so many; 0 takes all', low=0)
    warm_up: int = param(5, 'frames seen before anything is counted', low=0, high=1000)
    out: str = param('', 'folder for report.json, report.txt and latency.png')


@dataclass
class Queue:
    """One worker and one waiting place, in the time of the bag.

    Attributes:
        work: sees a frame; returns its laps in milliseconds. Raises ``SampleError``.
    """

    work: Callable[[Record], dict[str, float]]
    outputs: list[Output] = field(default_factory=list)
    received: int = 0
    superseded: int = 0
    rejected: int = 0
    _waiting: tuple[int, Record] | None = None
    _free_ns: int = 0

    def arrive(self, at_ns: int, record: Record) -> None:
        """Take in the frame that comes at ``at_ns``."""
        if self._waiting and self._free_ns <= at_ns:
            self._take()
        self.superseded += self._waiting is not None
        self._waiting = at_ns, record
        self.received += 1

    def finish(self) -> None:
        """Work on the frame still waiting."""
        if self._waiting:
            self._take()

    def _take(self) -> None:
        if self._waiting is None:
            return
        (at_ns, record), self._waiting = self._waiting, None
        start_ns = max(at_ns, self._free_ns)
        try:
            laps = self.work(record)
        except SampleError:
            self.rejected += 1
            return
        laps['wait'] = laps.get('wait', 0.0) + (start_ns - at_ns) * MS
        whole_ms = sum(laps.values())
        self._free_ns = at_ns + round(whole_ms / MS)
        self.outputs.append(Output(at_ns, {WHOLE: whole_ms, **laps}))


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
    seen = dataclasses.replace(seen, engine={'model': manifest.name, 'backend': params.backend})
    return _report(seen, params, [lost] if lost else [])


def through(
    frames: Iterable[Record], work: Callable[[Record], dict[str, float]], rate: float
) -> Observed:
    """Play ``frames`` through a queue in front of ``work``.

    Raises:
        BagError: a frame without a stamp, or stamps that do not increase.
    """
    queue = Queue(work)
    expected: list[int] = []
    schedule: Schedule | None = None
    rising: stamps.Rising | None = None
    for record in frames:
        rising = rising or stamps.Rising(record.topic)
        rising.take(stamp_ns := _stamp(record))
        schedule = schedule or Schedule(stamp_ns, stamp_ns, rate)
        at_ns = int(schedule.now_ns(stamp_ns))
        expected.append(at_ns)
        queue.arrive(at_ns, record)
    queue.finish()
    counts = {
        'received': queue.received,
        'superseded': queue.superseded,
        'rejected': queue.rejected,
        'done': len(queue.outputs),
    }
    return Observed(tuple(expected), tuple(queue.outputs), counts)


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
    written = [str(path) for path in out.glob('latency.png')]
    report = judge(seen, params.bag, written, notes)
    write(report, out)
    return report
