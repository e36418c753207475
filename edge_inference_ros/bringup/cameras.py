"""The cameras of a robot, from one YAML file: what ``multi_camera.launch.py`` starts.

The file::

    cameras:
      - {namespace: front, image: /front/camera/image_raw}
      - {namespace: rear, image: /rear/camera/image_raw, model: person_nano, priority: 5}
    also:                                       # what else the watchdog guards; may be left out
      - {topic: points, type: sensor_msgs/msg/PointCloud2}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from edge_inference_ros.bringup import checks
from edge_inference_ros.core.manifest import read_yaml
from edge_inference_ros.core.params import build, param
from edge_inference_ros.errors import ConfigError, ParameterError

DETECTIONS_TYPE = 'vision_msgs/msg/Detection2DArray'

_RELATIVE = re.compile(r'[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
_TYPE = re.compile(r'[a-z]\w*/msg/[A-Z]\w*', re.ASCII)

SchemaT = TypeVar('SchemaT')


@dataclass(frozen=True)
class Camera:
    """One camera, and the detector that looks at its pictures."""

    namespace: str = param(
        '', "namespace of the camera's detector, relative: front makes /front/detections"
    )
    image: str = param('image', "image topic, relative to the camera's namespace")
    model: str = param(
        '', 'a shipped model or the path of a model folder; empty: as for all cameras'
    )
    backend: str = param('', "runtime of this camera's model; empty: as for all cameras")
    precision: str = param(
        '', 'precision of the file to run: fp32, fp16 or int8; empty: as for all cameras'
    )
    params_file: str = param('', 'YAML file with parameters, relative to the file of cameras')
    priority: int = param(
        0, "niceness of the detector's process: larger gives way on the processor", low=0, high=19
    )
    required: bool = param(default=True, doc='whether the robot may not move without it')
    stamp_offset_s: float = param(
        0.0,
        'time added to the stamps of the camera: half an exposure where the start is stamped',
        low=-1.0,
        high=1.0,
    )


@dataclass(frozen=True)
class Guarded:
    """Something else that the watchdog judges."""

    topic: str = param('', 'topic to guard, relative to the namespace of the watchdog')
    type: str = param('', 'message type of the topic, such as sensor_msgs/msg/PointCloud2')
    required: bool = param(default=True, doc='whether the robot may not move without it')
    stamp_offset_s: float = param(0.0, 'time added to the stamps of the topic', low=-1.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Cameras:
    """A checked file of cameras."""

    cameras: tuple[Camera, ...]
    also: tuple[Guarded, ...] = ()

    def watched(self) -> dict[str, Any]:
        """The parameters of the watchdog that follow: one row for each topic it guards.

        ROS has no empty lists in parameter dictionaries of launch, so what is empty is left out.
        """
        eyes = [
            Guarded(
                f'{camera.namespace}/detections',
                DETECTIONS_TYPE,
                required=camera.required,
                stamp_offset_s=camera.stamp_offset_s,
            )
            for camera in self.cameras
        ]
        rows = [*eyes, *self.also]
        params: dict[str, Any] = {
            'topics': [row.topic for row in rows],
            'types': [row.type for row in rows],
        }
        if optional := [row.topic for row in rows if not row.required]:
            params['optional'] = optional
        if any(row.stamp_offset_s for row in rows):
            params['stamp_offsets_s'] = [row.stamp_offset_s for row in rows]
        return params


def at(value: str) -> Cameras:
    """What the file at the path ``value`` says, relative to where one stands.

    Raises:
        ConfigError: names the file, the entry and the key.
    """
    path = checks.absolute(value)
    content = read_yaml(path, ParameterError)
    try:
        if unknown := sorted(set(map(str, content)) - {'cameras', 'also'}):
            raise ParameterError(f'{unknown[0]}: unknown key; there are cameras, also')
        cameras = _rows(Camera, content, 'cameras')
        also = _rows(Guarded, content, 'also')
        _check(cameras, also)
        return Cameras(tuple(_looked_up(camera, path.parent) for camera in cameras), also)
    except ConfigError as error:
        raise ParameterError(f'{path}: {error}') from None


def _rows(schema: type[SchemaT], content: Mapping[str, Any], key: str) -> tuple[SchemaT, ...]:
    rows = content.get(key, [])
    if not isinstance(rows, list):
        raise ParameterError(f'{key} = {rows!r}: expected a list')
    cameras = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ParameterError(f'{key}[{index}] = {row!r}: expected a mapping')
        try:
            cameras.append(build(schema, row))
        except ParameterError as error:
            raise ParameterError(f'{key}[{index}]: {error}') from None
    return tuple(cameras)


def _check(cameras: tuple[Camera, ...], also: tuple[Guarded, ...]) -> None:
    if not cameras:
        raise ParameterError('cameras: expected at least one')
    names = [camera.namespace for camera in cameras]
    for name in [*names, *(row.topic for row in also)]:
        if not _RELATIVE.fullmatch(name):
            raise ParameterError(f'{name!r}: expected a relative name, such as front')
    if twice := [name for name in names if names.count(name) > 1]:
        raise ParameterError(f'namespace {twice[0]!r} is there twice: one for each camera')
    guarded = [*(f'{name}/detections' for name in names), *(row.topic for row in also)]
    if twice := [topic for topic in guarded if guarded.count(topic) > 1]:
        raise ParameterError(
            f'also: topic {twice[0]!r} is guarded twice (the detections of every camera are)'
        )
    for row in also:
        if not _TYPE.fullmatch(row.type):
            raise ParameterError(
                f'also: {row.topic}: type = {row.type!r}: expected a message type, such as'
                ' sensor_msgs/msg/PointCloud2'
            )


def _looked_up(camera: Camera, folder: Path) -> Camera:
    """The camera with absolute paths. Raises ``ParameterError`` naming camera and key."""
    absolute: dict[str, Any] = {
        key: str(folder / Path(text).expanduser())
        for key in ('model', 'params_file')
        if (text := getattr(camera, key)) and (key == 'params_file' or os.sep in text)
    }
    camera = replace(camera, **absolute)
    key = ''
    try:
        for key, check in _CHECKS.items():
            check(getattr(camera, key))
    except ConfigError as error:
        raise ParameterError(f'{camera.namespace}: {key}: {error}') from None
    return camera


_CHECKS: dict[str, checks.Check] = {
    'image': checks.topic,
    'model': checks.model,
    'backend': checks.backend,
    'precision': checks.precision,
    'params_file': checks.parameters_of('camera_detector'),
}
