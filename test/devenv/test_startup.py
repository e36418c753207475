"""Every interpreter of the environment finds ROS 2, whoever started it."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tools.devenv import startup


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An environment with the libraries of two wheels."""
    folder = tmp_path / 'lib' / 'python3' / 'site-packages'
    for name in ('ros_b.libs', 'ros_a.libs', 'numpy.libs'):
        (folder / name).mkdir(parents=True)
    monkeypatch.setattr(startup, 'PREFIX', tmp_path)
    monkeypatch.setattr(startup, 'SITE', folder)
    return folder


def test_our_libraries_come_first_in_an_order_that_does_not_change(site, tmp_path):
    new = startup.environment({'LD_LIBRARY_PATH': f'/cuda:{tmp_path}/lib'})

    assert new['LD_LIBRARY_PATH'].split(':') == [
        f'{tmp_path}/lib',
        f'{site}/ros_a.libs',
        f'{site}/ros_b.libs',
        '/cuda',
    ]


def test_our_share_folder_lies_below_a_workspace(site, tmp_path):
    new = startup.environment({'AMENT_PREFIX_PATH': '/ws/install'})

    assert new['AMENT_PREFIX_PATH'] == f'/ws/install:{tmp_path}'


def test_applying_it_twice_changes_nothing_more(site):
    once = startup.environment({'HOME': '/root'})

    assert startup.environment(once) == once


def test_an_interpreter_told_of_our_libraries_does_not_start_again(site, monkeypatch):
    monkeypatch.setattr(os, 'environ', startup.environment({}))
    monkeypatch.setattr(os, 'execve', lambda *_: pytest.fail('started again'))

    startup.start()


def test_the_mark_of_another_environment_is_not_believed(site, monkeypatch):
    started = []
    foreign = {'_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1', 'LD_LIBRARY_PATH': '/other/lib'}
    monkeypatch.setattr(os, 'environ', foreign)
    monkeypatch.setattr(os, 'execve', lambda *call: started.append(copy.deepcopy(call)))

    startup.start()

    (executable, arguments, environment) = started[0]
    assert [executable, *sys.orig_argv[1:]] == arguments
    assert environment['LD_LIBRARY_PATH'].split(':')[-1] == '/other/lib'


_ASK = """
import json, os, sys
import rclpy, vision_msgs.msg
print(json.dumps([sys.argv[1:], os.environ['AMENT_PREFIX_PATH']]))
"""


@pytest.mark.ros
def test_an_empty_environment_is_enough_to_import_rclpy():
    if importlib.util.find_spec('edge_devenv_startup') is None:
        pytest.skip('a sourced ROS 2 is used: its own set-up does this')
    command = [sys.executable, '-c', _ASK, 'a b']
    result = subprocess.run(command, env={}, capture_output=True, check=True)  # noqa: S603
    arguments, index = json.loads(result.stdout)

    assert arguments == ['a b']
    assert sys.prefix in index.split(':')
