"""A drive written as a bag reads back as what was rendered."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from edge_inference_ros.sim.bag import (
    CAMERA_FRAME,
    TOPICS,
    quaternion_of,
    typestore,
    write_drive,
)
from edge_inference_ros.sim.camera import Camera
from edge_inference_ros.sim.dataset import too_hard
from edge_inference_ros.sim.lidar import POINT


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'drive'
    steps = []
    drive = write_drive(path, seconds=0.3, seed=4, progress=lambda *args: steps.append(args))
    store = typestore()
    messages = {}
    with Reader(path) as reader:
        for connection, stamp_ns, raw in reader.messages():
            message = store.deserialize_cdr(raw, connection.msgtype)
            messages.setdefault(connection.topic, []).append((stamp_ns, message))
    return path, drive, list(drive), messages, steps


def test_every_topic_is_there_once_a_frame(bag):
    _, drive, _, messages, steps = bag

    assert set(messages) == set(TOPICS)
    assert {topic: len(found) for topic, found in messages.items()} == {
        topic: 1 if topic == '/tf_static' else len(drive) for topic in TOPICS
    }
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_all_stamps_of_a_frame_are_its_stamp(bag):
    _, _, frames, messages, _ = bag

    for topic in ('/camera/image_raw', '/camera/camera_info', '/points', '/odom', '/truth'):
        for frame, (logged_ns, message) in zip(frames, messages[topic], strict=True):
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec == logged_ns == frame.stamp_ns


def test_pictures_and_clouds_survive(bag):
    _, _, frames, messages, _ = bag

    for frame, (_, image) in zip(frames, messages['/camera/image_raw'], strict=True):
        pixels = image.data.reshape(image.height, image.step)[:, : 3 * image.width]
        assert image.encoding == 'bgr8'
        assert image.header.frame_id == CAMERA_FRAME
        np.testing.assert_array_equal(pixels.reshape(frame.image.shape), frame.image)
    for frame, (_, cloud) in zip(frames, messages['/points'], strict=True):
        assert cloud.width == len(frame.cloud) > 10_000
        assert cloud.row_step == cloud.width * cloud.point_step == len(cloud.data)
        assert cloud.data.tobytes() == frame.cloud.tobytes()
        assert [(f.name, f.offset) for f in cloud.fields] == [
            (name, POINT.fields[name][1]) for name in POINT.names
        ]


def test_truth_holds_what_a_detector_is_asked_for(bag):
    _, drive, frames, messages, _ = bag

    for frame, (_, said) in zip(frames, messages['/truth'], strict=True):
        asked = ~too_hard(frame.truth, drive.camera.height)
        assert len(said.detections) == asked.sum() > 0
        for row, found in zip(np.flatnonzero(asked), said.detections, strict=True):
            x1, y1, x2, y2 = frame.truth.boxes_px[row]
            assert found.bbox.center.position.x == (x1 + x2) / 2
            assert found.bbox.size_y == y2 - y1
            assert found.results[0].hypothesis.class_id == frame.truth.names()[row]
            assert found.id == str(frame.truth.actor[row])


def test_writing_again_replaces_the_bag(bag, tmp_path):
    path = tmp_path / 'drive'

    for seconds in (0.2, 0.1):
        write_drive(path, seconds=seconds)

    with Reader(path) as reader:
        assert reader.message_count == len(TOPICS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['drive']


def test_the_quaternion_of_the_camera_turns_its_axes():
    turn = Camera(pitch_rad=0.1, roll_rad=0.05).in_base()
    x, y, z, w = quaternion_of(turn)

    rebuilt = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    np.testing.assert_allclose(rebuilt, turn, atol=1e-6)
