"""The tests and figures for a GPU run to their end where a GPU is played."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('onnxruntime', reason='ONNX Runtime does the arithmetic')
pytest.importorskip('onnx', reason='onnx makes the networks')
ROOT = Path(__file__).parents[2]
NEEDS_A_DEVICE = 'not illegal_address'
"""A kernel that faults can only be launched on one."""
BENCH = """
import backends.played_gpu
from bench import gpu
gpu.WARM_UP = 2
raise SystemExit(gpu.main(['--runs', '4']))
"""


def played(*command, **environment):
    path = os.pathsep.join(map(str, (ROOT, ROOT / 'test')))
    return subprocess.run(  # noqa: S603 - our own suite
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': path, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    'machine',
    [{'PLAYED_TENSORRT': '8.6.0'}, {'PLAYED_TENSORRT': '11.4.0.106', 'PLAYED_JETSON': '1'}],
    ids=['8.6', '11.4-jetson'],
)
def test_every_test_of_the_gpu_suite_passes_on_a_played_gpu(machine):
    suite = ['-m', 'pytest', '-q', '-p', 'backends.played_gpu', '-m', 'gpu and not ros']

    done = played(*suite, '-k', NEEDS_A_DEVICE, 'test/gpu', **machine)

    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r'(\d+) passed', done.stdout).group(1)) >= 25


def test_every_figure_is_measured_on_a_played_gpu():
    from bench import gpu

    done = played('-c', BENCH)

    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert set(gpu.BOUNDS) <= set(lines)
    assert all(re.search(r'(ok|MISSED)$', lines[name]) for name in gpu.BOUNDS)
