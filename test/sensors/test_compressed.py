"""JPEG and PNG decoded as published; bombs, cuts and impostors refused before decoding."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from support.sensor_messages import ORIGIN, compressed, noise, serialised

from edge_inference_ros.errors import BadImage
from edge_inference_ros.sensors import compressed as sensor

# Smooth, so that JPEG keeps it; three different channels, so that swapping them shows.
RAMP = np.stack(np.broadcast_arrays(*np.ogrid[40:200:16, 30:240:10], 90), axis=2).astype(np.uint8)


def encoded(pixels, kind='.jpg', *options):
    return cv2.imencode(kind, pixels, list(options))[1].tobytes()


JPEG = encoded(RAMP)
PNG = encoded(RAMP, '.png')


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png(width, height, depth=8, colours=2, body=b''):
    start = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colours, 0, 0, 0))
    return PNG[:8] + start + chunk(b'IDAT', zlib.compress(body)) + chunk(b'IEND', b'')


def resized_jpeg(width, height):
    """The JPEG above with another size in its frame header."""
    at = JPEG.index(b'\xff\xc0') + 5
    return JPEG[:at] + struct.pack('>HH', height, width) + JPEG[at + 4 :]


@pytest.mark.parametrize('said', ['png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8'])
def test_a_png_comes_back_exactly_as_bgr(said):
    seen = sensor.view(compressed(PNG, said), ORIGIN)

    assert (seen.order, seen.origin) == ('bgr', ORIGIN)
    assert np.array_equal(seen.pixels, RAMP)


@pytest.mark.parametrize('said', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8', ''])
@pytest.mark.parametrize('progressive', [0, 1])
def test_a_jpeg_comes_back_nearly_as_bgr(said, progressive):
    data = encoded(RAMP, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)

    seen = sensor.view(compressed(data, said), ORIGIN)

    assert seen.order == 'bgr'
    assert np.abs(seen.pixels.astype(int) - RAMP).mean() < 3


def test_rgb_compressed_as_if_it_were_bgr_is_called_rgb():
    seen = sensor.view(compressed(PNG, 'rgb8; png compressed rgb8'), ORIGIN)

    assert seen.order == 'rgb'
    assert np.array_equal(seen.pixels, RAMP)


@pytest.mark.parametrize('kind', ['.png', '.jpg'])
def test_grey_stays_grey(kind):
    seen = sensor.view(compressed(encoded(RAMP[:, :, 0], kind), 'mono8'), ORIGIN)

    assert seen.order == 'mono'
    assert seen.pixels.shape == (10, 21, 1)
    assert np.abs(seen.pixels[:, :, 0].astype(int) - RAMP[:, :, 0]).max() < 8


def test_sixteen_bits_become_their_upper_eight():
    words = np.frombuffer(noise(2 * 10 * 21), '<u2').reshape(10, 21)

    seen = sensor.view(compressed(encoded(words, '.png'), 'mono16; png compressed'), ORIGIN)

    assert np.array_equal(seen.pixels[:, :, 0], words >> 8)


TILES = ['rggb', 'bggr', 'gbrg', 'grbg']
ORANGE = (200, 100, 50)


def mosaic(tile, dtype=np.uint8, scale=1):
    """A picture of one colour as the sensor's filters see it."""
    raw = np.zeros((12, 16), dtype)
    for at, colour in enumerate(tile):
        raw[at // 2 :: 2, at % 2 :: 2] = ORANGE['rgb'.index(colour)] * scale
    return raw


@pytest.mark.parametrize('tile', TILES)
@pytest.mark.parametrize(
    ('kind', 'said', 'tolerance'),
    [
        ('.png', 'bayer_{}8; png compressed', 0),
        ('.png', 'bayer_{}8; png compressed bayer_{}8', 0),
        ('.jpg', 'bayer_{}8; jpeg compressed ', 12),
    ],
)
def test_a_compressed_mosaic_becomes_its_colours(tile, kind, said, tolerance):
    data = encoded(mosaic(tile), kind)

    seen = sensor.view(compressed(data, said.format(tile, tile)), ORIGIN)

    assert seen.order == 'rgb'
    assert np.abs(seen.pixels.astype(int) - ORANGE).max() <= tolerance


@pytest.mark.parametrize('tile', TILES)
def test_a_compressed_mosaic_of_sixteen_bits_becomes_the_colours_of_its_upper_bytes(tile):
    data = encoded(mosaic(tile, np.uint16, 256), '.png')

    seen = sensor.view(compressed(data, f'bayer_{tile}16; png compressed'), ORIGIN)

    assert (seen.pixels == ORANGE).all()


def test_colours_made_of_a_mosaic_before_it_was_compressed_are_left_alone():
    seen = sensor.view(compressed(PNG, 'bayer_rggb8; png compressed bgr8'), ORIGIN)

    assert seen.order == 'bgr'
    assert np.array_equal(seen.pixels, RAMP)


def test_greys_made_of_a_mosaic_before_it_was_compressed_are_left_alone():
    data = encoded(mosaic('rggb'), '.png')

    seen = sensor.view(compressed(data, 'bayer_rggb8; png compressed mono8'), ORIGIN)

    assert (seen.order, seen.pixels.shape[2]) == ('mono', 1)


@pytest.mark.parametrize(
    ('data', 'said', 'words'),
    [
        (encoded(mosaic('rggb'), '.png'), 'bayer_rgbw8; png', 'we read bayer_rggb8'),
        (
            encoded(mosaic('rggb')[:2], '.png'),
            'bayer_rggb8; png',
            '16x2 pixels; bayer_rggb8 needs',
        ),
        (PNG, '16UC1; png compressed', 'holds distances'),
        (b'\0' * 12 + PNG, '16UC1; compressedDepth png', 'not a picture: remap image'),
        (b'\0' * 12 + PNG, '32FC1; compressedDepth rvl', 'holds distances'),
    ],
)
def test_what_is_no_picture_though_it_can_be_decoded_is_refused(data, said, words):
    with pytest.raises(BadImage) as refused:
        sensor.view(compressed(data, said), ORIGIN)

    assert words in str(refused.value)


def test_alpha_is_dropped():
    with_alpha = np.dstack([RAMP, RAMP[:, :, :1]])

    seen = sensor.view(compressed(encoded(with_alpha, '.png'), 'png'), ORIGIN)

    assert np.array_equal(seen.pixels, RAMP)


def test_the_picture_is_not_turned_by_its_exif_orientation():
    turn = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    data = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(turn) + 2) + turn + JPEG[2:]
    turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape[:2] == (21, 10), 'the sample should be one that OpenCV turns by default'

    assert sensor.view(compressed(data), ORIGIN).pixels.shape == (10, 21, 3)


@pytest.mark.parametrize('data', [JPEG, PNG], ids=['jpeg', 'png'])
@pytest.mark.parametrize('tail', [b'\0' * 64, b'padding'], ids=['zeros', 'text'])
def test_padding_behind_the_file_does_no_harm(data, tail):
    assert sensor.view(compressed(data + tail), ORIGIN).pixels.shape == RAMP.shape


def test_a_thumbnail_is_not_taken_for_the_picture():
    small = encoded(RAMP[:8, :8])
    data = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(small) + 2) + small + JPEG[2:]

    assert sensor.view(compressed(data), ORIGIN).pixels.shape == RAMP.shape


@pytest.mark.parametrize('data', [JPEG, PNG], ids=['jpeg', 'png'])
def test_every_cut_is_refused(data, capfd):
    for end in range(len(data)):
        with pytest.raises(BadImage):
            sensor.view(compressed(data[:end]), ORIGIN)


def test_a_cut_jpeg_with_a_thumbnail_inside_is_still_cut():
    small = encoded(RAMP[:8, :8])
    data = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(small) + 2) + small + JPEG[2:-2]

    with pytest.raises(BadImage, match='the file is truncated'):
        sensor.view(compressed(data), ORIGIN)


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        (b'', '0 bytes of format'),
        (b'GIF89a', "beginning '47 49 46 38 39 61'; we decode JPEG and PNG"),
        (b'\0' * 12 + PNG, 'we decode JPEG and PNG'),
        (JPEG[:2] + b'\xff\xd9', 'without a frame header by byte 4'),
        (JPEG[:2] + b'\xff\xe0\x00\x01' + JPEG[2:], 'without a frame header'),
        (JPEG[:2] + b'\xff\xfe\x00\x02' * 300 + JPEG[2:], 'without a frame header'),
        (JPEG[:2] + b'\xff' * 50, 'no JPEG marker at byte 2 of 52'),
        (JPEG[:4] + b'\x00\x02' + b'abc', 'no JPEG marker at byte 6 of 9'),
        (resized_jpeg(0, 10), 'claims 0x10 pixels'),
        (resized_jpeg(21, 0), 'claims 21x0 pixels'),
        (resized_jpeg(65535, 65535), 'at most\\|1 to 64000000'),
        (resized_jpeg(7900, 7900), 'pixels they claim, which take 121894 at the least'),
        (PNG[:20], 'ends inside its header'),
        (png(2**31 - 1, 2**31 - 1), '1 to 64000000'),
        (png(8000, 8000), 'pixels they claim, which take 186046 at the least'),
        (png(4, 4, depth=3), 'depth 3 and colour type 2'),
        (png(4, 4, colours=5), 'depth 8 and colour type 5'),
        (PNG[:12] + b'IDAT' + PNG[16:], "first chunk is b'IDAT'"),
        (png(4, 4, body=b'\0' * 10), 'OpenCV decodes nothing'),
    ],
)
def test_what_is_not_a_whole_picture_is_refused(data, words, capfd):
    with pytest.raises(BadImage) as refused:
        sensor.view(compressed(data), ORIGIN)

    assert any(word in str(refused.value) for word in words.split('\\|'))


def test_a_bomb_is_refused_before_anything_is_allocated():
    msg = compressed(resized_jpeg(7900, 7900))

    tracemalloc.start()
    with pytest.raises(BadImage):
        sensor.view(msg, ORIGIN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 65536


def test_the_emptiest_real_pictures_are_not_mistaken_for_bombs():
    black = np.zeros((1080, 1920, 3), np.uint8)
    densest = (cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)

    for data in (encoded(black, '.jpg', *densest), encoded(black, '.png', 16, 9)):
        assert sensor.view(compressed(data), ORIGIN).pixels.shape == black.shape


def test_a_serialised_picture_is_decoded():
    raw = serialised('CompressedImage', compressed(PNG, 'png'))

    assert np.array_equal(sensor.view_raw(raw, ORIGIN).pixels, RAMP)
