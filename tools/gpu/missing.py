"""Prints the distributions this Python needs for the GPU tests and does not have, one a line."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = {
    'numpy': 'numpy',
    'yaml': 'PyYAML',
    'cv2': 'opencv-python-headless',
    'onnx': 'onnx',
    'onnxruntime': 'onnxruntime',
    'matplotlib': 'matplotlib',
    'pytest': 'pytest',
    'hypothesis': 'hypothesis',
    'tensorrt': 'tensorrt',
}
"""Module → distribution."""
WITH = {
    'onnx': ('protobuf', 'typing_extensions', 'ml_dtypes'),
    'onnxruntime': ('flatbuffers', 'protobuf', 'packaging'),
    'pytest': ('iniconfig', 'pluggy', 'packaging', 'pygments', 'exceptiongroup', 'tomli'),
    'hypothesis': ('sortedcontainers', 'attrs'),
    'matplotlib': (
        'contourpy', 'cycler', 'fonttools', 'kiwisolver', 'pillow', 'pyparsing',
        'python-dateutil', 'six',
    ),
    'pycuda': ('mako', 'MarkupSafe', 'pytools', 'platformdirs', 'siphash24', 'typing_extensions'),
    'cuda-bindings': ('cuda-pathfinder',),
}  # fmt: skip
"""Distribution → those it needs in turn; installed without asking an index."""
MODULE = {
    'attrs': 'attr', 'fonttools': 'fontTools', 'pillow': 'PIL', 'python-dateutil': 'dateutil',
    'protobuf': 'google.protobuf', 'MarkupSafe': 'markupsafe',
    'cuda-pathfinder': 'cuda.pathfinder',
}  # fmt: skip
"""Distribution → its module, where that is another word."""
ONLY_BEFORE_3_11 = frozenset({'exceptiongroup', 'tomli'})


def there(module: str) -> bool:
    """Whether ``module`` could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def missing() -> list[str]:
    """Distributions to install."""
    wanted = [name for module, name in NEEDED.items() if not there(module)]
    if not there('pycuda') and not there('cuda.bindings'):
        wanted.append('pycuda' if sys.version_info < (3, 12) else 'cuda-bindings')
    wanted += [part for name in list(wanted) for part in WITH.get(name, ())]
    old = sys.version_info < (3, 11)
    return sorted(
        {
            name
            for name in wanted
            if not there(MODULE.get(name, name)) and (old or name not in ONLY_BEFORE_3_11)
        }
    )


if __name__ == '__main__':
    sys.stdout.writelines(f'{name}\n' for name in missing())
