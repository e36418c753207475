"""What it costs to see a message, beside the usual ways: ``python -m bench.sensors``.

The rivals of a row take turns, so a busy moment of the machine hits all of them; medians are
compared, and only the ratio means something on another machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured
from numpy.typing import NDArray

from edge_inference_ros.core import cdr
from edge_inference_ros.core.types import MonoNs, Origin, RosNs
from edge_inference_ros.sensors import cloud, compressed, image
from edge_inference_ros.sensors.points.deskew import Deskew

WIDTH, HEIGHT = 1920, 1080
POINTS = 130_000
POINT_STEPS = (12, 16, 18, 20, 22, 24, 26, 28, 32, 34, 48)
"""Bytes of a point. Drivers send 16, 20, 22 (Velodyne), 26 (Hesai, Livox, RoboSense), 32, 48."""
ROUNDS = 60
ORIGIN = Origin('sensor', RosNs(1), MonoNs(1))

Work = Callable[[], object]


class Row(NamedTuple):
    """One comparison: what is read, how the usual way does it, and how we do."""

    what: str
    usual: str
    usually: Work
    ours: Work


def main(argv: list[str] | None = None) -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='a fifth of the rounds')
    rounds = ROUNDS // 5 if parser.parse_args(argv).quick else ROUNDS
    cv2.setNumThreads(1)
    _table(f'Image, {WIDTH}x{HEIGHT}', _image_rows(), rounds)
    _table(f'CompressedImage, {WIDTH}x{HEIGHT}', _compressed_rows(), rounds)
    _table(f'PointCloud2, {POINTS} points', _cloud_rows(), rounds)
    _table('Serialised bytes', _raw_rows(), rounds)


def _table(title: str, rows: Iterator[Row], rounds: int) -> None:
    lines = [f'\n{title}', f'{"":28}{"usual":>12}{"ours":>12}{"ratio":>9}   the usual way']
    for row in rows:
        usual_s, ours_s = in_turns(row.usually, row.ours, rounds=rounds)
        times = f'{usual_s * 1e3:9.4f} ms{ours_s * 1e3:9.4f} ms{ours_s / usual_s:9.3f}'
        lines.append(f'{row.what:28}{times}   {row.usual}')
    sys.stdout.write('\n'.join(lines) + '\n')


def in_turns(*rivals: Work, rounds: int = ROUNDS) -> list[float]:
    """Median seconds of each rival, measured one after the other in every round."""
    spent: list[list[float]] = [[] for _ in rivals]
    for turn in range(rounds + 5):
        for rival, times in zip(rivals, spent, strict=True):
            start = time.perf_counter()
            rival()
            if turn >= 5:  # the first few fill caches
                times.append(time.perf_counter() - start)
    return [median(times) for times in spent]


def _picture(encoding: str, pixel_bytes: int) -> SimpleNamespace:
    data = np.random.default_rng(0).integers(0, 256, WIDTH * HEIGHT * pixel_bytes, np.uint8)
    return SimpleNamespace(
        header=None,
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=0,
        step=WIDTH * pixel_bytes,
        data=data.tobytes(),
    )


def _array(msg: Any, channels: int, dtype: Any = np.uint8) -> NDArray[Any]:
    seen: NDArray[Any] = np.ndarray((msg.height, msg.width, channels), dtype, msg.data)
    return seen


def _image_rows() -> Iterator[Row]:
    """Beside what cv_bridge does for ``imgmsg_to_cv2(msg, 'bgr8')``."""

    def row(encoding: str, channels: int, usual: str, convert: Callable[[Any], Any]) -> Row:
        sixteen = '16' in encoding
        msg = _picture(encoding, channels * (2 if sixteen else 1))
        dtype = np.uint16 if sixteen else np.uint8
        return Row(
            encoding,
            usual,
            lambda: convert(_array(msg, channels, dtype)),
            lambda: image.view(msg, ORIGIN),
        )

    def to_bgr(code: int) -> Callable[[Any], Any]:
        return lambda seen: cv2.cvtColor(seen, code)

    def mono16(seen: Any) -> Any:
        return cv2.cvtColor(cv2.convertScaleAbs(seen, alpha=1 / 257), cv2.COLOR_GRAY2BGR)

    yield row('bgr8', 3, 'copy', np.copy)
    yield row('rgb8', 3, 'cvtColor to bgr8', to_bgr(cv2.COLOR_RGB2BGR))
    yield row('mono8', 1, 'cvtColor to bgr8', to_bgr(cv2.COLOR_GRAY2BGR))
    yield row('mono16', 1, 'scale, cvtColor to bgr8', mono16)
    yield row('uyvy', 2, 'cvtColor to bgr8', to_bgr(cv2.COLOR_YUV2BGR_UYVY))
    yield row('bayer_rggb8', 1, 'cvtColor to bgr8', to_bgr(cv2.COLOR_BayerBG2BGR))


def _compressed_rows() -> Iterator[Row]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([x // 8, y // 5, (x + y) // 12], axis=2).astype(np.uint8)
    for kind in ('jpeg', 'png'):
        data = cv2.imencode(f'.{kind}', picture)[1]
        msg = SimpleNamespace(format=kind, data=data.tobytes())
        yield Row(
            kind,
            'imdecode without any check',
            lambda data=data: cv2.imdecode(data, cv2.IMREAD_COLOR),  # type: ignore[misc]
            lambda msg=msg: compressed.view(msg, ORIGIN),  # type: ignore[misc]
        )


def _sweep(point_step: int = 32) -> SimpleNamespace:
    names = {'x': 0, 'y': 4, 'z': 8}
    values = np.random.default_rng(0).normal(0, 20, (POINTS, 3)).astype('<f4')
    values[::50] = np.nan
    points = np.zeros((POINTS, point_step), np.uint8)
    points[:, :12] = values.view(np.uint8)
    return SimpleNamespace(
        height=1,
        width=POINTS,
        fields=[SimpleNamespace(name=n, offset=o, datatype=7, count=1) for n, o in names.items()],
        is_bigendian=False,
        point_step=point_step,
        row_step=point_step * POINTS,
        data=points.tobytes(),
        is_dense=False,
    )


def _read_points(msg: Any, wanted: list[str], *, skip_nans: bool) -> NDArray[Any]:
    """The steps of ``sensor_msgs_py.point_cloud2.read_points``, so that it need not be there."""
    layout = np.dtype(
        {
            'names': [field.name for field in msg.fields],
            'formats': [np.float32 for _ in msg.fields],
            'offsets': [field.offset for field in msg.fields],
            'itemsize': msg.point_step,
        }
    )
    points: NDArray[Any] = np.ndarray(msg.width * msg.height, layout, msg.data)[wanted]
    if skip_nans:
        keep = np.ones(len(points), bool)
        for name in wanted:
            keep = np.logical_and(keep, ~np.isnan(points[name]))
        points = points[keep]
    return points


def _cloud_rows() -> Iterator[Row]:
    msg = _sweep()
    axes = ['x', 'y', 'z']

    def finite_xyz() -> object:
        seen = cloud.xyz(cloud.view(msg, ORIGIN))
        return cloud.chosen(seen, cloud.finite(seen))

    yield Row(
        'view',
        'read_points',
        lambda: _read_points(msg, axes, skip_nans=False),
        lambda: cloud.view(msg, ORIGIN),
    )
    yield from map(_xyz_row, POINT_STEPS)
    yield Row(
        'xyz without NaNs',
        'read_points_numpy(skip_nans=True)',
        lambda: structured_to_unstructured(_read_points(msg, axes, skip_nans=True)),
        finite_xyz,
    )
    yield _deskew_row()


def _xyz_row(point_step: int) -> Row:
    msg = _sweep(point_step)

    def usual() -> object:
        points = _read_points(msg, ['x', 'y', 'z'], skip_nans=False)
        return np.array(structured_to_unstructured(points))

    return Row(
        f'xyz of its own, step {point_step}',
        'read_points_numpy, copied',
        usual,
        lambda: cloud.xyz(cloud.view(msg, ORIGIN)),
    )


def _deskew_row() -> Row:
    """Every point by its own matrix in double precision, as a first version would be written."""
    points_m = cloud.xyz(cloud.view(_sweep(), ORIGIN))
    after_s = np.linspace(0.0, 0.1, len(points_m), dtype=np.float32)
    vx, vy, w = twist = (1.5, 0.0, 1.0)
    deskew = Deskew(len(points_m))
    work = points_m.copy(order='F')

    def usual() -> NDArray[np.float64]:
        angle = np.float64(w) * after_s
        sine, cosine = np.sin(angle), np.cos(angle)
        zero, one = np.zeros_like(sine), np.ones_like(sine)
        turns = np.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1)
        ways = np.stack([vx * sine - vy * (1 - cosine), vx * (1 - cosine) + vy * sine, zero], 1)
        moved: NDArray[np.float64] = ways / w
        moved += np.einsum('nij,nj->ni', turns.reshape(-1, 3, 3), points_m)
        return moved

    def ours() -> object:
        deskew.apply(work, after_s, twist)
        return work

    ours()
    if not np.allclose(work, usual(), atol=1e-4, equal_nan=True):
        raise SystemExit('deskew: the two ways differ')
    return Row('deskew, 1.5 m/s and 1 rad/s', 'a matrix a point, float64', usual, ours)


def _raw_rows() -> Iterator[Row]:
    """Beside a complete decoding by the rosbags library; rclpy's own is measured elsewhere."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kind = 'sensor_msgs/msg/Image'
    stamp = store.types['builtin_interfaces/msg/Time'](sec=1, nanosec=2)
    parts = vars(_picture('bgr8', 3))
    parts['header'] = store.types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
    parts['data'] = np.frombuffer(parts['data'], np.uint8)
    raw = bytes(store.serialize_cdr(store.types[kind](**parts), kind))

    def usual() -> object:
        return store.deserialize_cdr(raw, kind)

    yield Row('Image, view_raw', 'rosbags', usual, lambda: image.view_raw(raw, ORIGIN))
    yield Row('Image, peek_header', 'rosbags', usual, lambda: cdr.peek_header(raw))
    yield Row('Image, stamp_ns', 'rosbags', usual, lambda: cdr.stamp_ns(raw))


if __name__ == '__main__':
    main()
