"""Whether what a launch argument says can be honoured; found out before anything starts.

A node that cannot understand its command line ends at once, and would be started again for ever.
launch itself warns in one line when a parameter file is not there, and starts the node without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_inference_ros.core import registry
from edge_inference_ros.core import transport as profiles
from edge_inference_ros.core.manifest import FILE_NAME, read_yaml
from edge_inference_ros.core.share import locate, share
from edge_inference_ros.errors import ConfigError, ParameterError

Check = Callable[[str], Any]
"""Makes of an argument's text what a node needs. Raises ``ConfigError``."""

NODES = ('camera_detector', 'watchdog')
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')

_NAME = r'[A-Za-z_][A-Za-z0-9_]*'
_NAMESPACE = re.compile(rf'/?({_NAME}(/{_NAME})*)?/?')
_TOPIC = re.compile(rf'(~/|/)?{_NAME}(/{_NAME})*')
_ENCLAVE = re.compile(rf'(/{_NAME})+')
_YAML = ('.yaml', '.yml')
_SCALARS = (bool, int, float, str)


def namespace(value: str) -> str:
    """A ROS namespace, relative or absolute; empty is the root."""
    return _matched(_NAMESPACE, value, 'a namespace such as front or /robot/front').rstrip('/')


def topic(value: str) -> str:
    """The name of a topic, relative or absolute."""
    return _matched(_TOPIC, value, 'the name of a topic, such as odom or /camera/image_raw')


def enclave(value: str) -> str:
    """An SROS2 enclave whose keys are in the keystore; empty for none."""
    if not value:
        return ''
    _matched(_ENCLAVE, value, 'an enclave such as /edge_inference/watchdog')
    keystore = os.environ.get('ROS_SECURITY_KEYSTORE', '')
    if not keystore:
        raise ConfigError('an enclave needs ROS_SECURITY_KEYSTORE, the folder of the keystore')
    keys = Path(keystore) / 'enclaves' / value.strip('/')
    if not keys.is_dir():
        raise ConfigError(f'{keys} is not there; `ros2 security create_enclave` makes it')
    return value


def enclaves(value: str) -> str:
    """An SROS2 enclave that holds one for each node, with its keys; empty for none."""
    if value:
        _matched(_ENCLAVE, value, 'an enclave such as /edge_inference')
        for node in NODES:
            enclave(f'{value}/{node}')
    return value


def boolean(value: str) -> bool:
    """True or false, as YAML and launch spell them."""
    words = {'true': True, '1': True, 'false': False, '0': False}
    if value.lower() not in words:
        raise ConfigError('expected true or false')
    return words[value.lower()]


def rviz(value: str) -> bool:
    """True where RViz is to be opened, which must then be installed."""
    wanted = boolean(value)
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    index = 'share/ament_index/resource_index/packages/rviz2'
    if wanted and not any((Path(prefix) / index).exists() for prefix in prefixes if prefix):
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        raise ConfigError(f'rviz2 is not installed: sudo apt install ros-{distro}-rviz2')
    return wanted


def seconds(value: str) -> float:
    """A time above 0: launch waits for it before it starts a node again."""
    try:
        time_s = float(value)
    except ValueError:
        time_s = 0.0
    if not 0.0 < time_s < 3600.0:
        raise ConfigError('expected seconds, above 0 and below 3600')
    return time_s


def log_level(value: str) -> str:
    """A severity of ROS."""
    if value.lower() not in LEVELS:
        raise ConfigError(f'expected one of {", ".join(LEVELS)}')
    return value


def transport(value: str) -> str:
    """A profile of ``config/transport``, or ``default``."""
    if value != 'default':
        profiles.profile(value)
    return value


def backend(value: str) -> str:
    """A runtime that is here, ours or a plug-in; empty leaves it to the files."""
    known = registry.names('backends')
    if value and value not in known:
        raise ConfigError(f'no such backend; there are {", ".join(known)}')
    return value


def precision(value: str) -> str:
    """Of a model's file; the manifest says which there are. Empty leaves it to the files."""
    return _matched(re.compile(r'\w*'), value, 'a precision such as fp32, fp16 or int8')


def offers(folder_or_name: str, wanted: str) -> None:
    """Whether a model has a file of the precision ``wanted``; empty takes any.

    Raises:
        ConfigError: names the precisions that there are.
    """
    if not wanted or not folder_or_name:
        return
    content = read_yaml(locate('models', folder_or_name) / FILE_NAME, ParameterError)
    files = content.get('files')
    rows = [row for row in files if isinstance(row, Mapping)] if isinstance(files, list) else []
    known = list(dict.fromkeys(str(row.get('precision', 'fp32')) for row in rows))
    if rows and wanted not in known:
        raise ConfigError(
            f'precision:={wanted}: model {folder_or_name} has {", ".join(known)};'
            ' `edge_inference optimize quantize` makes others'
        )


def model(value: str) -> str:
    """A model by its name, or the folder of one as an absolute path; empty leaves it to files."""
    if not value:
        return ''
    folder = absolute(value) if os.sep in value else locate('models', value)
    if not (folder / FILE_NAME).is_file():
        raise ConfigError(f'{folder} holds no {FILE_NAME}; give the path of a model folder')
    return str(folder) if os.sep in value else value


def robot(value: str) -> Path:
    """The profile of a robot: a name in ``config/robots``, or the path of a YAML file."""
    return _profile('robots', value, ('watchdog',))


def platform(value: str) -> Path:
    """The overlay of a platform: a name in ``config/platforms``, or the path of a YAML file."""
    return _profile('platforms', value, ('camera_detector',))


def parameter_file(value: str, nodes: Sequence[str] = NODES) -> Path | None:
    """The path of a file with parameters of one of ``nodes``; empty for none.

    A relative path means the folder one stands in.
    """
    return checked_parameters(absolute(value), nodes) if value else None


def parameters_of(node: str) -> Check:
    """``parameter_file`` of this node alone."""
    return lambda value: parameter_file(value, (node,))


def _profile(folder: str, value: str, nodes: Sequence[str]) -> Path:
    shipped = share(f'config/{folder}')
    if os.sep in value or value.endswith(_YAML) or value.startswith('~'):
        path, place = absolute(value), 'no such file'
    else:
        path, place = shipped / f'{value}.yaml', f'not among the {folder} that ship'
    if not path.is_file():
        known = ', '.join(sorted(path.stem for path in shipped.glob('*.yaml')))
        raise ConfigError(f'{path}: {place}; give one of {known}, or the path of a YAML file')
    return checked_parameters(path, nodes)


def absolute(value: str) -> Path:
    """An absolute path; a relative one means the folder one stands in."""
    return Path(os.path.abspath(Path(value).expanduser()))  # noqa: PTH100 - resolve follows links


def _matched(pattern: re.Pattern[str], value: str, expected: str) -> str:
    if not pattern.fullmatch(value):
        raise ConfigError(f'expected {expected}')
    return value


def checked_parameters(path: Path, nodes: Sequence[str] = NODES) -> Path:
    """``path``, if ROS will be able to read parameters of one of ``nodes`` from it.

    Raises:
        ParameterError: missing, not YAML, not of the form nodes have their parameters in, or only
            with those of other nodes, which would leave ours without a word.
    """
    content = read_yaml(path, ParameterError)
    if fault := next(_faults(content, ''), ''):
        raise ParameterError(f'{path}: {fault}')
    named = sorted({name.rpartition('/')[2] for name, _ in _named_sections(content, '')})
    if not set(named) & {*nodes, '*', '**'}:
        raise ParameterError(
            f'{path}: has parameters of {", ".join(named)} and none of {" or ".join(nodes)}: name'
            ' the section so, with its namespace before it, or /**'
        )
    return path


def meant_for(path: Path, node: str) -> tuple[dict[str, Any], str]:
    """What a checked file says for the node of the full name ``node``.

    Returns:
        Its parameters, with dots in their names; and a sentence where the file has parameters of
        a node of that name in other namespaces only, which rcl passes over without a word.
    """
    merged: dict[str, Any] = {}
    own = node.rpartition('/')[2]
    sections = list(_named_sections(read_yaml(path, ParameterError), ''))
    for pattern, values in sections:
        if _matches(pattern, node):
            merged |= dict(_flat(values, ''))
    elsewhere = [pattern for pattern, _ in sections if pattern.endswith(f'/{own}')]
    if not elsewhere or any(_matches(pattern, node) for pattern in elsewhere):
        return merged, ''
    return merged, (
        f'{path}: its parameters of {", ".join(elsewhere)} do not reach {node}; /**/{own} would'
    )


def _matches(pattern: str, node: str) -> bool:
    """Whether a section's name, with * for one part and ** for any number, means ``node``."""
    any_number, one_level = '(?:[^/]+/)*', '[^/]+/'
    parts = {'**': any_number, '*': one_level}
    words = (parts.get(part, f'{re.escape(part)}/') for part in pattern.strip('/').split('/'))
    return re.fullmatch(''.join(words), f'{node.strip("/")}/') is not None


def _flat(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{where}{key}.')
        else:
            yield f'{where}{key}', value


def _named_sections(
    level: Mapping[Any, Any], where: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The full name of each node that has parameters here, and these."""
    for key, below in level.items():
        if key == 'ros__parameters':
            yield where, below
        else:
            yield from _named_sections(below, f'{where}/{str(key).strip("/")}')


def _faults(level: Mapping[Any, Any], where: str) -> Iterator[str]:
    """What rcl's parser would refuse: nodes, or namespaces of nodes, each with its parameters."""
    if not level:
        yield f'{where or "the file"} is empty: expected a node, such as /**, and ros__parameters'
    for key, below in level.items():
        if not isinstance(below, Mapping):
            yield f'{where}{key}: expected a node, such as /**, with a mapping ros__parameters'
        elif key == 'ros__parameters':
            yield from _value_faults(below, '')
        else:
            yield from _faults(below, f'{where}{key}: ')


def _value_faults(values: Mapping[Any, Any], where: str) -> Iterator[str]:
    for key, value in values.items():
        name = f'{where}{key}'
        if isinstance(value, Mapping):
            yield from _value_faults(value, f'{name}.')
        elif isinstance(value, list):
            kinds = {type(item) for item in value}
            if len(kinds) > 1 or not kinds <= set(_SCALARS):
                yield f'{name}: expected a list of one kind of value (write 1.0 beside 2.5, not 1)'
        elif value is None:
            yield f'{name}: has no value'
