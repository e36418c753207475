"""Colours and patterns; each pattern belongs either to the familiar or to the foreign set."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from edge_inference_ros.sim.solids import F32, Paint, vec

PLAIN, STRIPES, CHECKER, NOISE, WINDOWS, SPOTS, BRICKS, SLANTED = range(8)
SHEET = 256
SHEETS = 8
"""Noise sheets 0 to 7 are familiar, 8 to 15 foreign."""


@dataclass(frozen=True)
class Taste:
    """Which patterns a world is painted with; `FOREIGN` shares none but plain with `FAMILIAR`.

    Attributes:
        patterns: candidates and how likely each is.
        first_sheet: where its eight noise sheets begin.
        hue_deg: the hues (OpenCV's 0 to 180) most of its saturated colours come from.
    """

    patterns: tuple[int, ...]
    odds: tuple[float, ...]
    wall: int
    first_sheet: int
    hue: tuple[float, float]


FAMILIAR = Taste((PLAIN, STRIPES, CHECKER, NOISE), (0.45, 0.17, 0.1, 0.28), WINDOWS, 0, (0, 180))
FOREIGN = Taste((PLAIN, SPOTS, BRICKS, SLANTED), (0.25, 0.3, 0.2, 0.25), BRICKS, SHEETS, (0, 180))


@functools.cache
def sheet(index: int) -> F32:
    """(256, 256) noise in 0 to 1 that tiles; foreign sheets are ridged where familiar are soft."""
    rng = np.random.default_rng(1000 + index)
    total = np.zeros((SHEET, SHEET), np.float32)
    for cells in (8, 16, 32, 64, 128):
        grid = np.pad(rng.random((cells, cells), np.float32), ((0, 2), (0, 2)), mode='wrap')
        size = SHEET * (cells + 2) // cells
        layer = cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR)[:SHEET, :SHEET]
        layer = np.abs(2 * layer - 1) if index >= SHEETS else layer
        total += layer * np.float32((8.0 / cells) ** 0.7)
    total -= total.min()
    return np.asarray(total / total.max(), np.float32)


def any_colour(rng: np.random.Generator, vivid: float = 1.0) -> F32:
    """A random BGR colour; `vivid` scales its saturation."""
    value = 0.1 + 0.9 * rng.random()
    hsv = vec(360 * rng.random(), min(1.0, vivid * rng.random() ** 0.7), value)
    colour: F32 = cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2BGR)[0, 0]
    return colour


def any_paint(
    rng: np.random.Generator, taste: Taste, *, vivid: float = 1.0, reflectivity: float = 0.5
) -> Paint:
    """A random paint of that taste."""
    return Paint(
        any_colour(rng, vivid), any_colour(rng, vivid),
        int(rng.choice(taste.patterns, p=taste.odds)), float(rng.uniform(4, 18)),
        taste.first_sheet + int(rng.integers(SHEETS)), reflectivity,
    )  # fmt: skip


def plain(colour: F32, *, reflectivity: float = 0.5, glow: float = 0.0) -> Paint:
    """One colour all over."""
    return Paint(colour, colour, reflectivity=reflectivity, glow=glow)


def mixed(paint: Paint, points_m: F32) -> F32:
    """(3, N) colours of a paint at points (3, N) in the solid's frame."""
    if paint.pattern == PLAIN:
        return np.array(np.broadcast_to(paint.colour[:, None], points_m.shape))
    share = _PATTERNS[paint.pattern](paint, points_m)
    spread = (paint.second - paint.colour)[:, None]
    return np.asarray(paint.colour[:, None] + spread * share, np.float32)


def noise_at(index: int, u: F32, v: F32) -> F32:
    """Noise of a sheet at sheet coordinates (any real numbers, one cell apart), nearest cell."""
    mask = SHEET - 1
    return np.asarray(
        sheet(index)[v.astype(np.int32) & mask, u.astype(np.int32) & mask], np.float32
    )


def _stripes(paint: Paint, p: F32) -> F32:
    return np.asarray(np.sin(p[2] * paint.frequency * 2) > 0, np.float32)


def _slanted(paint: Paint, p: F32) -> F32:
    wave = np.sin((p[0] + p[1] + p[2]) * np.float32(paint.frequency * 1.5))
    return np.asarray(wave > 0.2, np.float32)


def _checker(paint: Paint, p: F32) -> F32:
    cells = np.floor(p * np.float32(paint.frequency * 0.5) + np.float32(1e-3)).sum(0)
    return np.asarray(cells % 2, np.float32)


def _noise(paint: Paint, p: F32) -> F32:
    scale = np.float32(paint.frequency * 12)
    return noise_at(paint.grain, (p[0] + p[1]) * scale, (p[2] - 0.37 * p[0]) * scale)


def _spots(paint: Paint, p: F32) -> F32:
    scale = np.float32(paint.frequency * 8)
    share = noise_at(paint.grain, (p[0] - p[1]) * scale, (p[2] + 0.41 * p[1]) * scale)
    return np.asarray(share > 0.45, np.float32)


def _windows(paint: Paint, p: F32) -> F32:
    step = np.float32(12.0 / paint.frequency)
    column = np.mod((p[0] + p[1]) / step, 1)
    row = np.mod(p[2] / (step * 1.2), 1)
    inside = (column > 0.3) & (column < 0.75) & (row > 0.3) & (row < 0.8)
    return np.asarray(inside, np.float32)


def _bricks(paint: Paint, p: F32) -> F32:
    row = p[2] * np.float32(paint.frequency)
    column = (p[0] + p[1]) * np.float32(paint.frequency * 0.45) + 0.5 * np.floor(row)
    return np.asarray((np.mod(row, 1) < 0.15) | (np.mod(column, 1) < 0.08), np.float32)


_PATTERNS = {
    STRIPES: _stripes,
    CHECKER: _checker,
    NOISE: _noise,
    WINDOWS: _windows,
    SPOTS: _spots,
    BRICKS: _bricks,
    SLANTED: _slanted,
}
