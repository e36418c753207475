"""The steps that make the environment, each done once for given inputs."""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import shutil
import subprocess
import sysconfig
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.devenv import interfaces, machine
from tools.devenv.errors import DevenvError
from tools.devenv.ros import base_python, sourced, unsourced
from tools.devenv.stamps import Stamps, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tools.devenv.ros import Sourced

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
STARTUP = HERE / 'startup.py'
STAMPS = 'devenv.json'


def requirements(name: str) -> Path:
    """Return the requirements file of one purpose."""
    return HERE / ('requirements.txt' if name == 'tools' else f'requirements-{name}.txt')


def make(venv: Path, extras: Sequence[str] = ()) -> bool:
    """Bring an environment up to date; return whether anything had to be done.

    Args:
        venv: Where it lies, or shall lie.
        extras: What else to install, by the name of its requirements file.

    Raises:
        DevenvError: if the machine or the network lacks something.
    """
    with _alone(venv):
        ros = sourced(venv)
        stamps, changed = _make_sourced(venv, ros) if ros else _make_from_wheels(venv)
        for name in extras:
            file = requirements(name)
            changed |= stamps.once(name, digest([file]), partial(_pip, venv, file))
    return changed


def _make_sourced(venv: Path, ros: Sourced) -> tuple[Stamps, bool]:
    """Use a sourced ROS 2: an environment that sees the system's packages, and the tools."""
    log.info('using the sourced ROS 2: %s (%s)', ros.distro, ros.python)
    inputs = digest([], 'sourced', ros.distro, ros.python)
    stamps = _open(venv, inputs, partial(_new_venv, venv, ros.python, '--system-site-packages'))
    file = requirements('tools')
    return stamps, stamps.once('wheels', digest([file], inputs), partial(_pip, venv, file))


def _make_from_wheels(venv: Path) -> tuple[Stamps, bool]:
    """Make the whole of it: wheels first, then the interface packages, in their order."""
    machine.require_wheels_exist()
    inputs = digest([], 'wheels', platform.python_version(), sysconfig.get_path('include'))
    stamps = _open(venv, inputs, partial(_new_venv, venv, base_python()))
    wheels = digest([requirements('ros'), requirements('tools'), STARTUP], inputs)
    changed = stamps.once('wheels', wheels, partial(_install_wheels, venv))
    packages = interfaces.packages()
    known = interfaces.digests(packages, digest([requirements('ros')], inputs))
    for package in packages:
        changed |= stamps.once(package.name, known[package.name], partial(_build, package, venv))
    return stamps, changed


def _open(venv: Path, inputs: str, create: Callable[[], None]) -> Stamps:
    """Return the stamps of an environment, which is made anew when it is another one's."""
    if venv.exists() and any(venv.iterdir()) and not (venv / 'pyvenv.cfg').exists():
        raise DevenvError(f'{venv} is not a virtual environment; name another folder (VENV=…)')
    if not Stamps(venv / STAMPS).holds('venv', inputs):
        create()
    stamps = Stamps(venv / STAMPS)
    stamps.once('venv', inputs, lambda: None)
    return stamps


def _new_venv(venv: Path, python: str, *options: str) -> None:
    machine.require(machine.missing_for_venv())
    log.info('making %s with Python of %s', venv, python)
    _run([python, '-m', 'venv', '--clear', *options, str(venv)])


def _install_wheels(venv: Path) -> None:
    _pip(venv, requirements('ros'), requirements('tools'))
    site = Path(_ask(venv, 'import sysconfig; print(sysconfig.get_path("purelib"))'))
    shutil.copyfile(STARTUP, site / 'edge_devenv_startup.py')
    # Files of this kind run in the order of their names: ours before the wheels' own.
    (site / 'edge_devenv.pth').write_text('import edge_devenv_startup\n')
    interfaces.mend_cmake(
        venv,
        python_include=Path(sysconfig.get_path('include')),
        numpy_include=Path(_ask(venv, 'import numpy; print(numpy.get_include())')),
    )


def _build(package: interfaces.Package, venv: Path) -> None:
    machine.require(machine.missing_for_build())
    path = f'{venv / "bin"}:{os.environ.get("PATH", os.defpath)}'
    if not all(shutil.which(tool, path=path) for tool in ('cmake', 'ninja')):
        _pip(venv, requirements('build'))
    log.info('compiling %s', package.name)
    begin = time.monotonic()
    interfaces.build(package, venv)
    log.info('  %.0f s', time.monotonic() - begin)


def _pip(venv: Path, *files: Path) -> None:
    log.info('installing %s from PyPI', ', '.join(file.name for file in files))
    begin = time.monotonic()
    options = ['--disable-pip-version-check', '--no-input', '-qq', '--progress-bar', 'off']
    wanted = [word for file in files for word in ('-r', str(file))]
    _run([str(venv / 'bin' / 'python'), '-m', 'pip', 'install', *options, *wanted])
    log.info('  %.0f s', time.monotonic() - begin)


def _ask(venv: Path, question: str) -> str:
    command = [str(venv / 'bin' / 'python'), '-c', question]
    answer = subprocess.run(command, env=unsourced(), capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def _run(command: Sequence[str]) -> None:
    if subprocess.run(command, env=unsourced(), stdin=subprocess.DEVNULL, check=False).returncode:
        raise DevenvError(f'failed: {" ".join(command)}\n  run make again to go on from here')


@contextmanager
def _alone(venv: Path) -> Iterator[None]:
    """Hold the environment's lock: two runs at once would undo each other."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_name(f'{venv.name}.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info('waiting for another run that is making %s', venv)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
