"""A file is whole or not there, whatever happens while it is written."""

import errno

import pytest

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files


def test_a_file_is_written_with_the_folders_it_needs(tmp_path):
    path = tmp_path / 'new' / 'inner' / 'file.txt'

    files.write_text(path, 'größer')
    files.write_bytes(path.with_suffix('.bin'), b'\0')

    assert path.read_text(encoding='utf-8') == 'größer'
    assert sorted(p.name for p in path.parent.iterdir()) == ['file.bin', 'file.txt']


@pytest.mark.parametrize('there', [False, True])
def test_a_full_disk_leaves_what_was_there_and_is_named_by_the_path(tmp_path, there):
    path = tmp_path / 'file.txt'
    if there:
        path.write_text('old')

    def full():
        with files.whole(path) as part:
            part.write_text('half')
            raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(ConfigError, match=f'{path} cannot be written: No space left'):
        full()

    assert [p.read_text() for p in tmp_path.iterdir()] == ['old'] * there


def test_what_is_interrupted_leaves_nothing(tmp_path):
    def stopped():
        with files.whole(tmp_path / 'file.txt') as part:
            part.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / 'file.txt').mkdir()

    with pytest.raises(ConfigError, match=r'file\.txt cannot be written: Is a directory'):
        files.write_text(tmp_path / 'file.txt', 'text')

    assert [p.name for p in tmp_path.iterdir()] == ['file.txt']
