"""NVIDIA's own Python bindings of several TensorRT versions, importable without a GPU.

A bindings wheel is a megabyte and needs three shared libraries that are not on any package index.
Its own code runs with empty ones in their place: enums, signatures and base classes are all there,
only a Builder or a Runtime cannot be made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TENSORRT = {
    '10.3.0': 'tensorrt_cu12_bindings',
    '10.13.2.6': 'tensorrt_cu12_bindings',
    '10.16.1.11': 'tensorrt_cu13_bindings',
    '11.4.0.106': 'tensorrt_cu13_bindings',
}
CUDA = {'12.9.4': 'cuda_bindings', '13.4.4': 'cuda_bindings'}
PATHFINDER = ('cuda_pathfinder', '1.9.0')
"""How the bindings find ``libcuda``; 13.4 wants 1.4.2 at least."""
_SYMBOLS = (
    'createInferBuilder_INTERNAL',
    'createInferRefitter_INTERNAL',
    'createInferRuntime_INTERNAL',
    'createNvOnnxParserRefitter_INTERNAL',
    'createNvOnnxParser_INTERNAL',
    'getBuilderPluginRegistry',
    'getNvOnnxParserVersion',
    'getPluginRegistry',
    'initLibNvInferPlugins',
)
_LIBRARIES = ('libnvinfer', 'libnvonnxparser', 'libnvinfer_plugin')
_FETCH_TIMEOUT_S = 100
_unreachable: list[str] = []
"""Why nothing could be fetched; nothing is tried again in this run."""


def folder() -> Path:
    """Where the wheels are kept between runs; ``$EDGE_INFERENCE_BINDINGS`` moves it."""
    cache = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    said = os.environ.get('EDGE_INFERENCE_BINDINGS')
    return Path(said) if said else Path(cache) / 'edge_inference_ros' / 'bindings'


def unpacked(name: str, version: str) -> Path:
    """A folder to put on the path. Skips the test, with the reason, if there is none."""
    python = f'cp{sys.version_info.major}{sys.version_info.minor}'
    place = folder() / f'{name}-{version}-{python}'
    if (place / 'complete').exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for wheel in _fetch(place, f'{name}=={version}'):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
        wheel.unlink()
    if name.startswith('tensorrt'):
        _add_empty_libraries(place / 'tensorrt_bindings', version.split('.', maxsplit=1)[0])
    (place / 'complete').touch()
    return place


def _fetch(place: Path, *wanted: str) -> list[Path]:
    if not _unreachable:
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
        command += ['--disable-pip-version-check', '--retries', '0', '--timeout', '10']
        command += ['--only-binary=:all:', '--dest', str(place), *wanted]
        try:
            done = subprocess.run(  # noqa: S603 - pip, with names from the table above
                command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            _unreachable.append('no answer from the package index')
        else:
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
                _unreachable.append(f'{wanted[0]} cannot be downloaded: {last}')
    if _unreachable:
        pytest.skip(_unreachable[0])
    return list(place.glob('*.whl'))


def compiler() -> str:
    """The C compiler that makes libraries in place of the vendor's. Skips the test without one."""
    if not (found := shutil.which('gcc') or shutil.which('cc')):
        pytest.skip('no C compiler to make the libraries with')
    return found


def _add_empty_libraries(place: Path, major: str) -> None:
    source = place / 'empty.c'
    source.write_text('\n'.join(f'void *{name}(void) {{ return 0; }}' for name in _SYMBOLS))
    for library in _LIBRARIES:
        name = f'{library}.so.{major}'
        command = [compiler(), '-shared', '-fPIC', f'-Wl,-soname,{name}', '-o', str(place / name)]
        subprocess.run([*command, str(source)], check=True)  # noqa: S603 - the compiler
