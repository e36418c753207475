"""Follows boxes that keep their velocity, after SORT.

Bewley et al., Simple Online and Realtime Tracking, 2016, with three changes: motion is filtered in
seconds, so a skipped frame is a longer step and nothing else; only boxes of one class match; and
how long a track lives follows the measured rate, so that a camera of one frame a second works too.
Every coordinate has its own constant-velocity Kalman filter, all of them at once in numpy: 100
objects cost about as much as one, under a millisecond on a core of a small computer
(``python -m bench.pipeline``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from edge_inference_ros.core.boxes import from_centres, iou
from edge_inference_ros.core.protocols import TrackSettings
from edge_inference_ros.core.types import Detections2D, RosNs, Tracked

MOST_TRACKS = 256
LONGEST_PERIOD_NS = 5_000_000_000
"""Samples further apart than this say nothing about a rate."""

_LAST_ID = 2**31 - 1

# Standard deviations as parts of the box's size: what a detector jitters, how fast an object may
# move when first seen (sizes a second), how fast that changes (sizes a second, per root second).
_JITTER = 0.05
_FIRST_VELOCITY = 2.0
_UNREST = 2.0

_POSITION, _VELOCITY, _VAR_POSITION, _COVARIANCE, _VAR_VELOCITY = range(5)


@dataclass(slots=True)
class _Tracks:
    """What is being followed; row i of every array is track i.

    Attributes:
        motion: (T, 4, 5) position, velocity and their (co)variances, of centre x, centre y, width
            and height, in pixels and seconds.
        ids: (T,) -1 until confirmed.
        hits: (T,) how often the object was found.
        seen_ns: (T,) when it was found last.
    """

    motion: NDArray[np.float64]
    ids: NDArray[np.int32]
    class_ids: NDArray[np.int32]
    hits: NDArray[np.int32]
    seen_ns: NDArray[np.int64]

    @classmethod
    def born(
        cls, boxes: NDArray[np.float64], class_ids: NDArray[np.int32], now_ns: int
    ) -> _Tracks:
        """Tracks of (N, 4) centre boxes that nobody followed before."""
        count = len(boxes)
        size = _sizes(boxes)
        motion = np.zeros((count, 4, 5))
        motion[:, :, _POSITION] = boxes
        motion[:, :, _VAR_POSITION] = (_JITTER * size) ** 2
        motion[:, :, _VAR_VELOCITY] = (_FIRST_VELOCITY * size) ** 2
        return cls(
            motion,
            np.full(count, -1, np.int32),
            class_ids.copy(),
            np.ones(count, np.int32),
            np.full(count, now_ns, np.int64),
        )

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Forget the others."""
        if which.all():
            return
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[which])

    def add(self, more: _Tracks) -> None:
        """Follow these too."""
        if not len(more.ids):
            return
        for field in fields(self):
            both = getattr(self, field.name), getattr(more, field.name)
            setattr(self, field.name, np.concatenate(both))

    def predict(self, step_s: float) -> None:
        """Move everything on by ``step_s`` seconds."""
        motion = self.motion
        unrest = (_UNREST * _sizes(motion[:, :, _POSITION])) ** 2
        motion[:, :, _POSITION] += motion[:, :, _VELOCITY] * step_s
        motion[:, :, _VAR_POSITION] += (
            2 * step_s * motion[:, :, _COVARIANCE]
            + step_s**2 * motion[:, :, _VAR_VELOCITY]
            + unrest * step_s**3 / 3
        )
        motion[:, :, _COVARIANCE] += step_s * motion[:, :, _VAR_VELOCITY] + unrest * step_s**2 / 2
        motion[:, :, _VAR_VELOCITY] += unrest * step_s
        np.maximum(motion[:, 2:, _POSITION], 1.0, out=motion[:, 2:, _POSITION])

    def correct(self, which: NDArray[np.intp], boxes: NDArray[np.float64], now_ns: int) -> None:
        """Track ``which[i]`` was found at centre box ``boxes[i]``."""
        motion = self.motion[which]
        surprise = boxes - motion[:, :, _POSITION]
        spread = motion[:, :, _VAR_POSITION] + (_JITTER * _sizes(boxes)) ** 2
        gain = motion[:, :, _VAR_POSITION] / spread
        velocity_gain = motion[:, :, _COVARIANCE] / spread
        motion[:, :, _POSITION] += gain * surprise
        motion[:, :, _VELOCITY] += velocity_gain * surprise
        motion[:, :, _VAR_VELOCITY] -= velocity_gain * motion[:, :, _COVARIANCE]
        motion[:, :, _VAR_POSITION] *= 1 - gain
        motion[:, :, _COVARIANCE] *= 1 - gain
        self.motion[which] = motion
        self.hits[which] += 1
        self.seen_ns[which] = now_ns


class _Period:
    """The time between two samples: the median of the last few, which one pause does not move."""

    def __init__(self) -> None:
        self._steps_ns: deque[int] = deque(maxlen=9)
        self.ns = 0

    def add(self, step_ns: int) -> None:
        """A sample came ``step_ns`` after the one before."""
        if 0 < step_ns <= LONGEST_PERIOD_NS:
            self._steps_ns.append(step_ns)
            self.ns = sorted(self._steps_ns)[len(self._steps_ns) // 2]


class Tracker:
    """Gives an object an identity once it was found often enough, and lets it coast when missed.

    A sample that comes late, in the wrong order, gets the identities of its time and changes
    nothing. One from much earlier, as when a bag starts again, forgets every track; identities go
    on and are not used again. At most ``MOST_TRACKS`` objects are followed, the best-scored first.
    """

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self._settings = settings or TrackSettings()
        self._period = _Period()
        self._next_id = 0
        self._now_ns = 0
        self._tracks = _nothing()

    def update(self, found: Detections2D, stamp_ns: RosNs) -> Tracked[Detections2D]:
        """Name what was found at ``stamp_ns``; -1 is what has no identity yet."""
        if 0 < self._now_ns - stamp_ns <= self._late_ns:
            return self._recognise(found, stamp_ns)
        self._advance(stamp_ns)
        boxes = _centres(found.boxes_px)
        rows, columns = self._match(found, self._tracks.motion[:, :, _POSITION])
        self._tracks.correct(rows, boxes[columns], stamp_ns)
        self._name(rows)
        ids = np.full(len(found), -1, np.int32)
        ids[columns] = self._tracks.ids[rows]
        self._forget(stamp_ns)
        new = np.setdiff1d(np.arange(len(found)), columns, assume_unique=True)
        new = new[: MOST_TRACKS - len(self._tracks.ids)]
        self._tracks.add(_Tracks.born(boxes[new], found.class_ids[new], stamp_ns))
        return Tracked(found, ids)

    @property
    def _coast_ns(self) -> int:
        settings = self._settings
        least_ns = settings.track_coast_frames * self._period.ns
        return max(round(settings.track_coast_s * 1e9), least_ns)

    @property
    def _late_ns(self) -> int:
        return self._settings.track_late_frames * (self._period.ns or LONGEST_PERIOD_NS)

    def _recognise(self, found: Detections2D, stamp_ns: int) -> Tracked[Detections2D]:
        """The identities at a time that has passed; nothing is learned from it."""
        motion = self._tracks.motion
        back_s = (stamp_ns - self._now_ns) / 1e9
        rows, columns = self._match(
            found, motion[:, :, _POSITION] + motion[:, :, _VELOCITY] * back_s
        )
        ids = np.full(len(found), -1, np.int32)
        ids[columns] = self._tracks.ids[rows]
        return Tracked(found, ids)

    def _advance(self, stamp_ns: int) -> None:
        if stamp_ns < self._now_ns:
            self._tracks = _nothing()
        elif self._now_ns:
            self._period.add(stamp_ns - self._now_ns)
        # What was last seen before a gap longer than a track may coast is not worth predicting.
        self._tracks.keep(stamp_ns - self._tracks.seen_ns <= self._coast_ns)
        if len(self._tracks.ids):
            self._tracks.predict((stamp_ns - self._now_ns) / 1e9)
        self._now_ns = stamp_ns

    def _match(
        self, found: Detections2D, positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Tracks, at (T, 4) centre boxes, and detections that belong together, pairwise."""
        likeness = iou(from_centres(positions.astype(np.float32)), found.boxes_px)
        likeness[self._tracks.class_ids[:, None] != found.class_ids] = 0
        rows, columns = linear_sum_assignment(likeness, maximize=True)
        close = likeness[rows, columns] >= self._settings.track_least_iou
        return rows[close], columns[close]

    def _name(self, rows: NDArray[np.intp]) -> None:
        tracks = self._tracks
        nameless = rows[
            (tracks.hits[rows] >= self._settings.track_confirmed_after) & (tracks.ids[rows] < 0)
        ]
        fresh = (self._next_id + np.arange(len(nameless))) % _LAST_ID
        tracks.ids[nameless] = fresh
        self._next_id = (self._next_id + len(nameless)) % _LAST_ID

    def _forget(self, stamp_ns: int) -> None:
        """An object without an identity that is missed the next time was none."""
        tracks = self._tracks
        tracks.keep((tracks.seen_ns == stamp_ns) | (tracks.ids >= 0))


def _nothing() -> _Tracks:
    return _Tracks.born(np.empty((0, 4)), np.empty(0, np.int32), 0)


def _centres(boxes_px: NDArray[np.float32]) -> NDArray[np.float64]:
    boxes = boxes_px.astype(np.float64)
    return np.hstack(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]))


def _sizes(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 1) the side of a square as large as each (N, 4) centre box."""
    return np.sqrt(boxes[:, 2:3] * boxes[:, 3:4])
