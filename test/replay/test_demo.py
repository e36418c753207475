"""The demo runs the real nodes end to end, and leaves nothing behind."""

import errno
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from support.models import scripted_model
from support.robots import GIVEN, ROOT

from edge_inference_ros.errors import BackendUnavailable, ConfigError, EdgeInferenceError
from edge_inference_ros.replay import demo
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.graph import complaint
from edge_inference_ros.replay.scene import scene
from edge_inference_ros.sim import bag


def segments():
    return {p.name for p in Path('/dev/shm').glob('fastrtps_*')}  # noqa: S108


def drive(tmp_path, monkeypatch, **changes):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    said = {
        'model': str(scripted_model(tmp_path / 'model', durations_ms=[5])),
        'backend': 'null',
        'tracker': 'none',
        'seconds': 2.0,
        'pictures': 3,
        'out': str(tmp_path / 'out'),
    }
    return demo.run(demo.Params(**{**said, **changes})), tmp_path / 'out'


@pytest.mark.ros
def test_a_short_drive_ends_in_a_report_that_adds_up(tmp_path, monkeypatch, capsys):
    status, out = drive(tmp_path, monkeypatch)

    said = json.loads((out / 'report.json').read_text())
    assert status == 0
    assert said['frames']['published'] == 20
    assert said['frames']['adds_up']
    assert said['guard']['judged'] > 0
    assert (out / 'latency.png').exists()
    assert len(list((out / 'overlays').iterdir())) == 3
    text = capsys.readouterr().out
    assert 'sensor to output' in text
    assert str(out) in text


@pytest.mark.ros
def test_faster_than_it_can_stop_everything_at_speed_is_refused(tmp_path, monkeypatch):
    picture = tmp_path / 'one.png'
    cv2.imwrite(str(picture), np.full((64, 96, 3), 80, np.uint8))

    _, out = drive(tmp_path, monkeypatch, images=str(picture), speed=8.0)

    guard = json.loads((out / 'report.json').read_text())['guard']
    assert guard['refused'].get('STALE_AGE', 0) > 0
    assert guard['forwarded'] < guard['judged']


@pytest.mark.ros
def test_a_node_that_refuses_ends_the_demo_with_its_words(tmp_path, monkeypatch):
    robot = tmp_path / 'robot.yaml'
    robot.write_text(yaml.safe_dump({'/**': {'ros__parameters': GIVEN}}))
    model = scripted_model(tmp_path / 'altered')
    (model / 'script.json').write_text('{}')  # not the file the manifest was written for

    for _ in range(2):  # what the first try leaves is in nobody's way
        with pytest.raises(ConfigError, match=r'camera_detector: .*SHA-256'):
            drive(tmp_path, monkeypatch, model=str(model), robot=str(robot))

    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['log']


def test_of_what_a_node_says_the_newest_error_goes_before_warnings(tmp_path):
    log = tmp_path / 'camera_detector.log'
    log.write_text(
        '[ERROR] [1.0] [camera_detector]: old\n[ERROR] [2.0] [camera_detector]: grave\n'
        '[WARN] [3.0] [camera_detector]: mild\n[INFO] [4.0] [camera_detector]: well\n'
    )

    assert complaint(log) == f'camera_detector said: grave; its log is {log}'


RAISES = """
from edge_inference_ros.heads.yolov8 import Head as Sound


class Head(Sound):
    def decode(self, *_):
        raise ValueError('no such anchor')
"""


@pytest.mark.ros
def test_a_head_that_raises_ends_the_demo_with_the_words_of_its_node(tmp_path, monkeypatch):
    site = tmp_path / 'site'
    told = site / 'outside-1.0.dist-info'
    told.mkdir(parents=True)
    (told / 'METADATA').write_text('Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n')
    (told / 'entry_points.txt').write_text('[edge_inference_ros.heads]\nraises = raises\n')
    (site / 'raises.py').write_text(RAISES)
    monkeypatch.setenv('PYTHONPATH', str(site), prepend=os.pathsep)
    model = scripted_model(tmp_path / 'raising')
    path = model / 'manifest.yaml'
    path.write_text(path.read_text().replace('yolov8', 'raises'))

    with pytest.raises(ConfigError, match=r'camera_detector said: .*no such anchor'):
        drive(tmp_path, monkeypatch, model=str(model))


@pytest.mark.ros
@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'model': 'no_such_model'}, 'no_such_model'),
        ({'tracker': 'magic'}, 'magic'),
        ({'robot': 'no_such_robot'}, 'no_such_robot'),
        ({'robot': str(ROOT / 'config/watchdog.yaml')}, 'no figure for v_cap_mps'),
    ],
)
def test_wrong_names_are_found_before_anything_is_rendered(tmp_path, monkeypatch, changes, words):
    with pytest.raises(ConfigError, match=words):
        drive(tmp_path, monkeypatch, **changes)

    assert not (tmp_path / 'out').exists()
    assert not (tmp_path / 'cache').exists()


def test_a_folder_with_a_run_in_it_is_not_written_over(tmp_path):
    (tmp_path / 'recording').mkdir()

    with pytest.raises(ConfigError, match='already holds a run'):
        demo._folder(str(tmp_path))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))

    assert scene._cache(tmp_path / 'out') == tmp_path / 'out'


def test_a_damaged_rendering_is_made_again(tmp_path):
    bag = tmp_path / 'drive'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text('')

    assert scene._whole(bag) is False
    assert not bag.exists()


@pytest.mark.parametrize(
    ('said', 'length_s'),
    [({}, 32.0), ({'quick': True}, 6.0), ({'quick': True, 'seconds': 20.0}, 20.0)],
)
def test_a_length_that_is_named_goes_before_quick(said, length_s):
    assert demo.Params(**said).length_s == length_s


def test_a_drive_too_short_to_say_anything_is_refused():
    with pytest.raises(ConfigError, match='at least 2 s'):
        demo.run(demo.Params(seconds=1.0))


@pytest.mark.parametrize(('count', 'words'), [(24, '24 pictures of'), (1, '1 picture of')])
def test_pictures_are_shown_for_no_less_than_was_asked_for(tmp_path, count, words):
    folder = tmp_path / 'in'
    folder.mkdir()
    for n in range(count):
        cv2.imwrite(str(folder / f'{n:02d}.png'), np.full((40, 60, 3), 80, np.uint8))

    shown = scene.album(
        folder, tmp_path, seconds=6.0, speed_mps=1.0, rate_hz=10.0, model='street_tiny'
    )

    with open_bag(shown.bag) as opened:
        frames = opened.topics[scene.CAMERA].count
    assert shown.loops * frames >= 60
    assert shown.title.startswith(words)
    assert 'models get yolox_nano' in shown.notes[-1]


def test_a_model_of_ones_own_is_not_said_to_know_no_photographs(tmp_path):
    picture = tmp_path / 'one.png'
    cv2.imwrite(str(picture), np.full((40, 60, 3), 80, np.uint8))

    for n, model in enumerate(('mine', './street_tiny', str(ROOT / 'models/street_tiny'))):
        out = tmp_path / str(n)
        shown = scene.album(picture, out, seconds=2.0, speed_mps=1.0, rate_hz=10.0, model=model)
        assert shown.notes == ()


def test_a_runtime_that_cannot_start_is_found_before_anything_is_made(tmp_path, monkeypatch):
    def absent(*_, **__):
        raise BackendUnavailable('no CUDA driver')

    monkeypatch.setattr('edge_inference_ros.backends.null.open', absent)
    with pytest.raises(BackendUnavailable, match='no CUDA driver'):
        drive(tmp_path, monkeypatch)

    assert not (tmp_path / 'out').exists()
    assert not (tmp_path / 'cache').exists()


def test_pictures_that_cannot_be_read_leave_no_folder(tmp_path, monkeypatch):
    picture = tmp_path / 'broken.png'
    picture.write_bytes(b'no picture')

    with pytest.raises(ConfigError, match=r'no picture can be read: broken\.png'):
        drive(tmp_path, monkeypatch, images=str(picture))

    assert not (tmp_path / 'out').exists()


def test_what_the_watchdog_says_is_shown_while_it_drives():
    shown = {}

    class Board:
        def show(self, fact, words, part=None):
            shown[fact] = words, part

    demo._show(Board(), {})
    assert shown == {}
    said = {'state': 'VALID', 'limit_mps': '1.50', 'verdict': 'OK'}
    demo._show(Board(), {**said, 'age_ms': '60.0', 'deadline_ms': '200.0'})

    demo._show(Board(), {'state': 'STALE', 'limit_mps': 'none'})
    assert shown.pop('robot') == ('STALE, must stop', None)
    demo._show(Board(), said)

    assert shown == {
        'robot': ('VALID, up to 1.50 m/s', None),
        'age': ('60 of 200 ms', 0.3),
    }


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'backend': 'foo'}, "no backends called 'foo'"),
        ({'precision': 'int9'}, "precision 'int9'"),
        ({'tracker': 'foo'}, "no trackers called 'foo'"),
        ({'model': './nothing'}, 'nothing'),
        ({'model': 'yolox_nan'}, 'did you mean yolox_nano'),
        ({'robot': 'indoor_am'}, 'did you mean indoor_amr'),
        ({'robot': './zero.jpg'}, r'zero\.jpg(?!\.yaml)'),
        ({'images': 'nothing'}, 'nothing: no such file or folder'),
        ({'view': 'drive.txt'}, r'ends in \.rrd'),
        ({'view': 'web2'}, 'expected web'),
    ],
)
def test_a_wrong_name_is_found_before_anything_is_made(tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeInferenceError, match=words):
        demo.run(demo.Params(**changes))

    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_where_the_beginning_is(tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, 'drive', stop)
    with pytest.raises(KeyboardInterrupt):
        drive(tmp_path, monkeypatch)

    assert f'stopped; what there is so far is in {tmp_path / "out"}' in capsys.readouterr().out


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(half, *_, **__):
        half.mkdir(parents=True)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(bag, 'write_frames', full)
    with pytest.raises(ConfigError, match=f'{tmp_path}/cache/.*: No space left'):
        drive(tmp_path, monkeypatch)

    assert not list((tmp_path / 'cache').rglob('drive_*'))
