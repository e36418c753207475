"""Pictures from the disk become frames; those that cannot are named."""

import cv2
import numpy as np
import pytest
from support import bags

from edge_inference_ros.core import registry
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.pictures import bgr, viewer
from edge_inference_ros.replay.scene import photos

RATE = {'rate_hz': 10.0, 'speed_mps': 2.0}


def save(path, *, height=40, width=60, value=90):
    cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))
    return path


def test_every_picture_is_shown_in_order_with_the_robot_moving(tmp_path):
    files = [save(tmp_path / f'{name}.png', value=v) for name, v in (('a', 10), ('b', 200))]

    found = photos.write(files, tmp_path / 'bag', **RATE)

    with open_bag(tmp_path / 'bag') as bag:
        see = viewer('sensor_msgs/msg/Image')
        values = [int(bgr(see(r))[0, 0, 0]) for r in bag.records(('/camera/image_raw',))]
        odometry = [bags.definitions.decode(r.msgtype, r.data) for r in bag.records(('/odom',))]
    assert values[:4] == [10, 200, 10, 200]
    assert found.frames == len(values) == photos.LEAST_FRAMES
    assert {o.twist.twist.linear.x for o in odometry} == {2.0}
    assert odometry[10].pose.pose.position.x == pytest.approx(2.0)


def test_a_damaged_picture_is_named_and_skipped(tmp_path):
    good = save(tmp_path / 'good.jpg')
    (tmp_path / 'cut.jpg').write_bytes(good.read_bytes()[:200])
    (tmp_path / 'text.png').write_text('hello')
    (tmp_path / 'link.png').symlink_to('nowhere')

    found = photos.write(photos.find(tmp_path), tmp_path / 'bag', **RATE)

    assert [p.name for p in found.used] == ['good.jpg']
    assert [reason.split(':')[0] for reason in found.skipped] == [
        'cut.jpg',
        'link.png',
        'text.png',
    ]


def test_a_large_picture_is_shrunk_in_proportion(tmp_path):
    picture = photos.read(save(tmp_path / 'large.jpg', height=2000, width=2500))

    assert picture.shape == (1080, 1350, 3)


@pytest.mark.parametrize(
    ('height', 'width', 'shape'), [(1, 20000, (1, 1920, 3)), (9000, 2, (1080, 1, 3))]
)
def test_of_a_line_a_line_is_left(tmp_path, height, width, shape):
    assert photos.read(save(tmp_path / 'line.png', height=height, width=width)).shape == shape


def test_a_grey_picture_is_shown_in_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((9, 9), 7, np.uint8))

    assert photos.read(tmp_path / 'grey.png').tolist() == [[[7, 7, 7]] * 9] * 9


def test_nothing_to_show_is_said_plainly(tmp_path, monkeypatch):
    (tmp_path / 'text.png').write_text('hello')

    with pytest.raises(ConfigError, match=r'no picture can be read: text\.png'):
        photos.write(photos.find(tmp_path), tmp_path / 'bag', **RATE)
    with pytest.raises(ConfigError, match='no such file or folder'):
        photos.find(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ConfigError, match='no picture in it'):
        photos.find(tmp_path / 'empty')
    monkeypatch.setattr(photos, 'MOST_FILES', 0)
    with pytest.raises(ConfigError, match='at most 0'):
        photos.find(tmp_path)


def test_a_sensor_is_looked_up_once_for_all_photos(tmp_path, monkeypatch):
    files = [tmp_path / f'{i}.png' for i in range(3)]
    for file in files:
        cv2.imwrite(str(file), np.zeros((4, 4, 3), np.uint8))
    photos.read(files[0])

    monkeypatch.setattr(registry, 'load', lambda *_: pytest.fail('looked up again'))

    assert [photos.read(file).shape for file in files] == [(4, 4, 3)] * 3
