"""Starts the camera detector: configured by files, overlays and arguments, checked first."""

from launch import LaunchDescription

from edge_inference_ros.bringup import describe
from edge_inference_ros.bringup.arguments import PERCEPTION


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    return describe.description(PERCEPTION, describe.detector)
