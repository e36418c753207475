"""Starts our nodes and writes down what they do on the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_inference_ros.core.share import share
from tools.security.policy import Profile

PREFIX = '/edge_inference'
"""Of our enclaves: the node's full name follows it."""


def profiles(ros_args: Sequence[str] = (), *, context: Any = None) -> list[Profile]:
    """What a camera detector and a watchdog use when they are active.

    Args:
        ros_args: remappings, parameters and parameter files, as on a node's command line.
        context: an initialised ROS context; the nodes are made in it and destroyed again.

    Raises:
        RuntimeError: a node did not become active; the log says why.
    """
    from edge_inference_ros.nodes.camera_detector import CameraDetector
    from edge_inference_ros.nodes.watchdog import Watchdog

    # The watchdog has no default robot; which topics it uses does not depend on the robot.
    robot = ['--params-file', str(share('config/robots/indoor_amr.yaml'))]
    return [
        _profile_of(CameraDetector, ros_args, context),
        _profile_of(Watchdog, [*robot, *ros_args], context),
    ]


def _profile_of(make: Callable[..., Any], ros_args: Sequence[str], context: Any) -> Profile:
    from rclpy.lifecycle import TransitionCallbackReturn

    node = make(context=context, cli_args=['--ros-args', *ros_args] if ros_args else None)
    try:
        for verb in ('configure', 'activate'):
            if getattr(node, f'trigger_{verb}')() != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f'{node.get_name()} did not {verb}; its log says why')
        return _seen(node)
    finally:
        node.destroy_node()


def _seen(node: Any) -> Profile:
    who = node.get_name(), node.get_namespace()

    def names(rows: list[tuple[str, list[str]]]) -> frozenset[str]:
        return frozenset(name for name, _ in rows)

    return Profile(
        PREFIX + node.get_fully_qualified_name(),
        node.get_namespace(),
        node.get_name(),
        reply=names(node.get_service_names_and_types_by_node(*who)),
        request=names(node.get_client_names_and_types_by_node(*who)),
        publish=names(node.get_publisher_names_and_types_by_node(*who)),
        subscribe=names(node.get_subscriber_names_and_types_by_node(*who)),
    )
