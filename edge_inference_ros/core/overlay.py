"""Draws what was found onto a picture, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.errors import ConfigError

_GOLDEN_RATIO = 0.618033988749895
_ROWS = 5  # how many lines off its box a label may stand


def colour(index: int) -> tuple[int, int, int]:
    """A bgr colour for a class; neighbouring classes differ strongly."""
    hue = int(179 * ((0.05 + index * _GOLDEN_RATIO) % 1.0))
    pixel = cv2.cvtColor(np.array([[[hue, 220, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def draw(
    picture: NDArray[np.uint8],
    objects: Iterable[tuple[tuple[float, float, float, float], int, str]],
    *,
    caption: str = '',
) -> None:
    """Draw boxes with labels into ``picture``.

    Args:
        picture: (H, W, 3) bgr, contiguous; changed in place.
        objects: (x1 y1 x2 y2 in pixels, class index, label) for each.
        caption: a line for the upper left corner.
    """
    scale = max(picture.shape[0] / 900, 0.4)
    rows = list(objects)
    for (x1, y1, x2, y2), index, _ in rows:
        corner, opposite = (round(x1), round(y1)), (round(x2), round(y2))
        cv2.rectangle(picture, corner, opposite, colour(index), 2)
    sizes = [_size(label, scale) for *_, label in rows]
    places = places_of([box for box, *_ in rows], sizes, picture.shape[:2])
    for (_, index, label), place in zip(rows, places, strict=True):
        if place is not None:
            _write(picture, label, place, scale, colour(index))
    hidden = places.count(None)
    caption += f'; {hidden} labels had no room' if hidden and caption else ''
    if caption:
        _write(picture, caption, (4, picture.shape[0] - 4), scale, (235, 235, 235))


def places_of(
    boxes_px: Sequence[tuple[float, float, float, float]],
    sizes_px: Sequence[tuple[int, int]],
    shape: tuple[int, int],
) -> list[tuple[int, int] | None]:
    """Where each box's label goes, so that no label covers another.

    A label looks for room above its box, then below, inside and beside it, then further off.

    Args:
        boxes_px: x1 y1 x2 y2 of each, in pixels.
        sizes_px: width and height of each label.
        shape: height and width of the picture.

    Returns:
        The lower left corner of each label; None where there was no room, and for a label
        that is larger than the picture.
    """
    taken = np.empty((0, 4))
    places: list[tuple[int, int] | None] = []
    for box, size in zip(boxes_px, sizes_px, strict=True):
        tried = _candidates(box, size, shape)
        apart = (
            (tried[:, None, 0] >= taken[None, :, 2])
            | (tried[:, None, 2] <= taken[None, :, 0])
            | (tried[:, None, 1] >= taken[None, :, 3])
            | (tried[:, None, 3] <= taken[None, :, 1])
        ).all(axis=1)
        if not apart.any():
            places.append(None)
            continue
        chosen = tried[apart.argmax()]
        taken = np.vstack([taken, chosen])
        places.append((int(chosen[0]), int(chosen[3])))
    return places


def _candidates(
    box_px: tuple[float, float, float, float], size_px: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """(N, 4) x1 y1 x2 y2: places for a label inside the picture, the best one first."""
    (x1, y1, x2, y2), (width, height) = (round(v) for v in box_px), size_px
    if width > shape[1] or height > shape[0]:
        return np.empty((0, 4))
    tops = [y1 - height, y2, y1]
    corners = [(x1, top) for top in tops] + [(x2 - width, top) for top in tops]
    corners += [(x2, y1), (x1 - width, y1)]
    for row in range(1, _ROWS):
        corners += [(x, y1 - height * (row + 1)) for x in (x1, x2 - width, x2, x1 - width)]
        corners += [(x, y2 + height * row) for x in (x1, x2 - width, x2, x1 - width)]
    x, y = np.array(corners, np.float64).T
    x, y = x.clip(0, shape[1] - width), y.clip(0, shape[0] - height)
    return np.stack([x, y, x + width, y + height], axis=1)


def _size(text: str, scale: float) -> tuple[int, int]:
    """Width and height in pixels of ``text`` with its patch."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return width + 1, height + below + 1  # a filled patch covers its last row and column too


def save(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a (H, W, 3) bgr picture to a file, in the format its suffix names.

    Raises:
        ConfigError: the file cannot be written; nothing is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(path.suffix, picture)
        path.write_bytes(data.tobytes())
    except (OSError, cv2.error) as error:
        raise ConfigError(f'{path}: cannot be written: {error}') from error


def _write(
    picture: NDArray[np.uint8],
    text: str,
    corner: tuple[int, int],
    scale: float,
    back: tuple[int, int, int],
) -> None:
    """Dark text on a filled patch whose lower left is ``corner``, kept inside the picture."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = max(0, min(corner[0], picture.shape[1] - width))
    y = max(corner[1], height + below)
    cv2.rectangle(picture, (x, y - height - below), (x + width, y), back, cv2.FILLED)
    cv2.putText(
        picture,
        text,
        (x, y - below),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        (20, 20, 20),
        1,
        cv2.LINE_AA,
    )
