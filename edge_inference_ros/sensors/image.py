"""sensor_msgs/Image as a picture, without copying it where its bytes are one.

Nothing here imports ROS: a message is whatever has the right attributes, so the same code reads
live messages, bag records and the plain objects of a unit test.

=======================================  =======  ==========================================
encoding                                 order    cost
=======================================  =======  ==========================================
rgb8, bgr8, rgba8, bgra8, mono8          its own  none: a strided view of the message
8UC1, 8UC3, 8UC4                         mono, bgr, bgra (as cv_bridge reads them): none
mono16, rgb16, bgr16, rgba16, bgra16     its own  upper bytes, one pass
uyvy, yuv422, yuyv, yuv422_yuy2          rgb      one pass
nv12, nv21                               rgb      one pass
bayer_*8                                 rgb      one pass, bilinear
bayer_*16                                rgb      upper bytes, then as bayer_*8: two passes
=======================================  =======  ==========================================

16UC1 and 32FC1 are distances (REP 118) and are refused as pictures, by name.
Sixteen bits lose the lower eight; a sensor that leaves its ten or twelve bits at the low end looks
dark and must be scaled by its driver. The conversions take a fraction of a millisecond for 1080p
and allocate their result; call ``view`` where that time is yours to spend.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edge_inference_ros.core.cdr import octets
from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import BadImage
from edge_inference_ros.sensors import _colour
from edge_inference_ros.sensors._cdr import read_image
from edge_inference_ros.sensors._colour import Conversion

MESSAGE = 'sensor_msgs/msg/Image'

PIXELS_LIMIT = 64_000_000
"""Most pixels a picture may have. The largest robot cameras have 25 million."""

_BYTE = np.dtype(np.uint8)
_WORD = np.dtype('<u2')


class Layout(NamedTuple):
    """How an encoding arranges its bytes, and what we make of them.

    Attributes:
        order: colour order of the picture.
        samples: how many values a pixel has in the message.
        convert: from those to the picture; none where they are the picture already.
        multiple: width and height must be multiples of these.
        least: smallest width and height the conversion is defined for.
        rows_per_two: rows in the message for every two of the picture.
        dtype: what each value is.
    """

    order: str
    samples: int
    convert: Conversion | None = None
    multiple: tuple[int, int] = (1, 1)
    least: int = 1
    rows_per_two: int = 2
    dtype: np.dtype[Any] = _BYTE

    @property
    def pixel_bytes(self) -> int:
        """What a pixel occupies in a row of the message."""
        return self.samples * self.dtype.itemsize


def _mosaic8(code: int) -> Layout:
    return Layout('rgb', 1, _colour.colours(code), least=3)


def _mosaic16(code: int) -> Layout:
    return Layout('rgb', 1, _colour.mosaic16(code), least=3, dtype=_WORD)


def _words(order: str, samples: int) -> Layout:
    return Layout(order, samples, _colour.top_byte, dtype=_WORD)


def _planes(code: int) -> Layout:
    return Layout('rgb', 1, _colour.colours(code), multiple=(2, 2), rows_per_two=3)


_UYVY = Layout('rgb', 2, _colour.colours(_colour.UYVY), multiple=(2, 1))
_YUYV = Layout('rgb', 2, _colour.colours(_colour.YUYV), multiple=(2, 1))
_MOSAICS = {
    'rggb': _colour.RGGB,
    'bggr': _colour.BGGR,
    'gbrg': _colour.GBRG,
    'grbg': _colour.GRBG,
}

LAYOUTS = {
    'rgb8': Layout('rgb', 3),
    'bgr8': Layout('bgr', 3),
    'rgba8': Layout('rgba', 4),
    'bgra8': Layout('bgra', 4),
    'mono8': Layout('mono', 1),
    '8UC1': Layout('mono', 1),
    '8UC3': Layout('bgr', 3),
    '8UC4': Layout('bgra', 4),
    'mono16': _words('mono', 1),
    'rgb16': _words('rgb', 3),
    'bgr16': _words('bgr', 3),
    'rgba16': _words('rgba', 4),
    'bgra16': _words('bgra', 4),
    'uyvy': _UYVY,
    'yuv422': _UYVY,
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,
    'nv12': _planes(_colour.NV12),
    'nv21': _planes(_colour.NV21),
    **{f'bayer_{name}8': _mosaic8(code) for name, code in _MOSAICS.items()},
    **{f'bayer_{name}16': _mosaic16(code) for name, code in _MOSAICS.items()},
}
"""Every encoding we read, by its name in ``sensor_msgs/image_encodings.hpp``.

nv12, which that file lacks, is what hardware decoders of the Jetson and of V4L2 give.
"""

DEPTH = ('16UC1', '32FC1')
"""Distances in millimetres and in metres (REP 118)."""


def view(msg: Any, origin: Origin) -> Image:
    """See ``msg`` as an image, sharing its memory where the encoding allows it.

    Args:
        msg: has height, width, encoding, is_bigendian, step and data, as ``sensor_msgs/Image``;
            data is bytes, bytearray, memoryview, ``array.array('B')`` or a uint8 array.
        origin: travels with the picture.

    Raises:
        BadImage: an encoding we do not read, or sizes that do not agree.
    """
    refuse_depth(msg.encoding)
    layout = LAYOUTS.get(msg.encoding)
    if layout is None:
        raise BadImage(
            f'encoding {msg.encoding!r}; we read {", ".join(LAYOUTS)}: '
            'set one in the camera driver'
        )
    _check_size(msg, layout)
    rows = msg.height * layout.rows_per_two // 2
    payload = _payload(msg, layout, rows)
    # Strides, not reshape: a padded row would make reshape copy the picture.
    shape = (rows, msg.width, layout.samples)
    strides = (msg.step, layout.pixel_bytes, layout.dtype.itemsize)
    pixels = np.ndarray(shape, layout.dtype, payload, 0, strides)
    if layout.convert is not None:
        pixels = layout.convert(pixels, bool(msg.is_bigendian))
    return Image(origin, pixels, layout.order)


def refuse_depth(encoding: str) -> None:
    """Raise ``BadImage`` for an encoding of distances, which would look like a dark picture."""
    if encoding in DEPTH:
        raise BadImage(
            f'encoding {encoding!r} holds distances (REP 118), not a picture: remap image to the'
            " camera's colour or infrared topic (such as color/image_raw, infra1/image_rect_raw)."
            ' What reads depth is depth_image_proc, whose points (sensor_msgs/PointCloud2) our'
            ' inputs called points take. A grey camera of 16 bits must say mono16'
        )


def view_raw(buffer: Any, origin: Origin) -> Image:
    """See a serialised message as an image, sharing the buffer's memory where it can.

    Raises:
        BadImage: as ``view``, or bytes that are not such a message.
        BadStamp: the stamp is not a time.
    """
    return view(read_image(buffer), origin)


def _check_size(msg: Any, layout: Layout) -> None:
    across, down = layout.multiple
    if min(msg.width, msg.height) < layout.least or msg.width * msg.height > PIXELS_LIMIT:
        raise BadImage(
            f'a picture of {msg.width}x{msg.height} pixels; {msg.encoding} needs at least '
            f'{layout.least}x{layout.least}, and we read at most {PIXELS_LIMIT} pixels: check '
            'width and height in the camera driver'
        )
    if msg.width % across or msg.height % down:
        raise BadImage(
            f'{msg.width}x{msg.height} pixels in {msg.encoding}, whose width must be a multiple '
            f'of {across} and height of {down}: crop in the camera driver'
        )


def _payload(msg: Any, layout: Layout, rows: int) -> memoryview:
    needed = msg.width * layout.pixel_bytes
    if msg.step < needed:
        raise BadImage(
            f'step of {msg.step} bytes; {msg.width} pixels of {msg.encoding} need at least '
            f'{needed}: the driver should set step to the length of a row in bytes'
        )
    payload = octets(msg.data, BadImage)
    if len(payload) < rows * msg.step:
        raise BadImage(
            f'{len(payload)} bytes of data; {rows} rows of step {msg.step} need '
            f'{rows * msg.step}: the message is truncated or its sizes are wrong'
        )
    return payload
