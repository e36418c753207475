"""Pictures from the disk as a bag: one pass at a steady rate, with a robot that moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import registry
from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import NS_PER_S, Origin, RosNs
from edge_inference_ros.errors import ConfigError, SampleError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay.pictures import bgr
from edge_inference_ros.replay.record import open_writer

SUFFIXES = ('.jpg', '.jpeg', '.png')
TOPICS = {'/camera/image_raw': 'sensor_msgs/msg/Image', '/odom': 'nav_msgs/msg/Odometry'}
LARGEST_PX = (1920, 1080)
LARGEST_FILE_BYTES = 64 << 20
MOST_FILES = 1000
LEAST_FRAMES = 20
_FIRST_NS = NS_PER_S


@dataclass(frozen=True)
class Photos:
    """What went into the bag.

    Attributes:
        used: files, in the order they are shown.
        skipped: why a file is not shown, each beginning with its name.
        frames: messages in one pass; a short list is shown several times.
    """

    used: tuple[Path, ...]
    skipped: tuple[str, ...]
    frames: int


def find(path: Path) -> list[Path]:
    """The picture ``path``, or the pictures directly in that folder, by name.

    Raises:
        ConfigError: there is nothing of that name, or no picture, or too many.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f'{path}: no such file or folder')
    named = (p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    files = sorted(
        p for p in named if p.is_file() or p.is_symlink()
    )  # one that leads nowhere is told
    if not files:
        raise ConfigError(f'{path}: no picture in it; we read {", ".join(SUFFIXES)}')
    if len(files) > MOST_FILES:
        raise ConfigError(f'{path}: {len(files)} pictures; at most {MOST_FILES}')
    return files


def write(files: Sequence[Path], out: Path, *, rate_hz: float, speed_mps: float) -> Photos:
    """Write a bag that shows ``files`` one after the other.

    Pictures larger than 1920x1080 are shrunk to fit, as a camera's driver would be set to do.

    Raises:
        ConfigError: none of the files is a picture; the message names the first.
        BagError: ``out`` cannot be written.
    """
    faults = {file: _fault(file) for file in files}
    good = [file for file, fault in faults.items() if not fault]
    skipped = [f'{file.name}: {fault}' for file, fault in faults.items() if fault]
    if not good:
        raise ConfigError(f'no picture can be read: {skipped[0]}')
    passes = max(1, -(-LEAST_FRAMES // len(good)))
    with _Album(out, 1.0 / rate_hz, speed_mps) as album:
        for _ in range(passes):
            for file in good:
                album.add(read(file))
    return Photos(tuple(good), tuple(skipped), passes * len(good))


def _fault(file: Path) -> str:
    try:
        read(file)
    except SampleError as error:
        return str(error)
    return ''


def read(file: Path) -> NDArray[np.uint8]:
    """(H, W, 3) bgr, at most 1920x1080.

    Raises:
        SampleError: too large, damaged, or not a picture.
    """
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise SampleError(f'larger than {LARGEST_FILE_BYTES} bytes')
        message = SimpleNamespace(format='', data=file.read_bytes())
    except OSError as error:
        raise SampleError(str(error.strerror)) from error
    origin = Origin('camera', RosNs(0), monotonic_ns())
    picture = bgr(_sensor().view(message, origin))
    factor = min(1.0, LARGEST_PX[0] / picture.shape[1], LARGEST_PX[1] / picture.shape[0])
    if factor < 1.0:
        height_px, width_px = (max(1, round(side * factor)) for side in picture.shape[:2])
        size_px = width_px, height_px
        picture = np.asarray(cv2.resize(picture, size_px, interpolation=cv2.INTER_AREA))
    return picture


@cache
def _sensor() -> Any:
    """Found once: looking it up walks over everything that is installed."""
    return registry.load('sensors', 'compressed')


class _Album:
    """A bag being filled with frames and odometry of a constant speed."""

    def __init__(self, out: Path, period_s: float, speed_mps: float) -> None:
        self._writer = open_writer(out)
        self._period_s = period_s
        self._speed_mps = speed_mps
        self._count = 0
        self._types: Any = definitions.typestore().types
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=definitions.typestore())
            for topic, kind in TOPICS.items()
        }

    def __enter__(self) -> _Album:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, picture: NDArray[np.uint8]) -> None:
        """One frame, and the odometry of that instant."""
        stamp_ns = _FIRST_NS + round(self._count * self._period_s * 1e9)
        self._count += 1
        height, width, _ = picture.shape
        header = self._header(stamp_ns, 'camera')
        image = self._types[TOPICS['/camera/image_raw']](
            header, height, width, 'bgr8', 0, 3 * width, picture.reshape(-1)
        )
        self._write('/odom', stamp_ns, self._odometry(stamp_ns))
        self._write('/camera/image_raw', stamp_ns, image)

    def _write(self, topic: str, stamp_ns: int, message: Any) -> None:
        self._writer.write(
            self._connections[topic], stamp_ns, definitions.encode(TOPICS[topic], message)
        )

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        time = self._types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, NS_PER_S))
        return self._types['std_msgs/msg/Header'](time, frame_id)

    def _odometry(self, stamp_ns: int) -> Any:
        make = {name.rpartition('/')[2]: kind for name, kind in self._types.items()
                if name.startswith(('geometry_msgs/msg/', 'nav_msgs/msg/'))}  # fmt: skip
        x_m = self._speed_mps * (stamp_ns - _FIRST_NS) * 1e-9
        pose = make['Pose'](make['Point'](x_m, 0.0, 0.0), make['Quaternion'](0.0, 0.0, 0.0, 1.0))
        still = make['Vector3'](0.0, 0.0, 0.0)
        twist = make['Twist'](make['Vector3'](self._speed_mps, 0.0, 0.0), still)
        return make['Odometry'](
            self._header(stamp_ns, 'odom'),
            'base_link',
            make['PoseWithCovariance'](pose, np.zeros(36)),
            make['TwistWithCovariance'](twist, np.zeros(36)),
        )
