"""Sixteen thousand damaged messages: only our own errors come out, and nothing is over-read.

A case is a valid message with bytes overwritten, a length replaced by an extreme one, a piece cut
out or the rest cut off, or bytes that never were a message. Memory is watched in every case: what
a reader allocates is bounded by what it was given, never by what that claims.
"""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.sensor_messages import (
    ORIGIN,
    STORE,
    cloud,
    compressed,
    field,
    header,
    image,
    lies_within,
    noise,
    serialised,
)

from edge_inference_ros.core import cdr
from edge_inference_ros.errors import SampleError
from edge_inference_ros.sensors import cloud as cloud_sensor
from edge_inference_ros.sensors import compressed as compressed_sensor
from edge_inference_ros.sensors import image as image_sensor

SMALL = noise(16 * 12 * 3, 3)
PICTURE = np.frombuffer(SMALL, np.uint8).reshape(12, 16, 3)
FILES = [cv2.imencode(kind, PICTURE)[1].tobytes() for kind in ('.jpg', '.png')]
FIELDS = [field('x', 0), field('y', 4), field('z', 8), field('ring', 12, 4), field('n', 16, 1, 3)]

IMAGES = [
    serialised('Image', image(name), is_little=is_little)
    for name in ('rgb8', 'mono16', 'yuyv', 'nv21', 'bayer_grbg8', 'bayer_rggb16')
    for is_little in (True, False)
]
CLOUDS = [
    serialised('PointCloud2', cloud(4, height, 20, pad, fields=FIELDS), is_little=is_little)
    for height, pad in ((1, 0), (3, 5))
    for is_little in (True, False)
]
PICTURES = [
    serialised('CompressedImage', compressed(data, 'jpeg'), is_little=is_little)
    for data in FILES
    for is_little in (True, False)
]
HEADERS = [
    bytes(STORE.serialize_cdr(header('lens'), 'std_msgs/msg/Header', little_endian=is_little))
    for is_little in (True, False)
]

EXTREMES = [0, 1, 2, 3, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]
WORDS = [n.to_bytes(4, order) for n in EXTREMES for order in ('little', 'big')]
# One draw says which message and every blow to it: hypothesis is slow in many small draws.
BLOW_BYTES = 4
SCRIPTS = st.binary(min_size=1 + BLOW_BYTES, max_size=1 + 4 * BLOW_BYTES)

# A picture's pixel takes at most 3 bytes here, and a JPEG byte may stand for 512 of them.
SLACK_BYTES = 64 * 1024
PER_BYTE = 12
PER_JPEG_BYTE = 3 * 512 + PER_BYTE


def cases(count):
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def damaged(originals, script):
    """The original that the first byte picks, after the blows that the rest describes."""
    raw = bytearray(originals[script[0] % len(originals)])
    for start in range(1, len(script) - BLOW_BYTES + 1, BLOW_BYTES):
        kind, value, *where = script[start : start + BLOW_BYTES]
        strike(raw, kind, value, int.from_bytes(where, 'big'))
    return bytes(raw)


def strike(raw, kind, value, where):
    """One blow, in three of four cases near the front, where the lengths are."""
    at = where % max(1, min(len(raw), 96 if kind % 4 else len(raw)))
    match kind // 4 % 4:
        case 0:
            raw[at : at + 1] = bytes([value])
        case 1:
            at -= at % 4
            raw[at : at + 4] = WORDS[value % len(WORDS)]
        case 2:
            del raw[at : at + 1 + value % 16]
        case _:
            del raw[max(0, len(raw) - 1 - value) :]


def survive(read, raw, per_byte=PER_BYTE):
    """What ``read`` makes of ``raw``, or nothing; it may allocate by the size of ``raw`` only."""
    tracemalloc.start()
    try:
        seen = read(raw)
    except SampleError:
        seen = None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= SLACK_BYTES + per_byte * len(raw)
    return seen


@cases(4000)
@given(SCRIPTS)
def test_damaged_images_are_read_or_refused(script):
    raw = damaged(IMAGES, script)

    seen = survive(lambda raw: image_sensor.view_raw(raw, ORIGIN), raw)

    if seen is not None:
        is_new = isinstance(seen.pixels.base, np.ndarray) or seen.pixels.base is None
        assert is_new or lies_within(seen.pixels, raw)
        assert 0 < seen.pixels.size <= 3 * len(raw)


@cases(4000)
@given(SCRIPTS)
def test_damaged_clouds_are_read_or_refused(script):
    raw = damaged(CLOUDS, script)

    seen = survive(lambda raw: cloud_sensor.view_raw(raw, ORIGIN), raw)

    if seen is not None and len(seen.points):
        assert len(seen.points) * 12 <= 4 * len(raw)
        assert cloud_sensor.xyz(seen).shape == (len(seen.points), 3)


@cases(1500)
@given(SCRIPTS)
def test_damaged_pictures_are_decoded_or_refused(script):
    raw = damaged(PICTURES, script)

    survive(lambda raw: compressed_sensor.view_raw(raw, ORIGIN), raw, PER_JPEG_BYTE)


@cases(1500)
@given(SCRIPTS)
def test_damaged_files_are_decoded_or_refused(script):
    msg = compressed(damaged(FILES, script))

    survive(lambda _: compressed_sensor.view(msg, ORIGIN), msg.data, PER_JPEG_BYTE)


@cases(1000)
@given(SCRIPTS)
def test_damaged_headers_are_read_or_refused(script):
    raw = damaged(HEADERS, script)

    survive(cdr.stamp_ns, raw)
    peeked = survive(cdr.peek_header, raw)

    if peeked is not None:
        assert peeked[0] == cdr.stamp_ns(raw) >= 0


@cases(1500)
@given(st.binary(max_size=200), st.sampled_from([b'', b'\0\1\0\0', b'\0\0\0\0']))
def test_bytes_that_never_were_a_message_are_refused(tail, front):
    raw = front + tail

    survive(cdr.peek_header, raw)
    survive(lambda raw: image_sensor.view_raw(raw, ORIGIN), raw)
    survive(lambda raw: cloud_sensor.view_raw(raw, ORIGIN), raw)
    survive(lambda raw: compressed_sensor.view_raw(raw, ORIGIN), raw)


SIZES = st.one_of(st.integers(-2, 40), st.sampled_from([2**16, 2**31, 2**32 - 1, 2**63]))


@cases(1500)
@given(st.sampled_from(sorted(image_sensor.LAYOUTS)), SIZES, SIZES, SIZES, st.binary(max_size=300))
def test_image_sizes_that_lie_are_refused(encoding, width, height, step, data):
    msg = image(encoding, data=data)
    msg.width, msg.height, msg.step = width, height, step

    seen = survive(lambda _: image_sensor.view(msg, ORIGIN), data)

    if seen is not None:
        assert seen.pixels.shape[:2] == (height, width)
        assert height * step <= len(data)


@cases(1500)
@given(
    st.lists(
        st.builds(field, st.sampled_from('xyzi'), SIZES, st.integers(0, 9), SIZES), max_size=2
    ),
    st.tuples(SIZES, SIZES, SIZES, SIZES),
    st.binary(max_size=300),
)
def test_cloud_sizes_that_lie_are_refused(extra, sizes, data):
    width, height, point_step, row_step = sizes
    msg = cloud(fields=[field('x', 0), field('y', 4), field('z', 8), *extra], data=data)
    msg.width, msg.height, msg.point_step, msg.row_step = width, height, point_step, row_step

    seen = survive(lambda _: cloud_sensor.view(msg, ORIGIN), data)

    if seen is not None:
        assert len(seen.points) == width * height
        assert height * width * point_step <= len(data)
