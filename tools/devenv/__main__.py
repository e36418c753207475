"""The command: ``python3 -m tools.devenv [--venv .venv] [--with train]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from tools.devenv import build, machine
from tools.devenv.errors import DevenvError

log = logging.getLogger('devenv')


def main(arguments: list[str] | None = None) -> int:
    """Make the environment, or say in one paragraph why it cannot be made."""
    logging.basicConfig(level=logging.INFO, format='devenv: %(message)s')
    parser = argparse.ArgumentParser(prog='tools.devenv', description=__doc__)
    parser.add_argument('--venv', type=Path, default=Path('.venv'), help='where it shall lie')
    parser.add_argument('--with', dest='extras', action='append', default=[],
                        choices=['train', 'colcon'], help='install this too')  # fmt: skip
    chosen = parser.parse_args(arguments)
    try:
        if not machine.supported():
            python = machine.another_python()
            os.execv(python, [python, '-m', 'tools.devenv', *sys.argv[1:]])  # noqa: S606 - the same command
        if build.make(chosen.venv.absolute(), chosen.extras):
            log.info('%s is ready', chosen.venv)
    except DevenvError as error:
        log.error('%s', error)  # noqa: TRY400 - the message says it all, a traceback hides it
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
