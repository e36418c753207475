"""Sensor messages read straight from their serialised bytes; no length in them is believed.

What comes back has the attributes of the ROS message the views read, and a ``data`` that shares
the buffer's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_inference_ros.core.cdr import CdrReader
from edge_inference_ros.core.types import RosNs
from edge_inference_ros.errors import BadCloud, BadImage

FIELDS_LIMIT = 128
"""Most fields a point may have; real drivers stay below twenty."""


@dataclass(frozen=True, slots=True)
class RawImage:
    """sensor_msgs/Image as read from its bytes; ``data`` is borrowed from them."""

    stamp_ns: RosNs
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class RawCompressedImage:
    """sensor_msgs/CompressedImage as read from its bytes; ``data`` is borrowed from them."""

    stamp_ns: RosNs
    frame_id: str
    format: str
    data: memoryview


@dataclass(frozen=True, slots=True)
class RawField:
    """sensor_msgs/PointField as read from its bytes."""

    name: str
    offset: int
    datatype: int
    count: int


@dataclass(frozen=True, slots=True)
class RawCloud:
    """sensor_msgs/PointCloud2 as read from its bytes; ``data`` is borrowed from them."""

    stamp_ns: RosNs
    frame_id: str
    height: int
    width: int
    fields: tuple[RawField, ...]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: memoryview
    is_dense: bool


def read_image(buffer: Any) -> RawImage:
    """Read a serialised ``sensor_msgs/msg/Image``.

    Raises:
        BadImage: the bytes end early or hold something else.
        BadStamp: the stamp is not a time.
    """
    reader = CdrReader(buffer, BadImage)
    stamp, frame_id = reader.header()
    return RawImage(
        stamp_ns=stamp,
        frame_id=frame_id,
        height=reader.u32('height'),
        width=reader.u32('width'),
        encoding=reader.text('encoding'),
        is_bigendian=reader.u8('is_bigendian'),
        step=reader.u32('step'),
        data=reader.blob('data'),
    )


def read_compressed(buffer: Any) -> RawCompressedImage:
    """Read a serialised ``sensor_msgs/msg/CompressedImage``.

    Raises:
        BadImage: the bytes end early or hold something else.
        BadStamp: the stamp is not a time.
    """
    reader = CdrReader(buffer, BadImage)
    stamp, frame_id = reader.header()
    return RawCompressedImage(
        stamp_ns=stamp,
        frame_id=frame_id,
        format=reader.text('format'),
        data=reader.blob('data'),
    )


def read_cloud(buffer: Any) -> RawCloud:
    """Read a serialised ``sensor_msgs/msg/PointCloud2``.

    Raises:
        BadCloud: the bytes end early or hold something else.
        BadStamp: the stamp is not a time.
    """
    reader = CdrReader(buffer, BadCloud)
    stamp, frame_id = reader.header()
    return RawCloud(
        stamp_ns=stamp,
        frame_id=frame_id,
        height=reader.u32('height'),
        width=reader.u32('width'),
        fields=_fields(reader),
        is_bigendian=bool(reader.u8('is_bigendian')),
        point_step=reader.u32('point_step'),
        row_step=reader.u32('row_step'),
        data=reader.blob('data'),
        is_dense=bool(reader.u8('is_dense')),
    )


def _fields(reader: CdrReader) -> tuple[RawField, ...]:
    count = reader.u32('fields')
    if count > FIELDS_LIMIT:
        raise BadCloud(f'{count} fields to a point; at most {FIELDS_LIMIT} are read')
    return tuple(
        RawField(
            name=reader.text('field name'),
            offset=reader.u32('field offset'),
            datatype=reader.u8('field datatype'),
            count=reader.u32('field count'),
        )
        for _ in range(count)
    )
