"""Runs every benchmark in turn, or those named: ``python -m bench [--quick] [name …]``."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
ON_REQUEST = {'distill', 'exporters', 'gpu', 'models'}
"""Long, or for a machine of its own: run when named."""


def benchmarks() -> dict[str, ModuleType]:
    """Every module beside this one that measures something."""
    found = {}
    for info in pkgutil.iter_modules([str(FOLDER)]):
        if info.name[0] != '_':
            found[info.name] = importlib.import_module(f'bench.{info.name}')
    return {name: module for name, module in found.items() if hasattr(module, 'main')}


def machine() -> str:
    """Where the figures below come from."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        names = [line.split(':')[1].strip() for line in cpuinfo.read_text().splitlines()
                 if line.startswith('model name')]  # fmt: skip
        model = names[0] if names else model
    load = os.getloadavg()[0]
    return (
        f'{model}, {os.cpu_count()} processors, {platform.system()} {platform.release()},'
        f' Python {platform.python_version()}, load {load:.1f} at start'
    )


def main(argv: list[str] | None = None) -> int:
    """Run them; one that fails does not keep the others from running."""
    known = benchmarks()
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='name', help=', '.join(known))
    parser.add_argument('--quick', action='store_true', help='fewer repetitions')
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.names) - set(known):
        parser.error(f'no benchmark {", ".join(sorted(unknown))}; there are {", ".join(known)}')
    print(machine())
    names = chosen.names or sorted(set(known) - ON_REQUEST)
    failed = [name for name in names if not ran(known[name], quick=chosen.quick)]
    if failed:
        print(f'failed: {", ".join(failed)}')
    return len(failed)


def hurries(benchmark: ModuleType) -> bool:
    """Whether it has a short run to offer."""
    return '--quick' in Path(benchmark.__file__ or '').read_text()


def ran(benchmark: ModuleType, *, quick: bool) -> bool:
    """Run one in a process of its own, under its title; whether it came to its end."""
    title = (benchmark.__doc__ or '').splitlines()[0]
    print(f'\n== {benchmark.__name__}: {title}', flush=True)
    begin = time.monotonic()
    command = [
        sys.executable,
        '-m',
        benchmark.__name__,
        *(['--quick'] if quick and hurries(benchmark) else []),
    ]
    code = subprocess.run(command, check=False).returncode
    print(f'-- {"failed, " if code else ""}{time.monotonic() - begin:.0f} s', flush=True)
    return not code


if __name__ == '__main__':
    sys.exit(main())
