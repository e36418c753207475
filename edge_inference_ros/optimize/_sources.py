"""What a step is made of: its own source, what that imports of ours, and the libraries.

A result is stale when any of it has changed. Heads and backends that are chosen by name while a
step runs are not followed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_inference_ros.core import registry

_PACKAGE = __name__.partition('.')[0]
_ROOT = Path(__file__).parents[1]
_LIBRARIES = (
    'edge_inference_ros', 'numpy', 'onnx', 'onnxruntime', 'onnxscript', 'opencv-python',
    'opencv-python-headless', 'openvino', 'pycocotools', 'tensorrt', 'torch', 'torch-pruning',
)  # fmt: skip


@cache
def libraries() -> dict[str, str]:
    """Versions of what shapes the results of steps, as far as it is installed."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


@cache
def digest(step: str) -> str:
    """SHA-256 over the sources of ``step`` and of what they import of ours.

    Raises:
        ConfigError: no such step.
    """
    sha = hashlib.sha256()
    for name, file in sorted(_all_of(registry.path('optimize', step)).items()):
        sha.update(f'{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n'.encode())
    return sha.hexdigest()


def _all_of(module: str) -> dict[str, Path]:
    """Our modules that ``module`` reaches, itself included; of a plug-in none."""
    sources: dict[str, Path] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        file = _file(name)
        if file is not None and name not in sources:
            sources[name] = file
            todo += _imports(ast.parse(file.read_bytes()))
    return sources


def _file(module: str) -> Path | None:
    top, *rest = module.split('.')
    place = _ROOT.joinpath(*rest)
    if top != _PACKAGE:
        return None
    return next(
        (f for f in (place.with_suffix('.py'), place / '__init__.py') if f.is_file()), None
    )


def _imports(tree: ast.AST) -> Iterator[str]:
    """What may be modules of ours: imported, or loaded by a name that is written down."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == 'registry.load':
            words = [a.value for a in node.args if isinstance(a, ast.Constant)]
            yield '.'.join([_PACKAGE, *map(str, words)])
