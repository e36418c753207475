"""The head of docs/extending.md works as it stands there, from a package that pip installs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('onnxruntime', reason='opens the network')
onnx = pytest.importorskip('onnx', reason='makes the network')
foreign = pytest.importorskip('support.foreign')

ROOT = Path(__file__).parents[2]
NAMES = "{0: 'person', 1: 'car', 2: 'dog'}"


@pytest.fixture
def installed(tmp_path):
    """The package of the page, installed into a folder."""
    page = (ROOT / 'docs' / 'extending.md').read_text()
    blocks = re.findall(r'```python\n# (\S+)\n(.*?)```', page, re.DOTALL)
    for name, text in blocks:
        path = tmp_path / 'source' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert {name for name, _ in blocks} == {'my_package/class_first.py', 'setup.py'}
    (tmp_path / 'source' / 'my_package' / '__init__.py').touch()
    subprocess.run(  # noqa: S603 - our own interpreter
        [
            sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-build-isolation',
            '--no-index', '--disable-pip-version-check', '--target', str(tmp_path / 'site'),
            str(tmp_path / 'source'),
        ],
        check=True,
    )  # fmt: skip
    return tmp_path / 'site'


def class_first(path):
    """Chosen rows in fractions, with class and score in front."""
    foreign.network(path, 'end2end fractions', metadata={'names': NAMES})
    model = onnx.load(path)
    (given,) = model.graph.output
    node = next(n for n in model.graph.node if given.name in n.output)
    node.output[0] = 'last'
    order = onnx.numpy_helper.from_array(foreign.np.array([5, 4, 0, 1, 2, 3]), 'order')
    model.graph.initializer.append(order)
    turned = onnx.helper.make_node('Gather', ['last', 'order'], [given.name], axis=2)
    model.graph.node.append(turned)
    onnx.save(model, path)
    return path


def ran(site, *words, home):
    env = {
        **os.environ, 'PYTHONPATH': os.pathsep.join((str(ROOT), str(site))),
        'EDGE_INFERENCE_MODELS': str(home),
    }  # fmt: skip
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, '-m', 'edge_inference_ros.cli', *words],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip


def test_a_head_from_outside_reads_a_network(installed, tmp_path):
    network = class_first(tmp_path / 'network.onnx')
    own = tmp_path / 'own'

    added = ran(installed, 'models', 'add', str(network), '--head', 'class_first', home=own)
    checked = ran(
        installed, 'models', 'check', '--model', 'network', '--overlay',
        str(tmp_path / 'seen.png'), home=own,
    )  # fmt: skip

    assert added.returncode == 0, added.stderr
    assert 'boxes at 0.25 or more' in added.stdout
    assert checked.returncode == 0, checked.stderr
    assert (tmp_path / 'seen.png').is_file()


FOUND = """
import sys
from contextlib import ExitStack
from pathlib import Path
import cv2
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
image = Image(Origin('', RosNs(0), MonoNs(0)), cv2.imread(sys.argv[1]), 'bgr')
for folder in sys.argv[2:]:
    with ExitStack() as keep:
        found = open_pipeline(load(Path(folder)), keep, backend='ort')(image).tracked.found
        print(*found.boxes_px.ravel().tolist())
"""


def test_a_network_of_a_head_from_outside_is_put_behind_a_camera(installed, tmp_path):
    network, own = class_first(tmp_path / 'network.onnx'), tmp_path / 'own'
    picture = tmp_path / 'picture.png'
    small = np.random.default_rng(7).integers(0, 256, (17, 29, 3), np.uint8)
    cv2.imwrite(str(picture), small.repeat(7, 0).repeat(7, 1))  # 203 x 119

    ran(installed, 'models', 'add', str(network), '--head', 'class_first', home=own)
    behind = ran(
        installed, 'optimize', 'preprocess', 'network', '--out', str(tmp_path / 'behind'),
        '--width', '203', '--height', '119', home=own,
    )  # fmt: skip
    seen = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, '-c', FOUND, *map(str, (picture, own / 'network', tmp_path / 'behind'))],
        capture_output=True, text=True, check=False,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(ROOT), str(installed)))},
    )  # fmt: skip

    assert behind.returncode == 0, behind.stderr
    assert seen.returncode == 0, seen.stderr
    before, after = (np.array(line.split(), float) for line in seen.stdout.splitlines())
    assert before.size > 3 * 4
    np.testing.assert_allclose(after, before, atol=2.0)


def test_a_head_that_does_not_say_where_its_boxes_are_is_refused_by_name(installed, tmp_path):
    module = installed / 'my_package' / 'class_first.py'
    module.write_text(module.read_text().replace('BOXES =', 'ELSEWHERE ='))
    own = tmp_path / 'own'
    network = class_first(tmp_path / 'network.onnx')

    ran(installed, 'models', 'add', str(network), '--head', 'class_first', home=own)
    behind = ran(
        installed, 'optimize', 'preprocess', 'network', '--out', str(tmp_path / 'behind'),
        home=own,
    )  # fmt: skip

    assert behind.returncode == 2
    assert "head 'class_first' does not say where its boxes are" in behind.stderr
    assert not (tmp_path / 'behind').exists()


@pytest.mark.parametrize(
    ('text', 'words'),
    [('x = 1\n', 'has no Head'), ('def (:\n', 'SyntaxError'), ('1 / 0\n', 'ZeroDivisionError')],
)
def test_a_broken_plug_in_is_named_and_leaves_nothing(installed, tmp_path, text, words):
    network = class_first(tmp_path / 'network.onnx')
    (installed / 'my_package' / 'class_first.py').write_text(text)

    added = ran(
        installed, 'models', 'add', str(network), '--head', 'class_first',
        home=tmp_path / 'own',
    )  # fmt: skip

    assert added.returncode == 2
    assert 'class_first' in added.stderr
    assert words in added.stderr
    assert 'Traceback' not in added.stderr
    assert not (tmp_path / 'own' / 'network').exists()
