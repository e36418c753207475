"""When each point of a cloud was measured, whatever the driver calls it and counts in.

Drivers send seconds before the stamp, nanoseconds after it, seconds or nanoseconds since 1970, or
the time of a clock of the sensor's own. None of them says which, so one rule reads them all, from
the numbers alone:

* what the times span is a turn or a part of one, ``SHORTEST_S`` to ``LONGEST_S``; of seconds,
  milliseconds, microseconds and nanoseconds, no more than one makes it that;
* times near 0 count from the stamp, times near the stamp count from 1970; all others are of
  another clock, and a parameter says which point the stamp belongs to.

Times that do not fit are named and not used.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.types import Cloud

NAMES = ('time', 't', 'timestamp', 'ts', 'time_stamp', 'offset_time', 'time_offset')
"""What drivers call the time of a point; the first that is there is read."""

SHORTEST_S, LONGEST_S = 0.001, 0.25
"""Within a millisecond nothing moves far; the slowest LiDARs turn four times a second."""

NEAR_S = 1.0
"""So far from the stamp a point may be; farther away, it is another clock's."""

_UNITS_S = (1.0, 1e-3, 1e-6, 1e-9)


class StampIs(Enum):
    """Which point the message's stamp belongs to, where the times do not say."""

    FIRST = 'first'
    LAST = 'last'


class TimeFault(Enum):
    """Why the points of a cloud have no times."""

    ABSENT = 'the points have no times'
    NONFINITE = 'times of points are not numbers'
    SPAN = 'the times of the points do not span a turn in any unit'


class PointTimes(NamedTuple):
    """When the points were measured.

    Attributes:
        after_s: (M,) float32, seconds after the cloud's stamp, negative before it; a new array.
        foreign: the times are of another clock than the stamp, and were laid to it.
    """

    after_s: NDArray[np.float32]
    foreign: bool


def point_times(
    cloud: Cloud, mask: NDArray[np.bool_], *, stamp_is: StampIs = StampIs.FIRST
) -> PointTimes | TimeFault:
    """When the points that ``mask`` picks were measured, or why that cannot be known.

    Args:
        cloud: as the sensor sent it.
        mask: (N,), the points that are somewhere. Others often have times that mean nothing.
        stamp_is: which point the stamp belongs to, where the times are of another clock.

    Returns:
        The times of the M picked points, in their order.
    """
    name = next((name for name in NAMES if _is_time(cloud.points.dtype, name)), None)
    if name is None or not mask.any():
        return TimeFault.ABSENT
    # Doubles: since 1970 there are more nanoseconds than a float32 or an int32 can tell apart.
    times = cloud.points[name].compress(mask).astype(np.float64)
    first, last = float(times.min()), float(times.max())
    if not np.isfinite(first + last):
        return TimeFault.NONFINITE
    unit_s = next((u for u in _UNITS_S if SHORTEST_S <= (last - first) * u <= LONGEST_S), None)
    if unit_s is None:
        return TimeFault.SPAN
    zero, foreign = _zero(first, last, unit_s=unit_s, stamp_ns=cloud.origin.stamp_ns)
    if foreign:
        zero = first if stamp_is is StampIs.FIRST else last
    times -= zero
    times *= unit_s
    return PointTimes(times.astype(np.float32), foreign)


def _is_time(point: np.dtype[np.void], name: str) -> bool:
    return name in (point.names or ()) and point[name].shape == ()


def _zero(first: float, last: float, *, unit_s: float, stamp_ns: int) -> tuple[float, bool]:
    """Which of the field's values is the stamp; and whether none is."""
    for zero in (0.0, stamp_ns * 1e-9 / unit_s):
        if max(abs(first - zero), abs(last - zero)) * unit_s <= NEAR_S:
            return zero, False
    return 0.0, True
