"""The arguments of the launch files: one declaration for what is offered, checked and shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_inference_ros.bringup import cameras, checks
from edge_inference_ros.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Argument:
    """What a launch file may be told.

    Attributes:
        description: shown by ``ros2 launch --show-args``.
        default: None for an argument that must be given.
        check: makes of the text what the node needs. Raises ``ConfigError``.
    """

    name: str
    description: str
    check: checks.Check = str
    default: str | None = ''


NAMESPACE = Argument(
    'namespace', 'ROS namespace, such as front; one for each camera', checks.namespace
)
IMAGE = Argument('image', 'topic of the camera, relative to the namespace', checks.topic, 'image')
ODOM = Argument(
    'odom', 'topic of the odometry, relative to the namespace; /odom for all', checks.topic, 'odom'
)
DETECTIONS = Argument(
    'detections',
    'topic of the detections, from the detector to the watchdog',
    checks.topic,
    'detections',
)
CMD_VEL = Argument(
    'cmd_vel',
    'topic of the velocity commands, read if the parameter command names their type',
    checks.topic,
    'cmd_vel',
)
ROBOT = Argument(
    'robot',
    'the robot whose limits the watchdog enforces: humanoid, indoor_amr, outdoor_delivery, or the'
    ' path of a YAML file',
    checks.robot,
    default=None,
)
PLATFORM = Argument(
    'platform',
    'what the detector runs on: jetson_orin, jetson_thor, x86_cpu, or the path of a YAML file',
    checks.platform,
    'x86_cpu',
)
MODEL = Argument(
    'model',
    'a shipped model or the path of a model folder; empty leaves it to the files',
    checks.model,
)
BACKEND = Argument(
    'backend',
    'ort, openvino, trt, null, a plug-in; empty leaves it to the files',
    checks.backend,
)
PRECISION = Argument(
    'precision', 'fp32, fp16 or int8; empty leaves it to the files', checks.precision
)
PARAMS_FILE = Argument('params_file', 'path of a YAML file with parameters', checks.parameter_file)
AUTOSTART = Argument(
    'autostart',
    'configure and activate at start; false leaves it to a lifecycle manager',
    checks.boolean,
    'true',
)
TRANSPORT = Argument(
    'transport',
    'profile in config/transport: shm, shm_4k, shm_small, udp; default takes the middleware as it'
    ' is',
    checks.transport,
    'shm',
)
RESPAWN_DELAY = Argument(
    'respawn_delay',
    'seconds before a detector that ended is started again',
    checks.seconds,
    '2.0',
)
ENCLAVE = Argument('enclave', 'SROS2 enclave of the node; its keys must exist', checks.enclave)
ENCLAVES = Argument(
    'enclave',
    'SROS2 enclave that holds those of the nodes: /edge_inference for'
    ' /edge_inference/camera_detector and /edge_inference/watchdog',
    checks.enclaves,
)
LOG_LEVEL = Argument('log_level', 'debug, info, warn, error or fatal', checks.log_level, 'info')

RVIZ = Argument('rviz', 'open RViz with config/rviz/camera_detector.rviz', checks.rviz, 'false')

_BOTH = (NAMESPACE, ODOM, DETECTIONS, AUTOSTART, TRANSPORT, LOG_LEVEL)
_SEES = (IMAGE, PLATFORM, MODEL, BACKEND, PRECISION, RESPAWN_DELAY)
_GUARDS = (ROBOT, CMD_VEL)


def _of(argument: Argument, node: str, words: str) -> Argument:
    return replace(
        argument, name=f'{node}_{argument.name}', description=f'{words} of the {node} alone'
    )


DETECTOR_PARAMS = replace(
    _of(PARAMS_FILE, 'detector', 'path of a YAML file with parameters'),
    check=checks.parameters_of('camera_detector'),
)
WATCHDOG_PARAMS = replace(
    _of(PARAMS_FILE, 'watchdog', 'path of a YAML file with parameters'),
    check=checks.parameters_of('watchdog'),
)
DETECTOR_ENCLAVE = _of(ENCLAVE, 'detector', 'SROS2 enclave')
WATCHDOG_ENCLAVE = _of(ENCLAVE, 'watchdog', 'SROS2 enclave')

PERCEPTION = (
    *_SEES,
    RVIZ,
    *_BOTH,
    replace(PARAMS_FILE, check=DETECTOR_PARAMS.check),
    ENCLAVE,
)
WATCHDOG = (
    *_GUARDS,
    *_BOTH,
    replace(PARAMS_FILE, check=WATCHDOG_PARAMS.check),
    ENCLAVE,
)
BRINGUP = (
    *_GUARDS,
    *_SEES,
    RVIZ,
    *_BOTH,
    replace(PARAMS_FILE, description='path of a YAML file with parameters of both nodes'),
    DETECTOR_PARAMS,
    WATCHDOG_PARAMS,
    ENCLAVES,
    DETECTOR_ENCLAVE,
    WATCHDOG_ENCLAVE,
)

CAMERAS = Argument(
    'cameras', 'path of a YAML file with the cameras, see docs/launch.md', cameras.at, default=None
)
MULTI_CAMERA = (
    CAMERAS,
    *_GUARDS,
    *(argument for argument in _SEES if argument is not IMAGE),
    *(argument for argument in _BOTH if argument is not DETECTIONS),
    replace(DETECTOR_PARAMS, description='path of a YAML file with parameters of every detector'),
    WATCHDOG_PARAMS,
    ENCLAVES,
)


FILES = {
    'bringup.launch.py': BRINGUP,
    'multi_camera.launch.py': MULTI_CAMERA,
    'perception.launch.py': PERCEPTION,
    'watchdog.launch.py': WATCHDOG,
}


def read(arguments: Iterable[Argument], values: Mapping[str, str]) -> dict[str, Any]:
    """What each argument says, checked; ``values`` holds the texts by name, and maybe others.

    Raises:
        ConfigError: names every argument that cannot be honoured, and what could be.
    """
    chosen, faults = {}, []
    for argument in arguments:
        text = values[argument.name]
        try:
            chosen[argument.name] = argument.check(text)
        except ConfigError as error:
            faults.append(f'{argument.name}:={text}: {error}')
    if faults:
        raise ConfigError('; '.join(faults))
    return chosen


def misspelt(arguments: Iterable[Argument], words: Sequence[str]) -> list[str]:
    """A sentence for each ``name:=value`` that another file of ours takes, or nearly this one.

    launch takes any name and ignores it. Names far from ours may be a parent file's.
    """
    known = [argument.name for argument in arguments]
    names = [word.partition(':=')[0] for word in words if ':=' in word]
    sentences = []
    for name in (name for name in dict.fromkeys(names) if name not in known):
        text = f'{name}:= is no argument here and has no effect'
        if files := [file for file, offered in FILES.items() if name in {a.name for a in offered}]:
            sentences.append(f'{text}; it is one of {", ".join(files)}')
        elif match := difflib.get_close_matches(name, known, 1, 0.75):
            sentences.append(f'{text}; did you mean {match[0]}?')
    return sentences
