"""Payloads as flat bytes, whatever object holds them."""

from __future__ import annotations

from typing import Any

from edge_inference_ros.errors import SampleError


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
