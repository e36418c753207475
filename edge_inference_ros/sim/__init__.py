"""A small world seen by a camera and a LiDAR at once, with ground truth."""
