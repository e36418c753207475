"""Makes empty libraries in place of those TensorRT 8 links only for plug-ins nobody here uses.

``python -m tools.gpu.standins SITE-PACKAGES/tensorrt/libnvinfer_plugin.so.8 tools/gpu/libs``

The plug-in library of TensorRT 8.6 asks for cuBLAS and cuDNN, more than a gigabyte; our networks
use none of those plug-ins. Every function of a stand-in returns 1, an error, so that a plug-in
that is used after all fails instead of computing nonsense. Needs gcc and nm.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

REPLACED = ('libcublas', 'libcudnn')


def versioned_symbols(library: Path) -> dict[str, list[str]]:
    """What ``library`` wants from others: their version names → symbols."""
    command = [_tool('nm'), '--dynamic', '--undefined-only', str(library)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = defaultdict(list)
    for line in listing.splitlines():
        symbol, _, version = line.split()[-1].partition('@')
        if version.lstrip('@').startswith(REPLACED):
            found[version.lstrip('@')].append(symbol)
    return found


def make(name: str, symbols: list[str], folder: Path) -> Path:
    """A library called ``name`` with these functions."""
    folder.mkdir(parents=True, exist_ok=True)
    source, script = folder / f'{name}.c', folder / f'{name}.map'
    source.write_text('\n'.join(f'int {symbol}(void) {{ return 1; }}' for symbol in symbols))
    script.write_text(f'{name} {{ global: *; }};\n')
    library = folder / name
    command = [_tool('gcc'), '-shared', '-fPIC', f'-Wl,-soname,{name}']
    command += [f'-Wl,--version-script={script}', '-o', str(library), str(source)]
    subprocess.run(command, check=True)
    return library


def _tool(name: str) -> str:
    if not (path := shutil.which(name)):
        sys.exit(f'{name} is not installed')
    return path


if __name__ == '__main__':
    plugin, target = map(Path, sys.argv[1:])
    for version, wanted in versioned_symbols(plugin).items():
        sys.stdout.write(f'{make(version, wanted, target)}: {len(wanted)} functions\n')
