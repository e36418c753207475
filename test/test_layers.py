"""An arrow of the architecture is an import, and nothing else may be one."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'edge_inference_ros'

FOLDERS = {
    '.'.join(('edge_inference_ros', *folder.relative_to(PACKAGE).parts))
    for folder in [PACKAGE, *PACKAGE.rglob('*/')]
    if (folder / '__init__.py').is_file()
}

INNER = {'errors', 'machine', 'core'}
LEAVES = ('sensors', 'heads', 'trackers', 'backends')
MAY_IMPORT = {
    'errors': set(),
    'machine': {'errors', 'machine'},
    'terminal': {'errors', 'terminal'},
    'core': INNER,
    'guard': INNER | {'guard'},
    'catalog': INNER | {'catalog', 'terminal'},
    **{leaf: INNER | {leaf} for leaf in LEAVES},
    'ros': INNER | {'guard', 'ros'},
    'nodes': INNER | {'guard', 'ros', 'nodes'},
    'replay': INNER | {'guard', 'ros', 'replay', 'terminal'},
    'sim': INNER | {'sim', 'terminal'},
    'gauges': INNER | {'gauges'},
    'monitor': INNER | {'guard', 'ros', 'monitor'},
    'optimize': INNER | {'guard', 'catalog', 'optimize', 'terminal'},
    'train': INNER | {'catalog', 'train', 'terminal'},  # and some of optimize: see REACHED
    'bringup': INNER | {'bringup'},
    'cli': INNER | {'catalog', 'optimize', 'train', 'replay', 'sim', 'monitor', 'terminal'},
}
REACHED = {
    # What else a room may import of another: these modules, or all of those folders.
    'train': {
        'optimize.graph',
        'optimize.judge',
        'optimize._folder',
    },
    'monitor': {'replay.bags', 'replay.definitions'},
}
MESSAGES = {
    'builtin_interfaces',
    'diagnostic_msgs',
    'geometry_msgs',
    'lifecycle_msgs',
    'nav2_msgs',
    'nav_msgs',
    'rcl_interfaces',
    'rosgraph_msgs',
    'sensor_msgs',
    'std_msgs',
    'std_srvs',
    'vision_msgs',
    'visualization_msgs',
}
ROS = {'rclpy', 'ament_index_python', 'cv_bridge', 'sensor_msgs_py', 'tf2_ros'} | MESSAGES
OUTSIDE = {
    'errors': set(),
    'machine': set(),
    'terminal': {'argcomplete', 'rich'},
    'bringup': set(),
    'core': {'numpy'},
    'guard': {'numpy'},
    'catalog': {'numpy', 'yaml'},
    'sensors': {'numpy'},
    'heads': {'numpy', 'cv2'},
    'trackers': {'numpy', 'scipy'},
    'backends': {'numpy'},
    'ros': {'numpy', 'cv2'} | ROS,
    'nodes': {'numpy', 'cv2'} | ROS,
    'train': {
        'numpy',
        'cv2',
        'matplotlib',
        'onnx',
        'onnxruntime',
        'onnxscript',
        'torch',
        'torch_pruning',
        'tqdm',
        'yaml',
    },
    'optimize': {
        'numpy',
        'cv2',
        'matplotlib',
        'onnx',
        'onnxruntime',
        'pycocotools',
        'rosbags',
        'tensorrt',
        'tqdm',
        'yaml',
    },
    'replay': {'numpy', 'cv2', 'mcap', 'rosbags', 'matplotlib'} | ROS,
    'sim': {'numpy', 'cv2'},
    'gauges': set(),
    'monitor': {'numpy', 'rerun', 'rich', 'textual'} | ROS,
    'cli': set(),
}
ONLY_HERE = {
    'gauges/nvml.py': {'pynvml'},
    'core/manifest.py': {'yaml'},
    'catalog/get.py': {'pooch', 'requests'},
    'core/overlay.py': {'cv2'},
    'sensors/compressed.py': {'cv2'},
    'sensors/_colour.py': {'cv2'},
    'backends/ort.py': {'onnxruntime'},
    'backends/openvino.py': {'openvino'},
    'backends/trt.py': {'tensorrt'},
    'backends/_cuda.py': {'pycuda', 'cuda'},
    'sim/bag.py': {'rosbags'},
    'bringup/describe.py': {'launch', 'launch_ros'},
    'replay/containers.py': {'backports', 'compression', 'lz4'},
}


LARGEST_FOLDER = 20
LONGEST_FILE = 400


def _allowed(layer, rest):
    reached = REACHED.get(layer, set())
    return rest[0] in MAY_IMPORT[layer] or '.'.join(rest[:2]) in reached


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module in FOLDERS:  # what is imported may be a module of that folder
                yield from (f'{node.module}.{alias.name}' for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize('folder', sorted(FOLDERS))
def test_a_folder_can_be_read_at_a_glance(folder):
    files = list((PACKAGE.parent / folder.replace('.', '/')).glob('*.py'))

    assert len(files) <= LARGEST_FOLDER, (
        f'{folder} has {len(files)} files, at most {LARGEST_FOLDER}: look for the room that is '
        'missing, move what belongs there, and draw it in docs/architecture.md'
    )


def test_no_file_is_a_hall():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines())
        for path in PACKAGE.rglob('*.py')
    }
    long = {path: count for path, count in lines.items() if count > LONGEST_FILE}

    assert not long, (
        f'{long}: at most {LONGEST_FILE} lines a file; split it where its first sentence '
        'would need "and"'
    )


@pytest.mark.parametrize(
    'path', sorted(PACKAGE.rglob('*.py')), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_inwards(path):
    here = path.relative_to(PACKAGE).as_posix()
    layer = here.split('/')[0].removesuffix('.py')
    if layer == '__init__':
        return
    outside = sys.stdlib_module_names | OUTSIDE[layer] | ONLY_HERE.get(here, set())
    for name in imports(path):
        top, *rest = name.split('.')
        if top == 'edge_inference_ros':
            assert _allowed(layer, rest), f'{here} may not import {name}'
        else:
            assert top in outside, f'{here} may not import {top}'


def test_the_watchdog_loads_no_model_and_no_device_library():
    forbidden = {'backends', 'heads', 'trackers', 'tensorrt', 'pycuda', 'onnxruntime', 'cv2'}
    seen, todo = set(), [PACKAGE / 'nodes/watchdog.py']
    while todo:
        for name in imports(todo.pop()):
            assert not forbidden & set(name.split('.')), f'the watchdog reaches {name}'
            module = PACKAGE.parent / Path(*name.split('.')).with_suffix('.py')
            if module not in seen and module.is_file():
                seen.add(module)
                todo.append(module)


def test_no_two_modules_import_each_other():
    modules = {
        f'edge_inference_ros.{".".join(path.relative_to(PACKAGE).with_suffix("").parts)}': path
        for path in PACKAGE.rglob('*.py')
    }
    reached = {
        name: {found if found in modules else found.rpartition('.')[0] for found in imports(path)}
        for name, path in modules.items()
    }
    circles = {
        (one, other) for one in modules for other in reached[one] & modules.keys()
        if one < other and one in reached[other]
    }  # fmt: skip

    assert not circles
