"""Prints the distributions this Python needs for the GPU tests and does not have, one a line."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = {
    'numpy': 'numpy',
    'scipy': 'scipy',
    'yaml': 'PyYAML',
    'cv2': 'opencv-python-headless',
    'onnx': 'onnx',
    'onnxruntime': 'onnxruntime',
    'matplotlib': 'matplotlib',
    'pytest': 'pytest',
    'tensorrt': 'tensorrt',
}
"""Module → distribution. What these need in turn pip knows."""
PROVIDERS = {'pycuda': 'pycuda', 'cuda.bindings': 'cuda-bindings'}
"""One of them is enough."""


def there(module: str) -> bool:
    """Whether ``module`` could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def missing() -> list[str]:
    """Distributions to install; the bindings that have a wheel on PyPI, if there are none."""
    wanted = [name for module, name in NEEDED.items() if not there(module)]
    if not any(there(module) for module in PROVIDERS):
        wanted.append('cuda-bindings')
    return sorted(wanted)


if __name__ == '__main__':
    sys.stdout.writelines(f'{name}\n' for name in missing())
