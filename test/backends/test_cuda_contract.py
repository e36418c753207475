"""Both CUDA providers, by NVIDIA's and PyCUDA's genuine code, on a driver made for the host."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from backends import genuine

from edge_inference_ros.backends import _cuda_errors

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def needed(library):
    """The driver's functions that a shared library wants."""
    if not (nm := shutil.which('nm')):
        pytest.skip('no nm to see what PyCUDA links')
    command = [nm, '--dynamic', '--undefined-only', str(library)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    names = (line.split()[-1].partition('@')[0] for line in listing.splitlines())
    return {name for name in names if name.startswith('cu') and name[2:3].isupper()}


def driver(folder, wanted=()):
    """A folder with ``libcuda.so.1``; what it lacks of ``wanted`` answers NOT_SUPPORTED."""
    source = (HERE / 'host_cuda.c').read_text()
    rest = [name for name in wanted if f'int {name}(' not in source]
    source += '\n'.join(f'int {name}(void) {{ return 801; }}' for name in sorted(rest))
    (folder / 'host_cuda.c').write_text(source)
    command = [genuine.compiler(), '-O1', '-shared', '-fPIC', '-Wl,-soname,libcuda.so.1']
    command += ['-o', str(folder / 'libcuda.so.1'), str(folder / 'host_cuda.c'), '-ldl']
    subprocess.run(command, check=True)  # noqa: S603 - the compiler
    return folder


def probe(library, *arguments, path=()):
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(HERE / 'provider_probe.py'), *arguments],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            'LD_LIBRARY_PATH': str(library),
            'PYTHONPATH': os.pathsep.join(map(str, (ROOT, *path))),
        },
        check=False,
    )


def assert_all_answered(done):
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ('all answered', '')


def test_the_queue_speaks_to_libcuda_as_c_does(tmp_path):
    assert_all_answered(probe(driver(tmp_path), 'libcuda'))


def test_a_lost_context_found_by_libcuda_ends_the_process(tmp_path):
    done = probe(driver(tmp_path), 'libcuda', 'lost')

    assert done.returncode == _cuda_errors.EXIT_CODE
    assert 'cuStreamSynchronize: CUDA error 719 (LAUNCH_FAILED)' in done.stderr


@pytest.mark.contract
@pytest.mark.parametrize('version', genuine.CUDA)
def test_the_real_cuda_bindings_do_what_the_seam_promises(tmp_path, version):
    path = genuine.unpacked(genuine.CUDA[version], version), genuine.unpacked(*genuine.PATHFINDER)
    library = driver(tmp_path)

    assert_all_answered(probe(library, 'cuda-bindings', path=path))
    lost = probe(library, 'cuda-bindings', 'lost', path=path)
    assert lost.returncode == _cuda_errors.EXIT_CODE, lost.stderr


@pytest.mark.contract
def test_the_real_pycuda_does_what_the_seam_promises(tmp_path):
    if not (found := importlib.util.find_spec('pycuda')) or not found.origin:
        pytest.skip('PyCUDA is not installed; PyPI has its source only')
    library = next(Path(found.origin).parent.glob('_driver*.so'))

    assert_all_answered(probe(driver(tmp_path, needed(library)), 'pycuda', path=sys.path))
