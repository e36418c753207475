"""The steps run in order, once, and go on where they broke off."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from tools.devenv import __main__ as command
from tools.devenv import build, interfaces, machine
from tools.devenv.errors import DevenvError
from tools.devenv.ros import Sourced

PACKAGES = {item.name for item in interfaces.packages()}


@pytest.fixture
def steps(monkeypatch):
    """The steps that were taken, none of which does anything but make an empty environment."""
    taken = []

    def new_venv(venv, python, *options):
        taken.append(' '.join(['venv', *options]))
        shutil.rmtree(venv, ignore_errors=True)
        (venv / 'bin').mkdir(parents=True)
        (venv / 'pyvenv.cfg').touch()

    monkeypatch.setattr(build, 'sourced', lambda _venv: None)
    monkeypatch.setattr(build, '_new_venv', new_venv)
    monkeypatch.setattr(build, '_install_ros', lambda _venv: taken.append('wheels'))
    monkeypatch.setattr(build, '_build', lambda package, *_: taken.append(package.name))
    monkeypatch.setattr(build, '_pip', lambda _venv, *files: taken.append(files[0].name))
    monkeypatch.setattr(machine, 'require_wheels_exist', lambda: None)
    return taken


def test_a_new_environment_is_made_wheels_first_then_every_interface_package(tmp_path, steps):
    assert build.make(tmp_path / 'env')

    assert steps[:2] == ['venv', 'wheels']
    assert set(steps[2:]) == {'requirements.txt', *PACKAGES}


def test_a_second_run_does_nothing(tmp_path, steps):
    build.make(tmp_path / 'env')
    steps.clear()

    assert not build.make(tmp_path / 'env')
    assert steps == []


def test_a_run_that_broke_off_goes_on_with_the_step_it_was_in(tmp_path, steps, monkeypatch):
    def refuse(package, *_):
        raise DevenvError(package.name)

    with monkeypatch.context() as patch:
        patch.setattr(build, '_build', refuse)
        with pytest.raises(DevenvError):
            build.make(tmp_path / 'env')
    steps.clear()
    build.make(tmp_path / 'env')

    assert set(steps) == PACKAGES


def test_an_environment_whose_making_broke_off_is_made_anew(tmp_path, steps):
    venv = tmp_path / 'env'
    venv.mkdir()
    (venv / 'pyvenv.cfg').touch()

    build.make(venv)

    assert steps[0] == 'venv'


def test_another_python_means_another_environment(tmp_path, steps, monkeypatch):
    build.make(tmp_path / 'env')
    steps.clear()
    monkeypatch.setattr(build.platform, 'python_version', lambda: '3.99.0')

    build.make(tmp_path / 'env')

    assert steps[:2] == ['venv', 'wheels']


def test_a_sourced_ros_gets_the_tools_and_builds_nothing(tmp_path, steps, monkeypatch):
    monkeypatch.setattr(build, 'sourced', lambda _venv: Sourced('jazzy', '/usr/bin/python3'))

    build.make(tmp_path / 'env')

    assert steps == ['venv --system-site-packages', 'requirements.txt']


def test_an_extra_is_added_once_to_what_is_there(tmp_path, steps):
    build.make(tmp_path / 'env')
    steps.clear()

    assert build.make(tmp_path / 'env', ['train'])
    assert not build.make(tmp_path / 'env', ['train'])
    assert steps == ['requirements-train.txt']


def test_the_command_is_there_and_finds_the_checkout_from_anywhere(tmp_path, steps):
    venv = tmp_path / "a folder's own"
    build.make(venv)
    (venv / 'bin' / 'python').symlink_to(sys.executable)
    env = {**os.environ, 'PYTHONPATH': '/nowhere'}

    script = venv / 'bin' / 'edge_inference'
    run = subprocess.run(  # noqa: S603 - ours
        [script, 'models', '--help'], cwd='/', env=env, capture_output=True, text=True, check=True
    )

    assert 'usage: edge_inference models' in run.stdout


def test_a_folder_of_something_else_is_never_cleared(tmp_path, steps):
    (tmp_path / 'thesis.tex').touch()

    with pytest.raises(DevenvError, match='not a virtual environment'):
        build.make(tmp_path)
    assert (tmp_path / 'thesis.tex').exists()


def test_only_one_run_at_a_time_makes_an_environment(tmp_path, steps):
    with (
        build._alone(tmp_path / 'env'),
        (tmp_path / 'env.lock').open('w') as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_command_says_in_words_what_is_wrong(tmp_path, steps, caplog):
    (tmp_path / 'thesis.tex').touch()

    assert command.main(['--venv', str(tmp_path)]) == 1
    assert 'not a virtual environment' in caplog.text


def test_every_extra_has_its_requirements_file():
    for name in ('ros', 'tools', 'build', 'train', 'colcon'):
        assert build.requirements(name).exists()
