"""A sourced ROS 2 is found, used if it is whole, and kept out of our own builds."""

from __future__ import annotations

import pytest

from tools.devenv import ros
from tools.devenv.errors import DevenvError


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A stand-in for the interpreter below, which answers what it is told to."""

    def answer(text, status=0):
        path = tmp_path / 'python3'
        path.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        path.chmod(0o755)
        monkeypatch.setattr(ros, 'base_python', lambda: str(path))
        return str(path)

    return answer


JAZZY = {'AMENT_PREFIX_PATH': '/opt/ros/jazzy', 'ROS_DISTRO': 'jazzy'}


def test_a_shell_without_ros_has_none(tmp_path, python):
    python('[]')

    assert ros.sourced(tmp_path, {}) is None


def test_our_own_environment_does_not_count_as_sourced(tmp_path, python):
    python('[]')

    assert ros.sourced(tmp_path, {'AMENT_PREFIX_PATH': f'{tmp_path}:'}) is None


def test_a_sourced_ros_is_found_with_the_python_that_imports_it(tmp_path, python):
    expected = python('[]')

    assert ros.sourced(tmp_path, JAZZY) == ros.Sourced('jazzy', expected)


def test_a_workspace_over_our_environment_is_not_a_sourced_ros_unless_rclpy_imports(
    tmp_path, python, monkeypatch
):
    python('', status=1)
    monkeypatch.setattr(ros, '_lacking', lambda *_: None)

    assert ros.sourced(tmp_path, {'AMENT_PREFIX_PATH': '/ws/install/pkg'}) is None


def test_a_sourced_ros_without_our_interfaces_names_their_packages(tmp_path, python):
    python('["vision_msgs", "nav2_msgs"]')

    with pytest.raises(DevenvError, match='install -y ros-jazzy-vision-msgs ros-jazzy-nav2-msgs'):
        ros.sourced(tmp_path, JAZZY)


def test_a_build_of_ours_sees_nothing_of_a_sourced_ros():
    shell = {**JAZZY, 'PYTHONPATH': '/opt', 'LD_LIBRARY_PATH': '/opt', 'HOME': '/root'}

    assert ros.unsourced(shell) == {'ROS_DISTRO': 'jazzy', 'HOME': '/root'}
