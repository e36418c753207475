"""The header stamp inside serialised bytes: replaced where it stands.

A message whose first field is a ``std_msgs/Header`` begins, after the four bytes that say how it
is encoded, with the stamp: int32 seconds, uint32 nanoseconds. Nothing in front of it has a
variable length, so eight bytes can be exchanged without decoding the rest.
"""

from __future__ import annotations

import struct

from edge_inference_ros.core.cdr import STAMP_END, stamp_ns
from edge_inference_ros.core.types import NS_PER_S, RosNs
from edge_inference_ros.errors import BadStamp, BagError

_AT = 4
_ORDERS = {b'\x00\x00': '>', b'\x00\x01': '<'}


read = stamp_ns


def replace(data: bytes, new_ns: RosNs) -> bytes:
    """A copy of ``data`` stamped ``new_ns``; every other byte stays.

    Raises:
        BadStamp: ``data`` cannot hold a stamp, or ``new_ns`` is before 1970 or after 2038.
    """
    order = _order(data)
    seconds, nanoseconds = divmod(new_ns, NS_PER_S)
    if not 0 <= seconds < 1 << 31:
        raise BadStamp(f'{seconds} s do not fit a header stamp')
    return b''.join(
        (data[:_AT], struct.pack(order + 'iI', seconds, nanoseconds), data[STAMP_END:])
    )


class Rising:
    """Refuses a topic whose stamps do not rise: no figure about it would mean anything.

    That is what a recording holds whose clock stood still, was never there, or was set back.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._last_ns = 0

    def take(self, stamp_ns: int) -> None:
        """Hold the next stamp against the one before.

        Raises:
            BagError: it is zero, the same, or earlier.
        """
        if stamp_ns <= self._last_ns:
            why = (
                f'a stamp of {stamp_ns} ns after {self._last_ns}'
                if stamp_ns
                else 'a stamp of zero'
            )
            raise BagError(
                f'INVALID INPUT: {self._topic} has {why}; stamps must increase:'
                ' record with a clock that runs'
            )
        self._last_ns = stamp_ns


def _order(data: bytes) -> str:
    if len(data) < STAMP_END or (order := _ORDERS.get(bytes(data[:2]))) is None:
        raise BadStamp(f'{len(data)} bytes starting {bytes(data[:2]).hex()!r} carry no stamp')
    return order
