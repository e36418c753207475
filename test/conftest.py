"""Skips what this machine cannot run, and says why."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support.launching import launching  # noqa: F401 - a fixture, like the next
from support.ros import ros, ros_env  # noqa: F401 - fixtures, known to every test from here
from support.terminal import terminal  # noqa: F401 - a fixture

if importlib.util.find_spec('hypothesis') is not None:
    from hypothesis import HealthCheck, settings

    # By default an example that takes 0.2 s fails, which on a busy machine any does.
    settings.register_profile(
        'ours', deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile('ours')


HERE = Path(__file__).parent


def pytest_configure(config):
    # Making a node imports rosidl's parser, whose lark imports a module Python 3.11 deprecates.
    config.addinivalue_line('filterwarnings', "ignore:module 'sre_:DeprecationWarning")


SLOW = (
    'backends/test_gpu_suite.py',
    'devenv/test_build.py',
    'faults',
    'nav2',
    'optimize/test_gate',
    'optimize/test_inspect.py',
    'optimize/test_recipe.py',
    'replay/test_demo.py',
    'replay/test_play_record.py',
    'sim/test_bag.py',
    'test_contracts.py',
    'test_walkthroughs.py',
    'train',
)
"""Where the slow tests are, below this folder; a single one is marked where it stands."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if importlib.util.find_spec('rclpy') is not None:
        return
    skip = pytest.mark.skip(reason='rclpy is missing: source a ROS 2, or run tools/devenv')
    for item in items:
        if item.get_closest_marker('ros'):
            item.add_marker(skip)
