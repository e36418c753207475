"""Pictures out of bags, and onto the disk with what was found in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import overlay, registry
from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import Image, Origin, RosNs
from edge_inference_ros.errors import BadStamp, BagError
from edge_inference_ros.replay import definitions, stamps
from edge_inference_ros.replay.bags import Bag, Record
from edge_inference_ros.replay.schedule import Schedule

SENSORS = {'sensor_msgs/msg/Image': 'image', 'sensor_msgs/msg/CompressedImage': 'compressed'}
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
_TO_BGR = {
    'rgb': cv2.COLOR_RGB2BGR,
    'rgba': cv2.COLOR_RGBA2BGR,
    'bgra': cv2.COLOR_BGRA2BGR,
    'mono': cv2.COLOR_GRAY2BGR,
}


@dataclass(frozen=True)
class Found:
    """One object: x1 y1 x2 y2 in pixels, its class, and what to write beside it."""

    box_px: tuple[float, float, float, float]
    class_name: str
    label: str


def picture_topic(bag: Bag, name: str = '') -> str:
    """The topic with pictures called ``name``, or the only one.

    Raises:
        BagError: none, several, or one of another type.
    """
    return bag.only(tuple(SENSORS), name).name


def viewer(msgtype: str) -> Callable[[Record], Image]:
    """What sees messages of ``msgtype``, a key of ``SENSORS``, as pictures.

    It raises ``SampleError`` for one that contradicts itself or is not one we read. Look it up
    once, before the first frame: finding a sensor walks over everything that is installed.
    """
    view_raw = registry.load('sensors', SENSORS[msgtype]).view_raw

    def see(record: Record) -> Image:
        image: Image = view_raw(record.data, Origin('', RosNs(record.time_ns), monotonic_ns()))
        return image

    return see


def bgr(image: Image) -> NDArray[np.uint8]:
    """A contiguous (H, W, 3) bgr copy to draw on."""
    if image.order == 'bgr':
        return np.array(image.pixels, order='C')
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image.pixels), _TO_BGR[image.order]))


def read_detections(bag: Bag, topic: str) -> dict[int, list[Found]]:
    """By stamp, what was found in each frame.

    Raises:
        BagError: no such topic, or it is not a Detection2DArray.
    """
    bag.need(topic, (DETECTIONS,))
    detections = {}
    for record in bag.records((topic,)):
        message = definitions.decode(record.msgtype, record.data)
        try:
            detections[int(stamps.read(record.data))] = [_found(row) for row in message.detections]
        except BadStamp as error:
            raise BagError(f'{topic}: {error}') from error
    return detections


def _found(row: Any) -> Found:
    center, size = row.bbox.center.position, (row.bbox.size_x, row.bbox.size_y)
    x1, y1 = center.x - size[0] / 2, center.y - size[1] / 2
    best = max((r.hypothesis for r in row.results), key=lambda h: h.score, default=None)
    name, score = (best.class_id, best.score) if best else ('?', 0.0)
    track = f' #{row.id}' if row.id else ''
    return Found((x1, y1, x1 + size[0], y1 + size[1]), name, f'{name} {score:.2f}{track}')


def save_overlays(  # noqa: D417 - bag, topic and folder are what they are called
    bag: Bag,
    topic: str,
    detections: Mapping[int, list[Found]],
    folder: Path,
    *,
    loops: Sequence[Schedule],
    captions: Mapping[int, str],
    most: int,
    first: int = 0,
) -> dict[int, Path]:
    """Draw ``most`` of the frames that have results, evenly spread, into ``folder``.

    Args:
        bag: holds the pictures as they were before playing.
        detections: objects by stamp, as played.
        loops: how stamps in the bag became stamps as played; the first with results is used.
        captions: a line for the picture with this stamp, as played.
        first: look only at so many frames of the bag; 0 looks at all.

    Raises:
        ConfigError: a picture cannot be written; those before it stay.

    Returns:
        The file of each, by stamp as played, in the order in which they were played.
    """
    frames = islice(bag.records((topic,)), first or None)
    seen = [ns for record in frames if (ns := _played_ns(record, loops, detections)) is not None]
    chosen = set(_spread(seen, most))
    colours: dict[str, int] = {}
    saved: dict[int, Path] = {}
    see = viewer(bag.topics[topic].msgtype)
    for record in islice(bag.records((topic,)), first or None):
        stamp_ns = _played_ns(record, loops, detections)
        if stamp_ns in chosen and stamp_ns is not None:
            picture = bgr(see(record))
            _draw(picture, detections[stamp_ns], captions.get(stamp_ns, ''), colours)
            saved[stamp_ns] = folder / f'frame_{len(saved):03d}.jpg'
            overlay.save(picture, saved[stamp_ns])
    return saved


def _played_ns(
    record: Record, loops: Sequence[Schedule], detections: Mapping[int, list[Found]]
) -> int | None:
    """The stamp under which this frame was played and has results."""
    try:
        stamp_ns = stamps.read(record.data)
    except BadStamp:
        return None
    played = (int(loop.now_ns(stamp_ns)) for loop in loops)
    return next((ns for ns in played if ns in detections), None)


def _draw(
    picture: NDArray[np.uint8], items: Sequence[Found], caption: str, colours: dict[str, int]
) -> None:
    """Draw boxes into ``picture``; a class keeps the colour it has in ``colours``."""
    for item in items:
        colours.setdefault(item.class_name, len(colours))
    rows = [(item.box_px, colours[item.class_name], item.label) for item in items]
    overlay.draw(picture, rows, caption=caption)


def _spread(stamps_ns: list[int], most: int) -> list[int]:
    if len(stamps_ns) <= most:
        return stamps_ns
    return [stamps_ns[i] for i in np.linspace(0, len(stamps_ns) - 1, most).round().astype(int)]
