"""Pictures to calibrate with: a folder, a labelled split, a recording, or the small world.

Whatever the source, the same seed chooses the same places, so frames recorded in a bag and the
same frames saved in a folder are the same set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import InputSpec
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError

WORLD = 'world'
SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
_NOWHERE = Origin('calibration', RosNs(0), MonoNs(0))
_MESSAGES = {
    'sensor_msgs/msg/Image': 'image',
    'sensor_msgs/msg/CompressedImage': 'compressed',
}


@dataclass(frozen=True)
class Pictures:
    """So many pictures, to be shown once."""

    count: int
    shown: Iterator[Image]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Image]:
        return self.shown


def pictures(source: str, *, count: int, seed: int, topic: str = '') -> Pictures:
    """At most ``count`` pictures of ``source``, in its order.

    Args:
        source: a folder of pictures, however deep, or one that holds ``images.npy``; a recording;
            or ``world``, which renders training scenes.
        count: how many; a source with fewer gives all it has.
        seed: chooses which.
        topic: of a recording with several cameras.

    Raises:
        ConfigError: there is no such source, or it holds no pictures.
    """
    if source == WORLD:
        return Pictures(count, _world(count, seed))
    path = Path(source)
    if (path / 'images.npy').is_file():
        return _split(path / 'images.npy', count, seed)
    if (path / 'metadata.yaml').is_file() or path.suffix in ('.mcap', '.db3'):
        return _recording(path, count, seed, topic)
    if path.is_dir():
        return _folder(path, count, seed)
    raise ConfigError(
        f'{source}: neither a folder of pictures nor a recording; {WORLD!r} renders some'
    )


def patterns(spec: InputSpec, count: int) -> Iterator[Image]:
    """Coloured blocks of the size and order of a network's input, the same every time."""
    draw = np.random.default_rng(0)
    height, width = spec.height_px, spec.width_px
    for _ in range(count):
        small = draw.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        blocks = small.repeat(16, 0).repeat(16, 1)[:height, :width]
        yield Image(_NOWHERE, blocks, spec.order)


def chosen(available: int, count: int, seed: int) -> list[int]:
    """Which ``count`` of ``available`` places the seed chooses, ascending."""
    if count >= available:
        return list(range(available))
    places = np.random.default_rng(seed).choice(available, count, replace=False)
    return sorted(int(place) for place in places)


def _world(count: int, seed: int) -> Iterator[Image]:
    dataset = registry.load('sim', 'dataset')
    split = dataset.Split(dataset.TRAIN, count)
    for index in range(count):
        yield Image(_NOWHERE, dataset.example(seed * count + index, split).picture, 'bgr')


def _split(file: Path, count: int, seed: int) -> Pictures:
    images = np.load(file, mmap_mode='r')
    places = chosen(len(images), count, seed)
    seen = (Image(_NOWHERE, np.ascontiguousarray(images[place]), 'bgr') for place in places)
    return Pictures(len(places), seen)


def _folder(folder: Path, count: int, seed: int) -> Pictures:
    files = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ConfigError(f'{folder} holds no pictures; we read {", ".join(SUFFIXES)}')
    places = chosen(len(files), count, seed)
    return Pictures(len(places), (_read(files[place]) for place in places))


def _read(file: Path) -> Image:
    import cv2

    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ConfigError(f'{file} cannot be read as a picture')
    return Image(_NOWHERE, np.asarray(pixels, np.uint8), 'bgr')


def _recording(path: Path, count: int, seed: int, topic: str) -> Pictures:
    with registry.load('replay', 'bags').open_bag(path) as bag:
        camera = bag.only(tuple(_MESSAGES), topic)
    places = chosen(camera.count, count, seed)
    return Pictures(len(places), _frames(path, camera, set(places)))


def _frames(path: Path, camera: Any, wanted: set[int]) -> Iterator[Image]:
    view = registry.load('sensors', _MESSAGES[camera.msgtype]).view_raw
    with registry.load('replay', 'bags').open_bag(path) as bag:
        for place, record in enumerate(bag.records([camera.name])):
            if place in wanted:
                yield view(record.data, _NOWHERE)
