"""A runtime writes nothing into the user's home, forks nothing and reports to nobody."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = """
import json, os, sys, threading
from contextlib import ExitStack
from pathlib import Path
forked = []
os.register_at_fork(before=lambda: forked.append(threading.current_thread().name))
from edge_inference_ros.core import manifest
from edge_inference_ros.core.pipeline import open_engine

said = manifest.load(Path(sys.argv[2]))
with ExitStack() as keep:
    open_engine(said, said.files[0], keep, backend=sys.argv[1]).run()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(20)  # what OpenVINO reports with
print(json.dumps(forked))
"""


@pytest.mark.parametrize(('backend', 'module'), [('ort', 'onnxruntime'), ('openvino', 'openvino')])
def test_a_runtime_reports_to_nobody(tmp_path, backend, module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f'{module} is not installed')
    env = {key: value for key, value in os.environ.items() if not key.startswith(('ORT_', 'XDG_'))}
    env.pop('CI', None)  # in which OpenVINO says nothing
    env |= {'HOME': str(tmp_path), 'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1'}
    model = str(ROOT / 'models/person_nano')

    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, '-c', RUN, backend, model],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()]
    assert written == []
