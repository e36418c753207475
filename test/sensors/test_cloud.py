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


@pytest.mark.parametrize(
    'offsets', [(0, 0, 0), (0, 4, 4), (0, 2, 8), (8, 4, 7)], ids=['all', 'two', 'half', 'ends']
)
def test_coordinates_that_share_bytes_are_refused(offsets):
    fields = [field(axis, offset) for axis, offset in zip('xyz', offsets, strict=True)]

    with pytest.raises(BadCloud, match=r"fields '.' and '.' share bytes of the point: the driver"):
        sensor.view(cloud(4, 1, 16, 0, fields=fields), ORIGIN)


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


STEPS = (12, 13, 16, 18, 20, 22, 24, 26, 28, 32, 34, 48)


@pytest.mark.parametrize('point_step', STEPS)
def test_coordinates_of_any_step_are_gathered_into_runs_of_one_axis(point_step):
    # What makes an unaligned step fast is that no axis is written into every third float.
    msg = cloud(7, 1, point_step)

    got = sensor.xyz(sensor.view(msg, ORIGIN))

    slow = [struct.unpack_from('<3f', msg.data, i * point_step) for i in range(7)]
    assert np.array_equal(got, np.array(slow, np.float32), equal_nan=True)
    assert all(axis.flags.c_contiguous for axis in got.T)


@pytest.mark.parametrize('order', ['C', 'F'])
def test_the_points_a_mask_picks_are_chosen_in_either_order_of_memory(order):
    points_m = np.asarray(np.arange(12, dtype=np.float32).reshape(4, 3), order=order)

    got = sensor.chosen(points_m, np.array([True, False, False, True]))

    assert got.tolist() == [[0, 1, 2], [9, 10, 11]]


@pytest.mark.parametrize('row_step', [0, 1, 79, 160, 161, 2**32 - 1])
def test_rows_without_padding_are_known_whatever_row_step_says(row_step):
    msg = cloud(5, 2, 16)
    expected = sensor.view(msg, ORIGIN).points

    msg.row_step = row_step

    seen = sensor.view(msg, ORIGIN).points
    assert np.array_equal(seen, expected)
    assert lies_within(seen, msg.data)


@pytest.mark.parametrize('row_step', [0, 81, 2**32 - 1])
def test_of_one_row_the_step_to_the_next_does_not_matter(row_step):
    msg = cloud(5, 1, 16)
    expected = sensor.view(msg, ORIGIN).points

    msg.row_step = row_step
    msg.data += b'more'

    assert np.array_equal(sensor.view(msg, ORIGIN).points, expected)


@pytest.mark.parametrize(
    'bad',
    [
        [field('i', 13)],
        [field('i', -1)],
        [field('i', 2**32 - 1)],
        [field('i', 12, 9)],
        [field('i', 12, 0)],
        [field('i', 12, 7, -1)],
        [field('i', 12, 7, 2**32 - 1)],
        [field('i', 12), field('i', 8)],
        [field('_', 12), field('_', 8)],
        [field('_', 500, 77, 9)],
    ],
    ids=str,
)
def test_a_bad_field_beside_good_coordinates_is_left_out(bad):
    good = cloud(fields=[*XYZ, field('ring', 12, 4)])

    seen = sensor.view(cloud(fields=[*bad, *XYZ, field('ring', 12, 4)]), ORIGIN).points

    assert seen.dtype.names == ('x', 'y', 'z', 'ring')
    assert np.array_equal(seen, sensor.view(good, ORIGIN).points)


def test_a_count_of_zero_is_one_as_pcl_reads_it():
    zeros = [field(one.name, one.offset, 7, 0) for one in [*XYZ, field('i', 12)]]

    seen = sensor.view(cloud(fields=zeros), ORIGIN).points

    assert np.array_equal(seen, sensor.view(cloud(fields=[*XYZ, field('i', 12)]), ORIGIN).points)


def test_a_field_said_twice_in_the_same_words_is_one_field():
    seen = sensor.view(cloud(fields=[*XYZ, *XYZ, field('i', 12), field('i', 12)]), ORIGIN)

    assert seen.points.dtype.names == ('x', 'y', 'z', 'i')


@pytest.mark.parametrize('fields', [[], XYZ])
def test_a_message_that_says_nothing_is_a_cloud_of_no_points(fields):
    seen = sensor.view(cloud(0, 0, 0, fields=fields, data=b''), ORIGIN)

    assert sensor.xyz(seen).shape == (0, 3)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'fields': []}, 'no x, y, z among the fields (none)'),
        ({'fields': XYZ[:2]}, 'no z among the fields (x, y)'),
        ({'fields': [*XYZ, field('x', 12)]}, "field 'x': its name comes twice"),
        ({'fields': [*XYZ[:2], field('z', 13)]}, "'z': it lies in bytes 13 to 17 of a point"),
        ({'fields': [*XYZ[:2], field('z', 8, 9)]}, "field 'z': datatype 9; 1 to 8 are defined"),
        ({'fields': [*XYZ[:2], field('z', 8, 7, 2)]}, "field 'z': count 2; need 1"),
        ({'fields': [*XYZ[:2], field('z', 8, 7, -1)]}, "field 'z': count -1; need 1"),
        ({'fields': XYZ * 50}, '150 fields to a point; at most 128'),
        ({'point_step': 0}, 'point_step of 0 bytes'),
        ({'point_step': -16}, 'point_step of -16 bytes'),
        ({'point_step': 2**32 - 1}, 'point_step of 4294967295 bytes; need 1 to 65535'),
        ({'point_step': 8}, "field 'z': it lies in bytes 8 to 12 of a point of 8"),
        ({'point_step': 17}, '80 bytes of data; 1 rows of 5 points of 17 bytes need 85'),
        ({'height': 2}, '2 rows of 5 points of 16 bytes need 160'),
        ({'height': 2, 'data': bytes(164), 'row_step': 0}, 'row_step of 0 bytes; 2 rows'),
        ({'height': 2, 'data': bytes(164), 'row_step': 79}, 'need at least 80'),
        ({'height': 2, 'data': bytes(164), 'row_step': 83}, 'row_step of 83 bytes'),
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
