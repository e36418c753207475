"""Starts the camera detector: respawned when it ends, configured by files, overlays, arguments.

Later settings win: config/camera_detector.yaml, the platform's overlay, ``params_file``, and then
the arguments ``model``, ``backend`` and ``precision`` where they are not empty.
"""

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare('edge_inference_ros'), 'config'])

# malloc keeps the megabytes of one image for the next: see docs/latency.md for what that saves.
MALLOC = {
    'MALLOC_MMAP_THRESHOLD_': str(256 << 20),
    'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
}

# Who names an enclave means it: without keys the node ends instead of going on in the open.
ENFORCED = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce'}

ARGUMENTS = {
    'namespace': ('', 'of the node, such as front; one a camera'),
    'image': ('image', 'topic of the camera, relative to the namespace'),
    'params_file': ('', 'YAML file with parameters; empty for none'),
    'platform': ('x86_cpu', 'overlay in config/platforms: jetson_orin, jetson_thor, x86_cpu'),
    'model': ('', 'a shipped model or the path of a model folder; empty leaves it to the files'),
    'backend': ('', 'ort, openvino, trt or null; empty leaves it to the files'),
    'precision': ('', 'fp32, fp16 or int8; empty leaves it to the files'),
    'autostart': ('true', 'configure and activate at start; false leaves it to a manager'),
    'transport': ('shm', 'profile in config/transport; default takes the middleware as it is'),
    'respawn_delay': ('2.0', 'seconds before a detector that ended is started again'),
    'enclave': ('', 'SROS2 enclave, such as /edge_inference/camera_detector; its keys must exist'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=words)
        for name, (value, words) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_detector)])


def _detector(context: LaunchContext) -> list[object]:
    def said(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    chosen = {
        name: ParameterValue(said(name), value_type=str)
        for name in ('model', 'backend', 'precision')
        if said(name)
    }
    files = [
        PathJoinSubstitution([CONFIG, 'camera_detector.yaml']),
        PathJoinSubstitution([CONFIG, 'platforms', f'{said("platform")}.yaml']),
        *filter(None, [said('params_file')]),
    ]
    enclave = ['--enclave', said('enclave')] if said('enclave') else []
    autostart = ParameterValue(LaunchConfiguration('autostart'), value_type=bool)
    detector = LifecycleNode(
        package='edge_inference_ros',
        executable='camera_detector',
        name='camera_detector',
        namespace=said('namespace'),
        parameters=[*files, {**chosen, 'autostart': autostart}],
        remappings=[('image', said('image'))],
        arguments=['--ros-args', '--log-level', said('log_level'), *enclave],
        additional_env={
            **MALLOC,
            'EDGE_INFERENCE_TRANSPORT': said('transport'),
            **(ENFORCED if enclave else {}),
        },
        output='screen',
        emulate_tty=True,
        respawn=True,
        respawn_delay=float(said('respawn_delay')),
    )
    return [detector, RegisterEventHandler(OnProcessExit(target_action=detector, on_exit=_ended))]


def _ended(_event: object, context: LaunchContext) -> list[LogInfo]:
    if context.is_shutdown:
        return []
    return [LogInfo(msg='the camera detector ended; the watchdog lets nothing old through')]
