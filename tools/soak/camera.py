"""Sends pictures and odometry at a steady rate until it is ended: ``python -m tools.soak.camera``.

The pictures are noise over a gradient, a few of them in turn: something for the network to look
at that is neither black nor frozen.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np

from edge_inference_ros.ros import process, qos

_DIFFERENT = 8


def main() -> int:
    """Run it as a process: WIDTH HEIGHT HZ."""
    width, height = int(sys.argv[1]), int(sys.argv[2])
    return process.run(lambda: _camera(width, height, float(sys.argv[3])), args=[])


def _camera(width: int, height: int, hz: float) -> Any:
    from nav_msgs.msg import Odometry
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    node = Node('soak_camera')
    images = node.create_publisher(Image, 'image', qos.sensor())
    odometer = node.create_publisher(Odometry, 'odom', qos.sensor())
    pictures = [_picture(seed, width, height) for seed in range(_DIFFERENT)]
    image = Image(width=width, height=height, encoding='rgb8', step=3 * width)
    image.header.frame_id = 'camera'
    odometry = Odometry()
    odometry.twist.twist.linear.x = 0.5
    count = 0

    def send() -> None:
        nonlocal count
        image.data = pictures[count % _DIFFERENT]
        image.header.stamp = odometry.header.stamp = node.get_clock().now().to_msg()
        count += 1
        images.publish(image)
        odometer.publish(odometry)

    node.create_timer(1.0 / hz, send)
    return node


def _picture(seed: int, width: int, height: int) -> array.array[int]:
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    slope = np.linspace(0, 190, height)[:, np.newaxis, np.newaxis]
    return array.array('B', (noise + slope).astype(np.uint8).tobytes())


if __name__ == '__main__':
    sys.exit(main())
