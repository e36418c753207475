"""Skips what this machine cannot run, and says why."""

from __future__ import annotations

import contextlib
import importlib.util

import pytest
from support.ros import ros, ros_env  # noqa: F401 - fixtures, known to every test from here

with contextlib.suppress(ImportError):
    from hypothesis import settings

    # Its 200 ms for one example say how busy the machine is, not whether the code is right.
    settings.register_profile('unhurried', deadline=None)
    settings.load_profile('unhurried')


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
