"""The only layer that knows ROS."""
