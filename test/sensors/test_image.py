"""Every encoding against a slow, obvious reading of its bytes; every lie refused by name."""

from __future__ import annotations

import array
import tracemalloc

import numpy as np
import pytest
from support.sensor_messages import ORIGIN, image, lies_within, noise, serialised

from edge_inference_ros.errors import BadImage
from edge_inference_ros.sensors import image as sensor

PLAIN = {
    'rgb8': ('rgb', 3),
    'bgr8': ('bgr', 3),
    'rgba8': ('rgba', 4),
    'bgra8': ('bgra', 4),
    'mono8': ('mono', 1),
    '8UC1': ('mono', 1),
    '8UC3': ('bgr', 3),
    '8UC4': ('bgra', 4),
}
# The colours of each 2x2 tile, in reading order from the top left pixel.
TILES = ['rggb', 'bggr', 'gbrg', 'grbg']
# Where the lumas, u and v of a pair of pixels are among its four bytes.
YUV = {'uyvy': (1, 0, 2), 'yuv422': (1, 0, 2), 'yuyv': (0, 1, 3), 'yuv422_yuy2': (0, 1, 3)}


def rgb_of(y, u, v):
    """BT.601, limited range, one pixel; blacker than black is black."""
    luma = 1.164 * max(y - 16, 0)
    r = luma + 1.596 * (v - 128)
    g = luma - 0.813 * (v - 128) - 0.391 * (u - 128)
    b = luma + 2.018 * (u - 128)
    return [min(max(c, 0), 255) for c in (r, g, b)]


def each_pixel(msg, value):
    return np.array([[value(y, x) for x in range(msg.width)] for y in range(msg.height)])


@pytest.mark.parametrize('encoding', PLAIN)
def test_plain_encodings_are_views_of_the_padded_rows(encoding):
    order, channels = PLAIN[encoding]
    msg = image(encoding)

    seen = sensor.view(msg, ORIGIN)

    def value(y, x):
        start = y * msg.step + x * channels
        return list(msg.data[start : start + channels])

    assert seen.order == order
    assert seen.origin is ORIGIN
    assert np.array_equal(seen.pixels, each_pixel(msg, value))
    assert lies_within(seen.pixels, msg.data)


WORDS = {
    'mono16': ('mono', 1),
    'rgb16': ('rgb', 3),
    'bgr16': ('bgr', 3),
    'rgba16': ('rgba', 4),
    'bgra16': ('bgra', 4),
}


@pytest.mark.parametrize('encoding', WORDS)
@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 1, 8])
def test_sixteen_bits_become_their_upper_eight(encoding, is_bigendian, padding):
    colours, channels = WORDS[encoding]
    step = 6 * 2 * channels + padding
    msg = image(encoding, step=step, is_bigendian=is_bigendian, data=noise(4 * step))

    seen = sensor.view(msg, ORIGIN)

    def value(y, x):
        start = y * step + 2 * channels * x
        order = 'big' if is_bigendian else 'little'
        starts = range(start, start + 2 * channels, 2)
        return [int.from_bytes(msg.data[at : at + 2], order) // 256 for at in starts]

    assert seen.order == colours
    assert np.array_equal(seen.pixels, each_pixel(msg, value))


@pytest.mark.parametrize('encoding', YUV)
def test_packed_yuv_becomes_rgb(encoding):
    luma, u, v = YUV[encoding]
    msg = image(encoding)

    seen = sensor.view(msg, ORIGIN)

    def value(y, x):
        pair = y * msg.step + x // 2 * 4
        data = msg.data[pair : pair + 4]
        return rgb_of(data[luma + 2 * (x % 2)], data[u], data[v])

    assert seen.order == 'rgb'
    assert np.abs(seen.pixels - each_pixel(msg, value)).max() <= 1.5


@pytest.mark.parametrize(('encoding', 'u', 'v'), [('nv12', 0, 1), ('nv21', 1, 0)])
def test_two_planes_become_rgb(encoding, u, v):
    msg = image(encoding, step=7)

    seen = sensor.view(msg, ORIGIN)

    def value(y, x):
        pair = (msg.height + y // 2) * msg.step + x // 2 * 2
        return rgb_of(msg.data[y * msg.step + x], msg.data[pair + u], msg.data[pair + v])

    assert seen.order == 'rgb'
    assert np.abs(seen.pixels - each_pixel(msg, value)).max() <= 1.5


def mosaic(tile, colour_at, *, width=8, height=6):
    return np.array(
        [
            [colour_at(y, x)['rgb'.index(tile[y % 2 * 2 + x % 2])] for x in range(width)]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize('tile', TILES)
def test_a_mosaic_of_one_colour_becomes_that_colour(tile):
    raw = mosaic(tile, lambda y, x: (200, 100, 50)).astype(np.uint8)

    msg = image(f'bayer_{tile}8', 8, 6, 8, data=raw.tobytes())

    assert (sensor.view(msg, ORIGIN).pixels == (200, 100, 50)).all()


@pytest.mark.parametrize('tile', TILES)
@pytest.mark.parametrize('is_bigendian', [0, 1])
def test_a_sixteen_bit_mosaic_becomes_the_colour_of_its_upper_bytes(tile, is_bigendian):
    raw = mosaic(tile, lambda y, x: (200, 100, 50)) * 256 + 99
    data = raw.astype('>u2' if is_bigendian else '<u2').tobytes()

    msg = image(f'bayer_{tile}16', 8, 6, 16, data=data, is_bigendian=is_bigendian)

    assert (sensor.view(msg, ORIGIN).pixels == (200, 100, 50)).all()


@pytest.mark.parametrize('tile', TILES)
def test_missing_colours_of_a_mosaic_are_the_mean_of_their_neighbours(tile):
    msg = image(f'bayer_{tile}8', 8, 6, 11)

    seen = sensor.view(msg, ORIGIN).pixels

    def value(y, x, colour):
        near = [(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1)]
        named = [p for p in near if tile[p[0] % 2 * 2 + p[1] % 2] == colour]
        # A green pixel knows its green, though its diagonal neighbours are green as well.
        named = [(y, x)] if (y, x) in named else named
        return sum(msg.data[j * msg.step + i] for j, i in named) / len(named)

    for y in range(1, 5):
        for x in range(1, 7):
            slow = [value(y, x, colour) for colour in 'rgb']
            assert np.abs(seen[y, x] - slow).max() <= 1, (y, x)


@pytest.mark.parametrize('encoding', sensor.LAYOUTS)
@pytest.mark.parametrize(
    'hold',
    [
        bytes,
        bytearray,
        memoryview,
        lambda b: array.array('B', b),
        lambda b: np.frombuffer(b, 'u1'),
    ],
    ids=['bytes', 'bytearray', 'memoryview', 'array', 'ndarray'],
)
def test_any_holder_of_bytes_will_do(encoding, hold):
    msg = image(encoding, step=53)  # of 48 bytes for four samples of 16 bits
    expected = sensor.view(msg, ORIGIN).pixels

    msg.data = hold(msg.data)

    assert np.array_equal(sensor.view(msg, ORIGIN).pixels, expected)


def test_a_view_of_a_large_picture_allocates_almost_nothing():
    msg = image('bgr8', 1920, 1080, 5760)
    sensor.view(msg, ORIGIN)

    tracemalloc.start()
    seen = sensor.view(msg, ORIGIN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert seen.pixels.nbytes == 1920 * 1080 * 3
    assert peak < 4096


def test_more_data_than_the_rows_need_is_left_alone():
    assert sensor.view(image(data=noise(5000)), ORIGIN).pixels.shape == (4, 6, 3)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'encoding': 'h264'}, "encoding 'h264'; we read rgb8, bgr8"),
        ({'encoding': ''}, "encoding ''"),
        ({'encoding': '16UC1'}, 'holds distances (REP 118), not a picture: remap image to the'),
        ({'encoding': '32FC1'}, 'our inputs called points'),
        ({'encoding': 'RGB8'}, "encoding 'RGB8'"),
        ({'width': 0}, '0x4 pixels'),
        ({'height': 0}, '6x0 pixels'),
        ({'width': -6}, '-6x4 pixels'),
        ({'height': -4}, '6x-4 pixels'),
        ({'width': 65536, 'height': 65536, 'step': 1 << 20}, 'at most 64000000 pixels'),
        ({'width': 2**32 - 1, 'height': 2**32 - 1, 'step': 2**32 - 1}, 'at most 64000000 pixels'),
        ({'step': 17}, 'step of 17 bytes; 6 pixels of rgb8 need at least 18'),
        ({'step': 0}, 'step of 0 bytes'),
        ({'step': -18}, 'step of -18 bytes'),
        ({'data': noise(29 * 4 - 1)}, '115 bytes of data; 4 rows of step 29 need 116'),
        ({'data': b''}, '0 bytes of data'),
        ({'data': [1, 2, 3]}, 'payload is a list'),
        ({'data': None}, 'payload is a NoneType'),
        ({'data': 'text'}, 'payload is a str'),
        ({'data': np.zeros(200, np.uint16)}, 'elements of 2 bytes'),
        ({'data': np.zeros(400, np.uint8)[::2]}, 'one run of single bytes'),
        ({'encoding': 'yuyv', 'width': 5}, 'width must be a multiple of 2'),
        ({'encoding': 'nv21', 'height': 3}, 'height of 2'),
        ({'encoding': 'nv21', 'data': noise(29 * 6 - 1)}, '6 rows of step 29 need 174'),
        ({'encoding': 'bayer_rggb8', 'width': 2}, 'bayer_rggb8 needs at least 3x3'),
    ],
    ids=str,
)
def test_a_lying_image_is_refused_with_what_and_how_much(change, words):
    msg = image()
    vars(msg).update(change)

    with pytest.raises(BadImage) as refused:
        sensor.view(msg, ORIGIN)

    assert words in str(refused.value)


def test_a_serialised_image_is_viewed_in_place():
    msg = image('bgr8')
    raw = serialised('Image', msg)

    seen = sensor.view_raw(raw, ORIGIN)

    assert np.array_equal(seen.pixels, sensor.view(msg, ORIGIN).pixels)
    assert lies_within(seen.pixels, raw)
