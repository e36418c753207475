"""Generates and compiles the interface packages that have no wheel, into the environment."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from tools.devenv.errors import DevenvError
from tools.devenv.ros import unsourced
from tools.devenv.stamps import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / 'interfaces'

# The wheels' CMake files name the folders of the machine that built them.
_FOREIGN_PYTHON = re.compile(r'/opt/python/[^/;"]+/include/python3\.\d+')
_FOREIGN_NUMPY = re.compile(r'/opt/python/[^;"]+/site-packages/numpy/_core/include')


class Package(NamedTuple):
    """One interface package: its name, its folder, and those of ours it builds upon."""

    name: str
    folder: Path
    needs: tuple[str, ...]

    def files(self) -> list[Path]:
        """Everything its build depends on."""
        return [path for path in self.folder.rglob('*') if path.is_file()] + [
            path for path in self.folder.parent.glob('*.cmake') if path.is_file()
        ]


def packages(folder: Path = FOLDER) -> list[Package]:
    """Return the packages below a folder, each after those it needs."""
    depends = {
        path.parent.name: {str(node.text) for node in ET.parse(path).iter('depend')}  # noqa: S314 - our own files
        for path in sorted(folder.glob('*/package.xml'))
    }
    graph = {name: sorted(needs & depends.keys()) for name, needs in depends.items()}
    order = TopologicalSorter(graph).static_order()
    return [Package(name, folder / name, tuple(graph[name])) for name in order]


def digests(all_packages: Sequence[Package], *facts: str) -> dict[str, str]:
    """Return a digest per package, which changes with any package it builds upon."""
    known: dict[str, str] = {}
    for package in all_packages:
        below = [known[name] for name in package.needs]
        known[package.name] = digest(package.files(), *facts, *below)
    return known


def mend_cmake(venv: Path, *, python_include: Path, numpy_include: Path) -> int:
    """Make the wheels' CMake files name the headers of this machine; return how many did not."""
    mended = 0
    for path in (venv / 'share').rglob('*.cmake'):
        text = path.read_text()
        # A function, so that a backslash in a path is not read as a group.
        fresh = _FOREIGN_PYTHON.sub(lambda _: str(python_include), text)
        fresh = _FOREIGN_NUMPY.sub(lambda _: str(numpy_include), fresh)
        if fresh != text:
            path.write_text(fresh)
            mended += 1
    return mended


def build(package: Package, venv: Path) -> None:
    """Configure, compile and install one package into the environment's own prefix.

    Raises:
        DevenvError: if a step fails; the message holds the end of its output and the log's path.
    """
    work = venv / 'build' / package.name
    # A build tree of other inputs may hold files nobody asks for any more.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for step in _steps(package, venv, work):
        _run(step, venv, work.with_suffix('.log'))
    shutil.rmtree(work)


def _steps(package: Package, venv: Path, work: Path) -> list[list[str]]:
    configure = [
        *('cmake', '-G', 'Ninja', '-S', str(package.folder), '-B', str(work)),
        f'-DCMAKE_INSTALL_PREFIX={venv}',
        f'-DPython3_EXECUTABLE={venv / "bin" / "python"}',
        '-DCMAKE_BUILD_TYPE=Release',
        '-DBUILD_TESTING=OFF',
    ]
    return [configure, ['cmake', '--build', str(work)], ['cmake', '--install', str(work)]]


def _run(command: Sequence[str], venv: Path, journal: Path) -> None:
    with journal.open('a') as output:
        result = subprocess.run(
            command, env=_environment(venv), stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if result.returncode:
        tail = '\n'.join(journal.read_text(errors='replace').splitlines()[-25:])
        raise DevenvError(f'failed: {" ".join(command)}\n{tail}\n  everything: {journal}')


def _environment(venv: Path) -> dict[str, str]:
    return {
        **unsourced(),
        'PATH': f'{venv / "bin"}:{os.environ.get("PATH", os.defpath)}',
        'VIRTUAL_ENV': str(venv),
        'AMENT_PREFIX_PATH': str(venv),
        'CMAKE_PREFIX_PATH': str(venv),
    }
