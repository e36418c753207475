"""What docs/launch.md shows is what ships, and starts what it says."""

import configparser
import re
import shlex
from xml.etree import ElementTree as ET

import pytest
import yaml
from support.launching import ROOT

from edge_inference_ros.bringup.cameras import at
from edge_inference_ros.errors import ConfigError
from tools import launch

PAGE = launch.PAGE.read_text()
FRONT, REAR = '/front/camera_detector', '/rear/camera_detector'


def block(title, language):
    """The first block of a language below a heading."""
    section = re.split(r'^#+ ', PAGE.split(f'# {title}\n')[1], flags=re.MULTILINE)[0]
    return re.search(rf'```{language}\n(.*?)```', section, re.DOTALL)[1]


def test_the_page_shows_what_ships():
    assert launch.page(PAGE) == PAGE
    assert SERVICE in PAGE


SERVICE = (ROOT / launch.SERVICE).read_text()


def test_the_example_of_cameras_is_one(tmp_path):
    path = tmp_path / 'cameras.yaml'
    path.write_text(block('Several cameras', 'yaml'))

    shown, shipped = at(str(path)), at(str(ROOT / 'config/cameras/front_rear.yaml'))

    assert [camera.namespace for camera in shown.cameras] == ['front', 'rear']
    assert [camera.namespace for camera in shipped.cameras] == ['front', 'rear']
    assert shown.also[0].topic == 'points'


@pytest.fixture
def watchdog_yaml(tmp_path):
    """The parameter file the parents name; the page's text with its path for the placeholder."""
    path = tmp_path / 'watchdog.yaml'
    path.write_text('/**:\n' + re.search(r'```yaml\n/\*\*:\n(.*?)```', PAGE, re.DOTALL)[1])
    return lambda text: text.replace('/path/to/watchdog.yaml', str(path))


def check(nodes):
    nodes = {node.name: node for node in nodes}
    assert set(nodes) == {FRONT, REAR, '/watchdog'}
    assert nodes[FRONT].parameters['precision'] == 'int8'
    assert 'precision' not in nodes[REAR].parameters, 'what the front was told stays in its group'
    assert nodes[REAR].remappings['image'] == '/rear/camera/image_raw'
    assert {node.remappings['odom'] for node in nodes.values()} == {'/odom'}
    assert nodes['/watchdog'].parameters['topics'] == ['front/detections', 'rear/detections']
    assert nodes['/watchdog'].parameters['b_mps2'] == 1.0


def test_the_parent_in_python_starts_two_cameras_and_one_watchdog(
    launching, watchdog_yaml, tmp_path
):
    path = tmp_path / 'parent.launch.py'
    path.write_text(watchdog_yaml(block('Python', 'python')))

    check(launching.read(path))


def test_without_groups_the_second_include_hears_what_the_first_was_told(
    launching, watchdog_yaml, tmp_path
):
    path = tmp_path / 'parent.launch.py'
    text = watchdog_yaml(block('Python', 'python'))
    grouped = 'GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])'
    assert grouped in text
    path.write_text(
        text.replace(grouped, grouped.removeprefix('GroupAction([').removesuffix('])'))
    )

    _, rear, _ = launching.read(path)

    assert rear.parameters['precision'] == 'int8'


def from_xml(element):
    """Launch's XML as its YAML: what the frontend reads both as."""
    entity = dict(element.attrib)
    for child in element:
        entity.setdefault(child.tag, []).append(from_xml(child))
    return entity


def includes(groups):
    """File and arguments of each include, each in a group of its own."""
    for group in groups:
        (include,) = group['include'] if isinstance(group, dict) else (e['include'] for e in group)
        yield include['file'], {arg['name']: arg['value'] for arg in include['arg']}


def test_the_parents_in_xml_and_yaml_say_the_same(launching, watchdog_yaml, tmp_path):
    tree = ET.fromstring(watchdog_yaml(block('XML', 'xml')))  # noqa: S314 - our own page
    said = yaml.safe_load(watchdog_yaml(block('YAML', 'yaml')))
    xml = list(includes(from_xml(tree)['group']))
    yml = list(includes(entity['group'] for entity in said['launch']))
    assert xml == yml

    nodes = []
    for file, arguments in xml:
        package, _, path = file.partition(')/')
        assert package == '$(find-pkg-share edge_inference_ros'
        nodes += launching.read(ROOT / path, **arguments)
    check(nodes)


def test_what_a_parent_sets_for_all_reaches_our_nodes(launching, tmp_path):
    path = tmp_path / 'parent.launch.py'
    path.write_text(
        'from launch import LaunchDescription\n'
        'from launch.actions import GroupAction, IncludeLaunchDescription\n'
        'from launch.actions import SetEnvironmentVariable\n'
        'from launch_ros.actions import PushRosNamespace, SetParameter\n'
        'def generate_launch_description():\n'
        '    return LaunchDescription([GroupAction([\n'
        "        PushRosNamespace('robot1'), SetParameter('use_sim_time', True),\n"
        "        SetEnvironmentVariable('ROS_DOMAIN_ID', '7'),\n"
        f"        IncludeLaunchDescription('{ROOT}/launch/bringup.launch.py',\n"
        "            launch_arguments={'robot': 'humanoid', 'namespace': 'front'}.items())])])\n"
    )

    nodes = launching.read(path)

    assert {node.name for node in nodes} == {
        '/robot1/front/camera_detector',
        '/robot1/front/watchdog',
    }
    for node in nodes:
        assert node.parameters['use_sim_time'] is True
        assert node.own('ROS_DOMAIN_ID') == '7'


def test_the_unit_asks_launch_alone_and_by_the_signal_it_hands_on(launching, monkeypatch):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(SERVICE)
    service = unit['Service']

    assert (service['KillSignal'], service['KillMode']) == ('SIGINT', 'mixed')
    assert '--noninteractive' in service['ExecStart']
    *_, script = shlex.split(service['ExecStart'])
    assert ' && exec ros2 launch ' in script
    started(launching, script)


def test_the_container_runs_launch_as_its_first_process(launching):
    text = re.search(r'```dockerfile\n(.*?)```', PAGE, re.DOTALL)[1]

    assert 'STOPSIGNAL SIGINT' in text
    assert 'exec ros2 launch edge_inference_ros bringup.launch.py --noninteractive' in text
    words = yaml.safe_load(text.partition('CMD ')[2])
    started(launching, 'ros2 launch edge_inference_ros bringup.launch.py ' + ' '.join(words))


def started(launching, command):
    """The nodes of a ``ros2 launch`` command line."""
    words = shlex.split(command.partition('ros2 launch edge_inference_ros ')[2])
    given = dict(word.split(':=', 1) for word in words[1:] if ':=' in word)
    nodes = launching.read(words[0].removesuffix('.launch.py'), **given)
    assert nodes
    return nodes


def test_a_wrong_argument_of_a_parent_is_refused_too(launching, tmp_path):
    path = tmp_path / 'parent.launch.py'
    path.write_text(block('Python', 'python').replace("robot='indoor_amr'", "robot='mine'"))

    with pytest.raises(ConfigError, match='give one of humanoid'):
        launching.read(path)
