"""Memory of the dead is given back, that of the living is not."""

import fcntl
import os
import signal

import pytest

from edge_inference_ros.ros import segments

NAME = 'fastrtps_0123456789abcdef'


@pytest.fixture
def segment(tmp_path):
    (tmp_path / NAME).write_bytes(bytes(1000))
    (tmp_path / f'{NAME}_el').touch()
    os.utime(tmp_path / f'{NAME}_el', (1.0, 1.0))
    return tmp_path


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_segment_nobody_holds_is_removed(segment):
    assert segments.sweep(segment) == 1000
    assert left(segment) == []


def test_a_segment_its_owner_holds_stays(segment):
    with (segment / f'{NAME}_el').open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)

        assert segments.sweep(segment) == 0

    assert left(segment) == [NAME, f'{NAME}_el']


def test_a_pipe_in_the_place_of_a_lock_holds_nobody_up(segment):
    (segment / f'{NAME}_el').unlink()
    os.mkfifo(segment / f'{NAME}_el')
    os.utime(segment / f'{NAME}_el', (1.0, 1.0))

    segments.sweep(segment)  # opening it as a file would wait for a writer


def test_a_link_in_the_place_of_a_lock_is_not_followed(segment, tmp_path):
    (segment / f'{NAME}_el').unlink()
    (segment / f'{NAME}_el').symlink_to('/etc/hostname')

    assert segments.sweep(segment) == 0
    assert left(segment) == [NAME, f'{NAME}_el']


def test_a_port_stays_since_its_next_owner_may_have_taken_it_over(tmp_path):
    names = ['fastrtps_port7411', 'fastrtps_port7411_el', 'sem.fastrtps_port7411_mutex']
    for name in names:
        (tmp_path / name).touch()

    assert segments.sweep(tmp_path, older_than_s=-1.0) == 0

    assert left(tmp_path) == names


def test_a_segment_made_just_now_stays(segment):
    os.utime(segment / f'{NAME}_el')

    assert segments.sweep(segment) == 0


@pytest.mark.parametrize('name', ['fastrtps_el', 'other_0123456789abcdef_el', 'fast_model_el'])
def test_what_is_not_the_middlewares_stays(tmp_path, name):
    (tmp_path / name).touch()

    segments.sweep(tmp_path, older_than_s=-1.0)

    assert left(tmp_path) == [name]


def test_a_folder_that_is_not_there_is_nothing_to_do(tmp_path):
    assert segments.sweep(tmp_path / 'none') == 0


@pytest.mark.ros
def test_what_a_killed_process_leaves_is_found_and_the_living_are_not(ros):
    child = ros.child('-c', 'import rclpy; rclpy.init(); rclpy.spin(rclpy.create_node("x"))')
    ros.until(lambda: 'x' in ros.helper.get_node_names())
    living = {files[0] for files in segments.dead(older_than_s=-1.0)}
    child.signal(signal.SIGKILL)
    child.code()

    dead = {files[0] for files in segments.dead(older_than_s=-1.0)} - living

    assert any(file.stat().st_size > 100_000 for file in dead)
