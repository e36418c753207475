"""What is installed is what runs: files, executables, dependencies."""

import ast
import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'edge_inference_ros'
ROSDEP = {
    'cv2': 'python3-opencv',
    'matplotlib': 'python3-matplotlib',
    'numpy': 'python3-numpy',
    'scipy': 'python3-scipy',
    'yaml': 'python3-yaml',
}
BY_PIP = {
    'mcap': 'replay',
    'onnx': 'optimize',
    'onnxruntime': 'cpu',
    'onnxscript': 'optimize',
    'openvino': 'openvino',
    'pooch': 'get',
    'requests': 'get',
    'pycocotools': 'optimize',
    'rerun': 'view',
    'argcomplete': 'monitor',
    'rich': 'monitor',
    'rosbags': 'replay',
    'textual': 'monitor',
    'torch': 'optimize',
    'torch_pruning': 'optimize',
}
"""What rosdep has no key for, and the extra of setup.py that brings it."""
PACKAGE_OF = {'rerun': 'rerun-sdk'}
"""What a module is called on PyPI, where that is another name."""
OF_THE_DEVICE = {'cuda', 'pycuda', 'pynvml', 'tensorrt'}
"""Comes with JetPack or CUDA, not from us."""
OF_PYTHON = {'backports', 'compression', 'lz4'}
"""Compression of recordings; rosbags brings it."""


@pytest.fixture(scope='module')
def said():
    """The arguments setup.py gives to setuptools."""
    import setuptools

    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, 'setup', lambda **arguments: given.update(arguments))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / 'setup.py'))
    return given


def imported():
    """Every top-level name that the package or a launch file imports from outside."""
    names = set()
    for path in [*PACKAGE.rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split('.')[0])
    return names - sys.stdlib_module_names - {'edge_inference_ros'}


ON_DEMAND = {'rosgraph_msgs', 'cv_bridge', 'sensor_msgs_py'}
"""Imported by name, where they are wanted: see ``ros/bridge.py``."""


def depends():
    return {node.text for node in ET.parse(ROOT / 'package.xml').getroot().iter('exec_depend')}  # noqa: S314


@pytest.mark.parametrize('name', sorted(imported() - OF_THE_DEVICE - OF_PYTHON))
def test_what_is_imported_is_declared(said, name):
    if name in BY_PIP:
        wanted = said['extras_require'][BY_PIP[name]]
        assert PACKAGE_OF.get(name, name.replace('_', '-')) in wanted
    else:
        assert ROSDEP.get(name, name) in depends()


def test_nothing_is_declared_that_is_not_imported():
    # Message types named in parameters and recordings are imported by that name.
    assert depends() <= {ROSDEP.get(name, name) for name in imported()} | ON_DEMAND


@pytest.mark.parametrize('folder', ['config', 'launch', 'models'])
def test_every_shipped_file_is_installed_where_it_is_looked_for(said, folder):
    installed = {(place, name) for place, names in said['data_files'] for name in names}
    files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*.*') if path.is_file()]

    assert files
    for file in files:
        assert (f'share/edge_inference_ros/{file.parent}', str(file)) in installed


def test_every_executable_is_a_function_that_is_there(said):
    for script in said['entry_points']['console_scripts']:
        _, _, target = script.partition(' = ')
        module, _, function = target.partition(':')
        tree = ast.parse((ROOT / Path(*module.split('.'))).with_suffix('.py').read_text())
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, script


def test_both_say_the_same_version(said):
    (version,) = ET.parse(ROOT / 'package.xml').getroot().iter('version')  # noqa: S314

    assert said['version'] == version.text


def test_the_page_for_the_jetson_lists_the_keys_as_they_are():
    page = (ROOT / 'docs/jetson.md').read_text()
    listed = re.search(r'<!-- keys of package.xml -->\n(.*?)<!-- to here -->', page, re.DOTALL)[1]
    keys = [node.text for node in ET.parse(ROOT / 'package.xml').getroot().iter('exec_depend')]  # noqa: S314

    assert re.findall(r'`([\w-]+)`', listed) == keys
    assert len(set(keys)) == len(keys)


def test_no_key_is_one_of_pips():
    # pip refuses to install beside the packages of Ubuntu 24.04, and rosdep stops there.
    assert not [key for key in depends() if key.endswith('-pip')]
