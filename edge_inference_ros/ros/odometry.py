"""How fast the robot moves, from the bytes of an odometry message."""

from __future__ import annotations

import math
from typing import NamedTuple

from edge_inference_ros.core.cdr import Reader
from edge_inference_ros.core.types import RosNs
from edge_inference_ros.errors import BadStamp


class Odometry(NamedTuple):
    """What an odometry message says.

    Attributes:
        twist: vx vy vz wx wy wz, m/s and rad/s in the base frame.
        pose: x and y in m, yaw in rad, in odometry's own fixed frame.
    """

    stamp_ns: RosNs
    twist: tuple[float, ...]
    pose: tuple[float, float, float]


def read_odometry(data: bytes) -> Odometry:
    """Stamp, twist and pose of a serialised nav_msgs/Odometry.

    Raises:
        BadStamp: these bytes are no such message.
    """
    reader = Reader(data, BadStamp)
    stamp_ns, _ = reader.header()
    reader.text('child_frame_id')
    x, y, _, qx, qy, qz, qw = reader.doubles(7, 'pose')
    reader.doubles(36, 'covariance')
    yaw_rad = math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz))
    return Odometry(stamp_ns, reader.doubles(6, 'twist'), (x, y, yaw_rad))
