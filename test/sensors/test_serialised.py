"""Serialised sensor messages against another library's writer."""

from __future__ import annotations

import struct

import pytest
from support.sensor_messages import cloud, compressed, image, serialised

from edge_inference_ros.errors import BadCloud, BadImage, SampleError
from edge_inference_ros.sensors import _cdr

FRAMES = ['', 'c', 'ab', 'cam', 'lens', 'front/camera_optical', 'kamera_größe']
MESSAGES = {
    'Image': (image(), _cdr.read_image),
    'CompressedImage': (compressed(b'anything', 'jpeg'), _cdr.read_compressed),
    'PointCloud2': (cloud(), _cdr.read_cloud),
}


def plain(thing):
    """Any message as dictionaries and bytes, to compare by value."""
    if hasattr(thing, 'tobytes'):
        return thing.tobytes()
    names = getattr(thing, '__dataclass_fields__', None) or getattr(thing, '__dict__', None)
    if names is not None:
        return {name: plain(getattr(thing, name)) for name in names}
    return [plain(one) for one in thing] if isinstance(thing, (list, tuple)) else thing


@pytest.mark.parametrize('is_little', [True, False], ids=['little', 'big'])
@pytest.mark.parametrize('frame_id', FRAMES)
@pytest.mark.parametrize('kind', MESSAGES)
def test_every_field_is_read_as_it_was_written(kind, frame_id, is_little):
    msg, read = MESSAGES[kind]

    got = plain(read(serialised(kind, msg, frame_id, is_little=is_little)))

    assert got.pop('stamp_ns') == 12_000_000_034
    assert got.pop('frame_id') == frame_id
    assert got == plain(msg)


@pytest.mark.parametrize('kind', MESSAGES)
def test_the_payload_shares_the_memory_of_the_message(kind):
    msg, read = MESSAGES[kind]
    raw = bytearray(serialised(kind, msg))

    got = read(raw)
    before = bytes(got.data)
    raw[:] = bytes(255 - b for b in raw)

    assert bytes(got.data) == bytes(255 - b for b in before)


@pytest.mark.parametrize('kind', MESSAGES)
def test_every_prefix_of_a_message_is_refused_with_the_offset(kind):
    msg, read = MESSAGES[kind]
    raw = serialised(kind, msg)

    for end in range(len(raw)):
        with pytest.raises(SampleError, match=r'byte|bytes'):
            read(raw[:end])


@pytest.mark.parametrize('kind', MESSAGES)
def test_trailing_padding_does_no_harm(kind):
    msg, read = MESSAGES[kind]
    raw = serialised(kind, msg)

    assert plain(read(raw + b'\xaa\xbb\xcc')) == plain(read(raw))


def start(*parts: bytes) -> bytes:
    """A little-endian message up to the frame id 'cam', then the parts."""
    return b'\0\1\0\0' + struct.pack('<iII', 1, 2, 4) + b'cam\0' + b''.join(parts)


HUGE = struct.pack('<I', 2**32 - 1)
SIZE = struct.pack('<II', 4, 6)
RGB8 = struct.pack('<I', 5) + b'rgb8\0'


@pytest.mark.parametrize(
    ('read', 'raw', 'error', 'words'),
    [
        (_cdr.read_image, start(SIZE, HUGE), BadImage, 'encoding of 4294967295 bytes'),
        (_cdr.read_image, start(SIZE, RGB8, bytes(7), HUGE), BadImage,
         'data at byte 48 claims 4294967295 bytes, but the message ends at byte 48'),
        (_cdr.read_image, start(SIZE, struct.pack('<I', 4), b'rgb8'), BadImage,
         'does not end at its first zero'),
        (_cdr.read_image, start(SIZE, struct.pack('<I', 4), b'a\0b\0'), BadImage,
         'does not end at its first zero'),
        (_cdr.read_image, start(SIZE, struct.pack('<I', 3), b'\xff\xfe\0'), BadImage, 'not UTF-8'),
        (_cdr.read_compressed, start(struct.pack('<I', 1), bytes(4), HUGE), BadImage, 'data at'),
        (_cdr.read_cloud, start(SIZE, HUGE), BadCloud, '4294967295 fields to a point'),
        (_cdr.read_cloud, start(SIZE, struct.pack('<I', 128)), BadCloud, 'field name at byte 32'),
    ],
)  # fmt: skip
def test_a_claimed_length_is_held_against_the_buffer(read, raw, error, words):
    with pytest.raises(error) as refused:
        read(raw)

    assert words in str(refused.value)
