"""Perception whose latency is measured, bounded and enforced: a ROS 2 package for edge robots."""
