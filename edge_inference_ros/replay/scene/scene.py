"""Makes the bag that the demo plays, and says what is in it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from edge_inference_ros.core import registry
from edge_inference_ros.core.share import cache, fingerprint, ships
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.scene import photos
from edge_inference_ros.terminal.stages import Stages

CAMERA = '/camera/image_raw'
_RENDERERS = 8
UNKNOWN = (
    '{model} has only ever seen rendered streets, and finds little in photographs;'
    ' `edge_inference models get yolox_nano` fetches a detector that knows them'
)


@dataclass(frozen=True)
class Scene:
    """What is played.

    Attributes:
        title: one line about it.
        loops: passes over the bag.
        first: so many frames show all there is to see; 0 means every one differs.
        notes: what a reader of the report must know.
    """

    bag: Path
    title: str
    loops: int = 1
    first: int = 0
    notes: tuple[str, ...] = field(default=())


def drive(
    out: Path, stages: Stages, *, seconds: float, speed_mps: float, rate_hz: float, seed: int
) -> Scene:
    """The simulated drive, rendered once for each speed, length and version of the simulator.

    Raises:
        ConfigError: it cannot be kept.
    """
    name = f'drive_{seconds:g}s_{speed_mps:g}mps_{rate_hz:g}hz_{seed}'
    bag = _cache(out) / f'{name}_{fingerprint("sim")}'
    title = f'{seconds:g} s through a street, {rate_hz:g} frames a second'
    if not _whole(bag):
        tell = stages.begin('rendering')
        try:
            registry.load('sim', 'bag').write_drive(
                bag,
                seconds=seconds,
                seed=seed,
                speed_mps=speed_mps,
                rate_hz=rate_hz,
                processes=min(_RENDERERS, len(os.sched_getaffinity(0))),
                progress=lambda done, total: tell(done / total, f'{done} of {total} frames'),
            )
        except OSError as error:
            raise ConfigError(f'the drive cannot be kept in {bag}: {error.strerror}') from error
    return Scene(bag, title)


def album(
    images: Path, out: Path, *, seconds: float, speed_mps: float, rate_hz: float, model: str
) -> Scene:
    """Pictures of one's own, shown again and again for as long as was asked for.

    Raises:
        ConfigError: none can be read.
        BagError: ``out`` cannot be written.
    """
    files = photos.find(images)
    bag = out / 'pictures'
    shown = photos.write(files, bag, rate_hz=rate_hz, speed_mps=speed_mps)
    loops = max(1, math.ceil(seconds * rate_hz / shown.frames))
    count = len(shown.used)
    pictures = f'{count} picture{"s" * (count != 1)}'
    title = f'{pictures} of {images}, {rate_hz:g} a second'
    notes = tuple(f'skipped {reason}' for reason in shown.skipped)
    if os.sep not in model and ships('models', model):
        notes = (*notes, UNKNOWN.format(model=model))
    return Scene(bag, title, loops, len(shown.used), notes)


def _cache(out: Path) -> Path:
    """Where rendered drives are kept; beside the results if the user's cache cannot be written."""
    folder = cache('').resolve()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return out


def _whole(bag: Path) -> bool:
    """Whether a drive rendered earlier is there and in order; a damaged one is removed."""
    if bag.exists():
        try:
            with open_bag(bag) as opened:
                opened.need(CAMERA, ('sensor_msgs/msg/Image',))
        except ConfigError:
            shutil.rmtree(bag)
    return bag.exists()
