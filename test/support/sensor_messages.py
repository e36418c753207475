"""Messages for the sensor tests: plain objects, and their serialised bytes by rosbags."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from edge_inference_ros.core.types import MonoNs, Origin, RosNs

ORIGIN = Origin('camera', RosNs(12_000_000_034), MonoNs(7))
STORE = get_typestore(Stores.ROS2_JAZZY)
CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def image(encoding='rgb8', width=6, height=4, step=None, **others: Any) -> SimpleNamespace:
    """An Image whose rows are 24 bytes + 5 of padding, unless told otherwise."""
    step = 4 * width + 5 if step is None else step
    payload = noise(height * step * 3 // 2)
    fields = {'is_bigendian': 0, 'data': payload, **others}
    return SimpleNamespace(encoding=encoding, width=width, height=height, step=step, **fields)


def compressed(data: bytes, said: str = 'jpeg') -> SimpleNamespace:
    return SimpleNamespace(format=said, data=data)


def field(name: str, offset: int, datatype: int = 7, count: int = 1) -> SimpleNamespace:
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


XYZ = [field('x', 0), field('y', 4), field('z', 8)]


def cloud(width=5, height=1, point_step=16, pad=0, **others: Any) -> SimpleNamespace:
    """A PointCloud2 of finite random coordinates, unless told otherwise."""
    row_step = width * point_step + pad
    values = np.random.default_rng(1).uniform(-50, 50, height * (row_step // 4 + 1))
    fields = {
        'fields': XYZ,
        'is_bigendian': False,
        'row_step': row_step,
        'data': values.astype('<f4').tobytes()[: height * row_step],
        'is_dense': True,
        **others,
    }
    return SimpleNamespace(height=height, width=width, point_step=point_step, **fields)


def cloud_of(points: np.ndarray, *, is_bigendian=False) -> SimpleNamespace:
    """The PointCloud2 that says the same as a structured array."""
    fields = [
        field(name, offset, CODES[kind.base.str[1:]], int(np.prod(kind.shape, dtype=int)))
        for name, (kind, offset) in points.dtype.fields.items()
    ]
    return cloud(
        width=len(points),
        point_step=points.dtype.itemsize,
        fields=fields,
        is_bigendian=is_bigendian,
        data=points.tobytes(),
    )


def header(frame_id: str = 'camera') -> Any:
    types = STORE.types
    stamp = types['builtin_interfaces/msg/Time'](sec=12, nanosec=34)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def serialised(kind: str, msg: SimpleNamespace, frame_id='camera', *, is_little=True) -> bytes:
    """The bytes of ``msg``, a plain object, as ``sensor_msgs/msg/<kind>``."""
    parts = {**vars(msg), 'data': np.frombuffer(msg.data, np.uint8)}
    if 'fields' in parts:
        make = STORE.types['sensor_msgs/msg/PointField']
        parts['fields'] = [make(**vars(one)) for one in parts['fields']]
    name = f'sensor_msgs/msg/{kind}'
    typed = STORE.types[name](header=header(frame_id), **parts)
    return bytes(STORE.serialize_cdr(typed, name, little_endian=is_little))


def lies_within(array: np.ndarray, buffer: bytes) -> bool:
    """Whether every byte the array can touch belongs to the buffer."""
    start = np.frombuffer(buffer, np.uint8).__array_interface__['data'][0]
    first = array.__array_interface__['data'][0]
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    return start <= first and first + reach + array.itemsize <= start + len(buffer)
