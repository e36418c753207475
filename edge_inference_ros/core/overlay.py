"""Draws what was found onto a picture, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files

_GOLDEN_RATIO = 0.618033988749895
_ROWS = 5  # how many lines off its box a label may stand
_NEAR = 8  # places of a label that touch its box


def colour(index: int) -> tuple[int, int, int]:
    """A bgr colour for a class; neighbouring classes differ strongly."""
    hue = int(179 * ((0.05 + index * _GOLDEN_RATIO) % 1.0))
    pixel = cv2.cvtColor(np.array([[[hue, 220, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def ink(back: tuple[int, int, int]) -> tuple[int, int, int]:
    """The bgr colour of text that can be read on ``back``: nearly black or nearly white.

    Source: ITU-R BT.601, luma.
    """
    blue, green, red = back
    return (20, 20, 20) if 0.114 * blue + 0.587 * green + 0.299 * red > 96.0 else (245, 245, 245)


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
        caption: a line for the lower left corner; it says how many labels had no room.
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
    sides, limit = np.array(sizes_px, np.float64).reshape(-1, 2), np.array(shape[::-1])
    tried = _candidates(np.array(boxes_px, np.float64).reshape(-1, 4).round(), sides, limit)
    taken, count = np.empty((len(tried), 4)), 0
    places: list[tuple[int, int] | None] = []
    for near_and_far, fits in zip(tried, np.all(sides <= limit, axis=1).tolist(), strict=True):
        free = _free(near_and_far, taken[:count]) if fits else None
        places.append(None if free is None else (int(free[0]), int(free[3])))
        if free is not None:
            taken[count] = free
            count += 1
    return places


def _free(tried: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The first of the rectangles ``tried`` that covers none of ``taken``."""
    left, top, right, bottom = taken.T
    for some in (tried[:_NEAR], tried[_NEAR:]):  # most find room near their box
        x1, y1, x2, y2 = some.T[:, :, None]
        apart = ((x1 >= right) | (x2 <= left) | (y1 >= bottom) | (y2 <= top)).all(axis=1)
        if apart.any():
            chosen: NDArray[np.float64] = some[int(apart.argmax())]
            return chosen
    return None


def _candidates(
    boxes_px: NDArray[np.float64], sizes_px: NDArray[np.float64], limit_px: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N, K, 4) x1 y1 x2 y2: places for N labels inside the picture, the best ones first."""
    (x1, y1, x2, y2), (width, height) = boxes_px.T, sizes_px.T
    columns = (x1, x2 - width, x2, x1 - width)
    corners = [(x, y) for x in columns[:2] for y in (y1 - height, y2, y1)]
    corners += [(x, y1) for x in columns[2:]]
    for row in range(1, _ROWS):
        corners += [(x, y1 - height * (row + 1)) for x in columns]
        corners += [(x, y2 + height * row) for x in columns]
    low = np.moveaxis(np.array(corners), 2, 0)
    low = np.clip(low, 0, np.maximum(limit_px - sizes_px, 0)[:, None])
    return np.concatenate((low, low + sizes_px[:, None]), axis=2)


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
        _, data = cv2.imencode(path.suffix, picture)
    except cv2.error as error:
        raise ConfigError(f'{path} cannot be written: {error}') from error
    files.write_bytes(path, data.tobytes())


def _write(
    picture: NDArray[np.uint8],
    text: str,
    corner: tuple[int, int],
    scale: float,
    back: tuple[int, int, int],
) -> None:
    """Text on a filled patch whose lower left is ``corner``, kept inside the picture."""
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
        ink(back),
        1,
        cv2.LINE_AA,
    )
