"""The reader of serialised bytes: headers of any message, and lengths nobody believes."""

from __future__ import annotations

import struct

import pytest
from support.sensor_messages import STORE, header

from edge_inference_ros.core import cdr
from edge_inference_ros.errors import BadCloud, BadStamp

FRAMES = ['', 'c', 'ab', 'cam', 'lens', 'front/camera_optical', 'kamera_größe']


@pytest.mark.parametrize('is_little', [True, False], ids=['little', 'big'])
@pytest.mark.parametrize('frame_id', FRAMES)
def test_the_header_of_any_stamped_message_is_peeked_at(frame_id, is_little):
    name = 'std_msgs/msg/Header'
    raw = bytes(STORE.serialize_cdr(header(frame_id), name, little_endian=is_little))

    assert cdr.stamp_ns(raw) == 12_000_000_034
    assert cdr.peek_header(raw) == (12_000_000_034, frame_id)


@pytest.mark.parametrize('hold', [bytes, bytearray, memoryview])
def test_a_stamp_is_read_from_any_holder_of_bytes(hold):
    raw = hold(b'\0\1\0\0' + struct.pack('<iI', 5, 999_999_999))

    assert cdr.stamp_ns(raw) == 5_999_999_999


def test_a_zero_stamp_is_zero_and_not_an_error():
    assert cdr.stamp_ns(b'\0\1\0\0' + bytes(8)) == 0


@pytest.mark.parametrize(
    ('raw', 'words'),
    [
        (b'', '0 bytes cannot hold a stamp'),
        (b'\0\1\0\0' + bytes(7), '11 bytes cannot hold a stamp, which ends at byte 12'),
        (b'\0\2\0\0' + bytes(8), 'encapsulation 0x00 0x02'),
        (b'\1\1\0\0' + bytes(8), 'encapsulation 0x01 0x01'),
        (b'\0\1\0\0' + struct.pack('<iI', -1, 0), 'stamp of -1 s'),
        (b'\0\1\0\0' + struct.pack('<iI', 1, 10**9), '1000000000 ns at byte 4'),
    ],
)
def test_what_is_not_a_stamp_is_refused(raw, words):
    for read in (cdr.stamp_ns, cdr.peek_header):
        with pytest.raises(BadStamp) as refused:
            read(raw)
        if len(raw) >= 12:
            assert words in str(refused.value)
    with pytest.raises(BadStamp, match=words):
        cdr.stamp_ns(raw)


def test_an_empty_string_may_come_without_its_zero():
    raw = b'\0\1\0\0' + struct.pack('<iII', 1, 2, 0)

    assert cdr.peek_header(raw) == (1_000_000_002, '')


@pytest.mark.parametrize('claimed', [5, 100, 1024])
def test_a_frame_id_longer_than_the_message_is_refused(claimed):
    raw = b'\0\1\0\0' + struct.pack('<iII', 1, 2, claimed) + b'cam\0'

    with pytest.raises(BadStamp, match=f'frame_id at byte 16 claims {claimed} bytes'):
        cdr.peek_header(raw)


def test_an_absurdly_long_frame_id_is_refused_even_if_it_is_there():
    raw = b'\0\1\0\0' + struct.pack('<iII', 1, 2, 2000) + b'c' * 1999 + b'\0'

    with pytest.raises(BadStamp, match='frame_id of 2000 bytes before byte 16; at most 1024'):
        cdr.peek_header(raw)


@pytest.mark.parametrize(
    ('before', 'order'), [(0, '<'), (1, '<'), (4, '>'), (7, '>'), (8, '<'), (9, '>')]
)
def test_numbers_of_eight_bytes_are_aligned_behind_the_encapsulation(before, order):
    gap = b'\xee' * (-before % 8)
    raw = bytes([0, order == '<', 0, 0]) + bytes(before) + gap + struct.pack(order + '2d', 1.5, -2)
    reader = cdr.CdrReader(raw, BadCloud)

    for _ in range(before):
        reader.u8('filler')

    assert reader.doubles(2, 'pair') == (1.5, -2.0)
    with pytest.raises(BadCloud, match='pair at byte'):
        reader.doubles(2, 'pair')
