"""A turn taken on the move against the same places seen at once, in doubles and by small steps."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edge_inference_ros.sensors.points.deskew import Deskew

N = 500


def moved(after_s, twist, steps=4_000):
    """x, y and yaw of the sensor, after_s from the stamp: midpoint steps of its twist."""
    vx, vy, w = twist
    x = y = yaw = 0.0
    step_s = after_s / steps
    for _ in range(steps):
        middle = yaw + 0.5 * w * step_s
        x += step_s * (np.cos(middle) * vx - np.sin(middle) * vy)
        y += step_s * (np.sin(middle) * vx + np.cos(middle) * vy)
        yaw += w * step_s
    return x, y, yaw


def turn(twist, seed=3):
    """Places (N, 3) as seen at the stamp, as seen on the move, and when."""
    random = np.random.default_rng(seed)
    places = random.uniform(-80, 80, (N, 3))
    after_s = np.linspace(-0.1, 0.1, N)
    x, y, yaw = moved(after_s, twist)
    dx, dy = places[:, 0] - x, places[:, 1] - y
    seen = np.stack(
        [np.cos(yaw) * dx + np.sin(yaw) * dy, np.cos(yaw) * dy - np.sin(yaw) * dx, places[:, 2]], 1
    )
    return places, np.asfortranarray(seen, np.float32), after_s.astype(np.float32)


@pytest.mark.parametrize(
    'twist',
    [
        (1.5, 0.0, 0.0),
        (0.0, 0.0, 1.0),
        (1.5, 0.0, -1.0),
        (-0.5, 0.8, 2.5),
        (1.5, 0.3, 1e-5),
        (1.0, 1.0, 1e-12),
    ],
)
def test_points_go_where_they_were_at_the_stamp(twist):
    places, seen, after_s = turn(twist)

    Deskew(N + 3).apply(seen, after_s, twist)

    np.testing.assert_allclose(seen, places, atol=5e-5)


def test_a_sensor_at_rest_leaves_the_points_as_they_are():
    _, seen, after_s = turn((1.0, 0.0, 1.0))
    before = seen.copy()

    Deskew(N).apply(seen, after_s, (0.0, 0.0, 0.0))

    assert (seen == before).all()


def test_no_points_are_no_fault_and_too_many_are():
    _, seen, after_s = turn((1.0, 0.0, 0.0))

    Deskew(N).apply(seen[:0], after_s[:0], (1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match='at most 499'):
        Deskew(N - 1).apply(seen, after_s, (1.0, 0.0, 1.0))


def test_points_without_a_time_each_are_refused():
    _, seen, after_s = turn((1.0, 0.0, 0.0))

    with pytest.raises(ValueError, match='500 points with 1 times'):
        Deskew(N).apply(seen, after_s[:1], (1.0, 0.0, 1.0))


def test_nothing_of_the_size_of_a_column_is_allocated():
    seen = np.ones((100_000, 3), np.float32, order='F')
    after_s = np.linspace(0.0, 0.1, len(seen), dtype=np.float32)
    deskew = Deskew(len(seen))
    deskew.apply(seen, after_s, (1.0, 0.2, 1.0))

    tracemalloc.start()
    deskew.apply(seen, after_s, (1.0, 0.2, 1.0))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 65_536
