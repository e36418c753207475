"""Dead shared-memory segments go, living and foreign ones stay."""

from __future__ import annotations

import fcntl
import os

from tools.devenv import shm


def segment(folder, name, lock='_el'):
    for file in (name, f'sem.{name}_mutex', f'{name}{lock}'):
        (folder / file).write_bytes(b'x')


def test_a_segment_without_an_owner_is_removed_with_its_lock(tmp_path):
    segment(tmp_path, 'fastrtps_0123456789abcdef')
    segment(tmp_path, 'fastrtps_port7411', lock='_sl')

    assert shm.sweep(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_segment_whose_owner_lives_stays(tmp_path):
    segment(tmp_path, 'fastrtps_0123456789abcdef')

    with (tmp_path / 'fastrtps_0123456789abcdef_el').open('rb') as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)

        assert shm.sweep(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_port_somebody_reads_stays(tmp_path):
    segment(tmp_path, 'fastrtps_port7411', lock='_sl')

    with (tmp_path / 'fastrtps_port7411_sl').open('rb') as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)

        assert shm.sweep(tmp_path) == 0


def test_segments_of_another_user_stay(tmp_path, monkeypatch):
    segment(tmp_path, 'fastrtps_0123456789abcdef')
    monkeypatch.setattr(os, 'geteuid', lambda: tmp_path.stat().st_uid + 1)

    assert shm.sweep(tmp_path) == 0


def test_what_does_not_belong_to_fast_dds_stays(tmp_path):
    (tmp_path / 'lttng_el').write_bytes(b'')

    assert shm.sweep(tmp_path) == 0
    assert (tmp_path / 'lttng_el').exists()
