"""sensor_msgs/CompressedImage as a picture: JPEG or PNG, told apart by their first bytes.

The claimed size is read from the file's own header and judged before anything is decoded, so a
few bytes cannot ask for gigabytes. Decoding follows ``cv2.IMREAD_COLOR`` (three channels, alpha
dropped, palettes looked up) where the file has colour and ``cv2.IMREAD_GRAYSCALE`` where it has
none; 16-bit PNGs keep their upper bytes. A grey file whose format says that the camera's mosaic
was compressed as it is ('bayer_rggb8; jpeg compressed') becomes the colours of it. EXIF
orientation is *not* applied: calibration is of the sensor's own rows and columns.

A cut file is refused. Bytes lost from the middle of a JPEG are not noticed: libjpeg fills the
rest with grey and OpenCV does not pass its warning on. Use a reliable transport for those.

Decoding takes milliseconds where the other views take microseconds; call ``view`` on the thread
whose time that is. OpenCV releases the interpreter lock meanwhile.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.cdr import octets
from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import BadImage
from edge_inference_ros.sensors._cdr import read_compressed
from edge_inference_ros.sensors.image import LAYOUTS, PIXELS_LIMIT, refuse_depth

MESSAGE = 'sensor_msgs/msg/CompressedImage'

SEGMENTS_LIMIT = 256
"""Most JPEG segments before the frame header. Cameras write about ten."""

JPEG_PIXELS_PER_BYTE = 512
"""Every 8x8 block of a JPEG costs one bit at the very least (one Huffman code, ITU-T T.81)."""

DEFLATE_RATIO = 1032
"""No deflate stream expands further than this (zlib technical notes)."""

_JPEG_START = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xae\x42\x60\x82'
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_GREY = (0, 4)
_IHDR = Struct('>I4sIIBB')
_SOF = Struct('>BHHB')

# C4, C8 and CC in the range of the frame headers are tables and reserved (T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}


class Claim(NamedTuple):
    """What a file says it holds.

    Attributes:
        is_grey: no colours in it.
        least_bytes: the shortest file that could hold it.
        start: where its own bytes begin, behind any thumbnail.
        end: the bytes a whole file ends with.
    """

    width: int
    height: int
    is_grey: bool
    least_bytes: int
    start: int
    end: bytes


def view(msg: Any, origin: Origin) -> Image:
    """Decode ``msg`` to mono where the file is grey and no mosaic, else to three channels.

    The order is bgr, unless it was a mosaic, or the format says that the publisher compressed rgb
    as if it were bgr ('rgb8; jpeg compressed rgb8', as old versions of compressed_image_transport
    write): then it is rgb.

    Args:
        msg: has format and data, as ``sensor_msgs/CompressedImage``; data is bytes, bytearray,
            memoryview, ``array.array('B')`` or a uint8 array.
        origin: travels with the picture.

    Raises:
        BadImage: neither JPEG nor PNG, cut short, undecodable, of an absurd size, or no picture.
    """
    encoding = msg.format.partition(';')[0].strip()
    refuse_depth(encoding)
    payload = octets(msg.data, BadImage)
    claim = _claim(payload, msg.format)
    _check(claim, payload)
    pixels = _decode(payload, claim)
    if claim.is_grey and encoding.startswith('bayer_') and 'compressed mono' not in msg.format:
        return Image(origin, _colours(pixels, encoding), 'rgb')
    if claim.is_grey:
        return Image(origin, pixels[:, :, np.newaxis], 'mono')
    return Image(origin, pixels, 'rgb' if 'compressed rgb' in msg.format else 'bgr')


def view_raw(buffer: Any, origin: Origin) -> Image:
    """Decode a serialised message.

    Raises:
        BadImage: as ``view``, or bytes that are not such a message.
        BadStamp: the stamp is not a time.
    """
    return view(read_compressed(buffer), origin)


def _colours(mosaic: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """The picture behind a mosaic, of which eight bits are left whatever it had."""
    layout = LAYOUTS.get(f'{encoding.rstrip("0123456789")}8')
    if layout is None or layout.convert is None:
        known = ', '.join(name for name in LAYOUTS if name.startswith('bayer_'))
        raise BadImage(
            f'a mosaic of encoding {encoding!r}; we read {known}: set one in the driver'
        )
    if min(mosaic.shape) < layout.least:
        height, width = mosaic.shape
        raise BadImage(
            f'a mosaic of {width}x{height} pixels; {encoding} needs at least '
            f'{layout.least}x{layout.least}: check width and height in the camera driver'
        )
    return layout.convert(mosaic[:, :, np.newaxis], False)  # noqa: FBT003 - a Conversion


def _claim(payload: memoryview, named: str) -> Claim:
    if payload[:3] == _JPEG_START:
        return _jpeg_claim(payload)
    if payload[:8] == _PNG_START:
        return _png_claim(payload)
    raise BadImage(
        f'{len(payload)} bytes of format {named!r} beginning {bytes(payload[:8]).hex(" ")!r}; '
        'we decode JPEG and PNG; most camera drivers can be set to either'
    )


def _jpeg_claim(payload: memoryview) -> Claim:
    at = 2
    for _ in range(SEGMENTS_LIMIT):
        marker, at = _marker(payload, at)
        if marker in _BARE:
            continue
        size = int.from_bytes(payload[at : at + 2], 'big')
        if size < 2 or at + size > len(payload):
            break
        if marker in _FRAMES and size >= 2 + _SOF.size:
            _, height, width, channels = _SOF.unpack_from(payload, at + 2)
            least = width * height // JPEG_PIXELS_PER_BYTE
            return Claim(width, height, channels == 1, least, at, _JPEG_END)
        at += size
    raise BadImage(
        f'a JPEG of {len(payload)} bytes without a frame header by byte {at}; '
        'it is truncated or damaged'
    )


def _marker(payload: memoryview, at: int) -> tuple[int, int]:
    """The marker at ``at``, behind any fill bytes, and where its segment begins."""
    start = at
    while at < len(payload) and payload[at] == 0xFF:
        at += 1
    if at == start or at >= len(payload):
        raise BadImage(f'no JPEG marker at byte {start} of {len(payload)}; truncated or damaged')
    return payload[at], at + 1


def _png_claim(payload: memoryview) -> Claim:
    if len(payload) < 8 + _IHDR.size:
        raise BadImage(f'a PNG of {len(payload)} bytes ends inside its header; it is truncated')
    size, kind, width, height, depth, colours = _IHDR.unpack_from(payload, 8)
    if (
        size != 13
        or kind != b'IHDR'
        or colours not in _PNG_CHANNELS
        or depth not in (1, 2, 4, 8, 16)
    ):
        raise BadImage(
            f'a PNG whose first chunk is {kind!r} of {size} bytes with depth {depth} and colour '
            f'type {colours}; it is damaged'
        )
    least = width * height * depth * _PNG_CHANNELS[colours] // 8 // DEFLATE_RATIO
    return Claim(width, height, colours in _PNG_GREY, least, 8, _PNG_END)


def _check(claim: Claim, payload: memoryview) -> None:
    pixels = claim.width * claim.height
    if not 0 < pixels <= PIXELS_LIMIT:
        raise BadImage(
            f'the file claims {claim.width}x{claim.height} pixels; we read from 1 to '
            f'{PIXELS_LIMIT}: check what made it'
        )
    if len(payload) < claim.least_bytes:
        raise BadImage(
            f'{len(payload)} bytes cannot hold the {claim.width}x{claim.height} pixels they '
            f'claim, which take {claim.least_bytes} at the least; it is truncated or a bomb'
        )
    if not _ends(payload[claim.start :], claim.end):
        raise BadImage(
            f'{len(payload)} bytes without the end {claim.end.hex(" ")!r}; the file is truncated'
        )


def _ends(payload: memoryview, end: bytes) -> bool:
    # Nearly always the very last bytes; some cameras pad behind them, which costs the copy.
    return payload[-len(end) :] == end or end in bytes(payload)


def _decode(payload: memoryview, claim: Claim) -> NDArray[np.uint8]:
    colours = cv2.IMREAD_GRAYSCALE if claim.is_grey else cv2.IMREAD_COLOR
    flags = colours | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), flags)
    except cv2.error as error:
        raise BadImage(f'OpenCV cannot decode {len(payload)} bytes: {error}') from error
    if pixels is None or pixels.shape[:2] != (claim.height, claim.width):
        got = 'nothing' if pixels is None else f'{pixels.shape[1]}x{pixels.shape[0]}'
        raise BadImage(
            f'OpenCV decodes {got} from {len(payload)} bytes that claim '
            f'{claim.width}x{claim.height} pixels; the file is damaged'
        )
    return cast('NDArray[np.uint8]', pixels)
