"""Times of points as drivers send them: one rule, the same answer in every dialect."""

from __future__ import annotations

import numpy as np
import pytest
from support.sensor_messages import cloud_of

from edge_inference_ros.core.types import MonoNs, Origin, RosNs
from edge_inference_ros.sensors import cloud
from edge_inference_ros.sensors.points.times import StampIs, TimeFault, point_times

STAMP_NS = 1_795_000_000_123_456_789
STAMP_S = STAMP_NS * 1e-9
ORIGIN = Origin('lidar', RosNs(STAMP_NS), MonoNs(7))
TURN_S = np.linspace(0.0, 0.1, 401)
ALL = np.ones(len(TURN_S), bool)


def sweep(name, times, kind, count=()):
    axes = [(axis, kind[0] + 'f4') for axis in 'xyz']
    point = np.dtype([*axes, (name, kind, count)])
    points = np.ones(len(times), point)
    points[name] = times
    return cloud.view(cloud_of(points, is_bigendian=kind[0] == '>'), ORIGIN)


@pytest.mark.parametrize(
    ('name', 'kind', 'times', 'after_s', 'tolerance_s'),
    [
        ('time', '<f4', TURN_S - 0.1, TURN_S - 0.1, 1e-8),  # Velodyne: before the stamp
        ('t', '<u4', TURN_S * 1e9, TURN_S, 1e-8),  # Ouster
        ('timestamp', '<f8', STAMP_NS + TURN_S * 1e9, TURN_S, 1e-6),  # Livox: 256 ns steps
        ('timestamp', '<f8', STAMP_S + TURN_S, TURN_S, 1e-6),  # Hesai, RoboSense
        ('timestamp', '>f8', STAMP_S + TURN_S, TURN_S, 1e-6),
        ('ts', '<f4', TURN_S, TURN_S, 1e-8),  # SICK
        ('time', '<f4', TURN_S * 1e6, TURN_S, 1e-8),
        ('offset_time', '<f8', TURN_S * 1e3, TURN_S, 1e-8),
        ('timestamp', '<f8', STAMP_S - 0.1 + TURN_S, TURN_S - 0.1, 1e-6),
    ],
)
def test_every_dialect_says_the_same(name, kind, times, after_s, tolerance_s):
    read = point_times(sweep(name, times, kind), ALL)

    assert not read.foreign
    assert read.after_s.dtype == np.float32
    np.testing.assert_allclose(read.after_s, after_s, atol=tolerance_s)


@pytest.mark.parametrize(
    'times', [TURN_S + 5_000.0, (TURN_S + 5_000.0) * 1e9, STAMP_S - 37 + TURN_S]
)
@pytest.mark.parametrize(('stamp_is', 'start_s'), [(StampIs.FIRST, 0.0), (StampIs.LAST, -0.1)])
def test_times_of_another_clock_are_laid_to_the_stamp(times, stamp_is, start_s):
    read = point_times(sweep('timestamp', times, '<f8'), ALL, stamp_is=stamp_is)

    assert read.foreign
    np.testing.assert_allclose(read.after_s, TURN_S + start_s, atol=1e-6)


@pytest.mark.parametrize(
    'times',
    [
        np.zeros_like(TURN_S),
        np.full_like(TURN_S, STAMP_S),
        TURN_S * 7.0,  # 0.7 s are no turn, nor are 0.7 ms
        np.where(TURN_S > 0.05, 0.0, STAMP_NS),  # no time where nothing came back
        TURN_S * 1e12,
    ],
)
def test_times_that_span_no_turn_are_not_used(times):
    assert point_times(sweep('timestamp', times, '<f8'), ALL) is TimeFault.SPAN


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_times_that_are_no_numbers_are_not_used(value):
    times = np.where(TURN_S == 0.1, value, TURN_S)

    assert point_times(sweep('time', times, '<f4'), ALL) is TimeFault.NONFINITE


def test_points_that_are_nowhere_have_no_say():
    mask = TURN_S < 0.0501
    times = np.where(mask, STAMP_NS + TURN_S * 1e9, np.nan)

    read = point_times(sweep('timestamp', times, '<f8'), mask)

    np.testing.assert_allclose(read.after_s, TURN_S[mask], atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'count', 'mask'),
    [('intensity', (), ALL), ('time', (2,), ALL), ('time', (), np.zeros_like(ALL))],
)
def test_without_times_or_points_there_are_none(name, count, mask):
    times = np.broadcast_to(TURN_S.reshape(-1, *(1 for _ in count)), (len(TURN_S), *count))

    assert point_times(sweep(name, times, '<f4', count), mask) is TimeFault.ABSENT
