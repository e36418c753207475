"""Nothing that is read is ever run: no pickle, no eval, no shell, in package and launch files.

Ruff's S rules say much of this too, but a ``noqa`` silences them; nothing silences this.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / 'edge_inference_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')])
MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'marshal', 'shelve', 'code'}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
METHODS = {
    'os.system', 'os.popen', 'tempfile.mktemp',
    'yaml.load', 'yaml.load_all', 'yaml.unsafe_load', 'yaml.full_load',
    'onnx.load',  # follows weights into other files: core/onnx_file.py reads, and refuses them
}  # fmt: skip
OURS = {'edge_inference_ros/train/deploy.py'}  # loads what it has just exported
ENDINGS = ('.extractall',)
NEEDS = {'torch.load': ('weights_only', True)}
FORBIDDEN_WORDS = {('shell', True), ('allow_pickle', True), ('weights_only', False)}


def faults(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split('.')[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            yield from faults_of_call(node)


def faults_of_call(node):
    name = ast.unparse(node.func)
    said = {(k.arg, getattr(k.value, 'value', None)) for k in node.keywords}
    if name in BUILTINS | METHODS or name.endswith(ENDINGS):
        yield name
    if name in NEEDS and NEEDS[name] not in said:
        yield f'{name} without {NEEDS[name]}'
    yield from (f'{name} with {word}' for word in said & FORBIDDEN_WORDS)


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_that_is_read_is_run(path):
    found = set(faults(ast.parse(path.read_text())))
    if path.relative_to(ROOT).as_posix() in OURS:
        found.discard('onnx.load')

    assert not found


@pytest.mark.parametrize(
    'line',
    [
        'import pickle',
        'from dill import loads',
        'eval(text)',
        'exec(text)',
        'yaml.load(text, Loader=yaml.Loader)',
        'subprocess.run(text, shell=True)',
        'os.system(text)',
        'torch.load(path)',
        'torch.load(path, weights_only=False)',
        'np.load(path, allow_pickle=True)',
        'archive.extractall(folder)',
        'onnx.load(path)',
    ],
)
def test_the_check_would_see_it(line):
    assert list(faults(ast.parse(line)))


def test_the_check_lets_the_safe_form_pass():
    safe = 'yaml.safe_load(t); torch.load(p, weights_only=True); np.load(p); module.eval()'

    assert not list(faults(ast.parse(safe)))
