"""sensor_msgs/PointCloud2 as points, without copying it.

The fields of the message become the fields of a numpy structure that lies over its bytes, so
reading a column costs one strided pass and reading none costs nothing. ``sensor_msgs_py`` is not
used: it takes padded rows for points, turns big-endian clouds round in the message's own memory,
copies every point to drop NaNs, wants a real ``PointCloud2`` object, and is not installed
everywhere rclpy is.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.cdr import octets
from edge_inference_ros.core.types import Cloud, Origin
from edge_inference_ros.errors import BadCloud
from edge_inference_ros.sensors._cdr import FIELDS_LIMIT, read_cloud

MESSAGE = 'sensor_msgs/msg/PointCloud2'

POINTS_LIMIT = 16_000_000
"""Most points a cloud may have. The densest spinning LiDARs send half a million a turn."""

POINT_STEP_LIMIT = 65_535
"""Most bytes a point may have; a point with a 352-float descriptor has some 1500."""

KINDS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
"""Our names of the ``datatype`` codes of ``sensor_msgs/PointField``."""

PADDING = frozenset({'', '_'})
"""Names of fields that are nothing; PCL calls the bytes between two fields ``_``."""

AXES = frozenset('xyz')

Field: TypeAlias = tuple[str, int, int, int]
"""Name, offset in bytes, datatype, count."""

Column: TypeAlias = tuple[tuple[str, tuple[int, ...]], int]
"""Numpy type and shape, offset in bytes."""

_NO_POINT = np.dtype([(axis, '<f4') for axis in 'xyz'])
"""Of a message that says nothing at all: some nodes send one to say that they see nothing."""


def view(msg: Any, origin: Origin) -> Cloud:
    """See ``msg`` as points that share its memory (rows with padding between them are copied).

    A field of count n is a column of shape (N, n). Fields may overlap, but x, y and z may not.
    What cannot be read beside good x, y and z is left out: padding (fields without a name, or
    called ``_``), a field of an unknown datatype, one that lies outside the point, and a name that
    means two places. A count of 0 is 1, as PCL reads it. Where ``row_step`` contradicts the data,
    and the data has exactly the size of rows without padding, the data is believed. A cloud of no
    points is a cloud.

    Args:
        msg: has height, width, fields, is_bigendian, point_step, row_step and data, as
            ``sensor_msgs/PointCloud2``; data is bytes, bytearray, memoryview,
            ``array.array('B')`` or a uint8 array.
        origin: travels with the points.

    Raises:
        BadCloud: no x, y and z, or sizes that do not agree.
    """
    if len(msg.fields) > FIELDS_LIMIT:
        raise BadCloud(f'{len(msg.fields)} fields to a point; at most {FIELDS_LIMIT} are read')
    fields = tuple((f.name, f.offset, f.datatype, f.count) for f in msg.fields)
    if not (msg.width * msg.height or (fields and msg.point_step)):
        return Cloud(origin, np.empty(0, _NO_POINT))
    point = _point(fields, msg.point_step, bool(msg.is_bigendian))
    payload, row_step = _payload(msg)
    if not msg.width * msg.height:
        return Cloud(origin, np.empty(0, point))
    strides = (row_step, msg.point_step)
    points = np.ndarray((msg.height, msg.width), point, payload, 0, strides)
    return Cloud(origin, points.reshape(-1))


def view_raw(buffer: Any, origin: Origin) -> Cloud:
    """See a serialised message as points that share the buffer's memory.

    Raises:
        BadCloud: as ``view``, or bytes that are not such a message.
        BadStamp: the stamp is not a time.
    """
    return view(read_cloud(buffer), origin)


def xyz(cloud: Cloud) -> NDArray[np.float32]:
    """The coordinates alone, in metres in the sensor frame, NaNs and all.

    Returns:
        (N, 3) float32, a new array. Each axis lies in one run of memory (Fortran order).
    """
    points = cloud.points
    # Numpy is thirty times slower from an unaligned column (steps of 22 or 26 bytes: Velodyne,
    # Hesai, Livox) into every third float than into neighbouring ones.
    gathered = np.empty((len(points), 3), np.float32, order='F')
    for column, name in enumerate('xyz'):
        gathered[:, column] = points[name]
    return gathered


def finite(points_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of (N, 3) points are somewhere, NaN and infinity being nowhere: an (N,) mask."""
    # Column by column: numpy is twenty times slower along an axis of three.
    x, y, z = (np.isfinite(axis) for axis in points_m.T)
    mask: NDArray[np.bool_] = x & y & z
    return mask


def chosen(points_m: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows of (N, 3) ``points_m`` that the (N,) ``mask`` picks: (M, 3), a new array.

    For what ``xyz`` returns, ten times faster than ``compress(mask, axis=0)`` or an index.
    """
    picked: NDArray[np.float32] = points_m.T.compress(mask, axis=1).T
    return picked


# A driver sends the same layout every time, and numpy takes longer to build a structure than to
# lay it over the bytes.
@lru_cache(maxsize=16)
def _point(fields: tuple[Field, ...], point_step: int, is_bigendian: bool) -> np.dtype[np.void]:  # noqa: FBT001
    if not 0 < point_step <= POINT_STEP_LIMIT:
        raise BadCloud(
            f'point_step of {point_step} bytes; need 1 to {POINT_STEP_LIMIT}: the driver should '
            'set it to the size of a point'
        )
    byte_order = '>' if is_bigendian else '<'
    columns = _columns(fields, point_step, byte_order)
    return np.dtype(
        {
            'names': list(columns),
            'formats': [kind for kind, _ in columns.values()],
            'offsets': [offset for _, offset in columns.values()],
            'itemsize': point_step,
        }
    )


def _columns(fields: tuple[Field, ...], point_step: int, byte_order: str) -> dict[str, Column]:
    """What can be read, by name; raises where that lacks a coordinate."""
    # A field said twice in the same words is one field.
    named = [field for field in dict.fromkeys(fields) if field[0] not in PADDING]
    counts = Counter(name for name, *_ in named)
    columns: dict[str, Column] = {}
    for field in named:
        name, offset, datatype, count = field
        fault = 'its name comes twice' if counts[name] > 1 else _fault(field, point_step)
        if not fault:
            shape = () if count < 2 else (count,)
            columns[name] = ((byte_order + KINDS[datatype], shape), offset)
        elif name in AXES:
            raise BadCloud(f'field {name!r}: {fault}')
    if missing := sorted(AXES - set(columns)):
        raise BadCloud(
            f'no {", ".join(missing)} among the fields ({", ".join(counts) or "none"}); '
            'need x, y and z: is this a cloud of points?'
        )
    _check_apart(columns)
    return columns


def _check_apart(columns: dict[str, Column]) -> None:
    """Refuse coordinates that share bytes: a driver that forgot the offsets."""
    spans = sorted(
        (offset, offset + np.dtype(kind).itemsize, name)
        for name, ((kind, _), offset) in columns.items()
        if name in AXES
    )
    for (_, end, one), (start, _, other) in pairwise(spans):
        if start < end:
            raise BadCloud(
                f'fields {one!r} and {other!r} share bytes of the point: the driver should set'
                ' their offsets'
            )


def _fault(field: Field, point_step: int) -> str:
    """Why a field cannot be read; empty if it can."""
    name, offset, datatype, count = field
    if datatype not in KINDS:
        return f'datatype {datatype}; 1 to 8 are defined'
    if count < 0 or (name in AXES and count > 1):
        return f'count {count}; need 1'
    end = offset + max(count, 1) * int(KINDS[datatype][1])
    if offset < 0 or end > point_step:
        return (
            f'it lies in bytes {offset} to {end} of a point of {point_step}; '
            'offset or point_step is wrong'
        )
    return ''


def _payload(msg: Any) -> tuple[memoryview, int]:
    """The bytes, and how far its rows are apart."""
    if msg.width < 0 or msg.height < 0 or msg.width * msg.height > POINTS_LIMIT:
        raise BadCloud(
            f'{msg.width}x{msg.height} points; we read at most {POINTS_LIMIT}: thin the cloud out '
            'in the driver'
        )
    payload = octets(msg.data, BadCloud)
    tight = msg.width * msg.point_step
    if len(payload) == msg.height * tight or (msg.height == 1 and len(payload) >= tight):
        return payload, tight  # row_step adds nothing, whatever it says
    if len(payload) < msg.height * tight:
        raise BadCloud(
            f'{len(payload)} bytes of data; {msg.height} rows of {msg.width} points of '
            f'{msg.point_step} bytes need {msg.height * tight}: the message is truncated or its '
            'sizes are wrong'
        )
    if not tight <= msg.row_step <= len(payload) // max(msg.height, 1):
        raise BadCloud(
            f'row_step of {msg.row_step} bytes; {msg.height} rows of {msg.width} points of '
            f'{msg.point_step} bytes in {len(payload)} bytes of data need at least {tight}: the '
            'driver should set it to the distance between two rows'
        )
    return payload, msg.row_step
