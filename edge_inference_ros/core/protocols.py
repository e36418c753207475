"""The seams of the package. Implement one of these in one file; nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from edge_inference_ros.core.manifest import HeadSpec, Manifest
from edge_inference_ros.core.params import param
from edge_inference_ros.core.types import RosNs, Tensors, Tracked

SampleT_contra = TypeVar('SampleT_contra', contravariant=True)
FitT = TypeVar('FitT')
FoundT = TypeVar('FoundT')
FoundT_co = TypeVar('FoundT_co', covariant=True)


class Engine(Protocol):
    """A network ready to run. Allocates everything when opened and nothing afterwards.

    Write into the arrays of ``inputs``, call ``run``, read the arrays of ``outputs``. Both
    belong to the engine: never rebind them, and copy what must outlive the next ``run``.
    An output whose size the data decides is looked up again after every ``run``. An engine may
    also have ``notes``, sentences for the log about what it chose by itself.
    """

    @property
    def inputs(self) -> Tensors:
        """Host arrays to fill, by tensor name."""

    @property
    def outputs(self) -> Tensors:
        """Host arrays to read, by tensor name."""

    def run(self) -> None:
        """Infer; return when ``outputs`` is valid. Raises ``BackendError``."""

    def close(self) -> None:
        """Release the device. Called once, on the thread that opened it."""


class Backend(Protocol):
    """A module ``backends/<name>.py``."""

    def open(self, manifest: Manifest, path: Path, **settings: Any) -> Engine:
        """Load ``path``, whose digest has been verified, on the calling thread.

        ``settings`` are what only this backend understands; each has a default.

        Raises:
            ModelError: the file is not a network this runtime can load.
            BackendError: the runtime or its device failed.
        """

    # A backend may also have ``caution(path: Path) -> str``: what this machine costs the network,
    # in words for an operator; empty when nothing.


class Head(Protocol[SampleT_contra, FitT, FoundT_co]):
    """What a network's author knew: how to show it a sample, how to read its answer.

    A module ``heads/<name>.py`` holds ``class Head``, made with ``Head(manifest, outputs)``;
    it raises ``SpecMismatch`` when ``outputs`` cannot be what it decodes.

    Attributes:
        spec: which boxes to keep; may be replaced between two frames.
    """

    spec: HeadSpec

    # A head may also have ``suppresses: bool``, False where overlapping boxes stay as the network
    # leaves them, so that ``iou_threshold`` and ``class_agnostic`` change nothing.

    def prepare(self, sample: SampleT_contra, inputs: Tensors) -> FitT:
        """Write ``sample`` into ``inputs``; return how it was made to fit."""

    def decode(self, outputs: Tensors, sample: SampleT_contra, fit: FitT) -> FoundT_co:
        """Read ``outputs`` back into the sample's own coordinates."""


@dataclass(frozen=True, slots=True)
class BoxPlace:
    """Where a head's boxes are among its outputs, for tools that move them in the graph.

    A head's module that has one as ``BOXES`` can be put behind a camera by ``optimize
    preprocess``. Options ``unit`` and ``box`` of the manifest, where the head has them, go before
    ``fraction`` and ``centred``.

    Attributes:
        output: which of the manifest's outputs.
        axis: the axis along which the four numbers of a box follow each other.
        first: the place of the first of them on that axis.
        centred: they are centre and sides, x y w h; otherwise corners, x1 y1 x2 y2.
        fraction: they are fractions of the input; otherwise its pixels.
        corner: the head letterboxes into the top left corner instead of the middle.
    """

    output: int
    axis: int
    first: int = 0
    centred: bool = True
    fraction: bool = False
    corner: bool = False


@dataclass(frozen=True)
class TrackSettings:
    """How long an object keeps its identity. Times follow the rate at which samples come.

    A tracker takes from it what it understands; ``none`` takes nothing.
    """

    track_confirmed_after: int = param(
        2, 'times an object must be found before it gets an identity', low=1, high=100
    )
    track_coast_s: float = param(
        0.5,
        'an object with an identity keeps it this long without being found',
        low=0.0,
        high=60.0,
    )
    track_coast_frames: int = param(
        3,
        'an object with an identity keeps it for at least so many missed frames, at the rate'
        ' measured',
        low=1,
        high=1000,
    )
    track_late_frames: int = param(
        3,
        'a frame older than its predecessor by no more than so many frames is late: it gets'
        ' identities and changes none; an older one is another time, which forgets them',
        low=0,
        high=1000,
    )
    track_least_iou: float = param(
        0.2, 'a box this different from where its object should be is another', low=0.01, high=1.0
    )


class Tracker(Protocol[FoundT]):
    """Gives objects that persist an identity that does too.

    A module ``trackers/<name>.py`` holds ``class Tracker``, made with ``Tracker(settings)``, a
    ``TrackSettings`` of which it takes what it understands.
    """

    def update(self, found: FoundT, stamp_ns: RosNs) -> Tracked[FoundT]:
        """Name what was found at ``stamp_ns``. Time passes in seconds here, never in frames."""


class Gauge(Protocol):
    """One source of figures about the machine."""

    def read(self) -> Mapping[str, float]:
        """What it shows now, by name; what cannot be read is not in it, and never 0."""
        ...
