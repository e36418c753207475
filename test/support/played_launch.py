"""As much of ``launch`` and ``launch_ros`` as our launch files use, for machines without them.

Written from what launch 3.4 and launch_ros 0.26 document and were seen to do; the parts that have
surprised somebody stand here on purpose: an include sets its arguments in the includer's own
configurations, a declared default stays there, a group that is scoped takes both back, and a
parameter file that is not there is left out with a warning. ``support/launching.py`` reads launch
files with this or, where it is installed, with the genuine library.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import tempfile
import types
from pathlib import Path

import yaml


class LaunchContext:
    """What is configured while a description is visited."""

    def __init__(self, *, argv=()):
        self.argv = list(argv)
        self.launch_configurations = {}
        self.environment = os.environ
        self.is_shutdown = False
        self._stack = []
        self._environments = []
        self.handlers, self.said, self.events, self.started = [], [], [], []

    def perform_substitution(self, substitution):
        return substitution.perform(self)


def _text(context, value):
    """Text, a substitution, or a list of both, as one text."""
    if isinstance(value, (list, tuple)):
        return ''.join(_text(context, part) for part in value)
    return value.perform(context) if hasattr(value, 'perform') else str(value)


class LaunchConfiguration:
    def __init__(self, variable_name, *, default=None):
        self._name, self._default = variable_name, default

    def perform(self, context):
        name = _text(context, self._name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self._default is None:
            raise RuntimeError(f"launch configuration '{name}' does not exist")
        return _text(context, self._default)


class PathJoinSubstitution:
    def __init__(self, substitutions):
        self._parts = list(substitutions)

    def perform(self, context):
        return os.path.join(*(_text(context, part) for part in self._parts))  # noqa: PTH118


class FindPackageShare:
    def __init__(self, package):
        self._package = package

    def perform(self, context):
        from edge_inference_ros.core.share import share

        assert _text(context, self._package) == 'edge_inference_ros'
        return str(share('launch').parent)


class Action:
    """Visited in order; may give further entities to visit before the next."""

    def visit(self, context):
        return self.execute(context)

    def execute(self, context):
        return None

    def get_sub_entities(self):
        return []


class LaunchDescription(Action):
    def __init__(self, initial_entities=None):
        self.entities = list(initial_entities or [])

    def execute(self, context):
        return self.entities

    def get_sub_entities(self):
        return self.entities

    def get_launch_arguments(self):
        found = []

        def look(entity):
            if isinstance(entity, DeclareLaunchArgument):
                if entity.name not in {known.name for known in found}:
                    found.append(entity)
                return
            for below in entity.get_sub_entities():
                look(below)

        look(self)
        return found


class DeclareLaunchArgument(Action):
    def __init__(self, name, *, default_value=None, description=None):
        self.name, self.default_value, self.description = name, default_value, description

    def execute(self, context):
        if self.name in context.launch_configurations:
            return
        if self.default_value is None:
            raise RuntimeError(f'Required launch argument "{self.name}" was not provided.')
        context.launch_configurations[self.name] = _text(context, self.default_value)


class SetLaunchConfiguration(Action):
    def __init__(self, name, value):
        self._name, self._value = name, value

    def execute(self, context):
        name = _text(context, self._name)
        context.launch_configurations[name] = _text(context, self._value)


class SetEnvironmentVariable(Action):
    def __init__(self, name, value):
        self._name, self._value = name, value

    def execute(self, context):
        os.environ[_text(context, self._name)] = _text(context, self._value)


class OpaqueFunction(Action):
    def __init__(self, *, function):
        self._function = function

    def execute(self, context):
        return self._function(context)


class _Push(Action):
    def execute(self, context):
        context._stack.append(dict(context.launch_configurations))
        context._environments.append(dict(os.environ))


class _Pop(Action):
    def execute(self, context):
        context.launch_configurations = context._stack.pop()
        before = context._environments.pop()
        os.environ.clear()
        os.environ.update(before)


class GroupAction(Action):
    def __init__(self, actions, *, scoped=True):
        self._actions = [_Push(), *actions, _Pop()] if scoped else list(actions)

    def execute(self, context):
        return self._actions

    def get_sub_entities(self):
        return self._actions


class PythonLaunchDescriptionSource:
    def __init__(self, launch_file_path):
        self._path = launch_file_path

    def get_launch_description(self, context):
        return described(Path(_text(context, self._path)))


class IncludeLaunchDescription(Action):
    def __init__(self, launch_description_source, *, launch_arguments=None):
        if isinstance(launch_description_source, (str, Path, list)):
            launch_description_source = PythonLaunchDescriptionSource(launch_description_source)
        self._source, self._arguments = launch_description_source, list(launch_arguments or [])

    def execute(self, context):
        included = self._source.get_launch_description(context)
        names = [_text(context, name) for name, _ in self._arguments]
        for argument in included.get_launch_arguments():
            if argument.default_value is None and argument.name not in names:
                raise RuntimeError(
                    f"Included launch description missing required argument '{argument.name}'"
                    f" (description: '{argument.description}'), given: [{', '.join(names)}]"
                )
        return [*(SetLaunchConfiguration(*pair) for pair in self._arguments), included]


class PushRosNamespace(Action):
    def __init__(self, namespace):
        self._namespace = namespace

    def execute(self, context):
        outer = context.launch_configurations.get('ros_namespace', '')
        inner = _text(context, self._namespace)
        context.launch_configurations['ros_namespace'] = _under(outer, inner)


def _under(outer, inner):
    return inner if inner.startswith('/') or not outer else f'{outer.rstrip("/")}/{inner}'


class SetParameter(Action):
    """For every node that follows in its scope."""

    def __init__(self, name, value):
        self._name, self._value = name, value

    def execute(self, context):
        held = context.launch_configurations.get('global_params', [])
        context.launch_configurations['global_params'] = [*held, (self._name, self._value)]


class LogInfo(Action):
    def __init__(self, *, msg):
        self.msg = msg

    def execute(self, context):
        context.said.append(_text(context, self.msg))


class EmitEvent(Action):
    def __init__(self, *, event):
        self.event = event

    def execute(self, context):
        context.events.append(self.event)


class RegisterEventHandler(Action):
    def __init__(self, event_handler):
        self._handler = event_handler

    def execute(self, context):
        context.handlers.append(self._handler)


class OnProcessExit:
    def __init__(self, *, target_action, on_exit):
        self.target_action, self.on_exit = target_action, on_exit


class ShutdownProcess:
    def __init__(self, *, process_matcher):
        self.process_matcher = process_matcher


def matches_action(target):
    return lambda action: action is target


class ParameterValue:
    def __init__(self, value, *, value_type=None):
        self._value, self._type = value, value_type

    def evaluate(self, context):
        text = _text(context, self._value)
        return text if self._type is str else yaml.safe_load(text)


class Node(Action):
    """Holds the command line and environment its process would be started with."""

    def __init__(
        self, *, executable, package=None, name=None, namespace='', exec_name=None, parameters=(),
        remappings=(), arguments=(), additional_env=None, prefix='', output='log',
        emulate_tty=False, respawn=False, respawn_delay=None,
    ):  # fmt: skip
        self._program = (package, executable)
        self._name, self._namespace, self._prefix = name, namespace, prefix
        self._parameters, self._remappings = parameters, remappings
        self._arguments, self._environment = arguments, additional_env or {}
        self.respawn, self.respawn_delay = respawn, respawn_delay

    def execute(self, context):
        outer = context.launch_configurations.get('ros_namespace', '')
        namespace = '/' + _under(outer, _text(context, self._namespace)).strip('/')
        name = _text(context, self._name)
        package, executable = (_text(context, part) for part in self._program)
        words = [f'lib/{package}/{executable}']
        words += [_text(context, word) for word in self._arguments]
        words += ['--ros-args', '-r', f'__node:={name}', '-r', f'__ns:={namespace}']
        for parameter, value in context.launch_configurations.get('global_params', ()):
            words += ['-p', f'{parameter}:={value}']
        node = f'{namespace.rstrip("/")}/{name}'
        for source in self._parameters:
            words += self._source(context, node, source)
        for pair in self._remappings:
            words += ['-r', ':='.join(_text(context, end) for end in pair)]
        self.command = [*shlex.split(_text(context, self._prefix)), *words]
        extra = {_text(context, k): _text(context, v) for k, v in self._environment.items()}
        self.environment = {**os.environ, **extra}
        context.started.append(self)

    def _source(self, context, node, source):
        if isinstance(source, dict):
            values = {_text(context, k): _value(context, v) for k, v in source.items()}
            with tempfile.NamedTemporaryFile('w', prefix='launch_params_', delete=False) as file:
                yaml.safe_dump({node: {'ros__parameters': values}}, file)
            return ['--params-file', file.name]
        path = _text(context, source)
        if not Path(path).is_file():
            context.said.append(f'Parameter file path is not a file: {path}')
            return []
        return ['--params-file', path]


def _value(context, value):
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, list):
        assert value, 'launch_ros refuses an empty list'
        return [_value(context, item) for item in value]
    return yaml.safe_load(_text(context, value)) if isinstance(value, str) else value


class LifecycleNode(Node):
    def __init__(self, *, name, namespace, **rest):
        super().__init__(name=name, namespace=namespace, **rest)


def described(path):
    """The description that the launch file ``path`` generates."""
    spec = importlib.util.spec_from_file_location(path.name.replace('.', '_'), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


MODULES = {
    'launch': (LaunchContext, LaunchDescription),
    'launch.actions': (
        DeclareLaunchArgument, EmitEvent, GroupAction, IncludeLaunchDescription, LogInfo,
        OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable, SetLaunchConfiguration,
    ),
    'launch.event_handlers': (OnProcessExit,),
    'launch.events': (matches_action,),
    'launch.events.process': (ShutdownProcess,),
    'launch.launch_description_sources': (PythonLaunchDescriptionSource,),
    'launch.substitutions': (LaunchConfiguration, PathJoinSubstitution),
    'launch_ros': (),
    'launch_ros.actions': (LifecycleNode, Node, PushRosNamespace, SetParameter),
    'launch_ros.parameter_descriptions': (ParameterValue,),
    'launch_ros.substitutions': (FindPackageShare,),
}  # fmt: skip


def install(monkeypatch):
    """Let ``import launch`` and ``import launch_ros`` find this until the test ends."""
    for name, members in MODULES.items():
        module = types.ModuleType(name)
        module.__path__ = []
        for member in members:
            setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, name, module)
