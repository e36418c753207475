"""The shipped views name topics that there are, with demands that can be met."""

import json
import re

import pytest
import yaml
from support.launching import ROOT

from edge_inference_ros.errors import ConfigError

RVIZ = ROOT / 'config/rviz/camera_detector.rviz'
FOXGLOVE = ROOT / 'config/foxglove/edge_inference.json'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An RViz, as the index of packages knows it."""
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    (index / 'rviz2').touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path), prepend=':')


@pytest.mark.parametrize('file', ['perception', 'bringup'])
def test_rviz_starts_beside_the_detector_in_its_namespace(launching, installed, file):
    given = {'robot': 'indoor_amr'} if file == 'bringup' else {}
    started = launching.read(
        file, rviz='true', namespace='front', image='/camera/image_raw', **given
    )
    (rviz,) = [one for one in started if one.program == 'rviz2/rviz2']

    assert rviz.name == '/front/rviz'
    assert rviz.remappings == {'image': '/camera/image_raw'}
    assert rviz.command[rviz.command.index('-d') + 1] == str(RVIZ)


def test_unless_it_is_asked_for_there_is_none(launching, installed):
    assert [s.program for s in launching.read('perception')] == [
        'edge_inference_ros/camera_detector'
    ]


def test_where_it_is_not_installed_the_package_is_named(launching, monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')

    with pytest.raises(ConfigError, match='sudo apt install ros-jazzy-rviz2'):
        launching.read('perception', rviz='true')


def shown_by_rviz():
    for display in yaml.safe_load(RVIZ.read_text())['Visualization Manager']['Displays']:
        if topic := display.get('Topic'):
            yield topic['Value'], display['Class'].rpartition('/')[2], topic


def shown_by_foxglove():
    """Topics by the panel that shows them."""
    for name, panel in json.loads(FOXGLOVE.read_text())['configById'].items():
        if mode := panel.get('imageMode'):
            yield from ((topic, 'annotations') for topic in mode.get('annotations', ()))
            yield mode['imageTopic'], 'Image'
        if topic := panel.get('topicToRender'):
            yield topic, 'DiagnosticArray'
        for path in panel.get('paths', ()):
            yield path['value'].partition('.')[0], name.partition('!')[0]


KINDS = {
    '/image': 'sensor_msgs/msg/Image',
    '/camera_detector/overlay': 'sensor_msgs/msg/Image',
    '/camera_detector/annotations': 'visualization_msgs/msg/ImageMarker',
    '/freshness': 'diagnostic_msgs/msg/DiagnosticArray',
    '/latency': 'diagnostic_msgs/msg/DiagnosticArray',
    '/speed_limit': 'nav2_msgs/msg/SpeedLimit',
    '/lock': 'std_msgs/msg/Bool',
}


@pytest.mark.ros
def test_every_topic_is_one_that_the_nodes_have(ros, tmp_path):
    from rclpy.parameter import Parameter
    from support.models import scripted_model
    from support.robots import GIVEN

    from edge_inference_ros.nodes.camera_detector import CameraDetector
    from edge_inference_ros.nodes.watchdog import Watchdog

    model = scripted_model(tmp_path / 'model', durations_ms=[1])
    detector = {'model': str(model), 'backend': 'null'}
    for make, said in ((CameraDetector, detector), (Watchdog, GIVEN)):
        overrides = [Parameter(name, value=value) for name, value in said.items()]
        node = ros.add(make(context=ros.context, parameter_overrides=overrides))
        node.trigger_configure()
        node.trigger_activate()
    there = dict(ros.helper.get_topic_names_and_types())
    shown = {*(f'/{topic}' for topic, *_ in shown_by_rviz()), *dict(shown_by_foxglove())}

    assert shown == KINDS.keys()
    ros.until(
        lambda: (
            KINDS.items() <= {n: k[0] for n, k in ros.helper.get_topic_names_and_types()}.items()
        ),
        what=f'the topics of the views; there are {there}',
    )


def test_rviz_asks_for_no_more_than_is_offered():
    asked = {topic: qos for topic, _, qos in shown_by_rviz()}

    assert asked['image']['Reliability Policy'] == 'Best Effort'  # as drivers offer
    assert asked['camera_detector/overlay']['Reliability Policy'] == 'Reliable'
    assert {qos['Durability Policy'] for qos in asked.values()} == {'Volatile'}


def test_the_values_that_foxglove_plots_are_the_keys_of_our_rows():
    keys = set(re.findall(r'key=="(\w+)"', FOXGLOVE.read_text().replace('\\', '')))

    assert keys == {'age_ms', 'deadline_ms', 'sensor_to_output', 'transport', 'infer'}
