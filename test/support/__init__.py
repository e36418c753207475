"""What tests share: ROS on loopback, child processes, waiting without sleeping."""
