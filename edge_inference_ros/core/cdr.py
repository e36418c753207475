"""Serialised ROS messages read field by field; no length in them is believed.

Covers plain XCDR1 in both byte orders, which is what every ROS 2 middleware puts in front of a raw
subscription: four bytes of encapsulation (0, 1 for little or 0 for big endian, two of options),
then the fields, each aligned to its own size counted from byte 4. Source: OMG DDSI-RTPS 2.5,
10.2 and 10.5; OMG CDR in CORBA 3.3, 9.3.

Every read is checked against the end of the buffer first, and nothing is allocated by a claimed
size.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import Any

from edge_inference_ros.core.types import NS_PER_S, RosNs
from edge_inference_ros.errors import BadStamp, SampleError

TEXT_LIMIT_BYTES = 1024
"""Longest frame id, encoding, format or field name; real ones have tens of bytes."""

STAMP_END = 12
"""Where the stamp of a message that begins with a header ends."""


_STAMPS = (Struct('>iI'), Struct('<iI'))
_U32S = (Struct('>I'), Struct('<I'))


def stamp_ns(buffer: bytes | bytearray | memoryview) -> RosNs:
    """Acquisition time of any message that begins with a ``std_msgs/Header``.

    Looks at the first twelve bytes only. Zero is returned as zero: whether it is acceptable is
    for whoever judges freshness.

    Args:
        buffer: the serialised message; elements are single bytes.

    Raises:
        BadStamp: too short, not plain CDR, or not a time (negative seconds, a whole second or
            more of nanoseconds).
    """
    if len(buffer) < STAMP_END:
        raise BadStamp(
            f'{len(buffer)} bytes cannot hold a stamp, which ends at byte {STAMP_END}; '
            'is this a type that begins with a header?'
        )
    seconds, nanoseconds = _STAMPS[_byte_order(buffer, BadStamp)].unpack_from(buffer, 4)
    if seconds < 0 or nanoseconds >= NS_PER_S:
        raise BadStamp(
            f'stamp of {seconds} s and {nanoseconds} ns at byte 4; need seconds >= 0 and '
            f'nanoseconds < {NS_PER_S}; does the type begin with a header?'
        )
    return RosNs(seconds * NS_PER_S + nanoseconds)


def peek_header(buffer: Any) -> tuple[RosNs, str]:
    """Stamp and frame id of any message that begins with a ``std_msgs/Header``.

    Raises:
        BadStamp: the bytes do not begin with one.
    """
    return CdrReader(buffer, BadStamp).header()


def _byte_order(buffer: bytes | bytearray | memoryview, error: type[SampleError]) -> int:
    if buffer[0] != 0 or buffer[1] > 1:
        raise error(
            f'encapsulation {buffer[0]:#04x} {buffer[1]:#04x} at byte 0; plain CDR is 0x00 0x00 '
            '(big endian) or 0x00 0x01 (little endian)'
        )
    return buffer[1]


class CdrReader:
    """Walks the fields of one message; raises ``error`` with the offset where they stop."""

    __slots__ = ('_at', '_bytes', '_error', '_order', '_u32')

    def __init__(self, buffer: Any, error: type[SampleError]) -> None:
        self._bytes = octets(buffer, error)
        self._error = error
        self._at = 4
        if len(self._bytes) < self._at:
            raise error(f'{len(self._bytes)} bytes; a message begins with 4 of encapsulation')
        order = _byte_order(self._bytes, error)
        self._order, self._u32 = '><'[order], _U32S[order]

    def header(self) -> tuple[RosNs, str]:
        """The stamp and the frame id, which come first."""
        stamp = stamp_ns(self._bytes)
        self._at = STAMP_END
        return stamp, self.text('frame_id')

    def u8(self, name: str) -> int:
        """One byte."""
        return self._bytes[self._claim(1, name)]

    def u32(self, name: str) -> int:
        """Four bytes, aligned."""
        self._at += (4 - self._at) % 4
        value: int = self._u32.unpack_from(self._bytes, self._claim(4, name))[0]
        return value

    def text(self, name: str) -> str:
        """A string: its length with the closing zero, then that many bytes."""
        size = self.u32(name)
        if size > TEXT_LIMIT_BYTES:
            raise self._error(
                f'{name} of {size} bytes before byte {self._at}; at most {TEXT_LIMIT_BYTES}'
            )
        start = self._claim(size, name)
        raw = bytes(self._bytes[start : self._at])
        # Some writers send an empty string as no bytes at all, without the closing zero.
        if size and raw.find(0) != size - 1:
            raise self._error(f'{name} at byte {start} does not end at its first zero byte')
        try:
            return raw[:-1].decode()
        except UnicodeDecodeError as cause:
            raise self._error(f'{name} at byte {start} is not UTF-8: {cause}') from cause

    def doubles(self, count: int, name: str) -> tuple[float, ...]:
        """So many float64, aligned to eight from byte 4."""
        self._at += (4 - self._at) % 8
        start = self._claim(8 * count, name)
        return unpack_from(f'{self._order}{count}d', self._bytes, start)

    def blob(self, name: str) -> memoryview:
        """A sequence of bytes, borrowed."""
        start = self._claim(self.u32(name), name)
        return self._bytes[start : self._at]

    def _claim(self, size: int, name: str) -> int:
        start, end = self._at, self._at + size
        if end > len(self._bytes):
            raise self._error(
                f'{name} at byte {start} claims {size} bytes, but the message ends at byte '
                f'{len(self._bytes)}; it is truncated or not of this type'
            )
        self._at = end
        return start


def octets(payload: Any, error: type[SampleError]) -> memoryview:
    """See ``payload`` as a flat run of bytes that shares its memory.

    Args:
        payload: bytes, bytearray, memoryview, ``array.array('B')`` or a uint8 array.
        error: what to raise when it is none of these.
    """
    try:
        seen = memoryview(payload)
    except (TypeError, ValueError) as cause:
        raise error(
            f'the payload is a {type(payload).__name__}; give bytes, bytearray, memoryview, '
            "array.array('B') or a uint8 ndarray"
        ) from cause
    if seen.itemsize != 1 or not seen.c_contiguous:
        raise error(
            f'the payload has elements of {seen.itemsize} bytes and strides {seen.strides}; '
            'give one run of single bytes'
        )
    if seen.ndim == 1 and seen.format == 'B':
        return seen
    # A view with a zero in its shape cannot be cast; there is nothing in it to share either.
    return seen.cast('B') if seen.nbytes else memoryview(b'')
