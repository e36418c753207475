"""Starts the watchdog, in a process of its own: it must outlive what it guards."""

from launch import LaunchDescription

from edge_inference_ros.bringup import describe
from edge_inference_ros.bringup.arguments import WATCHDOG


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    return describe.description(WATCHDOG, describe.watchdog)
