"""Skips what this machine cannot run, and says why."""

from __future__ import annotations

import importlib.util

import pytest
from support.launching import launching  # noqa: F401 - a fixture, like the next
from support.ros import ros, ros_env  # noqa: F401 - fixtures, known to every test from here

if importlib.util.find_spec('hypothesis') is not None:
    from hypothesis import HealthCheck, settings

    # By default an example that takes 0.2 s fails, which on a busy machine any does.
    settings.register_profile(
        'ours', deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile('ours')


def pytest_configure(config):
    # Making a node imports rosidl's parser, whose lark imports a module Python 3.11 deprecates.
    config.addinivalue_line('filterwarnings', "ignore:module 'sre_:DeprecationWarning")


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec('rclpy') is not None:
        return
    skip = pytest.mark.skip(reason='rclpy is missing: source a ROS 2, or run tools/devenv')
    for item in items:
        if item.get_closest_marker('ros'):
            item.add_marker(skip)
