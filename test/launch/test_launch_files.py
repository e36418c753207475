"""Launch files and configuration are right, as far as can be told without starting anything."""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from edge_inference_ros.core.params import build, specs
from edge_inference_ros.nodes.camera_params import CameraDetectorParams
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
from tools.security import policy
from tools.security.__main__ import SHIPPED

ROOT = Path(__file__).parents[2]
LAUNCH = sorted((ROOT / 'launch').glob('*.launch.py'))
PLATFORMS = sorted((ROOT / 'config/platforms').glob('*.yaml'))
ROBOTS = sorted((ROOT / 'config/robots').glob('*.yaml'))
DETECTOR, WATCHDOG = ROOT / 'config/camera_detector.yaml', ROOT / 'config/watchdog.yaml'
HAS_LAUNCH = importlib.util.find_spec('launch_ros') is not None


def load(path):
    """The module ``path``; importing it needs the launch library."""
    spec = importlib.util.spec_from_file_location(path.name.removesuffix('.launch.py'), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def constant(path, name):
    """The value of a module-level constant, without importing the module."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise LookupError(name)


def parameters(path):
    said = yaml.safe_load(path.read_text())
    assert list(said) == ['/**'], 'a node may be renamed and put into a namespace'
    return said['/**']['ros__parameters']


def calls(path, name):
    """The keyword arguments of every call of ``name`` that are constants."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == name:
            yield {
                k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
            }


def test_there_is_a_launch_file_for_each_purpose():
    assert [path.name for path in LAUNCH] == [
        'bringup.launch.py',
        'perception.launch.py',
        'watchdog.launch.py',
    ]


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_a_launch_file_compiles_for_the_oldest_python_we_support(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 10))

    assert any(getattr(node, 'name', '') == 'generate_launch_description' for node in tree.body)


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_every_argument_has_a_text_default_and_a_description(path):
    for name, (default, words) in constant(path, 'ARGUMENTS').items():
        assert isinstance(default, str), name
        assert len(words) > 10, name


@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_every_argument_that_is_used_is_declared(path):
    declared = set(constant(path, 'ARGUMENTS'))
    used = {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, 'id', '') in ('said', 'LaunchConfiguration')
        and isinstance(node.args[0], ast.Constant)
    }

    assert used <= declared


def test_bringup_hands_on_what_the_others_know():
    for other, handed_on in (('perception', 'DETECTOR'), ('watchdog', 'WATCHDOG')):
        text = (ROOT / 'launch/bringup.launch.py').read_text()
        shared = constant(ROOT / 'launch/bringup.launch.py', 'SHARED')
        (value,) = [
            node.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and node.targets[0].id == handed_on
        ]
        names = {*shared, *(e.value for e in value.elts if isinstance(e, ast.Constant))}

        assert names <= set(constant(ROOT / f'launch/{other}.launch.py', 'ARGUMENTS'))
        assert names <= set(constant(ROOT / 'launch/bringup.launch.py', 'ARGUMENTS'))


def test_bringup_has_a_parameter_file_and_an_enclave_for_each_node():
    declared = set(constant(ROOT / 'launch/bringup.launch.py', 'ARGUMENTS'))

    for other, node in (('perception', 'detector'), ('watchdog', 'watchdog')):
        own = set(constant(ROOT / f'launch/{other}.launch.py', 'ARGUMENTS'))
        for name in ('params_file', 'enclave'):
            assert name in own
            assert f'{node}_{name}' in declared


@pytest.mark.parametrize('path', LAUNCH[1:], ids=lambda p: p.name)
def test_the_enclave_of_the_example_is_one_the_policy_has(path):
    _, words = constant(path, 'ARGUMENTS')['enclave']
    (example,) = [word.strip(';,') for word in words.split() if word.startswith('/')]

    assert example in {profile.enclave for profile in policy.read(SHIPPED)}


@pytest.mark.parametrize('path', LAUNCH[1:], ids=lambda p: p.name)
def test_who_names_an_enclave_gets_no_node_without_it(path):
    assert constant(path, 'ENFORCED') == {
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
    }


@pytest.mark.parametrize('path', LAUNCH[1:], ids=lambda p: p.name)
def test_the_executable_is_one_that_is_installed(path):
    scripts = (ROOT / 'setup.py').read_text()

    for said in calls(path, 'LifecycleNode'):
        assert said['package'] == 'edge_inference_ros'
        assert f'{said["executable"]} = ' in scripts


def test_the_files_that_launch_files_name_exist():
    for path in (DETECTOR, WATCHDOG):
        assert path.is_file()
    platform = constant(ROOT / 'launch/perception.launch.py', 'ARGUMENTS')['platform']
    robot = constant(ROOT / 'launch/watchdog.launch.py', 'ARGUMENTS')['robot']
    transport = constant(ROOT / 'launch/perception.launch.py', 'ARGUMENTS')['transport']
    assert (ROOT / f'config/platforms/{platform[0]}.yaml').is_file()
    assert (ROOT / f'config/robots/{robot[0]}.yaml').is_file()
    assert (ROOT / f'config/transport/{transport[0]}.xml').is_file()
    for overlay in PLATFORMS:
        assert overlay.stem in platform[1]


def test_the_package_installs_launch_files_and_configuration():
    text = (ROOT / 'setup.py').read_text()

    assert "*shared('launch')" in text
    assert "*shared('config')" in text


@pytest.mark.parametrize('overlay', [None, *PLATFORMS], ids=lambda p: p.stem if p else 'alone')
def test_detector_parameters_fit_the_schema(overlay):
    said = parameters(DETECTOR) | (parameters(overlay) if overlay else {})

    build(CameraDetectorParams, said)


@pytest.mark.parametrize('robot', [None, *ROBOTS], ids=lambda p: p.stem if p else 'alone')
def test_watchdog_parameters_fit_the_schema(robot):
    said = parameters(WATCHDOG) | (parameters(robot) if robot else {})

    build(WatchdogParams, said)


@pytest.mark.parametrize(
    ('path', 'schema'), [(DETECTOR, CameraDetectorParams), (WATCHDOG, WatchdogParams)]
)
def test_the_shipped_values_are_the_defaults_so_that_the_file_is_a_description(path, schema):
    defaults = {name: default for name, default, *_ in specs(schema)}

    for name, value in parameters(path).items():
        assert (tuple(value) if isinstance(value, list) else value) == defaults[name], name


@pytest.mark.skipif(not HAS_LAUNCH, reason='the launch library is not installed here')
@pytest.mark.parametrize('path', LAUNCH, ids=lambda p: p.name)
def test_the_launch_library_takes_the_description(path):
    from launch.actions import DeclareLaunchArgument

    entities = load(path).generate_launch_description().entities

    names = {e.name for e in entities if isinstance(e, DeclareLaunchArgument)}
    assert names == set(constant(path, 'ARGUMENTS'))


@pytest.mark.skipif(not HAS_LAUNCH, reason='the launch library is not installed here')
@pytest.mark.parametrize('path', LAUNCH[1:], ids=lambda p: p.name)
@pytest.mark.parametrize('enclave', ['', '/edge_inference/watchdog'])
def test_the_launch_library_makes_the_node(path, enclave):
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch_ros.actions import LifecycleNode

    from launch import LaunchContext

    context = LaunchContext()
    entities = load(path).generate_launch_description().entities
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    context.launch_configurations['enclave'] = enclave
    (function,) = [e for e in entities if isinstance(e, OpaqueFunction)]

    made = function.execute(context)

    (node,) = [action for action in made if isinstance(action, LifecycleNode)]
    words = {getattr(part, 'text', '') for word in node.cmd for part in word}
    assert {'--enclave', enclave} <= words or not enclave
    assert ('--enclave' in words) == bool(enclave)
    env = {name[0].text: value[0].text for name, value in node.additional_env}
    assert ('ROS_SECURITY_ENABLE' in env) == bool(enclave)
