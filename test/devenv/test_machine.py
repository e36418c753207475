"""What is missing is named, with the line that brings it."""

from __future__ import annotations

import os
import sysconfig

import pytest

from tools.devenv import machine
from tools.devenv.errors import DevenvError


def executable(path, text='#!/bin/sh\nexit 0\n'):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A PATH on which nothing lies."""
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    return tmp_path


def packages(missing):
    return {item.package for item in missing}


def test_compilers_are_missed_by_name(bare):
    assert {'gcc', 'g++'} <= packages(machine.missing_for_build())


def test_compilers_that_are_there_are_not_missed(bare):
    executable(bare / 'gcc')
    executable(bare / 'g++')

    assert not {'gcc', 'g++'} & packages(machine.missing_for_build())


def test_the_compilers_of_cc_and_cxx_count(bare, monkeypatch):
    executable(bare / 'clang')
    monkeypatch.setenv('CC', 'clang -m64')
    monkeypatch.setenv('CXX', 'clang --driver-mode=g++')

    assert not {'gcc', 'g++'} & packages(machine.missing_for_build())


def test_missing_python_headers_are_named(bare, monkeypatch):
    monkeypatch.setattr(sysconfig, 'get_path', lambda _name: str(bare))

    assert [item for item in machine.missing_for_build() if 'Python.h' in item.what]


def test_a_python_without_venv_names_the_package_that_has_it(monkeypatch):
    monkeypatch.setattr(machine.importlib.util, 'find_spec', lambda _name: None)

    (missing,) = machine.missing_for_venv()

    assert missing.package.endswith('-venv')


def test_someone_who_is_not_root_gets_the_apt_line(bare, monkeypatch):
    executable(bare / 'apt-get')
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)

    with pytest.raises(DevenvError, match=r'sudo apt-get update && .* install -y g\+\+ gcc'):
        machine.require([machine.Missing('a', 'g++'), machine.Missing('b', 'gcc')])


def test_root_without_apt_gets_the_same_line(bare, monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 0)

    with pytest.raises(DevenvError, match='apt-get install -y gcc'):
        machine.require([machine.Missing('a C compiler', 'gcc')])


def test_root_on_debian_installs_what_is_missing(bare, monkeypatch):
    journal = bare / 'journal'
    executable(bare / 'apt-get', f'#!/bin/sh\necho "$@" >> {journal}\n')
    monkeypatch.setattr(os, 'geteuid', lambda: 0)

    machine.require([machine.Missing('a C++ compiler', 'g++')])

    update, install = journal.read_text().splitlines()
    assert update.startswith('update')
    assert install.startswith('install')
    assert install.endswith('g++')


def test_apt_that_fails_is_reported_with_its_command(bare, monkeypatch):
    executable(bare / 'apt-get', '#!/bin/sh\nexit 100\n')
    monkeypatch.setattr(os, 'geteuid', lambda: 0)

    with pytest.raises(DevenvError, match='failed: apt-get update'):
        machine.require([machine.Missing('a C++ compiler', 'g++')])


def test_nothing_missing_asks_nobody(bare):
    machine.require([])


@pytest.mark.parametrize(
    ('version', 'is_supported'),
    [((3, 9), False), ((3, 10), True), ((3, 12), True), ((3, 13), True), ((3, 14), False)],
)
def test_the_interpreters_with_wheels_are_supported(version, is_supported):
    assert machine.supported(version) is is_supported


def test_the_newest_supported_python_that_runs_is_taken(bare):
    executable(bare / 'python3.13', '#!/bin/sh\nexit 127\n')
    executable(bare / 'python3.11')
    executable(bare / 'python3.10')

    assert machine.another_python() == str(bare / 'python3.11')


def test_no_supported_python_is_an_error_that_names_those_that_are(bare):
    with pytest.raises(DevenvError, match=r'3\.10, 3\.11, 3\.12, 3\.13'):
        machine.another_python()


def test_another_processor_is_sent_to_a_sourced_ros(monkeypatch):
    monkeypatch.setattr(machine.platform, 'machine', lambda: 'aarch64')

    with pytest.raises(DevenvError, match=r'Linux aarch64\n.*source it'):
        machine.require_wheels_exist()
