"""How the robot moves, from the bytes of an odometry message."""

from __future__ import annotations

import math
from typing import NamedTuple

from edge_inference_ros.core.cdr import CdrReader
from edge_inference_ros.core.types import RosNs
from edge_inference_ros.errors import BadStamp

_LEAST_NORM = 1e-3
_LOST = 9999.0
"""The variance with which laser and visual odometry say that they are lost."""


class OdometrySample(NamedTuple):
    """What a nav_msgs/Odometry says of a robot in the plane.

    Attributes:
        stamp_ns: when it was measured.
        frame_id: the frame of the pose.
        child_frame_id: the frame of the twist, by the message's definition.
        pose: x and y in m, yaw in rad.
        twist: vx vy vz in m/s, wx wy wz in rad/s.
    """

    stamp_ns: RosNs
    frame_id: str
    child_frame_id: str
    pose: tuple[float, float, float]
    twist: tuple[float, ...]

    @property
    def twist_in_world(self) -> bool:
        """Whether the twist is, by its own words, in the frame of the pose and not the robot's."""
        return bool(self.child_frame_id) and self.child_frame_id == self.frame_id

    @property
    def base_twist(self) -> tuple[float, float, float]:
        """Vx and vy in m/s, forward and to the left, and wz in rad/s, whatever frame it is in."""
        vx, vy, _, _, _, wz = self.twist
        if self.twist_in_world:
            cos, sin = math.cos(self.pose[2]), math.sin(self.pose[2])
            vx, vy = vx * cos + vy * sin, vy * cos - vx * sin
        return vx, vy, wz


def read_odometry(data: bytes) -> OdometrySample:
    """What a serialised nav_msgs/Odometry says.

    Raises:
        BadStamp: these bytes are no such message, or it says that nothing is known: no rotation
            has a quaternion of zeros, and nobody measures a speed to within 100 m/s.
    """
    reader = CdrReader(data, BadStamp)
    stamp_ns, frame_id = reader.header()
    child_frame_id = reader.text('child_frame_id')
    px, py, _, qx, qy, qz, qw, *_ = reader.doubles(7 + 36, 'pose')
    if math.hypot(qx, qy, qz, qw) < _LEAST_NORM:
        raise BadStamp('a pose whose quaternion is all zeros: odometry is lost')
    # Of a quaternion of any length.
    yaw_rad = math.atan2(2.0 * (qw * qz + qx * qy), qw * qw + qx * qx - qy * qy - qz * qz)
    twist = reader.doubles(6, 'twist')
    variance, *_ = reader.doubles(36, 'covariance of the twist')
    if variance >= _LOST or variance < 0.0:
        raise BadStamp(f'a twist whose variance is {variance:g} m²/s²: odometry is lost')
    return OdometrySample(stamp_ns, frame_id, child_frame_id, (px, py, yaw_rad), twist)
