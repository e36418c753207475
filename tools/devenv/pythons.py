"""Which other Pythons of this machine a change must pass on: ``python3 -m tools.devenv.pythons``.

Prints the oldest and the newest that we support, but the one that runs this, one path a line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.devenv.machine import NEWEST, OLDEST

if TYPE_CHECKING:
    from collections.abc import Iterable

Version = tuple[int, int]


def outermost(found: Iterable[Version], mine: Version) -> list[Version]:
    """The oldest and the newest supported ones of what was found, ours left out."""
    others = sorted({one for one in found if OLDEST <= one <= NEWEST} - {mine})
    return others if len(others) < 2 else [others[0], others[-1]]


def installed(pyenv: Path | None = None) -> dict[Version, str]:
    """Interpreters by version: on PATH, and those pyenv keeps."""
    kept = (pyenv or Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv'))) / 'versions'
    found = {}
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        name = f'python3.{minor}'
        here = [shutil.which(name), *map(str, sorted(kept.glob(f'3.{minor}.*/bin/{name}')))]
        if path := next((path for path in here if path and _runs(path)), None):
            found[3, minor] = path
    return found


def _runs(python: str) -> bool:
    """Whether it can make an environment; a version manager's name may only say that it cannot."""
    asked = [python, '-c', 'import ensurepip, venv']
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Print their paths."""
    found = installed()
    for version in outermost(found, (sys.version_info[0], sys.version_info[1])):
        sys.stdout.write(f'{found[version]}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
