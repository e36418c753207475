"""A pinhole camera that casts one ray a pixel: picture, depth and which body each pixel shows."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim.paint import mixed, noise_at
from edge_inference_ros.sim.solids import (
    F32,
    Solids,
    meet,
    normals,
    turn_x,
    turn_y,
    turn_z,
    vec,
)
from edge_inference_ros.sim.world import STREET_GROUND, Body, Ground, Light, World

FAR_M = 80.0
NEAR_PLANE_M = 0.1
OPTICAL: F32 = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.float32)
"""Columns are the optical axes (x right, y down, z ahead) in a body frame (REP 103)."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics and mount.

    Attributes:
        hfov_rad: horizontal field of view.
        mount_m: (x, y, z) in base_link.
        pitch_rad: positive looks down.
        roll_rad: about the viewing direction.
    """

    width: int = 640
    height: int = 480
    hfov_rad: float = 1.22
    mount_m: tuple[float, float, float] = (0.1, 0.0, 0.8)
    pitch_rad: float = 0.0
    roll_rad: float = 0.0

    @property
    def focal_px(self) -> float:
        """Focal length, the same for both axes; the principal point is the middle."""
        return 0.5 * self.width / math.tan(self.hfov_rad / 2)

    def in_base(self) -> F32:
        """(3, 3) rotation from the optical frame to base_link."""
        mount = turn_y(self.pitch_rad) @ turn_x(self.roll_rad)
        return np.asarray(mount @ OPTICAL, np.float32)

    def project(self, points_m: F32) -> tuple[F32, F32]:
        """Pixels (N, 2) and depths (N,) of points (N, 3) in the optical frame."""
        depth = points_m[:, 2]
        middle = vec(self.width / 2, self.height / 2)
        with np.errstate(divide='ignore', invalid='ignore'):
            return points_m[:, :2] / depth[:, None] * np.float32(self.focal_px) + middle, depth


@dataclass(frozen=True)
class Pose:
    """Where base_link is in the world: on the ground, turned by a yaw."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0

    def turn(self) -> F32:
        """(3, 3) rotation from base_link to the world."""
        return turn_z(self.yaw_rad)

    def shift(self) -> F32:
        """(3,) origin of base_link in the world."""
        return vec(self.x_m, self.y_m, 0)


@dataclass(frozen=True)
class View:
    """What a camera saw, before its lens and sensor spoiled it.

    Attributes:
        light: (H, W, 3) float32 BGR, 1 is white; not clipped.
        depth_m: (H, W), infinite in the sky.
        body: (H, W) index of the body shown, -1 elsewhere.
        whole_px: (B, 4) x1 y1 x2 y2 of each body as if nothing hid it, clipped to the picture.
        whole_count: (B,) pixels each body would cover if nothing hid it.
        turn: (3, 3) rotation from the optical frame to the world.
        eye_m: (3,) in the world.
    """

    light: F32
    depth_m: F32
    body: NDArray[np.int32]
    whole_px: F32
    whole_count: NDArray[np.int64]
    turn: F32
    eye_m: F32


@functools.lru_cache(maxsize=8)
def _grid(width: int, height: int, focal_px: float) -> tuple[F32, F32]:
    u = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / np.float32(focal_px)
    v = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / np.float32(focal_px)
    return u, v


def see(world: World, bodies: list[Body], camera: Camera, pose: Pose) -> View:
    """Cast every pixel's ray into the world at the instant of `bodies`."""
    turn = pose.turn() @ camera.in_base()
    eye = pose.turn() @ vec(*camera.mount_m) + pose.shift()
    shape = camera.height, camera.width
    count = len(bodies)
    whole = np.array([(camera.width, camera.height, 0, 0)] * count, np.float32).reshape(-1, 4)
    view = View(
        np.empty((*shape, 3), np.float32), np.full(shape, np.inf, np.float32),
        np.full(shape, -1, np.int32), whole, np.zeros(count, np.int64), turn, eye,
    )  # fmt: skip
    _paint_background(view, world, bodies, camera)
    _paint_solids(view, world, world.solids(bodies), camera)
    _light_up(view, world, camera)
    return view


def _paint_background(view: View, world: World, bodies: list[Body], camera: Camera) -> None:
    u, v = _grid(camera.width, camera.height, camera.focal_px)
    row = view.turn
    east, north, up = (row[i, 0] * u + (row[i, 1] * v + row[i, 2])[:, None] for i in range(3))
    below = up < -1e-3
    with np.errstate(divide='ignore'):
        depth = np.where(below, -view.eye_m[2] / up, np.float32(np.inf))
    on_ground = depth < FAR_M
    sky = ~on_ground
    view.light[sky] = _sky(world, east[sky], north[sky], up[sky]).T
    t = depth[on_ground]
    view.depth_m[on_ground] = t
    x, y = view.eye_m[0] + east[on_ground] * t, view.eye_m[1] + north[on_ground] * t
    light = world.light
    level = light.ambient + (1 - light.ambient) * max(float(light.direction[2]), 0)
    colour = _ground(world.ground, x, y) * np.float32(level)
    view.light[on_ground] = (colour * _shade(bodies, light.direction, x, y)).T


def _sky(world: World, east: F32, north: F32, up: F32) -> F32:
    sky = world.sky
    level = np.hypot(east, north) + np.float32(1e-6)
    height = np.clip(up / level, 0, 1)
    colour = sky.horizon[:, None] + (sky.zenith - sky.horizon)[:, None] * height
    # Clouds lie on a plane far above: they shrink towards the horizon as real ones do.
    scale = np.float32(60) / (height + np.float32(0.12)) / level
    cloud = noise_at(sky.grain, east * scale, north * scale)
    share = np.clip(cloud * 1.8 - 0.8, 0, 1) * np.float32(sky.clouds)
    white = np.float32(float(sky.horizon.max()))
    return np.asarray(colour + (white - colour) * share, np.float32)


def _ground(ground: Ground, x: F32, y: F32) -> F32:
    points = np.stack((x, y, np.zeros_like(x)))
    colour = mixed(ground.paint, points)
    if ground.kind != STREET_GROUND:
        return colour
    side = np.abs(y)
    edge = np.float32(ground.half_road_m)
    colour = np.array(colour)
    joint = (np.mod(x, 1.2) < 0.04) | (np.mod(y, 1.2) < 0.04)
    pavement, seam = ground.pavement.colour[:, None], ground.pavement.second[:, None]
    colour = np.where(side > edge, np.where(joint, seam * 0.8, pavement), colour)
    kerb = (side > edge - 0.15) & (side < edge + 0.1)
    marks = ((side < 0.07) & (np.mod(x, 6) < 3)) | (np.abs(side - edge + 0.45) < 0.05)
    colour[:, kerb] = 0.62
    colour[:, marks] = 0.85
    return np.asarray(colour, np.float32)


def _shade(bodies: list[Body], sun: F32, x: F32, y: F32) -> F32:
    """(N,) how much light reaches points of the ground: soft blots where bodies stand in it."""
    shade = np.ones_like(x)
    lean = sun[:2] / sun[2]
    for body in bodies:
        half = body.size_m / 2 + np.float32(0.05)
        fall = lean * body.size_m[2]
        reach = float(half[:2].max()) * 1.5
        middle = body.centre_m[:2] - 0.4 * fall
        wide = np.abs(fall) * np.float32(0.35) + np.float32(reach)
        near = np.flatnonzero(
            (np.abs(x - middle[0]) < wide[0]) & (np.abs(y - middle[1]) < wide[1])
        )
        if not len(near):
            continue
        east, north = x[near] - body.centre_m[0], y[near] - body.centre_m[1]
        c, s = np.float32(math.cos(body.yaw_rad)), np.float32(math.sin(body.yaw_rad))
        dark = np.zeros_like(east)
        for share in (0.05, 0.4, 0.75):
            dx, dy = (
                east + lean[0] * (share * body.size_m[2]),
                north + lean[1] * (share * body.size_m[2]),
            )
            ahead, across = (dx * c + dy * s) / half[0], (dy * c - dx * s) / half[1]
            dark = np.maximum(dark, np.exp(-((ahead * ahead + across * across) ** 2)))
        shade[near] = np.minimum(shade[near], 1 - np.float32(0.6) * dark)
    return shade


def _windows(solids: Solids, view: View, camera: Camera) -> NDArray[np.int32]:
    """(K, 4) first column, first row, end column, end row that can show each solid."""
    corners = (solids.corners() - view.eye_m) @ view.turn
    depth = corners[..., 2]
    safe = np.maximum(depth, NEAR_PLANE_M)[..., None]
    middle = vec(camera.width / 2, camera.height / 2)
    pixel = corners[..., :2] / safe * np.float32(camera.focal_px) + middle
    low, high = np.floor(pixel.min(1)) - 1, np.ceil(pixel.max(1)) + 1
    crossing = (depth.min(1) < NEAR_PLANE_M) & (depth.max(1) > NEAR_PLANE_M)
    size = vec(camera.width, camera.height)
    low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    low[crossing], high[crossing] = 0, size
    gone = (depth.max(1) <= NEAR_PLANE_M) | (depth.min(1) > FAR_M)
    low[gone], high[gone] = 0, 0
    return np.concatenate((low, high), 1).astype(np.int32)


@dataclass(frozen=True)
class _Patch:
    """The pixels (n,) of a solid that are nearer than what was there, and where they lie on it."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    depth_m: F32
    points_m: F32


def _paint_solids(view: View, world: World, solids: Solids, camera: Camera) -> None:
    windows = _windows(solids, view, camera)
    seen_last = np.full(view.body.shape, -1, np.int32)
    visible = np.flatnonzero((windows[:, 2] > windows[:, 0]) & (windows[:, 3] > windows[:, 1]))
    for k in visible.tolist():
        x1, y1, x2, y2 = windows[k].tolist()
        window = np.s_[y1:y2, x1:x2]
        origin, rays = _aimed(view, solids, k, camera, window)
        t = meet(int(solids.kind[k]), solids.size_m[k], origin, rays)
        owner = int(solids.owner[k])
        if owner >= 0:
            hit = np.isfinite(t).reshape(y2 - y1, -1)
            _note_whole(view, owner, hit, seen_last[window], (x1, y1))
        near = np.flatnonzero(t < view.depth_m[window].ravel())
        if len(near):
            rows, columns = np.divmod(near, x2 - x1)
            points = origin[:, None] + rays[:, near] * t[near]
            _paint_one(
                view, world.light, solids, k, _Patch(rows + y1, columns + x1, t[near], points)
            )


def _aimed(
    view: View, solids: Solids, k: int, camera: Camera, window: tuple[slice, slice]
) -> tuple[F32, F32]:
    """Eye (3,) and rays (3, N) of a window's pixels in a solid's own frame."""
    u, v = _grid(camera.width, camera.height, camera.focal_px)
    u, v = u[window[1]], v[window[0]]
    axes = solids.axes[k]
    mix = axes.T @ view.turn
    rays = np.empty((3, len(v), len(u)), np.float32)
    for i in range(3):
        np.add(mix[i, 0] * u, (mix[i, 1] * v + mix[i, 2])[:, None], out=rays[i])
    origin: F32 = axes.T @ (view.eye_m - solids.centre_m[k])
    return origin, rays.reshape(3, -1)


def _paint_one(view: View, light: Light, solids: Solids, k: int, patch: _Patch) -> None:
    at = patch.rows, patch.columns
    view.depth_m[at] = patch.depth_m
    view.body[at] = solids.owner[k]
    paint = solids.paints[k]
    normal = normals(int(solids.kind[k]), solids.size_m[k], patch.points_m)
    facing = (solids.axes[k].T @ light.direction) @ normal
    level = light.ambient + (1 - light.ambient) * np.maximum(facing, 0)
    # Faces turned away from the light still differ from one another, as they do outdoors.
    level = level + np.float32(0.12) * (solids.axes[k][2] @ normal)
    colour = mixed(paint, patch.points_m) * level
    if paint.glow:
        colour = colour + paint.colour[:, None] * np.float32(paint.glow / max(light.level, 0.1))
    view.light[at] = colour.T


def _note_whole(
    view: View, owner: int, hit: NDArray[np.bool_], seen_last: NDArray[np.int32],
    corner: tuple[int, int],
) -> None:  # fmt: skip
    rows, columns = np.flatnonzero(hit.any(1)), np.flatnonzero(hit.any(0))
    if not len(rows):
        return
    box = view.whole_px[owner]
    low = vec(corner[0] + float(columns[0]), corner[1] + float(rows[0]))
    high = vec(corner[0] + float(columns[-1]) + 1, corner[1] + float(rows[-1]) + 1)
    box[:2], box[2:] = np.minimum(box[:2], low), np.maximum(box[2:], high)
    # Parts of one body are neighbours, so a pixel that still bears its mark was counted.
    fresh = hit & (seen_last != owner)
    view.whole_count[owner] += int(np.count_nonzero(fresh))
    seen_last[fresh] = owner


def _light_up(view: View, world: World, camera: Camera) -> None:
    light, fog = world.light, world.weather.fog_per_m
    depth = np.minimum(view.depth_m, np.float32(FAR_M))
    if light.headlamp:
        u, v = _grid(camera.width, camera.height, camera.focal_px)
        beam = np.exp(-4 * (u * u)[None, :]) * np.exp(-8 * (v * v - 0.1 * v))[:, None]
        near = beam / (1 + (depth / 7) ** 2)
        view.light[...] *= (light.level + light.headlamp * 0.25 * near)[..., None]
    elif light.level != 1:
        view.light[...] *= np.float32(light.level)
    if fog:
        clear = np.exp(depth * np.float32(-fog))[..., None]
        haze = (world.sky.horizon + world.sky.zenith) / 2
        view.light[...] = view.light * clear + haze * (1 - clear)
