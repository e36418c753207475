"""From a sensor sample to tracked objects, timed at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edge_inference_ros.core.latency import Stopwatch, Timing, monotonic_ns
from edge_inference_ros.core.protocols import Engine, Head, Tracker
from edge_inference_ros.core.types import MonoNs, Origin, Tracked


class Sample(Protocol):
    """Anything that knows where it came from."""

    @property
    def origin(self) -> Origin:
        """Where and when."""


SampleT = TypeVar('SampleT', bound=Sample)
FitT = TypeVar('FitT')
FoundT = TypeVar('FoundT')


@dataclass(frozen=True, slots=True, eq=False)
class Prediction(Generic[FoundT]):
    """What was found, in what, and how long it took."""

    origin: Origin
    tracked: Tracked[FoundT]
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline(Generic[SampleT, FitT, FoundT]):
    """Sample in, prediction out."""

    head: Head[SampleT, FitT, FoundT]
    engine: Engine
    tracker: Tracker[FoundT]
    now: Callable[[], MonoNs] = monotonic_ns

    def __call__(self, sample: SampleT) -> Prediction[FoundT]:
        """Prepare, infer, decode, track."""
        watch = Stopwatch(sample.origin.received_ns, self.now)
        watch.lap('wait')
        fit = self.head.prepare(sample, self.engine.inputs)
        watch.lap('prepare')
        self.engine.run()
        watch.lap('infer')
        found = self.head.decode(self.engine.outputs, sample, fit)
        watch.lap('decode')
        tracked = self.tracker.update(found, sample.origin.stamp_ns)
        watch.lap('track')
        return Prediction(sample.origin, tracked, watch.read())
