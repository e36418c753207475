"""What stands around and is not to be found: walls, houses, trees, poles, fences, sky, ground."""

from __future__ import annotations

import math

import numpy as np

from edge_inference_ros.sim.bodies import UPRIGHT
from edge_inference_ros.sim.paint import NOISE, SPOTS, Taste, any_colour, any_paint, plain
from edge_inference_ros.sim.solids import BOX, ELLIPSOID, F32, FRUSTUM, Paint, Solid, turn_z, vec
from edge_inference_ros.sim.world import Ground, Light, Sky, Weather

Spot = tuple[float, float]


def wall(rng: np.random.Generator, taste: Taste, at: Spot, yaw_rad: float) -> list[Solid]:
    """A wall 4 to 30 m long whose normal has that yaw."""
    half, high = float(rng.uniform(2, 15)), float(rng.uniform(1.2, 4))
    paint = any_paint(rng, taste, vivid=0.4)
    size = vec(0.15, half, high / 2)
    return [Solid(BOX, vec(*at, high / 2), size, turn_z(yaw_rad), paint)]


def house(rng: np.random.Generator, taste: Taste, at: Spot, yaw_rad: float) -> list[Solid]:
    """A house with rows of windows, its front towards +x of that yaw."""
    half, high = float(rng.uniform(3.5, 7)), float(rng.uniform(5, 14))
    colour = any_colour(rng, 0.45) * np.float32(0.8)
    window = vec(0.25, 0.2, 0.17) * np.float32(rng.uniform(0.5, 2))
    grain = taste.first_sheet
    front = Paint(colour, window, taste.wall, float(rng.uniform(4, 9)), grain, 0.5)
    turn, centre = turn_z(yaw_rad), vec(*at, 0)
    door = turn @ vec(3.02, rng.uniform(-0.6, 0.6) * half, 1.1) + centre
    return [
        Solid(BOX, centre + vec(0, 0, high / 2), vec(3, half, high / 2), turn, front),
        Solid(BOX, centre + vec(0, 0, 0.25), vec(3.04, half, 0.25), turn, plain(colour * 0.6)),
        Solid(BOX, door, vec(0.05, 0.5, 1.1), turn, plain(any_colour(rng, 0.8) * 0.6)),
    ]


def tree(rng: np.random.Generator, taste: Taste, at: Spot) -> list[Solid]:
    """A trunk and two or three crowns."""
    high = float(rng.uniform(1.6, 3.2))
    bark = plain(vec(0.15, 0.22, 0.3) * np.float32(rng.uniform(0.5, 1.4)))
    green = vec(0.12, rng.uniform(0.3, 0.55), rng.uniform(0.1, 0.4))
    pattern = NOISE if taste.first_sheet == 0 else SPOTS
    grain = taste.first_sheet + int(rng.integers(8))
    leaves = Paint(green, green * np.float32(0.35), pattern, 3.0, grain, 0.4)
    trunk = vec(0.16, 0.1, high / 2)
    parts = [Solid(FRUSTUM, vec(*at, high / 2), trunk, UPRIGHT, bark)]
    for _ in range(int(rng.integers(2, 4))):
        shift = vec(*rng.uniform(-0.6, 0.6, 2), rng.uniform(0.2, 1.0))
        size = vec(*rng.uniform(0.7, 1.5, 2), rng.uniform(0.7, 1.3))
        parts.append(Solid(ELLIPSOID, vec(*at, high) + shift, size, UPRIGHT, leaves))
    return parts


def pole(rng: np.random.Generator, taste: Taste, at: Spot) -> list[Solid]:
    """A lamp post, or a post with a sign."""
    high, radius = float(rng.uniform(2.2, 5)), float(rng.uniform(0.03, 0.12))
    size = vec(radius, radius * 0.8, high / 2)
    post = Solid(FRUSTUM, vec(*at, high / 2), size, UPRIGHT, plain(any_colour(rng, 0.3)))
    turn = turn_z(float(rng.uniform(-math.pi, math.pi)))
    if rng.random() < 0.5:
        lamp = plain(vec(0.75, 0.9, 1.0), glow=float(rng.uniform(0.3, 1.2)))
        arm = vec(*at, high) + turn @ vec(0.4, 0, 0)
        return [post, Solid(BOX, arm, vec(0.45, 0.1, 0.05), turn, lamp)]
    sign = any_paint(rng, taste)
    half = vec(0.02, rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.4))
    return [post, Solid(BOX, vec(*at, high - float(half[2])), half, turn, sign)]


def fence(rng: np.random.Generator, at: Spot, yaw_rad: float) -> list[Solid]:
    """Two rails on posts, along y of that yaw."""
    half, high = float(rng.uniform(1.5, 4)), float(rng.uniform(0.7, 1.3))
    paint, turn = plain(any_colour(rng, 0.5)), turn_z(yaw_rad)
    rails = [
        Solid(BOX, vec(*at, high * k), vec(0.03, half, 0.04), turn, paint) for k in (0.5, 0.95)
    ]
    posts = [
        Solid(BOX, vec(*at, high / 2) + turn @ vec(0, half * k, 0), vec(0.04, 0.04, high / 2),
              turn, paint)
        for k in (-1, -0.33, 0.33, 1)
    ]  # fmt: skip
    return rails + posts


def shelf(rng: np.random.Generator, taste: Taste, at: Spot, yaw_rad: float) -> list[Solid]:
    """Boards on uprights, as in a warehouse; empty, since goods would be boxes to be found."""
    half, high = float(rng.uniform(1, 2.5)), float(rng.uniform(1.8, 3))
    paint, turn = any_paint(rng, taste, vivid=0.7), turn_z(yaw_rad)
    boards = [
        Solid(BOX, vec(*at, high * k), vec(0.4, half, 0.03), turn, paint)
        for k in (0.15, 0.5, 0.85)
    ]
    uprights = [
        Solid(BOX, vec(*at, high / 2) + turn @ vec(0.36 * i, half * j, 0),
              vec(0.04, 0.04, high / 2), turn, paint)
        for i in (-1, 1) for j in (-1, 1)
    ]  # fmt: skip
    return boards + uprights


def street_ground(rng: np.random.Generator, taste: Taste) -> Ground:
    """Asphalt with markings along x, pavement beside."""
    grey = np.float32(rng.uniform(0.2, 0.45))
    grain = taste.first_sheet + int(rng.integers(8))
    asphalt = Paint(vec(1, 1, 1) * grey, vec(1, 1, 1) * grey * np.float32(0.6), NOISE, 6.0, grain)
    tile = any_colour(rng, 0.25) * np.float32(0.4) + np.float32(0.35)
    pavement = Paint(tile, tile * np.float32(rng.uniform(0.75, 0.95)), 0, 2.0, grain)
    return Ground(1, asphalt, pavement, float(rng.uniform(3.2, 4.5)))


def plain_ground(rng: np.random.Generator, taste: Taste) -> Ground:
    """Concrete, grass, tiles or painted floor, without a road."""
    return Ground(0, any_paint(rng, taste, vivid=0.35), plain(vec(0.5, 0.5, 0.5)))


def day_sky(rng: np.random.Generator, taste: Taste) -> Sky:
    """Blue, grey or warm, with clouds of the taste's noise."""
    base = np.array([(0.95, 0.85, 0.75), (0.8, 0.8, 0.8), (0.7, 0.8, 0.95)])[rng.integers(3)]
    top = np.array([(0.85, 0.6, 0.35), (0.7, 0.68, 0.65), (0.8, 0.55, 0.45)])[rng.integers(3)]
    grain = taste.first_sheet + int(rng.integers(8))
    clouds = float(rng.uniform(0, 0.7))
    return Sky(_float(base), _float(top * rng.uniform(0.7, 1.1)), grain, clouds)


def hall_sky(rng: np.random.Generator, taste: Taste) -> Sky:
    """A ceiling: any dull colour."""
    low, high = any_colour(rng, 0.3), any_colour(rng, 0.3)
    return Sky(low, high, taste.first_sheet + int(rng.integers(8)), float(rng.uniform(0, 0.4)))


def familiar_light(rng: np.random.Generator) -> tuple[Light, Weather]:
    """Day or dusk, clear or hazy."""
    dusk = rng.random() < 0.2
    level = float(rng.uniform(0.25, 0.6)) if dusk else 1.0
    haze = float(rng.uniform(0, 0.025)) if rng.random() < 0.35 else 0.0
    lamp = float(rng.uniform(0, 1.5)) if dusk else 0.0
    return Light(sun(rng), float(rng.uniform(0.3, 0.8)), level, lamp), Weather(haze)


def foreign_light(rng: np.random.Generator) -> tuple[Light, Weather]:
    """Night, rain, snow or thick fog; one of them always."""
    kind = int(rng.integers(4))
    light = Light(sun(rng), float(rng.uniform(0.4, 0.9)))
    if kind == 0:
        dark = float(rng.uniform(0.05, 0.18))
        return Light(sun(rng), 0.8, dark, float(rng.uniform(2.0, 6.0))), Weather()
    if kind == 1:
        return light, Weather(float(rng.uniform(0, 0.02)), rain=float(rng.uniform(0.2, 1.0)))
    if kind == 2:
        return light, Weather(float(rng.uniform(0, 0.02)), snow=float(rng.uniform(0.2, 1.0)))
    return light, Weather(float(rng.uniform(0.03, 0.08)))


def sun(rng: np.random.Generator) -> F32:
    """A direction (3,) at least 25 degrees above the horizon."""
    up, around = rng.uniform(0.45, 1.4), rng.uniform(-math.pi, math.pi)
    side = math.cos(up)
    return vec(side * math.cos(around), side * math.sin(around), math.sin(up))


def _float(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> F32:
    return np.asarray(values, np.float32)
