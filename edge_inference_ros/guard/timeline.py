"""One axis of time on which no age ever shrinks, whatever happens to the clocks.

Stamps are on the ROS clock. In simulation that is the axis. On a robot it is the wall clock,
which somebody may set at any moment, so there the axis is a steady clock, and a stamp is placed
on it by the offset between the two.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from edge_inference_ros.core.types import MonoNs, RosNs

WINDOW_NS = 1_000_000_000
"""For so long the greatest offset of the clocks holds, while no clock is set."""

LONGEST_FLIGHT_NS = 60_000_000_000
"""Nothing is on its way for longer; only for a source not heard since the clock was set ahead."""

LEAP_NS = 1_000_000_000
"""Simulated time that moves on by more at once has leapt: that is no period of its clock."""

_BUCKETS = 5
_STEP_NS = 1_000_000
_AGE_NS = 10_000_000_000
_STEPS = 8
_NEVER_NS = -(1 << 63)
_ERAS = 8


class Instant(NamedTuple):
    """Now, on both clocks. Read the ROS clock first: see ``Timeline``."""

    ros_ns: RosNs
    mono_ns: MonoNs


class Steps:
    """The last steps of a simulated clock: by the longest of them what it shows may be too early.

    Standing still is no step, and neither is a leap or going back.
    """

    __slots__ = ('_noted_ns',)

    def __init__(self) -> None:
        self._noted_ns: deque[int] = deque(maxlen=_STEPS)

    def note(self, step_ns: int) -> None:
        """Take how far the clock went since it was last read."""
        if 0 < step_ns <= LEAP_NS:
            self._noted_ns.append(step_ns)

    def clear(self) -> None:
        """Time has begun again."""
        self._noted_ns.clear()

    @property
    def longest_ns(self) -> int:
        """The longest of them; 0 before the first."""
        return max(self._noted_ns, default=0)


class _Era(NamedTuple):
    """An offset of the clocks that held until the clock was seen to be set back.

    Attributes:
        since_ns: from when on it held: the clock had been set ahead.
    """

    offset_ns: int
    until_ns: int
    since_ns: int


class Track:
    """What one source of stamps has shown of the clock that was set back.

    Attributes:
        place_ns: where its newest stamp is on the axis; None before the first.
        turns: how often it has shown a stamp of a newer time.
        newer: of how many eras the stamp that was placed last is no more; they end when it came.
    """

    __slots__ = ('eras', 'newer', 'place_ns', 'turns')

    def __init__(self) -> None:
        self.eras: list[_Era] = []
        self.place_ns: int | None = None
        self.turns = self.newer = 0

    @property
    def doubtful(self) -> bool:
        """Whether the stamp placed last may still be of a time before the clock was set back."""
        return self.newer < len(self.eras)

    def came(self, place_ns: int) -> None:
        """Take note of the stamp that was placed last, and could be judged.

        Later ones of its time come after it. Of one that was refused nothing is learned: it may
        be another sensor's.
        """
        if self.newer:
            self.turns += self.newer
            del self.eras[: self.newer]
            self.newer = 0
        if self.place_ns is None or place_ns > self.place_ns:
            self.place_ns = place_ns

    def forget(self) -> None:
        """Time itself has jumped."""
        self.eras.clear()
        self.newer = 0
        self.place_ns = None

    def set_back(self, era: _Era) -> None:
        """The clock was set back; of too many times at once the two oldest become one."""
        self.eras.append(era)
        if len(self.eras) > _ERAS:
            oldest, second = self.eras[:2]
            self.eras[:2] = [_Era(oldest.offset_ns, second.until_ns, second.until_ns)]


class Timeline:
    """Places stamps on the axis.

    A stamp S set when the clocks were o = ros - mono apart belongs at S - o, but o is known only
    for the instants at which we looked. While nobody sets the clock, the greatest offset of the
    last second is used: S is then never placed later than it was.

    If the clock is set back, S has two readings: the older one, with the offset from before, and
    the newer one. A source sends what it stamped before the step before what it stamped after
    it. So the older reading holds until the source has shown a stamp of the new time: one that,
    read the old way, was captured after the step had been seen, or before a stamp that the source
    has already sent. How long ago the step was does not matter. Only if a source was not heard
    at all since the time before the step began, an older reading of more than a minute is not
    believed.

    If the clock is set ahead, the older reading is the new offset, and it holds at once.

    If the thread is held up between reading the two clocks the offset comes out too small, which
    a maximum ignores; that is why the ROS clock must be read first.

    Attributes:
        skew_ns: how far in the future a stamp may be.
        rewound: the last ``read`` found simulated time running backwards (a bag that loops).
    """

    __slots__ = (
        '_advanced_ns',
        '_ahead_ns',
        '_axis_ns',
        '_bucket',
        '_last_ns',
        '_offset_ns',
        '_offsets',
        '_ros_ns',
        '_sim',
        '_steps',
        '_tracks',
        'rewound',
        'skew_ns',
    )

    def __init__(self, *, sim_time: bool, skew_ns: int = 0) -> None:
        self._sim = sim_time
        self.skew_ns = skew_ns
        self._offsets: list[int] = []
        self._bucket = 0
        self._offset_ns = self._last_ns = self._axis_ns = 0
        self._ahead_ns = _NEVER_NS
        self._ros_ns: int | None = None
        self._advanced_ns = 0
        self._steps = Steps()
        self._tracks: list[Track] = []
        self.rewound = False

    def track(self) -> Track:
        """A new source of stamps."""
        self._tracks.append(Track())
        return self._tracks[-1]

    def read(self, now: Instant) -> int:
        """Take note of both clocks; return now on the axis."""
        if self._sim:
            return self._read_sim(now)
        ros_ns, self._axis_ns = now
        offset_ns = ros_ns - self._axis_ns
        bucket = self._axis_ns // (WINDOW_NS // (_BUCKETS - 1))
        if not self._offsets or offset_ns < self._offset_ns - _STEP_NS:
            self._set_back(offset_ns)
        elif bucket != self._bucket:
            self._turn(bucket, offset_ns)
        elif offset_ns > self._offsets[bucket % _BUCKETS]:
            self._offsets[bucket % _BUCKETS] = offset_ns
            self._settle(max(self._offset_ns, offset_ns))
        self._bucket, self._last_ns = bucket, offset_ns
        return self._axis_ns

    def place(self, stamp_ns: int, track: Track) -> int:
        """Where a stamp of a source is on the axis, as of the last ``read``."""
        place_ns = stamp_ns - self._offset_ns
        track.newer = 0
        return self._older(stamp_ns, place_ns, track) if track.eras else place_ns

    def tolerance_ns(self) -> int:
        """How far in the future a stamp may be: in simulation a step of the clock, if greater."""
        return max(self.skew_ns, self._steps.longest_ns)

    def stalled_ns(self, now: Instant) -> int:
        """For how long simulated time has stood still; 0 where time is real."""
        return now.mono_ns - self._advanced_ns if self._sim else 0

    def _older(self, stamp_ns: int, newer_ns: int, track: Track) -> int:
        """The oldest reading that the source has not ruled out.

        Only a stamp that is plausible in the new time can rule one out: rubbish shows nothing.
        """
        plausible = -self.skew_ns <= self._axis_ns - newer_ns <= _AGE_NS
        for era in track.eras:
            older_ns = stamp_ns - era.offset_ns
            if not (plausible and self._is_ruled_out(older_ns, era, track)):
                return older_ns
            track.newer += 1
        return newer_ns

    def _is_ruled_out(self, older_ns: int, era: _Era, track: Track) -> bool:
        if older_ns > era.until_ns:
            return True
        if track.place_ns is None or track.place_ns < era.since_ns:
            return self._axis_ns - older_ns > LONGEST_FLIGHT_NS
        return older_ns < track.place_ns - _STEP_NS

    def _read_sim(self, now: Instant) -> int:
        last_ns, self._ros_ns = self._ros_ns, now.ros_ns
        step_ns = 0 if last_ns is None else now.ros_ns - last_ns
        self.rewound = step_ns < 0
        if self.rewound:
            self._steps.clear()
            for track in self._tracks:
                track.forget()
        self._steps.note(step_ns)
        if last_ns != now.ros_ns:
            self._advanced_ns = now.mono_ns
        return now.ros_ns

    def _set_back(self, offset_ns: int) -> None:
        """Begin a window; until now either offset may have held."""
        if self._offsets:
            for track in self._tracks:
                track.set_back(_Era(self._offset_ns, self._axis_ns, self._ahead_ns))
        self._offsets = [offset_ns] * _BUCKETS
        self._offset_ns, self._ahead_ns = offset_ns, _NEVER_NS

    def _turn(self, bucket: int, offset_ns: int) -> None:
        """Start a bucket; between the last reading and this one either offset may have held."""
        either_ns = max(self._last_ns, offset_ns)
        for passed in range(self._bucket + 1, bucket + 1)[-_BUCKETS:]:
            self._offsets[passed % _BUCKETS] = either_ns
        self._settle(max(self._offsets))

    def _settle(self, offset_ns: int) -> None:
        """Use an offset; times that it reads as older are none of their own any more."""
        if offset_ns > self._offset_ns:
            if offset_ns > self._offset_ns + _STEP_NS:
                self._ahead_ns = self._axis_ns
            for track in self._tracks:
                track.eras = [era for era in track.eras if era.offset_ns > offset_ns]
        self._offset_ns = offset_ns
