"""Starts perception and the watchdog that guards it, for one camera."""

from launch import LaunchDescription

from edge_inference_ros.bringup import describe
from edge_inference_ros.bringup.arguments import BRINGUP


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; both nodes are made when all values are known to be right."""
    return describe.description(BRINGUP, describe.both)
