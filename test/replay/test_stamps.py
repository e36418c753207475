"""A stamp is exchanged where it stands, and nothing else is touched."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import bags

from edge_inference_ros.errors import BadStamp
from edge_inference_ros.replay import definitions, stamps

SECONDS = st.integers(0, 2**31 - 1)
NANOSECONDS = st.integers(0, 10**9 - 1)


@settings(deadline=None)
@given(SECONDS, NANOSECONDS, st.booleans(), st.binary(max_size=40))
def test_a_replaced_stamp_reads_back_and_every_other_byte_stays(
    seconds, nanoseconds, little, rest
):
    head = b'\x00' + bytes([little]) + b'\x12\x34'
    data = head + struct.pack(('<' if little else '>') + 'iI', 5, 6) + rest
    stamp_ns = seconds * 10**9 + nanoseconds

    changed = stamps.replace(data, stamp_ns)

    assert stamps.read(changed) == stamp_ns
    assert changed[:4] == data[:4]
    assert changed[12:] == rest


def test_what_was_patched_is_what_the_decoder_sees():
    data = stamps.replace(bags.image(1_000_000_007), 2_000_000_009)

    message = definitions.decode(bags.IMAGE, data)

    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (2, 9)
    assert message.encoding == 'bgr8'


@pytest.mark.parametrize(
    'data', [b'', b'\x00\x01\x00\x00\x01', b'\x00\x07' + bytes(10), b'\x01\x01' + bytes(10)]
)
def test_bytes_that_cannot_hold_a_stamp_are_refused(data):
    with pytest.raises(BadStamp):
        stamps.replace(data, 1)


def test_a_stamp_beyond_2038_is_refused():
    with pytest.raises(BadStamp, match='2147483648 s'):
        stamps.replace(bags.image(0), 2**31 * 10**9)
