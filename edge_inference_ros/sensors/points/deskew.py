"""Points of one turn as if all had been measured at once, the sensor moving at a constant twist.

What a constant twist cannot say stays in the points: half the acceleration times the square of the
time, 5 mm at 1 m/s2 over 0.1 s, and so much of an angle, times the range, for a yaw rate that
changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NO_TURN_RADPS = 1e-9


class Deskew:
    """Moves points to where they would have been seen at the stamp. Allocates nothing for it."""

    def __init__(self, capacity: int) -> None:
        """Allocate what ``capacity`` points need: 20 bytes each."""
        self._scratch = np.empty((5, capacity), np.float32)

    def apply(
        self,
        points_m: NDArray[np.float32],
        after_s: NDArray[np.float32],
        twist: tuple[float, float, float],
    ) -> None:
        """Move ``points_m`` in place; z stays.

        Args:
            points_m: (N, 3) in the sensor frame of each point's own instant, N at most the
                capacity; columns that each lie in one run of memory are fastest.
            after_s: (N,), when each was measured, counted from the stamp.
            twist: m/s forward, m/s to the left, rad/s, of the sensor itself and in its own frame.

        Raises:
            ValueError: more points than the capacity, or not as many times.
        """
        capacity = self._scratch.shape[1]
        if not len(points_m) == len(after_s) <= capacity:
            raise ValueError(
                f'{len(points_m)} points with {len(after_s)} times; need as many times as points,'
                f' and at most {capacity}'
            )
        vx, vy, w = twist
        if vx == vy == w == 0.0:
            return
        x, y = points_m[:, 0], points_m[:, 1]
        sine, cosine, chord, spare, old_x = self._scratch[:, : len(points_m)]
        # Of an arc, half the turn gives the way: a chord of 2 sin(a/2) / w, turned by a/2.
        np.multiply(after_s, 0.5 * w, out=spare)
        np.sin(spare, out=sine)
        np.cos(spare, out=cosine)
        if abs(w) < _NO_TURN_RADPS:
            np.copyto(chord, after_s)
        else:
            np.multiply(sine, 2.0 / w, out=chord)
        # Turning twice by half the angle, the way in between, takes no other sine.
        for way_x, way_y in ((vx, vy), (0.0, 0.0)):
            np.copyto(old_x, x)
            x *= cosine
            np.multiply(y, sine, out=spare)
            x -= spare
            y *= cosine
            np.multiply(old_x, sine, out=spare)
            y += spare
            _add(x, chord, way_x, spare)
            _add(y, chord, way_y, spare)


def _add(
    axis: NDArray[np.float32], chord: NDArray[np.float32], way: float, spare: NDArray[np.float32]
) -> None:
    if way:
        np.multiply(chord, way, out=spare)
        axis += spare
