"""Launch descriptions of our nodes. The only file of the package that imports launch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from edge_inference_ros.bringup import checks
from edge_inference_ros.bringup.arguments import Argument, misspelt, read
from edge_inference_ros.bringup.cameras import Camera, Cameras
from edge_inference_ros.core.share import share
from edge_inference_ros.errors import BAD_CONFIGURATION

Chosen = Mapping[str, Any]

# malloc keeps the megabytes of one image for the next: see docs/latency.md for what that saves.
MALLOC = {
    'MALLOC_MMAP_THRESHOLD_': str(256 << 20),
    'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
}

# Who names an enclave means it: without keys the node ends instead of going on in the open.
ENFORCED = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce'}

WATCHDOG_DELAY_S = 0.5
"""Before a watchdog that ended is started again: while it is away nothing is let through."""


def description(
    arguments: Sequence[Argument], start: Callable[[LaunchContext, Chosen], Iterable[Any]]
) -> LaunchDescription:
    """Declare ``arguments``; when their values are known, check them all, then ``start``.

    Everything lies in one scoped group, so that a launch file included after ours is told nothing
    that was meant for us. The group forwards what is outside: a parent's namespace, remappings,
    environment and use_sim_time reach our nodes. ``start`` makes of the checked values the
    actions that start the nodes.
    """

    def begin(context: LaunchContext) -> list[Any]:
        chosen = read(arguments, context.launch_configurations)
        lost = [LogInfo(msg=sentence) for sentence in misspelt(arguments, context.argv)]
        return [*lost, *start(context, chosen)]

    declared = [
        DeclareLaunchArgument(
            argument.name, default_value=argument.default, description=argument.description
        )
        for argument in arguments
    ]
    return LaunchDescription([GroupAction([*declared, OpaqueFunction(function=begin)])])


def detector(context: LaunchContext, chosen: Chosen, *, priority: int = 0) -> list[Any]:
    """The camera detector: started again when it ends.

    Later settings win: config/camera_detector.yaml, the platform's overlay, parameter files, and
    then ``model``, ``backend`` and ``precision`` where they are not empty.

    ``chosen`` holds the values of ``arguments.PERCEPTION``, with one ``params_file`` or several;
    ``priority`` is the niceness of the process.
    """
    words = {
        name: ParameterValue(chosen[name], value_type=str)
        for name in ('model', 'backend', 'precision')
        if chosen[name]
    }
    files = [share('config/camera_detector.yaml'), chosen['platform'], *_files(chosen)]
    settings, warnings = _meant(context, chosen, 'camera_detector', files)
    settings |= {name: chosen[name] for name in words}
    checks.offers(str(settings.get('model', '')), str(settings.get('precision', '')))
    nice = {'prefix': [f'nice -n {priority} ', _PREFIX]} if priority else {}
    started = _kept_alive(
        'camera_detector',
        'the camera detector ended; the watchdog lets nothing old through',
        chosen,
        parameters=[*map(str, files), {**words, 'autostart': chosen['autostart']}],
        remappings=[(name, chosen[name]) for name in ('image', 'odom', 'detections')],
        environment=MALLOC,
        respawn_delay=chosen['respawn_delay'],
        **nice,
    )
    return [*warnings, *started, *_rviz(chosen)]


def _rviz(chosen: Chosen) -> list[Any]:
    """RViz beside the detector, if it is asked for; topics are found as the detector's are."""
    if not chosen.get('rviz'):
        return []
    node = Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=chosen['namespace'],
        arguments=['-d', str(share('config/rviz/camera_detector.rviz'))],
        remappings=[('image', chosen['image'])],
        additional_env={'EDGE_INFERENCE_TRANSPORT': chosen['transport']},
    )
    return [node]


def watchdog(
    context: LaunchContext, chosen: Chosen, parameters: Mapping[str, Any] | None = None
) -> list[Any]:
    """The watchdog, in a process of its own: it must outlive what it guards.

    Later settings win: config/watchdog.yaml, the robot's profile, parameter files, ``parameters``.
    ``chosen`` holds the values of ``arguments.WATCHDOG``, with one ``params_file`` or several.
    """
    files = [share('config/watchdog.yaml'), chosen['robot'], *_files(chosen)]
    _, warnings = _meant(context, chosen, 'watchdog', files)
    params = {**(parameters or {}), 'autostart': chosen['autostart']}
    started = _kept_alive(
        'watchdog',
        'the watchdog ended: its heartbeat stops, and so must the robot',
        chosen,
        parameters=[*map(str, files), params],
        remappings=[
            (name, chosen[name]) for name in ('detections', 'odom', 'cmd_vel') if name in chosen
        ],
        environment={},
        respawn_delay=WATCHDOG_DELAY_S,
    )
    return [*warnings, *started]


def both(context: LaunchContext, chosen: Chosen) -> list[Any]:
    """Detector and watchdog of one camera, from the values of ``arguments.BRINGUP``."""
    sees = {
        **chosen,
        'params_file': [chosen['params_file'], chosen['detector_params_file']],
        'enclave': chosen['detector_enclave'] or _within(chosen['enclave'], 'camera_detector'),
    }
    guards = {
        **chosen,
        'params_file': [chosen['params_file'], chosen['watchdog_params_file']],
        'enclave': chosen['watchdog_enclave'] or _within(chosen['enclave'], 'watchdog'),
    }
    return [*detector(context, sees), *watchdog(context, guards)]


def several(context: LaunchContext, chosen: Chosen) -> list[Any]:
    """A detector for each camera of ``arguments.MULTI_CAMERA``, one watchdog over all of them."""
    cameras: Cameras = chosen['cameras']
    odom = _full_name(context, chosen['namespace'], chosen['odom'])
    eyes = [
        detector(context, _of(camera, {**chosen, 'odom': odom}), priority=camera.priority)
        for camera in cameras.cameras
    ]
    guards = {
        **chosen,
        'params_file': chosen['watchdog_params_file'],
        'enclave': _within(chosen['enclave'], 'watchdog'),
    }
    return [*chain.from_iterable(eyes), *watchdog(context, guards, cameras.watched())]


def _of(camera: Camera, chosen: Chosen) -> dict[str, Any]:
    """What holds for every camera, with what this one has of its own."""
    own = {name: getattr(camera, name) for name in ('model', 'backend', 'precision')}
    return {
        **chosen,
        **{name: value for name, value in own.items() if value},
        'namespace': '/'.join(filter(None, [chosen['namespace'], camera.namespace])),
        'image': camera.image,
        'detections': 'detections',
        'params_file': [chosen['detector_params_file'], camera.params_file],
        'enclave': _within(chosen['enclave'], 'camera_detector'),
    }


def _full_name(context: LaunchContext, namespace: str, topic: str) -> str:
    """Of a topic that is relative to ``namespace``, for nodes in namespaces below it."""
    if topic.startswith('/'):
        return topic
    # What PushRosNamespace of a parent file puts in front of every relative namespace.
    pushed = '' if namespace.startswith('/') else context.launch_configurations.get(_PUSHED, '')
    parts = (part.strip('/') for part in (pushed, namespace, topic))
    return '/' + '/'.join(filter(None, parts))


def _meant(
    context: LaunchContext, chosen: Chosen, node: str, files: Sequence[Path]
) -> tuple[dict[str, Any], list[Any]]:
    """What ``files`` say for the node, later ones winning, and warnings of what misses it."""
    full = _full_name(context, chosen['namespace'], node)
    merged: dict[str, Any] = {}
    warnings = []
    for path in files:
        values, missed = checks.meant_for(path, full)
        merged |= values
        warnings += [LogInfo(msg=missed)] if missed else []
    return merged, warnings


def _within(enclave: str, node: str) -> str:
    return f'{enclave}/{node}' if enclave else ''


def _files(chosen: Chosen) -> list[Path]:
    files = chosen['params_file']
    return [path for path in (files if isinstance(files, list) else [files]) if path]


_PUSHED = 'ros_namespace'
_PREFIX = LaunchConfiguration('launch-prefix', default='')


def _kept_alive(
    name: str,
    words: str,
    chosen: Chosen,
    *,
    environment: Mapping[str, str],
    **options: Any,
) -> list[Any]:
    """A node that is started again when it ends, unless it ended over what cannot heal by itself.

    ``words`` are logged when it ends; ``options`` are the node's, beside those that all have.
    """
    enclave = ['--enclave', chosen['enclave']] if chosen['enclave'] else []
    node = LifecycleNode(
        package='edge_inference_ros',
        executable=name,
        name=name,
        exec_name=name,
        namespace=chosen['namespace'],
        arguments=['--ros-args', '--log-level', chosen['log_level'], *enclave],
        additional_env={
            **environment,
            'EDGE_INFERENCE_TRANSPORT': chosen['transport'],
            **(ENFORCED if enclave else {}),
        },
        output='screen',
        emulate_tty=True,
        respawn=True,
        **options,
    )

    def ended(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        if event.returncode != BAD_CONFIGURATION:
            return [LogInfo(msg=words)]
        given_up = ShutdownProcess(process_matcher=matches_action(node))
        refused = f'{name} cannot start with this configuration and is not started again'
        return [LogInfo(msg=f'{words}; {refused}'), EmitEvent(event=given_up)]

    return [node, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))]
