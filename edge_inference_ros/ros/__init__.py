"""The plumbing every node shares: the only room beside nodes/ that imports rclpy."""

from edge_inference_ros.core.transport import require_room

require_room()  # before any module here imports rclpy
