"""How fast the robot moves, from the bytes of an odometry message."""

from __future__ import annotations

from edge_inference_ros.core.cdr import Reader
from edge_inference_ros.core.types import RosNs
from edge_inference_ros.errors import BadStamp


def read_odometry(data: bytes) -> tuple[RosNs, tuple[float, ...]]:
    """Stamp and twist (vx vy vz wx wy wz, base frame) of a serialised nav_msgs/Odometry.

    Raises:
        BadStamp: these bytes are no such message.
    """
    reader = Reader(data, BadStamp)
    stamp_ns, _ = reader.header()
    reader.text('child_frame_id')
    reader.doubles(7 + 36, 'pose')
    return stamp_ns, reader.doubles(6, 'twist')
