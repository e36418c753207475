"""Rays meet solids where a slow march along the ray finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.sim.paint import plain
from edge_inference_ros.sim.solids import (
    BOX,
    ELLIPSOID,
    FRUSTUM,
    Solid,
    join,
    meet,
    normals,
    stack,
    turn_z,
    vec,
)

SIZES = {BOX: vec(0.5, 0.8, 0.3), ELLIPSOID: vec(0.5, 0.8, 0.3), FRUSTUM: vec(0.6, 0.2, 0.5)}
STEP = 2e-3


def inside(kind, size, points):
    x, y, z = points
    if kind == BOX:
        return (np.abs(points) <= size[:, None]).all(0)
    if kind == ELLIPSOID:
        return ((points / size[:, None]) ** 2).sum(0) <= 1
    share = (z + size[2]) / (2 * size[2])
    radius = size[0] + (size[1] - size[0]) * share
    return (np.abs(z) <= size[2]) & (x * x + y * y <= radius * radius)


def marched(kind, size, origin, ray):
    t = np.arange(0.0, 6.0, STEP)
    hits = np.flatnonzero(inside(kind, size, origin[:, None] + ray[:, None] * t))
    return t[hits[0]] if len(hits) else np.inf


angles = st.floats(0, 2 * np.pi)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from((BOX, ELLIPSOID, FRUSTUM)),
    around=angles,
    up=st.floats(-1.2, 1.2),
    aim=st.tuples(*[st.floats(-0.9, 0.9)] * 3),
)
def test_a_ray_enters_a_solid_where_marching_along_it_does(kind, around, up, aim):
    origin = 3 * vec(np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up))
    ray = vec(*aim) - origin
    ray /= np.linalg.norm(ray)
    slow = marched(kind, SIZES[kind], origin, ray)

    fast = meet(kind, SIZES[kind], origin, ray[:, None])[0]

    if kind == FRUSTUM and np.isfinite(slow):
        # The march also enters through the bottom, which stands on the ground and is left open.
        at = origin + ray * slow
        if at[2] < -SIZES[kind][2] + 0.02:
            return
    if np.isfinite(slow) != np.isfinite(fast):
        # A ray that grazes within less than a step may be missed by the march.
        nudged = marched(kind, SIZES[kind] * np.float32(1.01), origin, ray)
        assert np.isfinite(nudged)
        return
    if np.isfinite(slow):
        assert fast == pytest.approx(slow, abs=3 * STEP)


@pytest.mark.parametrize('kind', [BOX, ELLIPSOID, FRUSTUM])
def test_normals_point_out_and_have_unit_length(kind):
    rng = np.random.default_rng(0)
    origin = vec(2, 1.5, 1)
    rays = (rng.uniform(-0.4, 0.4, (3, 500)).astype(np.float32) * 0.6) - origin[:, None]
    t = meet(kind, SIZES[kind], origin, rays)
    there = np.isfinite(t)
    points = origin[:, None] + rays[:, there] * t[there]

    normal = normals(kind, SIZES[kind], points)

    assert there.sum() > 100
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-4)
    assert ((normal * rays[:, there]).sum(0) < 1e-4).all()


def test_a_ray_starting_beyond_a_solid_does_not_meet_it():
    t = meet(BOX, SIZES[BOX], vec(3, 0, 0), vec(1, 0, 0)[:, None])

    assert np.isinf(t).all()


def test_moving_solids_moves_their_corners():
    paint = plain(vec(1, 1, 1))
    solid = Solid(BOX, vec(1, 2, 3), vec(0.1, 0.2, 0.3), turn_z(0.3), paint)
    group = join([stack([solid], 0), stack([], 1)])

    moved = group.moved(turn_z(np.pi / 2), vec(10, 0, 0))

    wanted = group.corners()[0] @ turn_z(np.pi / 2).T + vec(10, 0, 0)
    np.testing.assert_allclose(moved.corners()[0], wanted, atol=1e-5)
