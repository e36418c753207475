"""Convex solids and where rays meet them.

Rays are `(3, N)` float32: one row per axis, so that every step is a contiguous vector operation.
A ray is `origin + t * direction`; `t` is a depth when directions have unit depth (camera) and a
range when they have unit length (LiDAR).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

BOX, ELLIPSOID, FRUSTUM = range(3)
NEAR_M = 0.05


def vec(*values: float) -> F32:
    """A float32 vector of the given numbers."""
    return np.array(values, np.float32)


def turn_z(angle_rad: float) -> F32:
    """(3, 3) rotation about z, counter-clockwise seen from above."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


def turn_y(angle_rad: float) -> F32:
    """(3, 3) rotation about y; positive tips z towards x."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def turn_x(angle_rad: float) -> F32:
    """(3, 3) rotation about x."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


@dataclass(frozen=True, slots=True)
class Paint:
    """What a surface looks like: two colours (BGR, 0 to 1) and the pattern that mixes them."""

    colour: F32
    second: F32
    pattern: int = 0
    frequency: float = 6.0
    grain: int = 0
    reflectivity: float = 0.5
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Solid:
    """One convex solid: a box, an ellipsoid or a frustum about its own z axis.

    Attributes:
        centre_m: (3,) in the parent's frame.
        size_m: half extents (box), radii (ellipsoid), or bottom radius, top radius, half height.
        axes: (3, 3) whose columns are the solid's axes in the parent's frame.
    """

    kind: int
    centre_m: F32
    size_m: F32
    axes: F32
    paint: Paint

    def half_extents(self) -> F32:
        """(3,) half extents of the axis-aligned box, in the parent's frame, that just holds it."""
        if self.kind == ELLIPSOID:
            extents: F32 = np.sqrt(((self.axes * self.size_m) ** 2).sum(1))
            return extents
        return np.asarray(np.abs(self.axes) @ bounds_of(self.kind, self.size_m), np.float32)


def bounds_of(kind: int, size_m: F32) -> F32:
    """(3,) half extents of the solid along its own axes."""
    if kind == FRUSTUM:
        radius = max(float(size_m[0]), float(size_m[1]))
        return vec(radius, radius, float(size_m[2]))
    return size_m


@dataclass(frozen=True, slots=True)
class Solids:
    """Many solids as arrays, so that culling them is one vector operation.

    Attributes:
        kind: (K,) BOX, ELLIPSOID or FRUSTUM.
        centre_m: (K, 3).
        size_m: (K, 3), as in `Solid`.
        axes: (K, 3, 3), as in `Solid`.
        owner: (K,) index of the thing it is a part of; -1 is scenery. Parts of one thing are
            neighbours.
        paints: K paints.
    """

    kind: NDArray[np.int32]
    centre_m: F32
    size_m: F32
    axes: F32
    owner: NDArray[np.int32]
    paints: tuple[Paint, ...]

    def moved(self, turn: F32, shift_m: F32) -> Solids:
        """The same solids after a rotation about the origin and then a shift."""
        centre = self.centre_m @ turn.T + shift_m
        return Solids(self.kind, centre, self.size_m, turn @ self.axes, self.owner, self.paints)

    def corners(self) -> F32:
        """(K, 8, 3) corners of the oriented boxes that hold the solids."""
        half = self.size_m.copy()
        round_ = self.kind == FRUSTUM
        half[round_, :2] = half[round_, :2].max(1, keepdims=True)
        corners: F32 = self.centre_m[:, None] + np.einsum(
            'kij,kcj->kci', self.axes, _SIGNS[None] * half[:, None]
        )
        return corners


_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


def stack(solids: Iterable[Solid], owner: int = -1) -> Solids:
    """Gather solids of one owner into arrays."""
    parts = list(solids)
    if not parts:
        return Solids(
            np.zeros(0, np.int32), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32),
            np.zeros((0, 3, 3), np.float32), np.zeros(0, np.int32), (),
        )  # fmt: skip
    return Solids(
        kind=np.array([p.kind for p in parts], np.int32),
        centre_m=np.stack([p.centre_m for p in parts]),
        size_m=np.stack([p.size_m for p in parts]),
        axes=np.stack([p.axes for p in parts]),
        owner=np.full(len(parts), owner, np.int32),
        paints=tuple(p.paint for p in parts),
    )


def join(groups: Iterable[Solids]) -> Solids:
    """Concatenate groups, keeping their order."""
    many = [g for g in groups if len(g.kind)] or [stack(())]
    return Solids(
        kind=np.concatenate([g.kind for g in many]),
        centre_m=np.concatenate([g.centre_m for g in many]),
        size_m=np.concatenate([g.size_m for g in many]),
        axes=np.concatenate([g.axes for g in many]),
        owner=np.concatenate([g.owner for g in many]),
        paints=tuple(paint for g in many for paint in g.paints),
    )


def meet(kind: int, size_m: F32, origin_m: F32, rays: F32) -> F32:
    """Where rays enter a solid.

    Args:
        kind: BOX, ELLIPSOID or FRUSTUM.
        size_m: (3,) as in `Solid`.
        origin_m: (3,) ray origin in the solid's frame.
        rays: (3, N) directions in the solid's frame.

    Returns:
        (N,) `t` of entry, infinite where the ray misses or the entry is behind.
    """
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        return _MEET[kind](size_m, origin_m, rays)


def normals(kind: int, size_m: F32, points_m: F32) -> F32:
    """(3, N) outward unit normals at points (3, N) on the solid's surface, in its frame."""
    normal = _NORMAL[kind](size_m, points_m)
    length: F32 = np.sqrt((normal * normal).sum(0)) + np.float32(1e-9)
    return normal / length


def _meet_box(size: F32, origin: F32, rays: F32) -> F32:
    enter, leave = np.float32(-np.inf), np.float32(np.inf)
    for axis in range(3):
        inverse = 1 / rays[axis]
        near = (-size[axis] - origin[axis]) * inverse
        far = (size[axis] - origin[axis]) * inverse
        low, high = np.minimum(near, far), np.maximum(near, far)
        enter, leave = np.fmax(enter, low), np.fmin(leave, high)
    return np.asarray(np.where((enter <= leave) & (enter > NEAR_M), enter, np.inf), np.float32)


def _meet_ellipsoid(size: F32, origin: F32, rays: F32) -> F32:
    unit = rays / size[:, None]
    start = origin / size
    a = unit[0] * unit[0] + unit[1] * unit[1] + unit[2] * unit[2]
    b = unit[0] * start[0] + unit[1] * start[1] + unit[2] * start[2]
    c = np.float32(start @ start - 1)
    inside = b * b - a * c
    t = (-b - np.sqrt(inside)) / a
    return np.asarray(np.where((inside > 0) & (t > NEAR_M), t, np.float32(np.inf)), np.float32)


def _meet_frustum(size: F32, origin: F32, rays: F32) -> F32:
    bottom, top, half = (float(s) for s in size)
    slope, middle = (top - bottom) / (2 * half), (bottom + top) / 2
    ox, oy, oz = (float(o) for o in origin)
    dx, dy, dz = rays
    radius = middle + slope * oz
    a = dx * dx + dy * dy - slope * slope * dz * dz
    b = ox * dx + oy * dy - slope * radius * dz
    c = ox * ox + oy * oy - radius * radius
    root = b * b - a * c
    side = (-b - np.sqrt(root)) / a
    on_side = (root > 0) & (side > NEAR_M) & (np.abs(oz + dz * side) <= half)
    side = np.where(on_side, side, np.float32(np.inf))
    lid = (half - oz) / dz
    reach = (ox + dx * lid) ** 2 + (oy + dy * lid) ** 2
    lid = np.where((lid > NEAR_M) & (reach <= top * top), lid, np.float32(np.inf))
    return np.asarray(np.minimum(side, lid), np.float32)


def _normal_box(size: F32, points: F32) -> F32:
    across = points / size[:, None]
    axis = np.abs(across).argmax(0)
    normal = np.zeros_like(points)
    column = np.arange(points.shape[1])
    normal[axis, column] = np.sign(across[axis, column])
    return normal


def _normal_ellipsoid(size: F32, points: F32) -> F32:
    return np.asarray(points / (size * size)[:, None], np.float32)


def _normal_frustum(size: F32, points: F32) -> F32:
    bottom, top, half = (float(s) for s in size)
    slope = (top - bottom) / (2 * half)
    normal = points.copy()
    normal[2] = -slope * ((bottom + top) / 2 + slope * points[2])
    lid = points[2] > half - 1e-3
    normal[:, lid] = vec(0, 0, 1)[:, None]
    return np.asarray(normal, np.float32)


_Meet = Callable[[F32, F32, F32], F32]
_MEET: tuple[_Meet, ...] = (_meet_box, _meet_ellipsoid, _meet_frustum)
_NORMAL: tuple[Callable[[F32, F32], F32], ...] = (
    _normal_box,
    _normal_ellipsoid,
    _normal_frustum,
)
