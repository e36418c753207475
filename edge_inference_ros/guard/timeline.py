"""One axis of time on which no age ever shrinks, whatever happens to the clocks.

Stamps are on the ROS clock. In simulation that is the axis. On a robot it is the wall clock,
which somebody may set at any moment, so there the axis is the steady clock, and a stamp is placed
on it by the offset between the two.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_inference_ros.core.types import MonoNs, RosNs

_BUCKETS = 5
_STEP_NS = 1_000_000


class Instant(NamedTuple):
    """Now, on both clocks. Read the ROS clock first: see ``Timeline``."""

    ros_ns: RosNs
    mono_ns: MonoNs


class Timeline:
    """Places stamps on the axis.

    A stamp S set when the clocks were o = ros - mono apart belongs at S - o, but o is known only
    for the instants at which we looked. Whatever is not yet older than ``horizon_ns`` was stamped
    within the last ``horizon_ns``, so we take the greatest offset seen in that time: S is then
    never placed later than it was, and a clock set back while a message was on its way makes
    that message look older, not younger. Once the horizon has passed, the new offset holds.

    If the thread is held up between reading the two clocks the offset comes out too small, which
    a maximum ignores; that is why the ROS clock must be read first.

    Attributes:
        rewound: the last ``read`` found simulated time running backwards (a bag that loops).
        shift_ns: how far the last ``read`` moved the ROS clock's origin back, else 0. Stamps
            from before must be moved as much to be compared with new ones.
    """

    __slots__ = (
        '_advanced_ns',
        '_bucket',
        '_last_ns',
        '_offset_ns',
        '_offsets',
        '_ros_ns',
        '_sim',
        '_width_ns',
        'rewound',
        'shift_ns',
    )

    def __init__(self, *, sim_time: bool, horizon_ns: int) -> None:
        self._sim = sim_time
        self._width_ns = max(1, horizon_ns // (_BUCKETS - 1))
        self._offsets: list[int] = []
        self._bucket = 0
        self._offset_ns = 0
        self._last_ns = 0
        self._ros_ns: int | None = None
        self._advanced_ns = 0
        self.rewound = False
        self.shift_ns = 0

    def read(self, now: Instant) -> int:
        """Take note of both clocks; return now on the axis."""
        if self._sim:
            return self._read_sim(now)
        ros_ns, mono_ns = now
        offset_ns = ros_ns - mono_ns
        bucket = mono_ns // self._width_ns
        self.shift_ns = 0
        if bucket != self._bucket or not self._offsets:
            self._turn(bucket, offset_ns)
        elif offset_ns > self._offsets[bucket % _BUCKETS]:
            self._offsets[bucket % _BUCKETS] = offset_ns
            self._offset_ns = max(self._offset_ns, offset_ns)
        self._last_ns = offset_ns
        return mono_ns

    def place(self, stamp_ns: int) -> int:
        """Where a stamp is on the axis, as of the last ``read``."""
        return stamp_ns - self._offset_ns

    def stalled_ns(self, now: Instant) -> int:
        """For how long simulated time has stood still; 0 where time is real."""
        return now.mono_ns - self._advanced_ns if self._sim else 0

    def _read_sim(self, now: Instant) -> int:
        last_ns, self._ros_ns = self._ros_ns, now.ros_ns
        self.rewound = last_ns is not None and now.ros_ns < last_ns
        if last_ns != now.ros_ns:
            self._advanced_ns = now.mono_ns
        return now.ros_ns

    def _turn(self, bucket: int, offset_ns: int) -> None:
        """Start a bucket; between the last reading and this one either offset may have held."""
        if not self._offsets:
            self._offsets = [offset_ns] * _BUCKETS
            self._offset_ns = self._last_ns = offset_ns
        either_ns = max(self._last_ns, offset_ns)
        for passed in range(self._bucket + 1, bucket + 1)[-_BUCKETS:]:
            self._offsets[passed % _BUCKETS] = either_ns
        self._bucket = bucket
        before_ns, self._offset_ns = self._offset_ns, max(self._offsets)
        if self._offset_ns < before_ns - _STEP_NS:
            self.shift_ns = self._offset_ns - before_ns
