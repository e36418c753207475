"""sensor_msgs/PointCloud2 as points, without copying it.

The fields of the message become the fields of a numpy structure that lies over its bytes, so
reading a column costs one strided pass and reading none costs nothing. ``sensor_msgs_py`` is not
used: it takes padded rows for points, turns big-endian clouds round in the message's own memory,
copies every point to drop NaNs, wants a real ``PointCloud2`` object, and is not installed
everywhere rclpy is.
"""

from __future__ import annotations

from functools import lru_cache
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

Field: TypeAlias = tuple[str, int, int, int]
"""Name, offset in bytes, datatype, count."""


def view(msg: Any, origin: Origin) -> Cloud:
    """See ``msg`` as points that share its memory (rows with padding between them are copied).

    A field of count n is a column of shape (N, n). Fields may overlap; those without a name are
    padding and left out. A cloud of no points is a cloud, if its fields are in order.

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
    point = _point(fields, msg.point_step, bool(msg.is_bigendian))
    payload = _payload(msg)
    if not msg.width * msg.height:
        return Cloud(origin, np.empty(0, point))
    strides = (msg.row_step, msg.point_step)
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
        (N, 3) float32, a new array.
    """
    points = cloud.points
    gathered = np.empty((len(points), 3), np.float32)
    for column, name in enumerate('xyz'):
        gathered[:, column] = points[name]
    return gathered


def finite(points_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of (N, 3) points are somewhere, NaN and infinity being nowhere: an (N,) mask.

    ``compress(mask, axis=0)`` picks them in a quarter of the time that indexing takes.
    """
    # Column by column: numpy is twenty times slower along an axis of three.
    x, y, z = (np.isfinite(axis) for axis in points_m.T)
    mask: NDArray[np.bool_] = x & y & z
    return mask


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
    named = [field for field in fields if field[0]]
    _check_names([name for name, *_ in named])
    return np.dtype(
        {
            'names': [name for name, *_ in named],
            'formats': [_column(field, point_step, byte_order) for field in named],
            'offsets': [offset for _, offset, *_ in named],
            'itemsize': point_step,
        }
    )


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise BadCloud(
            f'fields {", ".join(names)}: a name comes twice; the driver must rename one'
        )
    if missing := {'x', 'y', 'z'} - set(names):
        raise BadCloud(
            f'no {", ".join(sorted(missing))} among the fields ({", ".join(names) or "none"}); '
            'need x, y and z: is this a cloud of points?'
        )


def _column(field: Field, point_step: int, byte_order: str) -> tuple[str, tuple[int, ...]]:
    """The numpy type and shape of one field; a count of one is a plain number."""
    name, offset, datatype, count = field
    if datatype not in KINDS:
        raise BadCloud(f'field {name!r} has datatype {datatype}; 1 to 8 are defined')
    if count < 1 or (name in {'x', 'y', 'z'} and count != 1):
        raise BadCloud(f'field {name!r} has count {count}; need 1 for x, y, z and >= 1 for others')
    end = offset + count * int(KINDS[datatype][1])
    if offset < 0 or end > point_step:
        raise BadCloud(
            f'field {name!r} lies in bytes {offset} to {end} of a point of {point_step}; '
            'offset or point_step is wrong'
        )
    return byte_order + KINDS[datatype], (() if count == 1 else (count,))


def _payload(msg: Any) -> memoryview:
    if msg.width < 0 or msg.height < 0 or msg.width * msg.height > POINTS_LIMIT:
        raise BadCloud(
            f'{msg.width}x{msg.height} points; we read at most {POINTS_LIMIT}: thin the cloud out '
            'in the driver'
        )
    if msg.row_step < msg.width * msg.point_step:
        raise BadCloud(
            f'row_step of {msg.row_step} bytes; {msg.width} points of {msg.point_step} bytes need '
            f'at least {msg.width * msg.point_step}: the driver should set it to their product'
        )
    payload = octets(msg.data, BadCloud)
    if len(payload) < msg.height * msg.row_step:
        raise BadCloud(
            f'{len(payload)} bytes of data; {msg.height} rows of {msg.row_step} need '
            f'{msg.height * msg.row_step}: the message is truncated or its sizes are wrong'
        )
    return payload
