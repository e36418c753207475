"""How long a prediction may be believed: pure, no ROS, readable as a proof."""
