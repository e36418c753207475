"""Engines on disk: found only when they fit, loaded only when they are whole, built once."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_inference_ros.backends import _engine_cache, trt
from edge_inference_ros.backends._engine_cache import EngineCache, Key
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.errors import DigestMismatch, EngineMissing, EngineStale, ModelError

ROOT = Path(trt.__file__).parents[2]
OPTIONS = dataclasses.asdict(EngineOptions())
KEY = Key('ab' * 32, '10.3.0', 'Orin', '8.7', '12.6', OPTIONS)


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / 'engines')


def keep(cache, key=KEY, data=b'engine'):
    return cache.build_once(key, lambda: (data, {'build_s': 1}), anew=True)


def sidecar(cache):
    return next(cache.folder.glob('*.json'))


def engine_file(cache):
    return next(cache.folder.glob('*.engine'))


# ---- what fits


def test_what_was_built_is_found_with_its_facts(cache):
    keep(cache)

    plan = cache.find(KEY)

    assert (plan.data, plan.key, plan.facts) == (b'engine', KEY, {'build_s': 1})


def test_an_empty_cache_says_missing(cache):
    with pytest.raises(EngineMissing, match='no engine'):
        cache.find(KEY)


@pytest.mark.parametrize(
    ('field', 'value'),
    [('tensorrt', '10.4.0'), ('gpu', 'Thor'), ('capability', '11.0'), ('driver', '13.0')],
)
def test_an_engine_for_something_else_is_stale_and_the_difference_is_named(cache, field, value):
    keep(cache)

    with pytest.raises(EngineStale, match=rf"{field} is .*, here '{value}'"):
        cache.find(dataclasses.replace(KEY, **{field: value}))


@pytest.mark.parametrize(('option', 'value'), [('precision', 'fp16'), ('dla_core', 0)])
def test_what_changes_the_numbers_must_be_as_wanted(cache, option, value):
    keep(cache)

    with pytest.raises(EngineStale, match=f'{option} is'):
        cache.find(dataclasses.replace(KEY, options={**OPTIONS, option: value}))


def test_another_network_is_missing_not_stale(cache):
    keep(cache)

    with pytest.raises(EngineMissing):
        cache.find(dataclasses.replace(KEY, onnx_sha256='cd' * 32))


def test_the_newest_of_several_builds_is_taken(cache, monkeypatch):
    times = iter([5, 9, 7])
    monkeypatch.setattr(_engine_cache.time, 'time_ns', lambda: next(times))
    for workspace in (1, 2, 3):
        options = {**OPTIONS, 'workspace_mib': workspace}
        keep(cache, dataclasses.replace(KEY, options=options), bytes([workspace]))

    assert cache.find(KEY).data == b'\x02'


@pytest.mark.parametrize(
    ('options', 'here', 'fits'),
    [
        ({'version_compatible': True}, {'tensorrt': '10.9.0', 'driver': '13.0'}, True),
        ({'version_compatible': True}, {'tensorrt': '11.4.0.106'}, True),
        ({'version_compatible': True}, {'tensorrt': '10.2.0'}, False),
        ({'version_compatible': True}, {'tensorrt': '8.6.1'}, False),
        ({'version_compatible': True}, {'tensorrt': '12.0.0'}, False),
        ({'version_compatible': True}, {'gpu': 'Thor'}, False),
        ({'hardware_compatible': 'ampere_plus'}, {'gpu': 'A', 'capability': '8.9'}, True),
        ({'hardware_compatible': 'ampere_plus'}, {'gpu': 'T', 'capability': '7.5'}, False),
        ({'hardware_compatible': 'same_compute_capability'}, {'gpu': 'Other Orin'}, True),
        ({'hardware_compatible': 'same_compute_capability'}, {'capability': '8.9'}, False),
        ({'hardware_compatible': 'ampere_plus'}, {'tensorrt': '10.4.0'}, False),
    ],
)
def test_a_compatible_engine_fits_as_far_as_it_says(cache, options, here, fits):
    keep(cache, dataclasses.replace(KEY, options={**OPTIONS, **options}))
    want = dataclasses.replace(KEY, **here)

    if fits:
        assert cache.find(want).data == b'engine'
    else:
        with pytest.raises(EngineStale):
            cache.find(want)


@pytest.mark.parametrize(
    ('options', 'elsewhere'),
    [
        ({'version_compatible': True}, {'tensorrt': '10.2.0'}),
        ({'hardware_compatible': 'ampere_plus'}, {'gpu': 'Other'}),
    ],
)
def test_an_engine_made_for_this_machine_goes_before_a_newer_compatible_one(
    cache, monkeypatch, options, elsewhere
):
    times = iter([5, 9])
    monkeypatch.setattr(_engine_cache.time, 'time_ns', lambda: next(times))
    keep(cache, KEY, b'exact')
    keep(
        cache,
        dataclasses.replace(KEY, options={**OPTIONS, **options}, **elsewhere),
        b'compatible',
    )

    assert cache.find(KEY).data == b'exact'


@pytest.mark.parametrize(
    'field', ['onnx_sha256', 'tensorrt', 'gpu', 'capability', 'driver', 'options']
)
def test_every_part_of_the_key_changes_its_digest(field):
    other = {**OPTIONS, 'shapes': 'x'} if field == 'options' else 'other'

    assert dataclasses.replace(KEY, **{field: other}).digest() != KEY.digest()


@pytest.mark.parametrize('option', sorted(OPTIONS))
def test_every_option_changes_the_key(option):
    options = {**OPTIONS, option: 'other'}

    assert dataclasses.replace(KEY, options=options).digest() != KEY.digest()


# ---- tampering


def test_of_256_flipped_bits_none_reaches_tensorrt(machine):
    manifest, path = machine.start().model()
    machine.build(path)
    file = engine_file(EngineCache(machine.cache))
    whole, draw = file.read_bytes(), random.Random(5)

    for _ in range(256):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(bytes(damaged))
        with pytest.raises(DigestMismatch):
            machine.open(manifest, path)

    assert machine.trt._loaded == []
    file.write_bytes(whole)
    machine.open(manifest, path).close()
    assert machine.trt._loaded == [whole]


@pytest.mark.parametrize('left', [0, 1, 40])
def test_a_truncated_engine_is_not_loaded(machine, left):
    manifest, path = machine.start().model()
    machine.build(path)
    file = engine_file(EngineCache(machine.cache))
    file.write_bytes(file.read_bytes()[:left])

    with pytest.raises(DigestMismatch):
        machine.open(manifest, path)
    assert machine.trt._loaded == []


@pytest.mark.parametrize(
    'edit',
    [
        lambda said: said['key'].update(tensorrt='9.9'),
        lambda said: said['key']['options'].update(precision='int8'),
        lambda said: said.update(sha256='../../evil'),
        lambda said: said.update(schema=2),
        lambda said: said.pop('key'),
        lambda said: said['key'].update(surprise=1),
    ],
    ids=['version', 'option', 'path', 'schema', 'no key', 'unknown field'],
)
def test_an_edited_sidecar_is_no_sidecar(cache, edit):
    keep(cache)
    file = sidecar(cache)
    said = json.loads(file.read_text())
    edit(said)
    file.write_text(json.dumps(said))

    with pytest.raises(EngineMissing):
        cache.find(KEY)


@pytest.mark.parametrize('text', ['', '{', '[]', 'null', '\xff', '{"schema": 1}'])
def test_a_sidecar_that_is_no_json_is_passed_over(cache, text):
    keep(cache)
    sidecar(cache).write_text(text, encoding='latin-1')

    with pytest.raises(EngineMissing):
        cache.find(KEY)


def test_a_swollen_sidecar_is_refused(cache):
    keep(cache)
    sidecar(cache).write_text(' ' * (1 << 17))

    with pytest.raises(ModelError, match='at most'):
        cache.find(KEY)


def test_swapped_engines_are_found_out(cache):
    keep(cache)
    other = engine_file(cache)
    keep(cache, dataclasses.replace(KEY, gpu='Thor'), b'for Thor')
    theirs = next(f for f in cache.folder.glob('*.engine') if f != other)

    theirs.replace(other)

    with pytest.raises(DigestMismatch):
        cache.find(KEY)


def test_a_linked_engine_is_not_followed(cache, tmp_path):
    keep(cache)
    file = engine_file(cache)
    elsewhere = tmp_path / 'elsewhere'
    file.replace(elsewhere)
    file.symlink_to(elsewhere)

    with pytest.raises(EngineMissing):
        cache.find(KEY)


def test_a_linked_folder_is_not_followed(cache, tmp_path):
    keep(cache)
    cache.folder.replace(tmp_path / 'elsewhere')
    cache.folder.symlink_to(tmp_path / 'elsewhere')

    with pytest.raises(ModelError, match='link'):
        cache.find(KEY)
    with pytest.raises(ModelError, match='link'):
        keep(cache)


def test_a_pipe_in_place_of_an_engine_does_not_block(cache):
    keep(cache)
    file = engine_file(cache)
    file.unlink()
    os.mkfifo(file)

    with pytest.raises(ModelError, match='no plain file'):
        cache.find(KEY)


@pytest.mark.parametrize(
    ('which', 'mode'),
    [('folder', 0o755), ('folder', 0o777), ('sidecar', 0o666), ('engine', 0o620)],
)
def test_what_others_may_write_is_refused_with_the_remedy(cache, which, mode):
    keep(cache)
    path = {'folder': cache.folder, 'sidecar': sidecar(cache), 'engine': engine_file(cache)}[which]
    path.chmod(mode)

    with pytest.raises(ModelError, match='chmod -R go-rwx'):
        cache.find(KEY)


def test_what_belongs_to_somebody_else_is_refused(cache, monkeypatch):
    keep(cache)
    me = os.geteuid()
    real = os.fstat

    def foreign(descriptor):
        status = list(real(descriptor))
        status[4] = me + 4321
        return os.stat_result(status)

    monkeypatch.setattr(_engine_cache.os, 'fstat', foreign)

    with pytest.raises(ModelError, match=f'belongs to user {me + 4321}'):
        cache.find(KEY)


def test_the_folder_is_made_private(cache):
    keep(cache)

    assert cache.folder.stat().st_mode & 0o777 == 0o700
    for file in cache.folder.iterdir():
        assert not file.stat().st_mode & 0o022, file


# ---- writing


def test_a_disk_that_fills_leaves_nothing_half_written_and_warns(cache, monkeypatch, caplog):
    keep(cache)
    before = {file.name for file in cache.folder.iterdir()}

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(_engine_cache.os, 'fsync', full)

    for i in range(100):
        data = b'new' + bytes([i])
        with caplog.at_level(logging.WARNING):
            assert keep(cache, data=data).data == data

    assert {file.name for file in cache.folder.iterdir()} == before
    assert cache.find(KEY).data == b'engine'
    assert 'No space left on device' in caplog.text


def test_a_folder_that_cannot_be_made_still_gives_an_engine(tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    cache = EngineCache(tmp_path / 'file' / 'engines')

    with caplog.at_level(logging.WARNING):
        assert keep(cache).data == b'engine'

    assert 'without a lock' in caplog.text


def test_a_builder_that_dies_leaves_the_old_engine(cache):
    keep(cache)

    def dies():
        raise RuntimeError('power cut')

    with pytest.raises(RuntimeError):
        cache.build_once(KEY, dies, anew=True)

    assert cache.find(KEY).data == b'engine'


def test_a_new_build_replaces_the_old_file(cache):
    keep(cache, data=b'old')
    keep(cache, data=b'new')

    assert cache.find(KEY).data == b'new'
    assert len(list(cache.folder.glob('*.engine'))) == 1


def test_a_damaged_engine_is_built_again(cache):
    keep(cache)
    engine_file(cache).write_bytes(b'damaged')

    again = cache.build_once(KEY, lambda: (b'second', {}), anew=False)

    assert again.data == cache.find(KEY).data == b'second'


# ---- races


@pytest.mark.parametrize('anew', [False, True])
def test_of_fifty_builders_at_once_one_builds(cache, monkeypatch, anew):
    everybody_has_looked, builds, got = threading.Barrier(50), [], []
    own, asked = cache._exact, threading.local()

    def build():
        builds.append(threading.get_ident())
        return b'engine %d' % len(builds), {}

    def look(want):
        """Whoever looks for the first time looks before anything was built."""
        found = own(want)
        if not getattr(asked, 'once', False):
            asked.once = True
            everybody_has_looked.wait()
        return found

    def builder():
        got.append(cache.build_once(KEY, build, anew=anew).data)

    monkeypatch.setattr(cache, '_exact', look)
    threads = [threading.Thread(target=builder) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == [b'engine 1'] * 50
    assert len(builds) == 1


RACER = """
import sys
from pathlib import Path
from edge_inference_ros.backends._engine_cache import EngineCache, Key
folder, log = map(Path, sys.argv[1:])
def build():
    with log.open('a') as stream:
        stream.write('built\\n')
    return b'x' * 100_000, {}
sys.stdin.readline()
plan = EngineCache(folder).build_once(Key('n', 't', 'g', 'c', 'd'), build, anew=False)
assert plan.data == b'x' * 100_000
"""


def test_of_several_processes_one_builds(cache, tmp_path):
    log = tmp_path / 'log'
    racers = [
        subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, '-c', RACER, str(cache.folder), str(log)],
            stdin=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(4)
    ]

    for racer in racers:
        racer.stdin.write('go\n')
        racer.stdin.close()

    assert [racer.wait() for racer in racers] == [0] * 4
    assert log.read_text() == 'built\n'


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(_engine_cache.ENVIRONMENT, raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert _engine_cache.default_folder() == tmp_path / 'edge_inference_ros' / 'engines'

    monkeypatch.setenv(_engine_cache.ENVIRONMENT, str(tmp_path / 'mine'))
    assert _engine_cache.default_folder() == tmp_path / 'mine'
