"""Calibration sees exactly what the robot feeds, wherever the pictures come from."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from support.quantisable import HIGH_PX, WIDE_PX, model_folder, picture_folder, pictures

from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.params import build
from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.heads.yolov8 import Head
from edge_inference_ros.optimize import calibrate
from edge_inference_ros.optimize.graph import ranges

IMAGES = pictures(10)


@pytest.fixture
def model(tmp_path):
    return model_folder(tmp_path / 'small')


def calibrated(model, out, **asked):
    report = calibrate.run(model, out, build(calibrate.Params, asked))
    return ranges.read(out), report


def bag(path, images, topics=('/camera',)):
    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = store.types
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic in topics:
            to = writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=store)
            for place, image in enumerate(images):
                stamp = kinds['builtin_interfaces/msg/Time'](sec=place, nanosec=0)
                header = kinds['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
                high, wide = image.shape[:2]
                message = kinds['sensor_msgs/msg/Image'](
                    header=header, height=high, width=wide, encoding='bgr8', is_bigendian=0,
                    step=wide * 3, data=image.reshape(-1),
                )  # fmt: skip
                data = store.serialize_cdr(message, 'sensor_msgs/msg/Image')
                writer.write(to, place * 10**9, data)
    return path


@pytest.mark.parametrize('frames', [4, 10, 200])
def test_a_bag_gives_what_a_folder_of_the_same_frames_gives(model, tmp_path, frames):
    folder = picture_folder(tmp_path / 'images', IMAGES)
    recording = bag(tmp_path / 'bag', IMAGES)

    one, _ = calibrated(model, tmp_path / 'one', source=str(folder), frames=frames)
    two, _ = calibrated(model, tmp_path / 'two', source=str(recording), frames=frames)

    assert one.set_sha256 == two.set_sha256
    assert one.ranges == two.ranges
    np.testing.assert_array_equal(one.inputs, two.inputs)


def test_a_labelled_split_gives_what_a_folder_of_the_same_frames_gives(model, tmp_path):
    folder = picture_folder(tmp_path / 'images', IMAGES)
    np.save(tmp_path / 'images.npy', IMAGES)

    one, _ = calibrated(model, tmp_path / 'one', source=str(folder), frames=5)
    two, _ = calibrated(model, tmp_path / 'two', source=str(tmp_path), frames=5)

    assert one.set_sha256 == two.set_sha256


def test_inputs_are_what_the_models_own_head_prepares(model, tmp_path):
    folder = picture_folder(tmp_path / 'images', IMAGES)
    seen, _ = calibrated(model, tmp_path / 'out', source=str(folder))

    manifest = load(model)
    fed = {'images': np.zeros((1, HIGH_PX, WIDE_PX, 3), np.uint8)}
    head = Head(manifest, {'output0': np.zeros((1, 6, 24), np.float32)})
    for place, image in enumerate(IMAGES):
        head.prepare(Image(Origin('', 0, 0), image, 'bgr'), fed)
        np.testing.assert_array_equal(seen.inputs[place], fed['images'][0])


def test_ranges_hold_every_value_and_percentiles_fewer(model, tmp_path):
    folder = str(picture_folder(tmp_path / 'images', IMAGES))

    whole, _ = calibrated(model, tmp_path / 'whole', source=folder)
    most, _ = calibrated(
        model, tmp_path / 'most', source=folder, method='percentile', percentile=99.0
    )
    likely, _ = calibrated(model, tmp_path / 'likely', source=folder, method='entropy')

    low, high = whole.ranges['scaled']
    assert high == pytest.approx(whole.inputs.max() / 255, abs=1e-6)
    assert low == pytest.approx(whole.inputs.min() / 255, abs=1e-6)
    assert most.ranges['stem'][1] < whole.ranges['stem'][1]
    assert likely.ranges['stem'][1] <= whole.ranges['stem'][1] * 1.01


def test_the_same_seed_gives_the_same_set_and_another_seed_another(model, tmp_path):
    folder = str(picture_folder(tmp_path / 'images', IMAGES))

    sets = [
        calibrated(model, tmp_path / str(i), source=folder, frames=4, seed=seed)[0].set_sha256
        for i, seed in enumerate((0, 0, 1))
    ]

    assert sets[0] == sets[1] != sets[2]


def test_the_small_world_needs_no_files(model, tmp_path):
    one, report = calibrated(model, tmp_path / 'one', frames=2, source='world')

    assert report.facts['frames'] == 2
    assert one.inputs.std() > 10


def test_only_as_many_inputs_are_kept_as_asked(model, tmp_path):
    folder = str(picture_folder(tmp_path / 'images', IMAGES))
    seen, report = calibrated(model, tmp_path / 'out', source=folder, keep=3)

    assert len(seen.inputs) == 3
    assert report.facts['frames'] == len(IMAGES)


def test_a_bag_with_two_cameras_asks_which(model, tmp_path):
    recording = str(bag(tmp_path / 'bag', IMAGES[:2], ('/left', '/right')))

    with pytest.raises(ConfigError, match='/left, /right'):
        calibrated(model, tmp_path / 'out', source=recording)
    seen, _ = calibrated(model, tmp_path / 'out', source=recording, topic='/left')
    assert len(seen.inputs) == 2


def test_a_bag_without_a_camera_says_what_it_holds(model, tmp_path):
    recording = str(bag(tmp_path / 'bag', [], ('/left',)))

    with pytest.raises(ConfigError, match=r'without pictures; it holds /left \(sensor_msgs'):
        calibrated(model, tmp_path / 'out', source=recording)


@pytest.mark.parametrize('source', ['nowhere', 'empty'])
def test_a_source_without_pictures_is_named(model, tmp_path, source):
    (tmp_path / 'empty').mkdir()

    with pytest.raises(ConfigError, match=source):
        calibrated(model, tmp_path / 'out', source=str(tmp_path / source))


def test_a_bare_network_cannot_be_calibrated(model, tmp_path):
    with pytest.raises(ConfigError, match='model folder'):
        calibrated(model / 'model.onnx', tmp_path / 'out')


@pytest.mark.parametrize('text', [None, '', '{}', '[]', json.dumps({'ranges': 3})])
def test_a_folder_without_a_calibration_is_refused(tmp_path, text):
    np.save(tmp_path / 'inputs.npy', np.zeros(1))
    if text is not None:
        (tmp_path / 'calibration.json').write_text(text)

    with pytest.raises(ConfigError, match='optimize calibrate'):
        ranges.read(tmp_path)


def test_no_step_opens_a_connection(model, tmp_path, monkeypatch):
    monkeypatch.setattr('socket.socket', SimpleNamespace())
    folder = str(picture_folder(tmp_path / 'images', IMAGES[:2]))

    calibrated(model, tmp_path / 'out', source=folder)


@pytest.mark.parametrize('kind', ['folder', 'bag', 'split'])
def test_progress_counts_the_pictures_there_are(model, tmp_path, caplog, kind):
    source = picture_folder(tmp_path / 'images', IMAGES)
    if kind == 'bag':
        source = bag(tmp_path / 'bag', IMAGES)
    elif kind == 'split':
        np.save(tmp_path / 'images.npy', IMAGES)
        source = tmp_path

    with caplog.at_level('INFO'):
        calibrated(model, tmp_path / 'out', source=str(source), frames=200)

    assert f'calibrate: {len(IMAGES)} of {len(IMAGES)} pictures' in caplog.text


def test_a_foreign_network_is_not_shown_a_world_without_what_it_finds(tmp_path):
    folder = model_folder(tmp_path / 'model')

    with pytest.raises(ConfigError, match='finds car, which the simulated world'):
        calibrate.run(folder, tmp_path / 'ranges', calibrate.Params(frames=2))
