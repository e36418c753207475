"""Installs wheels: by uv, which takes a quarter of the time, or by pip where uv will not do it."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
from typing import TYPE_CHECKING

from tools.devenv.errors import DevenvError
from tools.devenv.ros import unsourced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

UV = 'uv==0.13.9'

# What a machine's pip is told, and what uv calls the same; uv reads none of pip's settings.
_SAME = {
    'index-url': '--default-index',
    'extra-index-url': '--index',
    'find-links': '--find-links',
    'constraint': '--constraint',
    'trusted-host': '--allow-insecure-host',
}
_SECTIONS = ('global', 'install', ':env:')
_SETTING = re.compile(r"^([\w:]+)\.([\w-]+)=('.*'|\".*\")$")
_PIP = ('-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '-qq')


def install(python: Path, *files: Path, versions: Path | None = None) -> None:
    """Install what requirements files name into the environment of ``python``.

    Args:
        python: of the environment.
        files: what is wanted.
        versions: a file of versions of what is needed besides.

    Raises:
        DevenvError: pip could not do it either.
    """
    wanted = [word for file in files for word in ('-r', str(file))]
    wanted += ['-c', str(versions)] if versions else []
    if _by_uv(python, wanted):
        return
    if _run([str(python), *_PIP, '--progress-bar', 'off', *wanted]):
        raise DevenvError(
            f'failed: pip install {" ".join(wanted)}\n  run make again to go on from here'
        )


def _by_uv(python: Path, wanted: Sequence[str]) -> bool:
    uv = python.with_name('uv')
    if not uv.exists() and _run([str(python), *_PIP, UV], quiet=True):
        return False
    settings = list(options(_asked([str(python), '-m', 'pip', 'config', 'list'])))
    # Copies: files of an environment are changed later, and those of the cache must not be.
    command = [str(uv), 'pip', 'install', '--quiet', '--python', str(python),
               '--link-mode', 'copy', '--index-strategy', 'unsafe-best-match']  # fmt: skip
    if not _run([*command, *settings, *wanted], quiet=True):
        return True
    log.info('  uv could not, so pip does it')
    return False


def options(settings: str) -> Iterator[str]:
    """The options with which uv looks where pip would, from the lines of ``pip config list``."""
    known: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in settings.splitlines():
        match = _SETTING.match(line)
        if match and match[1] in known:
            known[match[1]][match[2]] = str(ast.literal_eval(match[3]))
    merged = {key: value for section in _SECTIONS for key, value in known[section].items()}
    if merged.get('no-index', '').lower() in ('1', 'true', 'yes', 'on'):
        yield '--no-index'
    for key, option in _SAME.items():
        for value in merged.get(key, '').split():
            yield from (option, value)


def _asked(command: Sequence[str]) -> str:
    return subprocess.run(
        command, env=unsourced(), capture_output=True, text=True, check=False
    ).stdout


def _run(command: Sequence[str], *, quiet: bool = False) -> int:
    """The exit status; what is said is left out where somebody else may still manage."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        command, env=unsourced(), stdin=subprocess.DEVNULL, stderr=output, check=False
    ).returncode
