"""Every input of every node is an argument of every launch file that starts it."""

import pytest
from support.launching import LAUNCH
from support.models import scripted_model
from support.robots import GIVEN

from edge_inference_ros.bringup import arguments

pytestmark = pytest.mark.ros

ROS_OWN = {'/parameter_events', '/clock'}
FILES = {
    'bringup': arguments.BRINGUP,
    'perception': arguments.PERCEPTION,
    'watchdog': arguments.WATCHDOG,
}


@pytest.fixture
def inputs(ros, tmp_path):
    """The topics each node subscribes to when it is active, relative to its namespace."""
    from rclpy.parameter import Parameter

    from edge_inference_ros.nodes.camera_detector import CameraDetector
    from edge_inference_ros.nodes.watchdog import Watchdog

    def listening(kind, values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = ros.add(kind(context=ros.context, namespace='/n', parameter_overrides=overrides))
        assert node.trigger_configure().name == node.trigger_activate().name == 'SUCCESS'
        seen = node.get_subscriber_names_and_types_by_node(node.get_name(), '/n')
        return {name for name, _ in seen} - ROS_OWN

    return {
        'camera_detector': listening(
            CameraDetector, {'backend': 'null', 'model': str(scripted_model(tmp_path))}
        ),
        'watchdog': listening(Watchdog, {**GIVEN, 'command': 'Twist'}),
    }


def test_every_input_can_be_led_elsewhere_from_every_launch_file(inputs, launching):
    compared = 0
    assert inputs['camera_detector'] == {'/n/image', '/n/odom'}
    assert inputs['watchdog'] == {'/n/detections', '/n/odom', '/n/cmd_vel'}
    for name, offered in FILES.items():
        topics = {'image', 'odom', 'cmd_vel', 'detections'} & {a.name for a in offered}
        given = {topic: f'/led/{topic}' for topic in topics}
        robot = {'robot': 'indoor_amr'} if name != 'perception' else {}
        for node in launching.read(name, **given, **robot):
            for full in inputs[node.program.partition('/')[2]]:
                topic = full.removeprefix('/n/')
                assert node.remappings[topic] == f'/led/{topic}', (name, node.name, topic)
                compared += 1

    assert compared == 10


def test_several_cameras_have_every_input_led_too(inputs, launching, tmp_path):
    path = tmp_path / 'cameras.yaml'
    path.write_text('cameras: [{namespace: front, image: /led/image}]')

    *eyes, watchdog = launching.read(
        'multi_camera',
        cameras=str(path),
        robot='indoor_amr',
        odom='/led/odom',
        cmd_vel='/led/cmd_vel',
    )

    for full in inputs['camera_detector']:
        topic = full.removeprefix('/n/')
        assert eyes[0].remappings[topic] == f'/led/{topic}'
    for topic in ('odom', 'cmd_vel'):
        assert watchdog.remappings[topic] == f'/led/{topic}'
    assert watchdog.parameters['topics'] == ['front/detections']


def test_no_launch_file_is_left_out():
    assert {path.name.partition('.')[0] for path in LAUNCH.glob('*.launch.py')} == {
        *FILES,
        'multi_camera',
    }
