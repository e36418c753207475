"""Starts the watchdog, in a process of its own: it must outlive what it guards.

Later settings win: config/watchdog.yaml, the robot's profile, ``params_file``.
"""

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare('edge_inference_ros'), 'config'])

# Who names an enclave means it: without keys the node ends instead of going on in the open.
ENFORCED = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce'}

ARGUMENTS = {
    'namespace': ('', 'of the node; what it guards is relative to it'),
    'robot': ('indoor_amr', 'profile in config/robots, or the path of a YAML file'),
    'odom': ('odom', 'topic of the odometry, relative to the namespace'),
    'cmd_vel': ('cmd_vel', 'topic of the commands, if the parameter command names their type'),
    'params_file': ('', 'YAML file with parameters; empty for none'),
    'autostart': ('true', 'configure and activate at start; false leaves it to a manager'),
    'transport': ('shm', 'profile in config/transport; default takes the middleware as it is'),
    'enclave': ('', 'SROS2 enclave, such as /edge_inference/watchdog; its keys must exist'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=value, description=words)
        for name, (value, words) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_watchdog)])


def _watchdog(context: LaunchContext) -> list[object]:
    def said(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    robot = said('robot')
    profile = robot if '/' in robot else PathJoinSubstitution([CONFIG, 'robots', f'{robot}.yaml'])
    enclave = ['--enclave', said('enclave')] if said('enclave') else []
    autostart = ParameterValue(LaunchConfiguration('autostart'), value_type=bool)
    watchdog = LifecycleNode(
        package='edge_inference_ros',
        executable='watchdog',
        name='watchdog',
        namespace=said('namespace'),
        parameters=[
            PathJoinSubstitution([CONFIG, 'watchdog.yaml']),
            profile,
            *filter(None, [said('params_file')]),
            {'autostart': autostart},
        ],
        remappings=[('odom', said('odom')), ('cmd_vel', said('cmd_vel'))],
        arguments=['--ros-args', '--log-level', said('log_level'), *enclave],
        additional_env={
            'EDGE_INFERENCE_TRANSPORT': said('transport'),
            **(ENFORCED if enclave else {}),
        },
        output='screen',
        emulate_tty=True,
        respawn=True,
        respawn_delay=0.5,
    )
    return [watchdog, RegisterEventHandler(OnProcessExit(target_action=watchdog, on_exit=_ended))]


def _ended(_event: object, context: LaunchContext) -> list[LogInfo]:
    if context.is_shutdown:
        return []
    return [LogInfo(msg='the watchdog ended: its heartbeat stops, and so must the robot')]
