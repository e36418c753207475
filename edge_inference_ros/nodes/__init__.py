"""The nodes, one file each, their parameters, and what a consumer imports."""

from edge_inference_ros.core.transport import require_room

require_room()  # before any module here imports rclpy
