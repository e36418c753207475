"""What a child does to itself is an error with a name here."""

import os

import pytest

from edge_inference_ros.catalog.confined import ChildLimits, call
from edge_inference_ros.errors import ConfigError, ModelError

QUICK = ChildLimits(memory_bytes=128 << 20, cpu_s=1, wall_s=20.0)


def test_an_answer_comes_back():
    assert call('json:loads', {'s': '[1, "two"]'}, 'it') == [1, 'two']


def test_what_is_printed_is_no_answer():
    assert call('builtins:print', {'end': '{"value": 3}'}, 'it') is None


def test_an_error_of_ours_stays_itself():
    with pytest.raises(ConfigError, match='nothing_of_ours is in none of'):
        call('edge_inference_ros.core.share:share', {'name': 'nothing_of_ours'}, 'it')


def test_another_error_is_a_model_error_that_says_which():
    with pytest.raises(ModelError, match='JSONDecodeError'):
        call('json:loads', {'s': '['}, 'it')


def test_memory_beyond_the_limit_is_refused():
    with pytest.raises(ModelError, match='too much memory'):
        call('builtins:bytearray', {'source': 256 << 20}, 'it', QUICK)


def test_a_child_may_have_what_it_needs():
    plenty = ChildLimits(memory_bytes=0)

    with pytest.raises(ModelError, match='not JSON serializable'):  # so it had them
        call('builtins:bytearray', {'source': 256 << 20}, 'it', plenty)


def test_a_loop_without_end_is_ended():
    with pytest.raises(ModelError, match='it: reading it took more than 1 s of processor time'):
        call('builtins:pow', {'base': 3, 'exp': 10**9}, 'it', QUICK)


def test_a_wait_without_end_is_ended():
    with pytest.raises(ModelError, match=r'it: reading it took more than 0\.5 s'):
        call('signal:pause', {}, 'it', ChildLimits(wall_s=0.5))


def test_a_crash_is_named():
    with pytest.raises(ModelError, match='it: its reader ended with SIGABRT'):
        call('os:abort', {}, 'it')


def test_a_child_writes_no_file(tmp_path):
    source, target = tmp_path / 'source', tmp_path / 'target'
    source.write_bytes(b'secret')

    with pytest.raises(ModelError, match='File too large'):
        call('shutil:copyfile', {'src': str(source), 'dst': str(target)}, 'it')

    assert not target.exists() or not target.read_bytes()


def test_the_package_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('PYTHONPATH', raising=False)

    assert call('os:getcwd', {}, 'it') == os.fspath(tmp_path)
