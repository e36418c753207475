"""Draws what was found onto a picture, for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.errors import ConfigError

_GOLDEN_RATIO = 0.618033988749895


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
    for (x1, y1, x2, y2), index, label in objects:
        corner = round(x1), round(y1)
        cv2.rectangle(picture, corner, (round(x2), round(y2)), colour(index), 2)
        _write(picture, label, corner, scale, colour(index))
    if caption:
        _write(picture, caption, (4, picture.shape[0] - 4), scale, (235, 235, 235))


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
