"""Starts perception and the watchdog that guards it, for one camera."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

LAUNCH = PathJoinSubstitution([FindPackageShare('edge_inference_ros'), 'launch'])

ARGUMENTS = {
    'namespace': ('', 'of both nodes, such as front; one a camera'),
    'image': ('image', 'topic of the camera, relative to the namespace'),
    'odom': ('odom', 'topic of the odometry, relative to the namespace'),
    'cmd_vel': ('cmd_vel', 'topic of the commands, relative to the namespace'),
    'robot': ('indoor_amr', 'profile in config/robots, or the path of a YAML file'),
    'platform': ('x86_cpu', 'overlay in config/platforms: jetson_orin, jetson_thor, x86_cpu'),
    'model': ('', 'a shipped model or the path of a model folder; empty leaves it to the files'),
    'backend': ('', 'ort, openvino, trt or null; empty leaves it to the files'),
    'precision': ('', 'fp32, fp16 or int8; empty leaves it to the files'),
    'detector_params_file': ('', 'YAML file with parameters of the detector'),
    'watchdog_params_file': ('', 'YAML file with parameters of the watchdog'),
    'detector_enclave': ('', 'SROS2 enclave of the detector; its keys must exist'),
    'watchdog_enclave': ('', 'SROS2 enclave of the watchdog; its keys must exist'),
    'autostart': ('true', 'configure and activate at start; false leaves it to a manager'),
    'transport': ('shm', 'profile in config/transport; default takes the middleware as it is'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}
SHARED = ('namespace', 'autostart', 'transport', 'log_level')
DETECTOR = (*SHARED, 'image', 'platform', 'model', 'backend', 'precision')
WATCHDOG = (*SHARED, 'odom', 'cmd_vel', 'robot')


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and hand them on."""
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=words)
        for name, (value, words) in ARGUMENTS.items()
    ]
    return LaunchDescription(
        [
            *arguments,
            _include('perception', DETECTOR, 'detector'),
            _include('watchdog', WATCHDOG, 'watchdog'),
        ]
    )


def _include(name: str, handed_on: tuple[str, ...], node: str) -> IncludeLaunchDescription:
    said = {argument: LaunchConfiguration(argument) for argument in handed_on}
    for own in ('params_file', 'enclave'):
        said[own] = LaunchConfiguration(f'{node}_{own}')
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([LAUNCH, f'{name}.launch.py'])),
        launch_arguments=said.items(),
    )
