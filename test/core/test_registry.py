"""A file is its name; plug-ins come by entry point."""

from importlib.metadata import EntryPoint

import pytest

from edge_inference_ros.core import registry
from edge_inference_ros.errors import BackendUnavailable, ConfigError


@pytest.fixture
def plugged(monkeypatch):
    points = []
    monkeypatch.setattr(
        registry, 'entry_points', lambda group: [p for p in points if p.group == group]
    )
    return lambda name, value: points.append(EntryPoint(name, value, 'edge_inference_ros.sensors'))


def test_our_files_are_found_and_private_ones_are_not():
    names = registry.names('sensors')

    assert 'image' in names
    assert not [name for name in names if name.startswith('_')]


def test_a_name_is_loaded():
    assert registry.load('sensors', 'image').MESSAGE == 'sensor_msgs/msg/Image'


@pytest.mark.parametrize('name', ['nothing', '_cdr', '../errors', 'image.view', ''])
def test_what_is_not_there_is_named_beside_what_is(name):
    with pytest.raises(ConfigError, match=r'no sensors called .* there are .*image'):
        registry.load('sensors', name)


def test_a_plug_in_is_listed_and_loaded(plugged):
    plugged('sonar', 'edge_inference_ros.sensors.image')

    assert 'sonar' in registry.names('sensors')
    assert registry.load('sensors', 'sonar').MESSAGE == 'sensor_msgs/msg/Image'


def test_a_plug_in_may_not_take_a_name_of_ours(plugged):
    plugged('image', 'somewhere.else')

    with pytest.raises(ConfigError, match="called 'image': the name is taken"):
        registry.names('sensors')


def test_two_plug_ins_may_not_share_a_name(plugged):
    plugged('sonar', 'somewhere')
    plugged('sonar', 'elsewhere')

    with pytest.raises(ConfigError, match='taken'):
        registry.load('sensors', 'sonar')


def test_a_plug_in_that_cannot_be_imported_is_named(plugged):
    plugged('sonar', 'no_such_package.sonar')

    with pytest.raises(ConfigError, match=r'sonar \(no_such_package\.sonar\)'):
        registry.load('sensors', 'sonar')


def test_a_missing_library_is_named(monkeypatch):
    def missing(name, package=None):
        if name.endswith('.image'):
            raise ImportError('No module named magic', name='magic')
        return real(name, package)

    real = registry.importlib.import_module
    monkeypatch.setattr(registry.importlib, 'import_module', missing)

    with pytest.raises(BackendUnavailable, match=r'sensors image needs magic.*; install it for '):
        registry.load('sensors', 'image')
