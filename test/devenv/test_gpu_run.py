"""`make gpu-test` says what is missing on a machine that has nothing, and fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.gpu import missing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    """Runs the script in this very environment, to which it must not get to add anything."""

    def runs(verb):
        return subprocess.run(  # noqa: S603 - our own script
            [str(ROOT / 'tools/gpu/run.sh'), verb],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                'EDGE_GPU_VENV': sys.prefix,
                'EDGE_GPU_WHEELS': str(tmp_path / 'wheels'),
            },
            check=False,
        )

    return runs


def test_a_verb_it_does_not_know_is_refused(run):
    done = run('build')

    assert (done.returncode, done.stderr) == (2, 'run.sh test|bench, not build\n')


@pytest.mark.parametrize('verb', ['test', 'bench'])
def test_what_is_missing_is_named_with_the_folder_it_belongs_in(run, tmp_path, verb):
    if not missing.missing():
        pytest.skip('this machine has all it takes')

    done = run(verb)

    assert done.returncode == 2
    assert 'tensorrt' in done.stderr
    assert str(tmp_path / 'wheels') in done.stderr


def test_the_bindings_with_a_wheel_are_asked_for_unless_some_are_there(monkeypatch):
    monkeypatch.setattr(missing, 'there', lambda module: False)
    assert 'cuda-bindings' in missing.missing()

    monkeypatch.setattr(missing, 'there', lambda module: module == 'pycuda')
    assert 'cuda-bindings' not in missing.missing()
