"""From a sensor sample to tracked objects, timed at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from edge_inference_ros.core import registry
from edge_inference_ros.core.latency import Stopwatch, Timing, monotonic_ns
from edge_inference_ros.core.manifest import (
    HeadSpec,
    InputSpec,
    Manifest,
    ModelFile,
    TensorSpec,
    verify,
)
from edge_inference_ros.core.protocols import Backend, Engine, Head, Tracker, TrackSettings
from edge_inference_ros.core.types import MonoNs, Origin, Tensors, Tracked
from edge_inference_ros.errors import SpecMismatch


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
    """What was found, in what, and how long it took.

    Attributes:
        watch: still running, so that whoever publishes can charge the time for it.
    """

    origin: Origin
    tracked: Tracked[FoundT]
    watch: Stopwatch

    @property
    def timing(self) -> Timing:
        """The laps so far."""
        return self.watch.read()


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline(Generic[SampleT, FitT, FoundT]):
    """Sample in, prediction out.

    Attributes:
        caution: what this machine costs the network, and what is set in vain, in words; empty
            when nothing.
    """

    head: Head[SampleT, FitT, FoundT]
    engine: Engine
    tracker: Tracker[FoundT]
    now: Callable[[], MonoNs] = monotonic_ns
    caution: str = ''

    def __call__(self, sample: SampleT, watch: Stopwatch | None = None) -> Prediction[FoundT]:
        """Prepare, infer, decode, track.

        ``watch`` has timed the sample so far; without one, all of that was waiting.
        """
        if watch is None:
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
        return Prediction(sample.origin, tracked, watch)


def open_pipeline(
    manifest: Manifest,
    keep: ExitStack,
    *,
    backend: str,
    precision: str = '',
    tracker: str = 'none',
    track_settings: TrackSettings | None = None,
    settings: Mapping[str, Any] | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Pipeline[Any, Any, Any]:
    """Assemble what ``manifest`` describes; ``keep`` closes the engine.

    Call it on the thread that will run it. ``settings`` go to the backend's ``open``;
    ``checkpoint`` is called between two steps that may take long, and what it raises ends them.

    Raises:
        ConfigError: no such backend, head or tracker.
        ModelError: the file is missing, not the promised one, or its tensors do not fit.
        BackendError: the runtime is not installed or has no device.
    """
    runtime: Backend = registry.load('backends', backend)
    follow = registry.load('trackers', tracker).Tracker
    file = manifest.file(backend, precision)
    engine = open_engine(
        manifest, file, keep, backend=backend, settings=settings, checkpoint=checkpoint
    )
    head = registry.load('heads', manifest.head.name).Head(manifest, engine.outputs)
    cautions = (getattr(runtime, 'caution', _no_caution)(file.path), idle(head))
    follower = follow(track_settings or TrackSettings())
    return Pipeline(head, engine, follower, caution='; '.join(filter(None, cautions)))


def open_engine(
    manifest: Manifest,
    file: ModelFile | Path,
    keep: ExitStack,
    *,
    backend: str,
    settings: Mapping[str, Any] | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Engine:
    """Verify a file, open it, and check that it is the network ``manifest`` promises.

    Every engine of a model is opened here, so that what judges a model refuses what a node would
    refuse. ``keep`` closes it. A bare path, which a manifest does not name yet, has no digest to
    verify. ``settings`` and ``checkpoint`` are as for ``open_pipeline``.

    Raises:
        ConfigError: no such backend.
        ModelError: the file is missing, not the promised one, or its tensors do not fit.
        BackendError: the runtime is not installed or has no device.
    """
    runtime: Backend = registry.load('backends', backend)
    checkpoint()
    path = file if isinstance(file, Path) else file.path
    if not isinstance(file, Path):
        verify(file)
        checkpoint()
    engine = runtime.open(manifest, path, **(settings or {}))
    keep.callback(engine.close)
    checkpoint()
    _check(manifest, engine, path.name)
    return engine


def _no_caution(_path: Path) -> str:
    return ''


def idle(head: Any) -> str:
    """What was set of a head and does nothing, in words; empty when all of it does something."""
    spec: HeadSpec = head.spec
    usual = HeadSpec(spec.name)
    if getattr(head, 'suppresses', True):
        return ''
    names = [
        n for n in ('iou_threshold', 'class_agnostic') if getattr(spec, n) != getattr(usual, n)
    ]
    words = ', '.join(f'{name} = {getattr(spec, name)}' for name in names)
    return words and (
        f'{words} does nothing: head {spec.name} suppresses no boxes, its network answers each'
        ' object once'
    )


def _check(manifest: Manifest, engine: Engine, file_name: str) -> None:
    faults = [
        *_faults((manifest.input,), engine.inputs, 'input'),
        *_faults(manifest.outputs, engine.outputs, 'output'),
    ]
    if faults:
        raise SpecMismatch(
            f'{file_name} is not the network {manifest.folder}/manifest.yaml describes: '
            + '; '.join(faults)
        )


def _faults(
    promised: tuple[InputSpec | TensorSpec, ...], tensors: Tensors, role: str
) -> list[str]:
    names = [spec.tensor for spec in promised]
    if sorted(names) != sorted(tensors):
        return [f'{role}s {", ".join(sorted(tensors))} instead of {", ".join(sorted(names))}']
    return [
        f'{role} {spec.tensor} is {tensors[spec.tensor].dtype} {list(tensors[spec.tensor].shape)}'
        f' instead of {spec.dtype} {list(spec.shape)}'
        for spec in promised
        if not _fits(spec.shape, tensors[spec.tensor].shape)
        or tensors[spec.tensor].dtype.name != spec.dtype
    ]


def _fits(promised: tuple[int, ...], actual: tuple[int, ...]) -> bool:
    return len(promised) == len(actual) and all(
        want in (-1, got) for want, got in zip(promised, actual, strict=True)
    )
