"""Whether a ROS 2 is sourced in this shell; if so it is used, and nothing is built."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.devenv.errors import DevenvError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)

# What the package needs of a ROS 2 beyond its smallest installation.
INTERFACES = ('vision_msgs', 'nav2_msgs', 'tf2_msgs', 'statistics_msgs')

_PROBE = """
import importlib.util, json, sys
import rclpy
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


class Sourced(NamedTuple):
    """A sourced ROS 2: its name, and the interpreter that can import its rclpy."""

    distro: str
    python: str


def sourced(venv: Path, environ: Mapping[str, str] = os.environ) -> Sourced | None:
    """Find the ROS 2 of this shell, not counting the one in our own environment.

    Raises:
        DevenvError: if there is one, and it lacks interfaces that the package needs.
    """
    prefixes = [Path(entry) for entry in environ.get('AMENT_PREFIX_PATH', '').split(':') if entry]
    if not [prefix for prefix in prefixes if prefix.resolve() != venv.resolve()]:
        return None
    distro = environ.get('ROS_DISTRO', 'unknown')
    for python in dict.fromkeys([base_python(), '/usr/bin/python3']):
        lacking = _lacking(python, environ)
        if lacking is not None:
            _require(lacking, distro)
            return Sourced(distro, python)
    log.warning('AMENT_PREFIX_PATH is set, but no rclpy can be imported: using the wheels')
    return None


def unsourced(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment without what points to some ROS 2, Python or compiler cache path."""
    pointers = {'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'LD_LIBRARY_PATH'}
    ours = {'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
    return {key: value for key, value in environ.items() if key not in pointers | ours}


def base_python() -> str:
    """Return the interpreter underneath, if this one belongs to a virtual environment."""
    return str(getattr(sys, '_base_executable', None) or sys.executable)


def _lacking(python: str, environ: Mapping[str, str]) -> list[str] | None:
    """Return the interface packages this ROS 2 lacks; None if its rclpy cannot be imported."""
    command = [python, '-c', _PROBE, *INTERFACES]
    try:
        probe = subprocess.run(command, env=dict(environ), capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    answer: list[str] = json.loads(probe.stdout)
    return answer


def _require(lacking: Iterable[str], distro: str) -> None:
    packages = ' '.join(f'ros-{distro}-{name.replace("_", "-")}' for name in lacking)
    if packages:
        raise DevenvError(
            f'the sourced ROS 2 ({distro}) lacks {", ".join(lacking)}\n'
            f'  bring them with: sudo apt-get install -y {packages}\n'
            '  or use the wheels instead: open a shell in which no ROS 2 is sourced'
        )
