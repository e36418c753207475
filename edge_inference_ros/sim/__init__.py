"""A small world seen by a camera and a spinning LiDAR at the same instant, with ground truth."""
