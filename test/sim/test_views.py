"""Camera, LiDAR and truth agree about one world at one instant."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from edge_inference_ros.sim.camera import Camera, Pose, see
from edge_inference_ros.sim.dataset import FIRST_SEED, FOREIGN, TRAIN, Split, example
from edge_inference_ros.sim.drive import Drive, Route, street
from edge_inference_ros.sim.lidar import Lidar, scan
from edge_inference_ros.sim.scenes import any_scene
from edge_inference_ros.sim.solids import turn_z, vec
from edge_inference_ros.sim.truth import truth_of
from edge_inference_ros.sim.world import AGAIN, RETURN, STAY, Track

SEEDS = (1, 2, 5, 9)
POSE = Pose(0.4, -0.3, 0.2)


@functools.cache
def instant(seed):
    world = any_scene(seed)
    camera, lidar = Camera(320, 240), Lidar(sigma_m=0.0, lost=0.0)
    bodies = world.bodies(0.0, POSE.shift()[:2], 60.0)
    view = see(world, bodies, camera, POSE)
    swept = scan(world, bodies, lidar, POSE, np.random.default_rng(0))
    return bodies, camera, lidar, view, swept, truth_of(bodies, POSE, view, swept.body)


@pytest.mark.parametrize('seed', SEEDS)
def test_boxes_are_the_tightest_around_the_visible_pixels(seed):
    bodies, _, _, view, _, truth = instant(seed)

    for k in range(len(bodies)):
        rows, columns = np.nonzero(view.body == k)
        assert truth.pixels[k] == len(rows)
        if len(rows):
            wanted = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert tuple(truth.boxes_px[k]) == wanted
        else:
            assert not truth.boxes_px[k].any()


@pytest.mark.parametrize('seed', SEEDS)
def test_visibility_is_the_share_of_what_is_seen_when_alone(seed):
    world = any_scene(seed)
    bodies, camera, _, _, _, truth = instant(seed)

    for k in np.flatnonzero(truth.pixels > 50)[:4]:
        alone = see(world, [bodies[k]], camera, POSE)
        # Scenery may hide it too, so only what it covers when nothing is before it counts.
        assert truth.visibility[k] == pytest.approx(
            truth.pixels[k] / alone.whole_count[0], abs=1e-6
        )
        assert truth.visibility[k] <= 1


@pytest.mark.parametrize('seed', SEEDS)
def test_the_middle_of_a_3d_box_projects_into_the_whole_2d_box(seed):
    bodies, camera, _, view, _, truth = instant(seed)
    in_camera = (truth.centres_m - vec(*camera.mount_m)) @ camera.in_base()
    pixels, depth = camera.project(in_camera)

    checked = 0
    for k in range(len(bodies)):
        x1, y1, x2, y2 = view.whole_px[k]
        cut = x1 <= 0 or y1 <= 0 or x2 >= camera.width or y2 >= camera.height
        if depth[k] > 0.5 and truth.pixels[k] > 0 and not cut:
            assert x1 - 1 <= pixels[k, 0] <= x2 + 1
            assert y1 - 1 <= pixels[k, 1] <= y2 + 1
            checked += 1
    assert checked


@pytest.mark.parametrize('seed', SEEDS)
def test_points_on_a_body_lie_in_its_3d_box(seed):
    bodies, _, lidar, _, swept, truth = instant(seed)
    points = np.stack([swept.points[c] for c in 'xyz'], 1) + vec(*lidar.mount_m)

    assert truth.points.sum() == (swept.body >= 0).sum() > 50
    for k in range(len(bodies)):
        mine = points[swept.body == k] - truth.centres_m[k]
        local = mine @ turn_z(float(truth.yaws_rad[k]))
        assert (np.abs(local) <= truth.sizes_m[k] / 2 + 5e-3).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_points_before_the_camera_have_the_depth_it_saw(seed):
    _, camera, lidar, view, swept, _ = instant(seed)
    points = np.stack([swept.points[c] for c in 'xyz'], 1) + vec(*lidar.mount_m)
    pixels, depth = camera.project((points - vec(*camera.mount_m)) @ camera.in_base())
    inner = (depth > 1) & (pixels > 2).all(1) & (pixels < (318, 238)).all(1)
    column, row = pixels[inner].astype(int).T

    # The two look from different places, so some points are hidden from the camera.
    seen = view.depth_m[row, column]
    same = np.abs(seen - depth[inner]) < 0.02 * depth[inner] + 0.05
    assert inner.sum() > 500
    assert same.mean() > 0.9


def test_the_same_seed_gives_the_same_picture_and_another_does_not():
    split = Split(TRAIN, 1, width=160, height=120)

    first, again, other = (example(s, split) for s in (7, 7, 8))

    assert first.picture.tobytes() == again.picture.tobytes()
    np.testing.assert_array_equal(first.truth.boxes_px, again.truth.boxes_px)
    assert first.picture.tobytes() != other.picture.tobytes()


def test_foreign_pictures_share_no_pattern_but_plain_with_familiar_ones():
    def patterns(foreign):
        worlds = [any_scene(s, foreign=foreign) for s in range(12)]
        return {
            paint.pattern
            for world in worlds
            for body in world.bodies(0.0, vec(0, 0), 60.0)
            for paint in body.solids.paints
            if body.class_id == 3
        }

    assert patterns(foreign=True) & patterns(foreign=False) <= {0}


def test_splits_never_share_a_seed():
    starts = sorted(FIRST_SEED.values())

    assert len(set(starts)) == len(FIRST_SEED)
    assert min(np.diff(starts)) >= 10_000_000
    assert FOREIGN in FIRST_SEED


def test_two_drives_of_one_seed_are_equal_to_the_byte():
    def frames():
        small = Camera(160, 120)
        return list(Drive(seed=3, seconds=2, rate_hz=2, camera=small, lidar=Lidar(8, 128)))

    for a, b in zip(frames(), frames(), strict=True):
        assert a.stamp_ns == b.stamp_ns
        assert a.image.tobytes() == b.image.tobytes()
        assert a.cloud.tobytes() == b.cloud.tobytes()


def test_a_drive_does_not_depend_on_how_many_processes_render_it():
    drive = Drive(seed=3, seconds=1, rate_hz=3, camera=Camera(64, 48), lidar=Lidar(4, 64))

    alone, together = (list(drive.frames(processes=n)) for n in (1, 2))

    assert [f.image.tobytes() for f in alone] == [f.image.tobytes() for f in together]
    assert [f.cloud.tobytes() for f in alone] == [f.cloud.tobytes() for f in together]


def test_a_drive_starts_at_rest_keeps_its_speed_limit_and_moves_as_its_twist_says():
    route = Drive(seconds=30, speed_mps=3.0).route
    times = np.arange(0, 30, 0.5)
    speeds = np.array([route.twist(t).forward_mps for t in times])

    assert route.speed(0) == route.speed(30) == 0
    assert speeds.max() <= 3.0 * 1.02
    assert speeds.max() > 2.9
    a, b = route.pose(10.0), route.pose(10.01)
    assert np.hypot(b.x_m - a.x_m, b.y_m - a.y_m) / 0.01 == pytest.approx(
        route.twist(10.005).forward_mps, rel=0.02
    )


@pytest.mark.parametrize('speed_mps', [0.5, 1.5, 5.0])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_nobody_is_run_over_and_nobody_runs_into_the_robot(seed, speed_mps):
    route = Route(60.0, speed_mps)
    world = street(route, seed)

    for t in np.arange(0, 60, 0.1):
        robot = route.pose(t).shift()[:2]
        for body in world.bodies(t, robot, 6.0):
            local = turn_z(body.yaw_rad)[:2, :2].T @ (robot - body.centre_m[:2])
            gap = np.maximum(np.abs(local) - body.size_m[:2] / 2, 0)
            assert np.hypot(*gap) > 0.25, (t, body)


def test_a_track_returns_begins_again_or_stays():
    def at(then, t_s):
        return Track(vec(1, 0), 0.0, speed_mps=1.0, length_m=4.0, delay_s=1.0, then=then).at(t_s)

    for then in (RETURN, AGAIN, STAY):
        assert at(then, 0.5)[0].tolist() == [1, 0]
        assert at(then, 3.0)[0].tolist() == pytest.approx([3, 0])
    position, heading, travelled = at(RETURN, 6.0)
    assert (position[0], heading, travelled) == (pytest.approx(4), pytest.approx(np.pi), 5)
    assert at(AGAIN, 6.0)[0][0] == pytest.approx(2)
    assert at(STAY, 9.0)[0][0] == pytest.approx(5, abs=1e-4)
    assert at(STAY, 9.0)[2] == at(STAY, 90.0)[2]
