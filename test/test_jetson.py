"""What the Jetson page tells people to install leaves the system's packages working."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / 'docs/jetson.md').read_text()
JETPACK = {'3.10': (17, 24, 26, 27, 28, 31, 34, 35), '3.12': (17, 24, 26, 27, 28, 31, 34, 35, 39)}
"""Python of JetPack 6 and 7, and the glibc 2.x versions whose wheels run there."""


def lines():
    """Every pip line with ONNX Runtime: (Python it is for, what it installs)."""
    for said in re.findall(r'python3 -m pip install --user ([^`\n#]*onnxruntime[^`\n#]*)', PAGE):
        words = shlex.split(said)
        python = '3.12' if '--break-system-packages' in words else '3.10'
        yield pytest.param(python, [w for w in words if not w.startswith('--')], id=said.strip())


def resolved(python, wanted):
    """Version of each package pip would install on a Jetson with that Python."""
    platforms = [f'--platform=manylinux_2_{n}_aarch64' for n in JETPACK[python]]
    command = [sys.executable, '-m', 'pip', 'install', '--dry-run', '--ignore-installed', '-q']
    command += ['--only-binary=:all:', f'--python-version={python}', '--implementation=cp']
    command += ['--target=unused', '--report=-', '--disable-pip-version-check', '--retries=0']
    command += [*platforms, '--platform=manylinux2014_aarch64', *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if re.search(
        r'connection|resolution|timed out|No matching distribution', done.stderr, re.IGNORECASE
    ):
        pytest.skip('no package index to ask')
    assert done.returncode == 0, done.stderr
    installed = json.loads(done.stdout)['install']
    return {each['metadata']['name']: each['metadata']['version'] for each in installed}


@pytest.mark.contract
@pytest.mark.parametrize(('python', 'wanted'), lines())
def test_no_line_brings_a_numpy_that_breaks_apts_packages(python, wanted):
    found = resolved(python, wanted)

    assert {name for name in re.split(r'[<=> ]', ' '.join(wanted)) if name.isalpha()} <= set(found)
    assert int(found['numpy'].split('.')[0]) < 2


def test_the_page_has_a_line_for_each_jetpack():
    assert {case.values[0] for case in lines()} == set(JETPACK)
