"""sensor_msgs/PointCloud2 as points, without copying it."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_inference_ros.core.types import Cloud, Origin
from edge_inference_ros.errors import BadCloud

MESSAGE = 'sensor_msgs/msg/PointCloud2'
KINDS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}


def view(msg: Any, origin: Origin) -> Cloud:
    """See ``msg`` as points that share its memory (rows with padding between them are copied).

    Raises:
        BadCloud: no x, y and z, or sizes that do not agree.
    """
    names = [field.name for field in msg.fields]
    if not {'x', 'y', 'z'} <= set(names):
        raise BadCloud(f'need x, y, z; got {", ".join(names)}')
    if msg.row_step < msg.width * msg.point_step or len(msg.data) < msg.height * msg.row_step:
        raise BadCloud(
            f'{msg.width}x{msg.height} points of {msg.point_step} bytes, row step {msg.row_step}, '
            f'do not fit in {len(msg.data)} bytes'
        )
    strides = (msg.row_step, msg.point_step)
    points = np.ndarray((msg.height, msg.width), _point(msg, names), msg.data, 0, strides)
    return Cloud(origin, points.reshape(-1))


def _point(msg: Any, names: list[str]) -> np.dtype[np.void]:
    byte_order = '>' if msg.is_bigendian else '<'
    try:
        return np.dtype(
            {
                'names': names,
                'formats': [byte_order + KINDS[field.datatype] for field in msg.fields],
                'offsets': [field.offset for field in msg.fields],
                'itemsize': msg.point_step,
            }
        )
    except (KeyError, ValueError) as error:
        raise BadCloud(
            f'fields {names} do not describe {msg.point_step} bytes: {error}'
        ) from error
