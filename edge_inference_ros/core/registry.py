"""Finds the module that implements a name, without importing the others.

A plug-in is the same file in somebody else's package, announced in that package's metadata::

    entry_points={'edge_inference_ros.heads': ['my_head = my_package.my_head']}
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from edge_inference_ros.errors import BackendUnavailable, ConfigError

_PACKAGE = 'edge_inference_ros'
_OWED = {'backends': 'open', 'heads': 'Head', 'sensors': 'view', 'trackers': 'Tracker'}
"""What every module of a kind must hold, lest it fails later and elsewhere."""


def names(kind: str) -> list[str]:
    """Every implementation of ``kind`` ('backends', 'heads', …): our files and plug-ins, sorted.

    Raises:
        ConfigError: a plug-in has the name of one of our files, or of another plug-in.
    """
    return sorted([*_own(kind), *_plugins(kind)])


def load(kind: str, name: str) -> Any:
    """Import what implements ``name``.

    Raises:
        ConfigError: nothing of that name, or a plug-in that cannot be imported.
        BackendUnavailable: it is there but a library it needs is not.
    """
    plugins = _plugins(kind)
    if name in plugins:
        return _load_plugin(kind, plugins[name])
    check(kind, name)
    try:
        return importlib.import_module(_own(kind)[name])
    except ImportError as error:
        raise BackendUnavailable(
            f'{kind} {name} needs {error.name}: {error}; install it for {sys.executable}'
        ) from error


def check(kind: str, name: str) -> None:
    """Raise ``ConfigError`` unless something implements ``name``; nothing is imported."""
    if name not in (known := names(kind)):
        raise ConfigError(f'no {kind} called {name!r}; there are {", ".join(known)}')


def path(kind: str, name: str) -> str:
    """The dotted path of our module that implements ``name``; empty for a plug-in."""
    return _own(kind).get(name, '')


def _own(kind: str) -> dict[str, str]:
    """Our modules of ``kind`` by name: the files of its folder, and those it keeps elsewhere."""
    package: ModuleType = importlib.import_module(f'{_PACKAGE}.{kind}')
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if _public(module)]
    return {name: f'{_PACKAGE}.{kind}.{name}' for name in names} | getattr(
        package, 'ELSEWHERE', {}
    )


def _public(module: pkgutil.ModuleInfo) -> bool:
    return not module.ispkg and not module.name.startswith('_')


def _plugins(kind: str) -> dict[str, EntryPoint]:
    plugins: dict[str, EntryPoint] = {}
    own = set(_own(kind))
    for point in entry_points(group=f'{_PACKAGE}.{kind}'):
        if point.name in own or plugins.get(point.name, point) != point:
            raise ConfigError(
                f'plug-in {point.value!r} is called {point.name!r}: the name is taken'
            )
        plugins[point.name] = point
    return plugins


def _load_plugin(kind: str, point: EntryPoint) -> Any:
    what = f'plug-in {kind}/{point.name} ({point.value})'
    try:
        module = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'{what}: {error}') from error
    except Exception as error:
        # somebody else's module may do anything while it is imported
        raise ConfigError(f'{what}: {type(error).__name__}: {error}') from error
    if (owed := _OWED.get(kind)) and not hasattr(module, owed):
        raise ConfigError(f'{what}: has no {owed}; docs/extending.md shows what it must hold')
    return module
