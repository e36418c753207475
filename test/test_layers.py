"""An arrow of the architecture is an import, and nothing else may be one."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'edge_inference_ros'

INNER = {'errors', 'core'}
MAY_IMPORT = {
    'errors': set(),
    'core': INNER,
    **{leaf: INNER | {leaf} for leaf in ('sensors', 'heads', 'trackers', 'backends')},
    **{edge: INNER | {edge} for edge in ('nodes', 'optimize', 'replay', 'sim')},
    'cli': INNER | {'nodes', 'optimize', 'replay', 'sim'},
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
    'core': {'numpy'},
    'sensors': {'numpy'},
    'heads': {'numpy', 'cv2'},
    'trackers': {'numpy', 'scipy'},
    'backends': {'numpy'},
    'nodes': {'numpy', 'cv2'} | ROS,
    'optimize': {
        'numpy',
        'cv2',
        'matplotlib',
        'onnx',
        'onnxruntime',
        'onnxscript',
        'pycocotools',
        'rosbags',
        'tensorrt',
        'torch',
        'torch_pruning',
        'tqdm',
        'yaml',
    },
    'replay': {'numpy', 'cv2', 'rosbags', 'matplotlib'} | ROS,
    'sim': {'numpy', 'cv2'},
    'cli': set(),
}
ONLY_HERE = {
    'core/manifest.py': {'yaml'},
    'core/overlay.py': {'cv2'},
    'sensors/compressed.py': {'cv2'},
    'sensors/_colour.py': {'cv2'},
    'backends/ort.py': {'onnxruntime'},
    'backends/openvino.py': {'openvino'},
    'backends/trt.py': {'tensorrt'},
    'backends/_cuda.py': {'pycuda', 'cuda'},
    'sim/bag.py': {'rosbags'},
    'replay/containers.py': {'backports', 'compression', 'lz4'},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


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
            assert rest[0] in MAY_IMPORT[layer], f'{here} may not import {name}'
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
