"""The things to be found: a fixed look each, and its solids for any phase of its gait."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_inference_ros.sim.paint import STRIPES, Taste, any_colour, any_paint, plain
from edge_inference_ros.sim.solids import BOX, ELLIPSOID, F32, FRUSTUM, Paint, Solid, vec

CLASSES = ('person', 'vehicle', 'cone', 'box')
PERSON, VEHICLE, CONE, CRATE = range(4)
SPACE_M = (0.5, 3.0, 0.4, 0.9)
"""Radius kept free around each class when placing."""

UPRIGHT = np.eye(3, dtype=np.float32)

Shape = Callable[[float], Sequence[Solid]]
"""Solids in the body frame (x forward, origin on the ground below it) at a gait phase in rad."""


def standing(solids: Sequence[Solid]) -> tuple[tuple[Solid, ...], F32, F32]:
    """Put the feet on the ground.

    Returns:
        The solids shifted so that the lowest point has z = 0, and the centre (3,) and the size
        (3,) of the axis-aligned box, in the body frame, that just holds them.
    """
    half = np.stack([s.half_extents() for s in solids])
    centre = np.stack([s.centre_m for s in solids])
    low, high = (centre - half).min(0), (centre + half).max(0)
    lift = vec(0, 0, -float(low[2]))
    lifted = tuple(replace(s, centre_m=s.centre_m + lift) for s in solids)
    return lifted, (low + high) / 2 + lift, high - low


@dataclass(frozen=True)
class VehicleLook:
    """Sizes and paints of one vehicle."""

    length_m: float
    width_m: float
    height_m: float
    body: Paint
    cargo: Paint
    glass: Paint
    lamps: float

    def sedan(self) -> list[Solid]:
        """Bonnet and boot below, a glass cabin with pillars and a roof above."""
        length, width, height = self.length_m, self.width_m, self.height_m
        waist = 0.2 + (height - 0.2) * 0.55
        cabin, shift = length * 0.5, -length * 0.06
        top = height - waist
        hood = (waist - 0.2) / 2
        return [
            _block((0, 0, 0.2 + hood * 0.85), (length / 2, width / 2, hood * 0.85), self.body),
            _block((shift, 0, 0.2 + hood), (length * 0.40, width * 0.49, hood), self.body),
            _block((shift, 0, waist + top / 2), (cabin / 2, width * 0.43, top / 2), self.glass),
            _block((shift, 0, height - 0.05), (cabin * 0.42, width * 0.435, 0.05), self.body),
            _block((shift, 0, waist + top / 2), (0.05, width * 0.436, top / 2), self.body),
            *self._running_gear(waist - 0.3),
        ]

    def van(self) -> list[Solid]:
        """A cargo box behind a cab."""
        length, width, height = self.length_m, self.width_m, self.height_m
        high = height - 0.25
        return [
            _block((-length * 0.1, 0, 0.25 + high / 2), (length * 0.4, width / 2, high / 2),
                   self.cargo),
            _block((length * 0.4, 0, 0.25 + high * 0.28), (length * 0.1, width * 0.48,
                   high * 0.28), self.body),
            _block((length * 0.34, 0, 0.25 + high * 0.7), (length * 0.1, width * 0.47,
                   high * 0.16), self.glass),
            *self._running_gear(0.75),
        ]  # fmt: skip

    def forklift(self) -> list[Solid]:
        """A short chassis with mast, fork and roof."""
        length, width, height = self.length_m, self.width_m, self.height_m
        return [
            _block((-length * 0.1, 0, 0.5), (length * 0.36, width / 2, 0.4), self.body),
            _block((-length * 0.3, 0, 0.95), (length * 0.16, width * 0.45, 0.15), self.body),
            _block((length * 0.28, 0.3, height / 2), (0.06, 0.05, height / 2), self.glass),
            _block((length * 0.28, -0.3, height / 2), (0.06, 0.05, height / 2), self.glass),
            _block((-length * 0.1, 0, height - 0.05), (length * 0.25, width * 0.42, 0.05),
                   self.glass),
            _block((-length * 0.33, 0, height * 0.7), (0.05, width * 0.4, height * 0.3),
                   self.glass),
            _block((length * 0.4, 0, 0.1), (length * 0.14, width * 0.3, 0.03), self.glass),
            *self._running_gear(0.6),
        ]  # fmt: skip

    def _running_gear(self, lamp_m: float) -> list[Solid]:
        rubber = plain(vec(0.06, 0.06, 0.06), reflectivity=0.1)
        metal = plain(vec(0.55, 0.55, 0.55), reflectivity=0.6)
        front = plain(vec(0.85, 0.95, 1.0), reflectivity=0.9, glow=self.lamps)
        rear = plain(vec(0.08, 0.08, 0.75), reflectivity=0.9, glow=0.5 * self.lamps)
        x, y = self.length_m * 0.32, self.width_m * 0.46
        parts = []
        for sx in (-1, 1):
            for sy in (-1, 1):
                hub = (sx * x, sy * (y + 0.09), 0.33)
                parts += [
                    Solid(ELLIPSOID, vec(sx * x, sy * y, 0.33), vec(0.33, 0.12, 0.33), UPRIGHT,
                          rubber),
                    Solid(ELLIPSOID, vec(*hub), vec(0.17, 0.06, 0.17), UPRIGHT, metal),
                ]  # fmt: skip
        for sy in (-1, 1):
            at = sy * self.width_m * 0.36
            parts += [
                _block((self.length_m / 2, at, lamp_m), (0.02, 0.13, 0.07), front),
                _block((-self.length_m / 2, at, lamp_m), (0.02, 0.13, 0.07), rear),
            ]
        return parts


_VEHICLES = (
    ((3.6, 4.9), (1.65, 1.95), (1.4, 1.75), VehicleLook.sedan),
    ((4.8, 6.0), (1.9, 2.1), (1.9, 2.5), VehicleLook.van),
    ((6.0, 8.0), (2.2, 2.5), (2.6, 3.4), VehicleLook.van),
    ((2.0, 3.0), (1.1, 1.4), (1.9, 2.3), VehicleLook.forklift),
)


def vehicle(rng: np.random.Generator, taste: Taste, *, only: int | None = None) -> Shape:
    """A car, van, lorry or forklift.

    Args:
        rng: where its look comes from.
        taste: how its cargo box is painted.
        only: the row of the table above to take, instead of any.
    """
    row = int(rng.choice(4, p=(0.6, 0.15, 0.1, 0.15))) if only is None else only
    length, width, height, build = _VEHICLES[row]
    dark = float(rng.uniform(0.04, 0.22))
    look = VehicleLook(
        float(rng.uniform(*length)), float(rng.uniform(*width)), float(rng.uniform(*height)),
        plain(any_colour(rng), reflectivity=0.6), any_paint(rng, taste, reflectivity=0.6),
        plain(vec(dark * 1.1, dark, dark * 0.9), reflectivity=0.15), float(rng.uniform(0, 1.5)),
    )  # fmt: skip
    solids = build(look)
    return lambda _phase: solids


def cone(rng: np.random.Generator, _taste: Taste) -> Shape:
    """A traffic cone: banded frustum on a square foot, mostly orange."""
    height, radius = float(rng.uniform(0.45, 1.0)), float(rng.uniform(0.12, 0.22))
    colour = vec(0.05, rng.uniform(0.25, 0.5), rng.uniform(0.85, 1.0))
    if rng.random() < 0.15:
        colour = any_colour(rng)
    white = vec(0.92, 0.92, 0.92)
    bands = Paint(colour, white, STRIPES, math.pi / (height * rng.uniform(0.5, 0.8)), 0, 0.8)
    foot = plain(colour * np.float32(rng.uniform(0.3, 0.8)), reflectivity=0.4)
    solids = [
        Solid(FRUSTUM, vec(0, 0, height / 2), vec(radius, 0.025, height / 2), UPRIGHT, bands),
        _block((0, 0, 0.02), (radius * 1.25, radius * 1.25, 0.02), foot),
    ]
    return lambda _phase: solids


def crate(rng: np.random.Generator, taste: Taste) -> Shape:
    """A cardboard or painted box, sometimes two stacked, or a barrel."""
    kind = rng.random()
    if kind < 0.25:
        radius, height = float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.6, 1.2))
        size = vec(radius, radius * 0.97, height / 2)
        barrel = Solid(FRUSTUM, vec(0, 0, height / 2), size, UPRIGHT, any_paint(rng, taste))
        return lambda _phase: [barrel]
    x, y, z = rng.uniform((0.25, 0.25, 0.25), (1.2, 1.0, 1.3))
    solids = [_block((0, 0, z / 2), (x / 2, y / 2, z / 2), _crate_paint(rng, taste))]
    if kind > 0.88 and z < 0.8:
        k = rng.uniform(0.6, 0.95)
        top = float(rng.uniform(0.2, 0.5))
        at = (0, 0, z + top / 2)
        solids.append(_block(at, (x / 2 * k, y / 2 * k, top / 2), _crate_paint(rng, taste)))
    else:
        tape = plain(solids[0].paint.colour * np.float32(0.6))
        solids.append(_block((0, 0, z / 2), (x / 2 + 0.003, 0.03, z / 2 + 0.003), tape))
    return lambda _phase: solids


def _crate_paint(rng: np.random.Generator, taste: Taste) -> Paint:
    paint = any_paint(rng, taste)
    if rng.random() < 0.5:
        card = vec(0.35, 0.5, 0.65) * np.float32(rng.uniform(0.5, 1.3))
        paint = replace(paint, colour=card, second=card * np.float32(rng.uniform(0.4, 0.9)))
    return paint


def _block(
    at: tuple[float, float, float], half: tuple[float, float, float], paint: Paint
) -> Solid:
    return Solid(BOX, vec(*at), vec(*half), UPRIGHT, paint)
