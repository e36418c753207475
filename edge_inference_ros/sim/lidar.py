"""A spinning LiDAR that sees the whole turn at one instant."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim.camera import Pose
from edge_inference_ros.sim.solids import F32, Solids, meet, normals, vec
from edge_inference_ros.sim.world import Body, World

POINT = np.dtype(
    {
        'names': ['x', 'y', 'z', 'intensity', 'ring', 'time'],
        'formats': ['<f4', '<f4', '<f4', '<f4', '<u2', '<f4'],
        'offsets': [0, 4, 8, 12, 16, 18],
        'itemsize': 22,
    }
)
"""The layout of a Velodyne driver's points; `time` is zero, for the turn takes none here."""


@dataclass(frozen=True)
class Lidar:
    """Beams and mount; it is level, and looks along x of base_link.

    Attributes:
        beams: rings.
        columns: firings a turn.
        lowest_rad: elevation of ring 0.
        highest_rad: elevation of the last ring.
        mount_m: (x, y, z) in base_link.
        sigma_m: standard deviation of a range.
        lost: share of returns that never come.
    """

    beams: int = 32
    columns: int = 1024
    lowest_rad: float = -0.436
    highest_rad: float = 0.262
    mount_m: tuple[float, float, float] = (0.0, 0.0, 1.1)
    reach_m: float = 60.0
    sigma_m: float = 0.02
    lost: float = 0.03


@dataclass(frozen=True)
class Scan:
    """One turn.

    Attributes:
        points: (N,) of `POINT`, metres in the sensor's frame.
        body: (N,) index of the body each point lies on, -1 for none.
    """

    points: NDArray[np.void]
    body: NDArray[np.int32]


@dataclass(frozen=True)
class _Echo:
    range_m: F32
    strength: F32
    body: NDArray[np.int32]


def scan(
    world: World, bodies: list[Body], lidar: Lidar, pose: Pose, rng: np.random.Generator
) -> Scan:
    """Cast every beam into the world at the instant of `bodies`."""
    solids = world.solids(bodies)
    eye = pose.turn() @ vec(*lidar.mount_m) + pose.shift()
    turn = pose.turn()
    seen = solids.moved(turn.T, -(turn.T @ eye))
    rays = _rays(lidar)
    echo = _ground(lidar, rays, float(eye[2]))
    beams = _reach(seen, lidar)
    for k in np.flatnonzero(beams.some()).tolist():
        _cast(seen, k, beams, rays, echo)
    return _points(echo, lidar, rays, rng)


@functools.lru_cache(maxsize=4)
def _rays(lidar: Lidar) -> F32:
    up = np.linspace(lidar.lowest_rad, lidar.highest_rad, lidar.beams)[:, None]
    around = np.linspace(-math.pi, math.pi, lidar.columns, endpoint=False)[None]
    flat = np.cos(up)
    east, north = flat * np.cos(around), flat * np.sin(around)
    height = np.broadcast_to(np.sin(up), east.shape)
    return np.stack((east, north, height)).astype(np.float32)


def _ground(lidar: Lidar, rays: F32, height_m: float) -> _Echo:
    with np.errstate(divide='ignore'):
        distance = np.where(rays[2] < 0, -height_m / rays[2], np.inf).astype(np.float32)
    distance[distance > lidar.reach_m] = np.inf
    strength = 0.25 * np.abs(rays[2]) + np.float32(0.05)
    return _Echo(distance, strength, np.full(distance.shape, -1, np.int32))


@dataclass(frozen=True)
class _Reach:
    """Which beams can meet each solid: firings first to last (unwrapped) and rings, inclusive."""

    first_column: NDArray[np.int64]
    last_column: NDArray[np.int64]
    first_row: NDArray[np.int64]
    last_row: NDArray[np.int64]

    def some(self) -> NDArray[np.bool_]:
        """(K,) whether any beam can."""
        return (self.last_column >= self.first_column) & (self.last_row >= self.first_row)


def _reach(solids: Solids, lidar: Lidar) -> _Reach:
    """By the azimuths of the corners, and by the elevations the sphere around allows."""
    corners = solids.corners()
    x, y = solids.centre_m[:, 0], solids.centre_m[:, 1]
    far = np.hypot(x, y)
    radius = np.linalg.norm(corners[:, 0] - solids.centre_m, axis=1)
    near = np.maximum(far - radius, 0.1)
    middle = np.arctan2(y, x)
    away = np.arctan2(corners[..., 1], corners[..., 0]) - middle[:, None]
    away = np.remainder(away + math.pi, 2 * math.pi) - math.pi
    step = 2 * math.pi / lidar.columns
    first = np.ceil((middle + away.min(1) + math.pi) / step - 1e-3).astype(np.int64)
    last = np.floor((middle + away.max(1) + math.pi) / step + 1e-3).astype(np.int64)
    around = np.ptp(away, axis=1) > math.pi / 2
    first[around], last[around] = 0, lidar.columns - 1
    low, high = corners[..., 2].min(1), corners[..., 2].max(1)
    lowest = np.arctan2(low, np.where(low < 0, near, far + radius))
    highest = np.arctan2(high, np.where(high > 0, near, far + radius))
    rise = (lidar.highest_rad - lidar.lowest_rad) / max(1, lidar.beams - 1)
    bottom = np.ceil((lowest - lidar.lowest_rad) / rise - 1e-3).astype(np.int64)
    top = np.floor((highest - lidar.lowest_rad) / rise + 1e-3).astype(np.int64)
    bottom, top = np.maximum(bottom, 0), np.minimum(top, lidar.beams - 1)
    top[far - radius > lidar.reach_m] = -1
    return _Reach(first, last, bottom, top)


def _cast(solids: Solids, k: int, beams: _Reach, rays: F32, echo: _Echo) -> None:
    rows = slice(int(beams.first_row[k]), int(beams.last_row[k]) + 1)
    columns = np.arange(beams.first_column[k], beams.last_column[k] + 1) % rays.shape[2]
    axes = solids.axes[k]
    aimed = axes.T @ rays[:, rows, columns].reshape(3, -1)
    origin = axes.T @ -solids.centre_m[k]
    kind, size = int(solids.kind[k]), solids.size_m[k]
    t = meet(kind, size, origin, aimed)
    ranges_m = echo.range_m[rows, columns]
    near = np.flatnonzero(t < ranges_m.ravel())
    if not len(near):
        return
    i, j = np.unravel_index(near, ranges_m.shape)
    i, j = i + rows.start, columns[j]
    points = origin[:, None] + aimed[:, near] * t[near]
    facing = np.abs((normals(kind, size, points) * aimed[:, near]).sum(0))
    paint = solids.paints[k]
    dull = np.float32(paint.reflectivity * (0.4 + 0.6 * float(paint.colour.mean())))
    echo.range_m[i, j] = t[near]
    echo.strength[i, j] = dull * (0.3 + 0.7 * facing)
    echo.body[i, j] = solids.owner[k]


def _points(echo: _Echo, lidar: Lidar, rays: F32, rng: np.random.Generator) -> Scan:
    shape = echo.range_m.shape
    returned = (echo.range_m < lidar.reach_m) & (rng.random(shape, np.float32) >= lidar.lost)
    count = int(np.count_nonzero(returned))
    error = np.float32(lidar.sigma_m) * rng.standard_normal(count, np.float32)
    jitter = np.float32(0.03) * rng.standard_normal(count, np.float32)
    distance = echo.range_m[returned] + error
    points = np.zeros(count, POINT)
    for axis, name in enumerate('xyz'):
        points[name] = rays[axis][returned] * distance
    points['intensity'] = np.clip(echo.strength[returned] + jitter, 0, 1)
    points['ring'] = np.broadcast_to(np.arange(lidar.beams)[:, None], shape)[returned]
    return Scan(points, echo.body[returned])
