"""Starts a detector for each camera of a YAML file, and one watchdog over all of them."""

from launch import LaunchDescription

from edge_inference_ros.bringup import describe
from edge_inference_ros.bringup.arguments import MULTI_CAMERA


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes are made when all values are known to be right."""
    return describe.description(MULTI_CAMERA, describe.several)
