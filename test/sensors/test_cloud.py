"""Points in any layout against a slow reading of their bytes; every lie refused by name."""

from __future__ import annotations

import array
import struct
import tracemalloc

import numpy as np
import pytest
from support.sensor_messages import (
    ORIGIN,
    XYZ,
    cloud,
    cloud_of,
    field,
    lies_within,
    noise,
    serialised,
)

from edge_inference_ros.errors import BadCloud
from edge_inference_ros.sensors import cloud as sensor

LETTERS = {1: 'b', 2: 'B', 3: 'h', 4: 'H', 5: 'i', 6: 'I', 7: 'f', 8: 'd'}
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}


def column(msg, one):
    """Every value of one field, point by point."""
    order = '>' if msg.is_bigendian else '<'
    starts = [y * msg.row_step + x * msg.point_step + one.offset
              for y in range(msg.height) for x in range(msg.width)]  # fmt: skip
    form = f'{order}{one.count}{LETTERS[one.datatype]}'
    return [list(struct.unpack_from(form, msg.data, start)) for start in starts]


@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize('height', [1, 3])
@pytest.mark.parametrize('pad', [0, 11])
@pytest.mark.parametrize('datatype', range(1, 9))
def test_any_layout_reads_as_its_bytes_say(is_bigendian, height, pad, datatype):
    # Unaligned on purpose, z before x, bytes nobody owns, and a field of three values.
    fields = [field('z', 1, datatype), field('y', 27), field('x', 31, 8),
              field('normal', 11, 7, 3), field('ring', 39, 4)]  # fmt: skip
    msg = cloud(4, height, 43, pad, fields=fields, is_bigendian=is_bigendian)
    msg.data = noise(msg.height * msg.row_step)

    points = sensor.view(msg, ORIGIN).points

    assert points.shape == (4 * height,)
    for one in fields:
        slow = np.array(column(msg, one))
        seen = points[one.name].reshape(len(points), -1)
        assert np.array_equal(seen, slow, equal_nan=True), one.name


@pytest.mark.parametrize(
    ('height', 'pad', 'is_view'),
    [(1, 0, True), (1, 64, True), (3, 0, True), (3, 8, False)],
    ids=['one row', 'one padded row', 'rows', 'padded rows'],
)
def test_only_padded_rows_are_copied(height, pad, is_view):
    msg = cloud(5, height, 16, pad)

    points = sensor.view(msg, ORIGIN).points

    assert lies_within(points, msg.data) == is_view


def test_a_view_of_a_large_cloud_allocates_almost_nothing():
    msg = cloud(130_000, 1, 32)
    sensor.view(msg, ORIGIN)

    tracemalloc.start()
    seen = sensor.view(msg, ORIGIN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(seen.points) == 130_000
    assert peak < 4096


def test_overlapping_fields_share_their_bytes():
    msg = cloud(fields=[*XYZ, field('rgb', 12), field('rgba', 12, 6)])

    points = sensor.view(msg, ORIGIN).points

    assert points['rgb'].tobytes() == points['rgba'].tobytes()


def test_nameless_fields_are_padding():
    msg = cloud(fields=[*XYZ, field('', 12), field('', 12)])

    assert sensor.view(msg, ORIGIN).points.dtype.names == ('x', 'y', 'z')


@pytest.mark.parametrize(('width', 'height'), [(0, 1), (0, 0), (5, 0), (0, 7)])
def test_a_cloud_of_no_points_is_a_cloud(width, height):
    seen = sensor.view(cloud(width, height), ORIGIN)

    assert len(seen.points) == 0
    assert seen.points.dtype.names == ('x', 'y', 'z')
    assert sensor.xyz(seen).shape == (0, 3)


@pytest.mark.parametrize(
    'hold',
    [bytearray, memoryview, lambda b: array.array('B', b), lambda b: np.frombuffer(b, 'u1')],
    ids=['bytearray', 'memoryview', 'array', 'ndarray'],
)
def test_any_holder_of_bytes_will_do(hold):
    msg = cloud()
    expected = sensor.view(msg, ORIGIN).points

    msg.data = hold(msg.data)

    assert np.array_equal(sensor.view(msg, ORIGIN).points, expected)


@pytest.mark.parametrize('kind', ['<f4', '>f4', '<f8', '>f8', '<i2', '>i4'])
def test_coordinates_come_as_three_native_floats(kind):
    layout = np.dtype([('i', 'u1'), ('z', kind), ('x', kind), ('y', kind)])
    points = np.zeros(7, layout)
    for axis, start in zip('xyz', (0, 10, 20), strict=True):
        points[axis] = np.arange(start, start + 7)
    msg = cloud_of(points, is_bigendian=kind[0] == '>')

    got = sensor.xyz(sensor.view(msg, ORIGIN))

    assert got.dtype == np.float32
    assert got.dtype.isnative
    assert got.tolist() == [[i, 10 + i, 20 + i] for i in range(7)]


def test_coordinates_keep_what_is_not_a_number():
    points = np.zeros(2, [('x', 'f4'), ('y', 'f4'), ('z', 'f4')])
    points['y'] = np.nan, np.inf

    got = sensor.xyz(sensor.view(cloud_of(points), ORIGIN))

    assert np.array_equal(got, [[0, np.nan, 0], [0, np.inf, 0]], equal_nan=True)


def test_a_point_with_a_coordinate_missing_is_nowhere():
    points_m = np.zeros((5, 3), np.float32)
    points_m[[0, 2, 3], [0, 1, 2]] = np.nan, np.inf, -np.inf

    assert sensor.finite(points_m).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'fields': []}, 'no x, y, z among the fields (none)'),
        ({'fields': XYZ[:2]}, 'no z among the fields (x, y)'),
        ({'fields': [*XYZ, field('x', 12)]}, 'a name comes twice'),
        ({'fields': [*XYZ, field('i', 13)]}, "field 'i' lies in bytes 13 to 17 of a point of 16"),
        ({'fields': [*XYZ, field('i', -1)]}, "field 'i' lies in bytes -1"),
        ({'fields': [*XYZ, field('i', 2**32 - 1)]}, "field 'i' lies in bytes 4294967295"),
        ({'fields': [*XYZ, field('i', 12, 9)]}, "field 'i' has datatype 9; 1 to 8 are defined"),
        ({'fields': [*XYZ, field('i', 12, 0)]}, 'datatype 0'),
        ({'fields': [*XYZ, field('i', 12, 7, 0)]}, "field 'i' has count 0"),
        ({'fields': [*XYZ, field('i', 12, 7, -1)]}, "field 'i' has count -1"),
        ({'fields': [*XYZ, field('i', 12, 7, 2**32 - 1)]}, 'lies in bytes 12 to 17179869192'),
        ({'fields': [*XYZ[:2], field('z', 8, 7, 2)]}, "field 'z' has count 2; need 1 for x, y, z"),
        ({'fields': XYZ * 50}, '150 fields to a point; at most 128'),
        ({'point_step': 0}, 'point_step of 0 bytes'),
        ({'point_step': -16}, 'point_step of -16 bytes'),
        ({'point_step': 2**32 - 1}, 'point_step of 4294967295 bytes; need 1 to 65535'),
        ({'point_step': 8}, "field 'z' lies in bytes 8 to 12 of a point of 8"),
        ({'point_step': 17}, 'row_step of 80 bytes; 5 points of 17 bytes need at least 85'),
        ({'row_step': 0}, 'row_step of 0 bytes'),
        ({'row_step': -80}, 'row_step of -80 bytes'),
        ({'row_step': 81}, '80 bytes of data; 1 rows of 81 need 81'),
        ({'height': 2}, '2 rows of 80 need 160'),
        ({'height': -1}, '5x-1 points'),
        ({'width': -5}, '-5x1 points'),
        ({'width': 2**32 - 1, 'height': 2**32 - 1}, 'we read at most 16000000'),
        ({'data': b''}, '0 bytes of data'),
        ({'data': None}, 'payload is a NoneType'),
    ],
    ids=str,
)
def test_a_lying_cloud_is_refused_with_what_and_how_much(change, words):
    msg = cloud()
    vars(msg).update(change)

    with pytest.raises(BadCloud) as refused:
        sensor.view(msg, ORIGIN)

    assert words in str(refused.value)


def test_a_serialised_cloud_is_viewed_in_place():
    msg = cloud(5, 2, 16)
    raw = serialised('PointCloud2', msg)

    seen = sensor.view_raw(raw, ORIGIN)

    assert np.array_equal(seen.points, sensor.view(msg, ORIGIN).points)
    assert lies_within(seen.points, raw)
