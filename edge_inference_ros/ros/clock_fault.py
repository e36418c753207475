"""An age no message can have is a clock that is not ours, and often one can say which."""

from __future__ import annotations

from typing import NamedTuple

IMPLAUSIBLE_S = 10.0
"""No driver or middleware holds a message this long."""

_HALF_HOUR_S, _LEAP_SECONDS_S = 1800.0, 37.0
_FARTHEST_ZONE_S = 14 * 3600.0
_NEAR_S = 2.0
_NO_DATE_S = 1e8  # three years: no stamp of the calendar is this small


class ClockFault(NamedTuple):
    """What is wrong with a stamp, and what to do about it."""

    words: str
    remedy: str

    def __str__(self) -> str:
        return f'{self.words}; {self.remedy}'


def clock_fault(age_ns: int, stamp_ns: int, since_start_ns: int) -> ClockFault | None:
    """Name the clock behind an age that cannot be; None for one that can.

    Args:
        age_ns: the ROS clock minus the stamp, when the message arrived.
        stamp_ns: of its header.
        since_start_ns: CLOCK_MONOTONIC then.
    """
    age_s, stamp_s = age_ns / 1e9, stamp_ns / 1e9
    if 0.0 <= age_s <= IMPLAUSIBLE_S:
        return None
    if age_s > 0.0:
        words = f'stamped {age_s:.1f} s in the past'
    else:
        words = f'stamped {-1e3 * age_s:.1f} ms in the future'
    return ClockFault(words, _remedy(age_s, stamp_s, since_start_ns / 1e9))


def _remedy(age_s: float, stamp_s: float, since_start_s: float) -> str:
    if -IMPLAUSIBLE_S <= age_s < 0.0:
        return (
            'synchronise the clocks of this host and the sensor (chrony, PTP), and check'
            ' that all nodes agree on use_sim_time'
        )
    return f'the driver uses another clock: {_which(age_s, stamp_s, since_start_s)}'


def _which(age_s: float, stamp_s: float, since_start_s: float) -> str:
    """The first that fits; what each looks like is in the condition before it."""
    clocks = (
        (
            abs(stamp_s - since_start_s) <= _NEAR_S,
            'the time since this computer started; it must stamp the ROS time',
        ),
        (
            stamp_s < _NO_DATE_S,
            (
                'it counts from its own start, or follows simulated time while this node does not'
                ' (use_sim_time)'
            ),
        ),
        (
            stamp_s + age_s < _NO_DATE_S,
            'the calendar, while this node follows simulated time (use_sim_time)',
        ),
        (_is_zone(age_s), 'local time instead of UTC, by the half hours it is off'),
        (
            abs(age_s + _LEAP_SECONDS_S) <= _NEAR_S,
            'TAI, which PTP carries and which is 37 s ahead of UTC',
        ),
        (age_s < 0.0, 'synchronise it with this host (chrony, PTP)'),
    )
    for fits, words in clocks:
        if fits:
            return words
    return (
        'synchronise it with this host (chrony, PTP); or, of a recording, play its clock too and'
        ' set use_sim_time'
    )


def _is_zone(age_s: float) -> bool:
    size_s = abs(age_s)
    off_s = abs(size_s - round(size_s / _HALF_HOUR_S) * _HALF_HOUR_S)
    return off_s <= _NEAR_S and _HALF_HOUR_S - _NEAR_S <= size_s <= _FARTHEST_ZONE_S + _NEAR_S
