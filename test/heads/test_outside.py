"""The head of docs/extending.md works as it stands there, from a package that pip installs."""

import os
import re
import subprocess
import sys
from pathlib import Path

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
