"""What must be on the machine before anything can be built, and the apt line that brings it."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.devenv.errors import DevenvError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

OLDEST, NEWEST = (3, 10), (3, 13)


class Missing(NamedTuple):
    """One thing the machine lacks, and the Debian package that holds it."""

    what: str
    package: str


def missing_for_venv() -> list[Missing]:
    """What the interpreter lacks to make a virtual environment."""
    if importlib.util.find_spec('venv') and importlib.util.find_spec('ensurepip'):
        return []
    return [Missing('the venv module of this Python', f'{_debian_python()}-venv')]


def missing_for_build() -> list[Missing]:
    """What the machine lacks to compile an interface package.

    CMake and Ninja are not in the list: where they are missing, their wheels are used.
    """
    found = []
    if not shutil.which(os.environ.get('CC', 'gcc').split()[0]):
        found.append(Missing('a C compiler', 'gcc'))
    if not shutil.which(os.environ.get('CXX', 'g++').split()[0]):
        found.append(Missing('a C++ compiler', 'g++'))
    if not (Path(sysconfig.get_path('include')) / 'Python.h').exists():
        found.append(Missing('the C headers of this Python (Python.h)', f'{_debian_python()}-dev'))
    return found


def require(missing: Sequence[Missing]) -> None:
    """Bring what is missing if we may, and refuse with the line that brings it if not.

    Raises:
        DevenvError: if something is missing and we are not root on a machine with apt-get.
    """
    if not missing:
        return
    packages = [item.package for item in missing]
    wanted = ', '.join(f'{item.what} ({item.package})' for item in missing)
    if os.geteuid() != 0 or not shutil.which('apt-get'):
        raise DevenvError(f'missing: {wanted}\n  bring it with: {apt_line(packages)}')
    log.info('missing: %s; installing', wanted)
    _apt_get('update', '-q')
    _apt_get('install', '-q', '-y', '--no-install-recommends', *packages)


def apt_line(packages: Sequence[str]) -> str:
    """Return the command a person would type on Debian or Ubuntu."""
    return f'sudo apt-get update && sudo apt-get install -y {" ".join(packages)}'


def require_wheels_exist() -> None:
    """Refuse where nobody publishes ROS 2 wheels.

    Raises:
        DevenvError: on anything but 64-bit x86 Linux.
    """
    here = f'{platform.system()} {platform.machine()}'
    if here != 'Linux x86_64':
        raise DevenvError(
            f'the ROS 2 wheels are for Linux x86_64, this is {here}\n'
            '  install ROS 2 from its own packages and source it (. /opt/ros/jazzy/setup.bash); '
            'it is then used, and nothing is built'
        )


def supported(version: tuple[int, ...] = tuple(sys.version_info[:2])) -> bool:
    """Whether an interpreter of this version can hold the environment."""
    return OLDEST <= version[:2] <= NEWEST


def another_python() -> str:
    """Return a supported interpreter on PATH, the newest one that works.

    Raises:
        DevenvError: if there is none.
    """
    versions = [f'{NEWEST[0]}.{minor}' for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for version in versions:
        path = shutil.which(f'python{version}')
        if path and _runs(path):
            return path
    raise DevenvError(
        f'Python {sys.version.split()[0]} is not one of {", ".join(reversed(versions))}, and none '
        f'of these is on PATH\n  bring one with: {apt_line(["python3.12", "python3.12-venv"])}\n'
        '  or name one: make PYTHON=/path/to/python3.12'
    )


def _runs(python: str) -> bool:
    # A version manager puts names on PATH that only say "not installed".
    return subprocess.run([python, '-c', ''], capture_output=True, check=False).returncode == 0


def _debian_python() -> str:
    """Debian's name for this interpreter: its default one has the short name everywhere."""
    return (
        'python3' if Path(sys.executable).name == 'python3' else f'python3.{sys.version_info[1]}'
    )


def _apt_get(*words: str) -> None:
    quiet = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    command = ['apt-get', *words]
    if subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, check=False).returncode:
        raise DevenvError(f'failed: {" ".join(command)}')
