"""Whether a camera's pictures can show anything: black, white, noise, stripes, half lost, frozen.

A broken camera goes on sending, and a detector finds nothing in what it sends: an empty list that
looks like a clear road. The picture itself tells, on a coarse grid of it: a few dozen kilobytes of
a 1080p picture, looked at in a fraction of a millisecond. A fault counts from the fifth picture in
a row; single bad pictures are a matter for the tracker.

Thresholds are in grey levels (0 … 255). Frozen means the very same picture while the robot moves:
sensors at rest before a simulated wall repeat themselves rightly.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.types import Level

PATIENCE = 5
"""Faulty pictures in a row before it is said."""

LONG = 10
"""Frozen pictures in a row before it is an error."""

MOVING_MPS = 0.1
"""A robot this fast must see something change."""

ROWS, COLUMNS = 120, 160
"""About as many grid points are looked at, however large the picture."""

_DARK, _BRIGHT, _CLIPPED = 16, 239, 250
_NEARLY_ALL, _MUCH = 0.99, 0.5
_FLAT = 2.0
_NOISE_CONTRAST, _NOISE_RATIO = 20.0, 0.8
_STRIPE, _STRIPE_SHARE, _STRIPE_RATIO = 4.0, 0.5, 0.6
_LOST_SHARE = 0.25
_NEIGHBOURS = 9


class Fault(Enum):
    """What is wrong with a picture."""

    BLACK = 'BLACK'
    WHITE = 'WHITE'
    FLAT = 'FLAT'
    SATURATED = 'SATURATED'
    NOISE = 'NOISE'
    BANDING = 'BANDING'
    HALF_LOST = 'HALF_LOST'
    FROZEN = 'FROZEN'


class ImageHealth:
    """Looks at one camera's pictures, one after the other.

    Attributes:
        fault: what has been wrong for ``PATIENCE`` pictures; None while all is well.
        row: for how many pictures in a row the newest one's fault has been there.
    """

    __slots__ = ('_digest', '_last', 'fault', 'row')

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.row = 0
        self._last: Fault | None = None
        self._digest: int | None = None

    @property
    def level(self) -> Level:
        """How loudly to say so."""
        if self.fault is None:
            return Level.OK
        long = self.fault is Fault.FROZEN and self.row >= LONG
        return Level.ERROR if long else Level.WARN

    def look(self, pixels: NDArray[np.uint8], *, moving: bool) -> None:
        """Look at a picture.

        Args:
            pixels: (H, W, C), C at least 1; borrowed.
            moving: the robot is known to move at ``MOVING_MPS`` or faster.
        """
        grid, beside = _grid(pixels)
        digest, before = hash(grid.tobytes()), self._digest
        self._digest = digest
        frozen = moving and digest == before
        fault = Fault.FROZEN if frozen else examine(grid, beside)
        self.row = self.row + 1 if fault is self._last else 1
        self._last = fault
        self.fault = fault if self.row >= PATIENCE else None


def _grid(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A coarse grid of the picture's second channel (green of three), and what is right of it."""
    height, width, channels = pixels.shape
    down, across = max(1, height // ROWS), max(1, width // COLUMNS)
    plane = pixels[:, :, 1 if channels > 2 else 0]
    return plane[::down, : width - 1 : across], plane[::down, 1::across]


def examine(grid: NDArray[np.uint8], beside: NDArray[np.uint8]) -> Fault | None:
    """What is wrong with a single picture.

    Args:
        grid: (R, C) grey levels.
        beside: (R, C) of the pixels to the right of those.
    """
    if grid.size == 0:
        return None
    grey = grid.astype(np.float32)
    return _exposure(grid, grey) or _texture(grey, beside) or _lost(grid)


def _exposure(grid: NDArray[np.uint8], grey: NDArray[np.float32]) -> Fault | None:
    if np.mean(grid <= _DARK) >= _NEARLY_ALL:
        return Fault.BLACK
    if np.mean(grid >= _BRIGHT) >= _NEARLY_ALL:
        return Fault.WHITE
    if float(grey.std()) < _FLAT:
        return Fault.FLAT
    return Fault.SATURATED if np.mean(grid >= _CLIPPED) >= _MUCH else None


def _texture(grey: NDArray[np.float32], beside: NDArray[np.uint8]) -> Fault | None:
    """Noise: neighbours differ as strangers do, by 1.13 standard deviations (Gaussian).

    Stripes: rows differ from the rows around them, most of them do, and all of a row together.
    """
    contrast = float(grey.std())
    apart = float(np.abs(grey - beside).mean())
    if contrast > _NOISE_CONTRAST and apart > _NOISE_RATIO * contrast:
        return Fault.NOISE
    if len(grey) < 2 * _NEIGHBOURS:
        return None
    fine = _less_surroundings(grey)
    rows = fine.mean(axis=1)
    together = float(rows.var()) > _STRIPE_RATIO * float(fine.var())
    most = np.mean(np.abs(rows) > _STRIPE) > _STRIPE_SHARE
    return Fault.BANDING if together and most else None


def _less_surroundings(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row less the mean of the ``_NEIGHBOURS`` rows around it; the edge rows are left out."""
    sums = np.cumsum(grey, axis=0, dtype=np.float32)
    sums = np.concatenate((np.zeros_like(sums[:1]), sums))
    half = _NEIGHBOURS // 2
    means = (sums[_NEIGHBOURS:] - sums[:-_NEIGHBOURS]) / _NEIGHBOURS
    return np.asarray(grey[half : half + len(means)] - means, np.float32)


def _lost(grid: NDArray[np.uint8]) -> Fault | None:
    """Rows that hold one and the same value at one end: the rest of the picture never came."""
    value = grid[-1, -1]
    lost = (grid == value).all(axis=1)
    count = int(np.argmin(lost[::-1])) if not lost.all() else len(lost)
    return Fault.HALF_LOST if count >= _LOST_SHARE * len(grid) else None
