"""One frame of a real car: its camera and its LiDAR must see the same street.

Set ``KITTI_FRAMES`` to a folder with ``000134.png``, ``.bin``, ``.txt`` (calibration) and
``_gt.txt`` (labels) of the KITTI object benchmark.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.sensor_messages import ORIGIN, XYZ, cloud, compressed, field, serialised

from edge_inference_ros.sensors import cloud as cloud_sensor
from edge_inference_ros.sensors import compressed as compressed_sensor

BESIDE = Path(__file__).parents[2].parent / 'shared' / 'data' / 'kitti'
FRAMES = Path(os.environ.get('KITTI_FRAMES', BESIDE))

pytestmark = pytest.mark.skipif(
    not (FRAMES / '000134.png').exists(), reason=f'no real frames in {FRAMES}; set KITTI_FRAMES'
)


def picture():
    msg = compressed((FRAMES / '000134.png').read_bytes(), 'bgr8; png compressed bgr8')
    return compressed_sensor.view_raw(serialised('CompressedImage', msg), ORIGIN)


def sweep():
    data = (FRAMES / '000134.bin').read_bytes()
    msg = cloud(len(data) // 16, 1, 16, fields=[*XYZ, field('intensity', 12)], data=data)
    return cloud_sensor.view_raw(serialised('PointCloud2', msg), ORIGIN)


def calibration():
    lines = (FRAMES / '000134.txt').read_text().splitlines()
    parts = (line.split(':') for line in lines if ':' in line)
    return {name: np.array(values.split(), float) for name, values in parts}


def projected(points_m):
    """Pixels and depths of (N, 3) points of the LiDAR in the left colour camera."""
    known = calibration()
    to_camera = known['Tr_velo_to_cam'].reshape(3, 4)
    seen = (points_m @ to_camera[:, :3].T + to_camera[:, 3]) @ known['R0_rect'].reshape(3, 3).T
    homogeneous = seen @ known['P2'].reshape(3, 4)[:, :3].T + known['P2'].reshape(3, 4)[:, 3]
    return homogeneous[:, :2] / homogeneous[:, 2:], seen[:, 2]


def test_a_real_picture_is_what_opencv_reads_from_the_file():
    seen = picture()

    assert seen.order == 'bgr'
    assert np.array_equal(seen.pixels, cv2.imread(str(FRAMES / '000134.png')))


def test_a_real_sweep_is_what_the_file_holds():
    seen = sweep()

    expected = np.fromfile(FRAMES / '000134.bin', '<f4').reshape(-1, 4)
    assert np.array_equal(cloud_sensor.xyz(seen), expected[:, :3])
    assert np.array_equal(seen.points['intensity'], expected[:, 3])


def test_the_points_in_an_unhidden_box_are_as_far_as_its_object():
    pixels, depths_m = projected(cloud_sensor.xyz(sweep()))
    labels = [line.split() for line in (FRAMES / '000134_gt.txt').read_text().splitlines()]
    near = [
        one for one in labels if one[0] != 'DontCare' and one[2] == '0' and float(one[13]) < 25
    ]
    assert len(near) >= 2

    for label in near:
        box = np.array(label[4:8], float)
        middle = (box[:2] + box[2:]) / 2
        half = (box[2:] - box[:2]) / 5
        inside = (np.abs(pixels - middle) < half).all(axis=1)
        assert np.median(depths_m[inside]) == pytest.approx(float(label[13]), abs=3)
