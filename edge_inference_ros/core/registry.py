"""Finds the module that implements a name, without importing the others."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from edge_inference_ros.errors import BackendUnavailable, ConfigError


def names(kind: str) -> list[str]:
    """Every implementation of ``kind`` ('backends', 'heads', …): its modules, by file name."""
    package = importlib.import_module(f'edge_inference_ros.{kind}')
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != '_')


def load(kind: str, name: str) -> Any:
    """Import ``edge_inference_ros/<kind>/<name>.py``.

    Raises:
        ConfigError: no such file.
        BackendUnavailable: the file is there but a library it needs is not.
    """
    if name not in names(kind):
        raise ConfigError(f'no {kind} called {name!r}; there are {", ".join(names(kind))}')
    try:
        return importlib.import_module(f'edge_inference_ros.{kind}.{name}')
    except ImportError as error:
        raise BackendUnavailable(f'{kind}/{name}.py needs {error.name}: {error}') from error
