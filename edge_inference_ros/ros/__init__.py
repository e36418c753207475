"""The plumbing every node shares: the only room beside nodes/ that imports rclpy."""
