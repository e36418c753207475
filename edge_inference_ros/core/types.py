"""The nouns of the package: what a sensor saw and what a network found in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, NewType, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000

LEASE_S = 0.1
"""How long the watchdog's heartbeat counts; after it a reader takes the watchdog for dead."""

RosNs = NewType('RosNs', int)
"""Nanoseconds on the node's ROS clock. Obeys ``use_sim_time``; compare with header stamps."""

MonoNs = NewType('MonoNs', int)
"""Nanoseconds on ``time.monotonic_ns``. Never jumps; use for durations, never for stamps."""

Tensors: TypeAlias = Mapping[str, NDArray[np.generic]]

FoundT = TypeVar('FoundT')


class Level(IntEnum):
    """How loudly to say so; the values of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a sample was taken, and when we first held it.

    Attributes:
        frame_id: tf frame of the sensor.
        stamp_ns: acquisition time, copied unchanged onto everything derived from the sample.
        received_ns: when our callback ran; laps are counted from here.
        transport_ns: ROS-clock age of the sample at that moment.
    """

    frame_id: str
    stamp_ns: RosNs
    received_ns: MonoNs
    transport_ns: int = 0


CHANNELS = {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4, 'mono': 1}
"""How many bytes a pixel has in each colour order."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture, borrowed from the message that carried it.

    Four channels and grey stay as they came: whoever shrinks the picture converts the small one.

    Attributes:
        pixels: (H, W, C) uint8 view, rows possibly padded; copy it to keep it.
        order: a key of ``CHANNELS``, which gives C.
    """

    origin: Origin
    pixels: NDArray[np.uint8]
    order: str = 'rgb'

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != CHANNELS[self.order]:
            raise ValueError(
                f'{self.order} pixels must be (H, W, {CHANNELS[self.order]}),'
                f' got {self.pixels.shape}'
            )


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """A LiDAR sweep, borrowed from the message that carried it.

    Attributes:
        points: (N,) structured view, metres in the sensor frame; fields as the driver named them.
    """

    origin: Origin
    points: NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class Detections2D:
    """What a detector found in one image; row i of every array is object i.

    Attributes:
        boxes_px: (N, 4) float32, x1 y1 x2 y2 in the original image, x right, y down.
        scores: (N,) float32 in [0, 1], descending.
        class_ids: (N,) int32, indices into the manifest's ``classes``.
    """

    origin: Origin
    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.boxes_px)
        if self.boxes_px.shape != (n, 4):
            raise ValueError(f'boxes_px must be (N, 4), got {self.boxes_px.shape}')
        if self.scores.shape != (n,) or self.class_ids.shape != (n,):
            raise ValueError(
                f'{n} boxes but {self.scores.shape} scores and {self.class_ids.shape} class_ids'
            )

    def __len__(self) -> int:
        return len(self.boxes_px)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates2D:
    """Everything a network answers to one picture, before any box is chosen: for tools.

    Attributes:
        boxes_px: (N, 4) float32, x1 y1 x2 y2 in the network's input; any values at all.
        scores: (N, C) float32, of each class; (N, 1) if the network names one class a box.
        class_ids: (N,) float32, the class the network names for each box, if it does.
        objectness: (N,) float32, how sure it is that there is anything, if it says that apart.
        aligned: row i is the same place of the picture whatever the picture shows.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.float32] | None = None
    objectness: NDArray[np.float32] | None = None
    aligned: bool = True


@dataclass(slots=True)
class Crowding:
    """How often there was more to see than a head may look at, since it was made.

    Attributes:
        candidates: pictures with more boxes above the threshold than ``HeadSpec.candidates``.
        detections: pictures with as many objects as ``HeadSpec.max_detections`` lets out.
    """

    candidates: int = 0
    detections: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Detections3D:
    """What a detector found in one sweep; row i of every array is object i.

    Attributes:
        centers_m: (N, 3) float32, box centres in the sensor frame.
        sizes_m: (N, 3) float32, length (along the heading), width, height.
        yaws_rad: (N,) float32, heading about the sensor's z, counter-clockwise from x.
        scores: (N,) float32 in [0, 1], descending.
        class_ids: (N,) int32, indices into the manifest's ``classes``.
    """

    origin: Origin
    centers_m: NDArray[np.float32]
    sizes_m: NDArray[np.float32]
    yaws_rad: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.scores)
        shapes = {
            'centers_m': (self.centers_m.shape, (n, 3)),
            'sizes_m': (self.sizes_m.shape, (n, 3)),
            'yaws_rad': (self.yaws_rad.shape, (n,)),
            'class_ids': (self.class_ids.shape, (n,)),
        }
        if wrong := [f'{k} {got}' for k, (got, want) in shapes.items() if got != want]:
            raise ValueError(f'{n} scores but {", ".join(wrong)}')

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Tracked(Generic[FoundT]):
    """Detections that carry an identity from one sample to the next.

    Attributes:
        ids: (N,) int32, row i names object i of ``found``; -1 where no identity is claimed.
    """

    found: FoundT
    ids: NDArray[np.int32]


def told_apart(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Each name once: a detection names its class, and two classes of one name would be one.

    Networks have such lists: of merged datasets, or cut from longer names.
    """
    taken, distinct, notes = set(names), list[str](), list[str]()
    for index, name in enumerate(names):
        if name not in distinct:
            distinct.append(name)
            continue
        free = next(f'{name}_{n}' for n in itertools.count(2) if f'{name}_{n}' not in taken)
        taken.add(free)
        distinct.append(free)
        notes.append(f'class {index} is called {name!r} like another: it goes by {free!r}')
    return tuple(distinct), tuple(notes)
