"""Sensor messages in, detections with their latency out: the body of every detector node."""

from __future__ import annotations

import dataclasses
import math
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64

from edge_inference_ros.core import registry
from edge_inference_ros.core.lane import PATIENCE, Job, Lane, Tally
from edge_inference_ros.core.latency import WHOLE, Stopwatch, monotonic_ns
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import together
from edge_inference_ros.core.pipeline import Pipeline, Prediction, idle, open_pipeline
from edge_inference_ros.core.stats import QUANTILES, Window, samples_needed
from edge_inference_ros.core.types import NS_PER_S, Crowding, MonoNs, Origin, RosNs, Tracked
from edge_inference_ros.errors import BadStamp, SampleError
from edge_inference_ros.nodes.camera_params import NAMES, CameraDetectorParams, model_of
from edge_inference_ros.ros import process, qos, words
from edge_inference_ros.ros.base import EdgeNode
from edge_inference_ros.ros.clock_fault import clock_fault
from edge_inference_ros.ros.hang import HangGuard
from edge_inference_ros.ros.losses import Losses
from edge_inference_ros.ros.messages import (
    ERROR,
    MS,
    OK,
    WARN,
    latency_values,
    miss_ratio,
    rollup,
    stamp_ns,
    stamp_words,
)
from edge_inference_ros.ros.reader import InputReader
from edge_inference_ros.ros.wire import diagnostics

_RELIABILITY = {
    'auto': None,
    'best_effort': qos.sensor(),
    'reliable': qos.sensor(reliability=qos.RELIABLE),
}

STEADY = ClockType.STEADY_TIME

WINDOW = samples_needed(0.99)
"""Samples behind the roll-ups: the fewest whose maximum bounds p99 with 95 % confidence."""


class Detector(EdgeNode[CameraDetectorParams], ABC):
    """Receives on the executor's thread, sees and publishes on the lane's.

    A subclass says what comes in and what goes out: ``output_type``, ``input``, ``view``,
    ``writer`` and, if it likes, ``show``, ``look`` and ``condition``.
    """

    output_type: type[Any]

    def __init__(self, name: str, schema: type[CameraDetectorParams], **options: Any) -> None:
        super().__init__(name, schema, **options)
        self._mismatches: set[qos.Mismatch] = set()
        self._ends: list[qos.QosWatch] = []

    @abstractmethod
    def input(self) -> tuple[Sequence[type[Any]], str]:
        """Message types that will do, the likeliest first, and the topic; asked on activation."""

    def remedies(self) -> Mapping[str, str]:
        """What to do about other types on that topic, by their full names."""
        return {}

    @abstractmethod
    def view(self, msg: Any, origin: Origin) -> Any:
        """See a message as a sample. Raises ``SampleError``."""

    @abstractmethod
    def writer(self, manifest: Manifest) -> Callable[[Tracked[Any]], bytes]:
        """What turns tracked detections into the serialised output message."""

    def show(self, sample: Any, prediction: Prediction[Any]) -> None:
        """Draw for people, after everything urgent has been sent."""

    def look(self, sample: Any) -> None:
        """Look whether the sensor works at all, after everything urgent has been sent."""

    def condition(self) -> tuple[int, str]:
        """Diagnostic level and words for the sensor's own condition."""
        return OK, ''

    def beside(self) -> Iterator[tuple[int, str, str]]:
        """Diagnostic level, topic and words for every input beside the sensor's."""
        yield from ()

    def configure(self, keep: ExitStack) -> None:
        """Create the publishers and load the model, on the lane's thread."""
        # As said: while any parameter is wrong, ``current`` holds the defaults.
        plugins = {name: str(self.get_parameter(name).value) for name in NAMES}
        params, self.manifest = together(self.parameters.read, lambda: model_of(**plugins))
        for note in self.manifest.notes:
            self.get_logger().warning(note)
        self._write = self.writer(self.manifest)
        self._stats: dict[str, Window] = {}
        self._losses = Losses()
        self._reader: InputReader | None = None
        self._reported, self._crowding, self._crowded = Tally(), Crowding(), ''
        self._make_publishers(keep)
        self._stop_soon = self.while_open(self._stop, keep)
        self._lane = Lane(self._open_jobs, on_failure=self._broke, wanted=self.context.ok)
        keep.callback(self._lane.close)  # before it opens: an interrupt may come at any moment
        self._lane.open()
        self._job = self._lane.jobs[0]
        steady = Clock(clock_type=STEADY)
        report = self.while_open(self._report, keep)
        timer = self.create_timer(params.diagnostics_period_s, report, clock=steady)
        keep.callback(self.destroy_timer, timer)
        process.settle()

    def activate(self, keep: ExitStack) -> None:
        """Subscribe."""
        kinds, topic = self.input()
        params = self.parameters.current
        self._progress = words.Progress(self.get_logger().info)
        keep.callback(setattr, self, '_reader', None)
        self._reader = keep.enter_context(
            InputReader(
                self,
                kinds,
                topic,
                self.while_open(self._receive, keep),
                profile=_RELIABILITY[params.reliability],
                expected_hz=params.expected_rate_hz,
                on_mismatch=self._mismatched,
                remedies=self.remedies(),
            )
        )
        if params.hang_s:
            keep.enter_context(HangGuard(self._lane, limit_s=params.hang_s))

    def about(self) -> str:
        """The model and what runs it."""
        file = self.manifest.file(
            self.parameters.current.backend, self.parameters.current.precision
        )
        runs_on = '; '.join(getattr(self._pipeline.engine, 'notes', ()))
        return (
            f'model {self.manifest.name}, {file.precision} on {self._engine["backend"]}'
            + f' ({runs_on})' * bool(runs_on)
        )

    def connections(self) -> str:
        """What is read and written."""
        written = words.writes(self, 'detections', 'latency')
        return f'reads {self._reader}; writes {written}'

    def adapt(self, params: CameraDetectorParams) -> None:
        """Take over what of the head may change, with the next frame."""
        if self.is_configured:
            head = self._pipeline.head
            head.spec = params.head(self.manifest.head)
            if words := idle(head):
                self.get_logger().warning(words)

    def _make_publishers(self, keep: ExitStack) -> None:
        self._detections = self.advertise(keep, self.output_type, 'detections')
        self._latency = self.advertise(keep, DiagnosticArray, 'latency')
        self._diagnostics = self.advertise(keep, DiagnosticArray, '/diagnostics')
        self._pipeline_ms = self.advertise(keep, Float64, '~/debug/pipeline_latency_ms')
        self._processing_ms = self.advertise(keep, Float64, '~/debug/processing_time_ms')
        keep.callback(self._mismatches.clear)

    def advertise(  # noqa: D417
        self,
        keep: ExitStack,
        kind: type[Any],
        topic: str,
        *,
        profile: QoSProfile | None = None,
        create: Callable[..., Any] | None = None,
    ) -> Any:
        """A publisher, until ``keep`` closes; readers it cannot reach are reported all that time.

        Args:
            profile: what it offers; ``qos.output`` unless said.
            create: what makes it: one that is silent while the node is inactive unless said.
        """
        offer = profile or qos.output()
        create = create or self.create_lifecycle_publisher
        end = qos.QosWatch(self, topic, offer, self._mismatched, reading=False)
        publisher = qos.advertise(
            self, kind, topic, offer, on_mismatch=self._mismatched, create=create
        )
        self._ends.append(end)
        keep.callback(self._withdraw, publisher, end)
        return publisher

    def _withdraw(self, publisher: Any, end: qos.QosWatch) -> None:
        self._ends.remove(end)
        # rclpy keeps every managed entity for ever, also those that are destroyed.
        self._managed_entities.discard(publisher)
        self.destroy_publisher(publisher)

    def _open_jobs(self, keep: ExitStack) -> Sequence[Job]:
        params = self.parameters.current
        self._pipeline: Pipeline[Any, Any, Any] = open_pipeline(
            dataclasses.replace(self.manifest, head=params.head(self.manifest.head)),
            keep,
            backend=params.backend,
            precision=params.precision,
            tracker=params.tracker,
            track_settings=params,
            settings=_settings(params, self._lane.checkpoint),
            checkpoint=self._lane.checkpoint,
        )
        if self._pipeline.caution:
            self.get_logger().warning(self._pipeline.caution)
        self._engine = {
            'model': self.manifest.name,
            'digest': self.manifest.file(params.backend, params.precision).sha256[:12],
            'backend': params.backend,
        }
        return [Job(self.get_name(), self._see, on_loss=self._lost)]

    def _receive(self, msg: Any) -> None:
        """On the executor's thread: microseconds, whatever the message holds."""
        received_ns = monotonic_ns()
        try:
            origin = self._origin(msg.header, received_ns)
        except SampleError as error:
            self._lane.reject(self._job)
            self._lost(error, (msg, None))
            stamp, age_ns = 0, 0
        else:
            self._lane.post(self._job, (msg, origin))
            stamp, age_ns = origin.stamp_ns, origin.transport_ns
        if self._reader is not None:
            self._reader.seen(stamp, age_ns, len(msg.data))

    def _origin(self, header: Any, received_ns: MonoNs) -> Origin:
        taken_ns, stamp = stamp_ns(header), header.stamp
        if not taken_ns:
            raise BadStamp('header.stamp is zero; the driver must stamp the acquisition time')
        if stamp.sec < 0 or stamp.nanosec >= NS_PER_S:
            raise BadStamp(
                f'header.stamp of {stamp.sec} s and {stamp.nanosec} ns; need seconds >= 0 and'
                f' nanoseconds < {NS_PER_S}: the driver must stamp the acquisition time'
            )
        transport_ns = self.get_clock().now().nanoseconds - taken_ns
        return Origin(header.frame_id, RosNs(taken_ns), received_ns, transport_ns)

    def _see(self, posted: tuple[Any, Origin]) -> None:
        """On the lane's thread: everything between a message that came and the one that goes.

        The view is taken here because some encodings must be converted: what is superseded
        then costs nothing, and the executor stays free.
        """
        msg, origin = posted
        watch = Stopwatch(origin.received_ns)
        watch.lap('wait')
        sample = self.view(msg, origin)
        watch.lap('view')
        prediction = self._pipeline(sample, watch)
        self._detections.publish(self._write(prediction.tracked))
        prediction.watch.lap('publish')
        self._tell(prediction)
        self.look(sample)
        self.show(sample, prediction)

    def _tell(self, prediction: Prediction[Any]) -> None:
        """Publish and remember where the time went."""
        origin, timing = prediction.origin, prediction.timing
        values = latency_values(origin, timing, self._job.tally) | self._engine
        level, words = self.condition()
        if fault := clock_fault(origin.transport_ns, origin.stamp_ns, origin.received_ns):
            level, words = ERROR, f'CLOCK_FAULT: {fault}'
        row = (level, self.get_fully_qualified_name(), words, origin.frame_id, values)
        self._latency.publish(diagnostics(origin.stamp_ns, origin.frame_id, [row]))
        total_ns = origin.transport_ns + timing.total_ns
        whole = ((WHOLE, total_ns), ('transport', origin.transport_ns))
        for stage, lap_ns in (*whole, *timing.laps_ns):
            if stage not in self._stats:
                self._stats[stage] = Window(WINDOW)
            self._stats[stage].add(lap_ns * MS)
        self._progress.output(total_ns * MS)
        self._pipeline_ms.publish(Float64(data=total_ns * MS))
        self._processing_ms.publish(Float64(data=timing.total_ns * MS))

    def _mismatched(self, mismatch: qos.Mismatch) -> None:
        """Said once when it is found; the reports repeat it for as long as it stands."""
        if mismatch not in self._mismatches:
            self._mismatches.add(mismatch)
            self.get_logger().error(str(mismatch))

    def _lost(self, error: Exception, sample: tuple[Any, Origin | None]) -> None:
        """Count it; say the first of each kind, with its stamp and where it comes from."""
        if not self.context.ok() or not self._losses.add(error):
            return  # while the process ends nothing can be published, which is no fault
        words = f'lost the frame stamped {stamp_words(sample[0].header)}: {_named(error)}'
        if not isinstance(error, SampleError):
            words += f'\n{"".join(traceback.format_exception(error)).rstrip()}'
        self.get_logger().warning(
            f'{words}\nFurther ones are counted in the diagnostics: lost_{type(error).__name__}'
        )

    def _broke(self, job: Job, error: BaseException) -> None:
        """On the lane's thread: hand the failure to the executor's."""
        if job.failures_in_row >= PATIENCE:
            self.get_logger().error(f'{PATIENCE} frames in a row were lost: giving up')
        self.broken = error
        self.call_soon(self._stop_soon)

    def _stop(self) -> None:
        self._report()
        if self.broken is not None:
            self.fail(self.broken)

    def _report(self) -> None:
        """On the executor's thread, about once a second: the roll-up for people and monitors."""
        tally, before = dataclasses.replace(self._job.tally), self._reported
        capped = self._count_crowds()
        level, message = self._judge(tally, before)
        name, rows, missing = self.get_fully_qualified_name(), [], 0.0
        if self._reader is not None:
            verdict, facts = self._reader.look()
            missing = facts.missing
            rows.append((int(verdict.level), f'{name}: input', str(verdict), '', facts.values()))
            self._progress.look(f'; {tally.posted - tally.done} of {tally.posted} not seen so far')
            rows += [
                (grade, f'{name}: {topic}', said, '', {}) for grade, topic, said in self.beside()
            ]
        values = {
            **{name: str(count) for name, count in dataclasses.asdict(tally).items()},
            'miss_ratio': miss_ratio(tally, before, missing=missing),
            **self._losses.values(),
            **rollup({stage: _spread(window) for stage, window in list(self._stats.items())}),
            **capped,
            **self._engine,
        }
        rows.insert(0, (level, f'{name}: latency', message, '', values))
        deaf = [str(mismatch) for end in self._ends for mismatch in end.look()]
        rows.append((ERROR if deaf else OK, f'{name}: output', '; '.join(deaf), '', {}))
        now_ns = RosNs(self.get_clock().now().nanoseconds)
        self._diagnostics.publish(diagnostics(now_ns, '', rows))
        self._reported = tally

    def _judge(self, tally: Tally, before: Tally) -> tuple[int, str]:
        if self.broken is not None:
            return ERROR, _named(self.broken)
        level, words = self.condition()
        said = [words, self._crowded]
        if lost := tally.rejected + tally.failed - before.rejected - before.failed:
            newest = self._losses.newest
            cause = '' if newest is None else f', the last to {_named(newest)}'
            said.append(f'{lost} lost{cause}')
        level = max(level, WARN if any(said[1:]) else OK)
        return level, '; '.join(filter(None, said))

    def _count_crowds(self) -> dict[str, str]:
        """Pictures that held more than the head may look at, or let out, and what to do."""
        now = getattr(self._pipeline.head, 'crowding', Crowding())
        before, self._crowding = self._crowding, dataclasses.replace(now)
        spec, rows = self._pipeline.head.spec, []
        if more := now.candidates - before.candidates:
            rows.append(f'{more} pictures of over {spec.candidates} boxes: raise head.candidates')
        if more := now.detections - before.detections:
            full = f'{more} pictures of {spec.max_detections} objects or more'
            rows.append(f'{full}: raise the parameter max_detections')
        self._crowded = f'CROWDED, objects may be left out: {"; ".join(rows)}' if rows else ''
        return {
            'candidates_capped': str(now.candidates),
            'detections_capped': str(now.detections),
        }


def _named(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'


def _settings(params: CameraDetectorParams, checkpoint: Callable[[], None]) -> dict[str, Any]:
    """What only the backend that was chosen understands."""
    if params.backend != 'trt':
        return {}
    options = registry.load('backends', 'trt').Options(**params.trt_options())
    return {'options': options, 'checkpoint': checkpoint}


def _spread(window: Window) -> list[float]:
    """Quantiles and maximum; NaN for a quantile that so few samples say nothing about."""
    known = [q for q in QUANTILES if len(window) >= samples_needed(q)]
    unknown = [math.nan] * (len(QUANTILES) - len(known))
    return [*window.quantiles(known), *unknown, window.max()]
