"""Reads a launch file: which node it would start with which parameters, topics, environment.

With the genuine launch library where it is installed, and always with ``played_launch``. Nothing
is started. What ``ros2 launch FILE name:=value …`` does is done: the file is included, with the
values as its launch arguments and as the context's command line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from support import played_launch

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / 'launch'
GENUINE = importlib.util.find_spec('launch_ros') is not None
_DESCRIBE = 'edge_inference_ros.bringup.describe'


@dataclass
class Started:
    """A process that would be started."""

    command: list[str]
    environment: dict[str, str]
    action: object

    @property
    def program(self):
        return '/'.join(
            next(word for word in self.command if '/lib/' in f'/{word}').split('/')[-2:]
        )

    def _after(self, flag):
        return [b for a, b in zip(self.command, self.command[1:], strict=False) if a == flag]

    @property
    def remappings(self):
        """From name to name, node and namespace left out."""
        pairs = (rule.split(':=') for rule in self._after('-r'))
        return {a: b for a, b in pairs if not a.startswith('__')}

    def _renamed(self, rule):
        return next(r.split(':=')[1] for r in self._after('-r') if r.startswith(f'{rule}:='))

    @property
    def name(self):
        """With its namespace."""
        return f'{self._renamed("__ns").rstrip("/")}/{self._renamed("__node")}'

    @property
    def files(self):
        return [Path(path) for path in self._after('--params-file')]

    @property
    def parameters(self):
        """What rcl makes of the files: keys in the order they are first met, later values win."""
        sections = {}
        for path in self.files:
            _collect(yaml.safe_load(path.read_text()), '', sections)
        merged = {}
        for key, values in sections.items():
            if _matches(key, self.name):
                merged |= values
        loose = (rule.split(':=') for rule in self._after('-p'))
        return merged | {name: yaml.safe_load(value) for name, value in loose}

    def own(self, variable):
        return self.environment.get(variable)


def _collect(level, where, sections):
    for key, below in level.items():
        if key == 'ros__parameters':
            sections.setdefault(where or '/', {}).update(_flat(below))
        else:
            _collect(below, f'{where}/{str(key).strip("/")}', sections)


def _flat(values, where=''):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{where}{key}.')
        else:
            yield f'{where}{key}', value


def _matches(pattern, name):
    first, *rest = pattern.strip('/').split('/')
    parts = name.strip('/').split('/')
    if first == '**':
        return not rest or any(
            _matches('/'.join(rest), '/'.join(parts[skip:])) for skip in range(len(parts))
        )
    if not parts or first not in ('*', parts[0]):
        return False
    return (
        not rest
        if len(parts) == 1
        else bool(rest) and _matches('/'.join(rest), '/'.join(parts[1:]))
    )


class Reader:
    """One launch context, in which launch files are visited one after the other."""

    def __init__(self, library):
        self.library = library
        self.context = None

    def read(self, path, **values):
        """What starting ``path`` with these arguments would start, in order."""
        path = path if isinstance(path, Path) else LAUNCH / f'{path}.launch.py'
        self.context = self.library.context([f'{k}:={v}' for k, v in values.items()])
        return self.visit(self.library.included(path, values))

    def visit(self, *entities):
        """The nodes that these entities would start."""
        before = len(self.library.started(self.context))
        kept = dict(os.environ)
        try:
            self._visit(entities)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        return self.library.started(self.context)[before:]

    def _visit(self, entities):
        for entity in entities:
            self._visit(entity.visit(self.context) or ())

    def arguments(self, path):
        """Name and default of what ``ros2 launch --show-args`` lists."""
        path = path if isinstance(path, Path) else LAUNCH / f'{path}.launch.py'
        return self.library.arguments(path)

    @property
    def configurations(self):
        """Of the context now, after everything has been visited."""
        return dict(self.context.launch_configurations)

    def ended(self, started, status):
        """What is said when that process ends with ``status``, and whether it is given up."""
        return self.library.ended(self.context, started.action, status)


class Played:
    """The library of ``played_launch``."""

    def context(self, argv):
        return played_launch.LaunchContext(argv=argv)

    def included(self, path, values):
        return played_launch.IncludeLaunchDescription(str(path), launch_arguments=values.items())

    def arguments(self, path):
        found = played_launch.described(path).get_launch_arguments()
        return {argument.name: argument.default_value for argument in found}

    def started(self, context):
        return [Started(node.command, node.environment, node) for node in context.started]

    def ended(self, context, action, status):
        said, given_up = [], False
        for handler in context.handlers:
            if handler.target_action is action:
                event = SimpleNamespace(returncode=status, action=action)
                for answer in handler.on_exit(event, context):
                    if isinstance(answer, played_launch.LogInfo):
                        said.append(answer.msg)
                    else:
                        given_up |= answer.event.process_matcher(action)
        return ' '.join(said), given_up


class Genuine:
    """launch and launch_ros, kept from starting anything."""

    def __init__(self, monkeypatch):
        from launch.actions import ExecuteLocal
        from launch.utilities import perform_substitutions
        from launch_ros.actions import lifecycle_node
        from launch_ros.substitutions import ExecutableInPackage

        self._started = []

        def installed(program, context):
            parts = (program.package, program.executable)
            return '/'.join(['lib', *(perform_substitutions(context, part) for part in parts)])

        def prepared(action, context):
            action.prepare(context)
            made = action.process_description
            self._started.append(Started(list(made.final_cmd), dict(made.final_env), action))

        quiet = SimpleNamespace(create_subscription=print, create_client=print)
        monkeypatch.setattr(ExecutableInPackage, 'perform', installed)
        monkeypatch.setattr(ExecuteLocal, 'execute', prepared)
        monkeypatch.setattr(lifecycle_node, 'get_ros_node', lambda _: quiet)

    def context(self, argv):
        from launch import LaunchContext

        self._started.clear()
        return LaunchContext(argv=argv)

    def included(self, path, values):
        from launch.actions import IncludeLaunchDescription
        from launch.launch_description_sources import PythonLaunchDescriptionSource

        return IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(path)), launch_arguments=values.items()
        )

    def arguments(self, path):
        found = played_launch.described(path).get_launch_arguments()
        return {
            argument.name: None
            if argument.default_value is None
            else ''.join(part.text for part in argument.default_value)
            for argument in found
        }

    def started(self, _context):
        return list(self._started)

    def ended(self, context, action, status):
        from launch.actions import LogInfo
        from launch.events.process import ProcessExited

        event = ProcessExited(
            returncode=status, action=action, name='', cmd=[], cwd=None, env=None, pid=1
        )
        said, given_up = [], False
        for handler in context._event_handlers:
            for answer in (handler.handle(event, context) or ()) if handler.matches(event) else ():
                if isinstance(answer, LogInfo):
                    said.append(''.join(part.text for part in answer.msg))
                elif hasattr(answer, 'event'):
                    given_up |= answer.event.process_matcher(action)
        return ' '.join(said), given_up


@pytest.fixture(params=['played', *(['genuine'] if GENUINE else [])])
def launching(request, monkeypatch, tmp_path):
    """A ``Reader``: of the played library, and of the genuine one where it is."""
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    with contextlib.suppress(ImportError, AttributeError):
        monkeypatch.delattr(_DESCRIBE, raising=False)
    monkeypatch.delitem(sys.modules, _DESCRIBE, raising=False)
    if request.param == 'played':
        played_launch.install(monkeypatch)
        yield Reader(Played())
    else:
        yield Reader(Genuine(monkeypatch))
    # What was imported over one library must not serve the next.
    sys.modules.pop(_DESCRIBE, None)
    vars(sys.modules['edge_inference_ros.bringup']).pop('describe', None)
