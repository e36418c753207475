"""What is compressed is measured before it is expanded."""

import re
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay.containers import SizeLimits, inflate, inflate_file
from edge_inference_ros.replay.storage.mcap import Mcap

zstd = pytest.importorskip('backports.zstd', reason='rosbags brings it before Python 3.14')
MAGIC = b'\x89MCAP0\r\n'
UNKNOWN = 0x80
"""A record of a kind nobody knows is skipped, in a chunk too."""


def check_mcap(path, limits):
    """Open and read all there is; what a cut file lacks, in words."""
    file = Mcap(path, limits)
    try:
        keys = {channel.key for channel in file.channels}
        assert list(file.messages(keys)) == []
        return file.lost
    finally:
        file.close()


def filling(size):
    """A record of so many bytes in all."""
    return record(UNKNOWN, bytes(size - 9))


def record(code, content):
    return struct.pack('<BQ', code, len(content)) + content


def chunk(packed, *, said, kind=b'zstd', length=None):
    return record(
        6,
        struct.pack('<QQQI', 0, 0, said, 0)
        + struct.pack('<I', len(kind))
        + kind
        + struct.pack('<Q', len(packed) if length is None else length)
        + packed,
    )


END = record(2, bytes(20)) + MAGIC


def mcap(path, *records):
    path.write_bytes(MAGIC + record(1, b'') + b''.join(records) + END)
    return path


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_frames_that_follow_one_another_are_expanded_in_order(pieces):
    packed = b''.join(zstd.compress(piece) for piece in pieces)

    assert inflate(packed, 'zstd', 4000) == b''.join(pieces)


def test_the_limit_is_inclusive():
    packed = zstd.compress(bytes(1000))

    assert len(inflate(packed, 'zstd', 1000)) == 1000
    with pytest.raises(BagError, match='more than the allowed 999'):
        inflate(packed, 'zstd', 999)


def test_a_bomb_is_stopped_long_before_its_end(tmp_path):
    layers = zstd.compress(bytes(200 << 20))
    assert len(layers) < 100_000
    (tmp_path / 'bomb.db3.zstd').write_bytes(layers)

    with pytest.raises(BagError, match='allowed 1000000'):
        inflate_file(tmp_path / 'bomb.db3.zstd', tmp_path, SizeLimits(total_bytes=1_000_000))

    assert (tmp_path / 'bomb.db3').stat().st_size <= 1_000_000


@pytest.mark.parametrize('kind', ['zstd', 'lz4'])
def test_cut_and_damaged_blocks_are_refused(kind):
    lz4 = pytest.importorskip('lz4.frame', reason='rosbags brings it')
    packed = zstd.compress(bytes(range(256))) if kind == 'zstd' else lz4.compress(bytes(9999))

    for bad in (packed[:-3], b'\xff' * 12, b''):
        with pytest.raises(BagError, match=kind):
            inflate(bad, kind, 100_000)


def test_an_unknown_compression_is_named(tmp_path):
    with pytest.raises(BagError, match="'rar'; we read zstd and lz4"):
        check_mcap(mcap(tmp_path / 'a.mcap', chunk(b'x', said=1, kind=b'rar')), SizeLimits())


def test_a_whole_file_passes(tmp_path):
    one = chunk(zstd.compress(filling(5000)), said=5000)

    lost = check_mcap(mcap(tmp_path / 'a.mcap', one, record(0x0F, b'')), SizeLimits(5000))

    assert not lost


def test_a_chunk_that_lies_about_its_size_is_found_out(tmp_path):
    bomb = mcap(tmp_path / 'a.mcap', chunk(zstd.compress(bytes(50 << 20)), said=1000))

    with pytest.raises(BagError, match='allowed 1000'):
        check_mcap(bomb, SizeLimits())


def test_a_chunk_that_claims_too_much_is_refused_unexpanded(tmp_path):
    with pytest.raises(BagError, match='at most 4096'):
        check_mcap(
            mcap(tmp_path / 'a.mcap', chunk(b'', said=1 << 60)), SizeLimits(message_bytes=4096)
        )


def test_many_allowed_chunks_may_not_add_up_to_too_much(tmp_path):
    one = chunk(zstd.compress(filling(1000)), said=1000)

    with pytest.raises(BagError, match='more than 2500'):
        check_mcap(mcap(tmp_path / 'a.mcap', one, one, one), SizeLimits(total_bytes=2500))


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'is empty'),
        (b'PK\x03\x04 something else', 'not an mcap file'),
        (MAGIC + struct.pack('<BQ', 6, 1 << 40) + END, 'claims 1099511627776 bytes'),
        (MAGIC + record(6, bytes(40))[:-1] + END, 'damaged'),
        (MAGIC + record(3, b'\x01') + END, 'the record at byte 8 is damaged'),
        (MAGIC + record(5, bytes(22)) + END, 'a channel 0 that nothing describes'),
    ],
)
def test_files_that_make_no_sense_are_named(tmp_path, content, words):
    path = tmp_path / 'a.mcap'
    path.write_bytes(content)

    with pytest.raises(BagError, match=words):
        check_mcap(path, SizeLimits())


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (MAGIC, 'no end: .* 0 messages can be read.$'),
        (MAGIC + struct.pack('<BQ', 6, 1 << 40), 'the 9 bytes after them, from byte 8 on'),
        (MAGIC + record(6, bytes(40))[:-1], 'the 48 bytes after them'),
        (MAGIC + record(1, b'') + bytes(7), 'the 7 bytes after them, from byte 17 on, are lost'),
    ],
)
def test_of_a_cut_file_the_loss_is_told(tmp_path, content, words):
    path = tmp_path / 'a.mcap'
    path.write_bytes(content)

    assert re.search(words, check_mcap(path, SizeLimits()))


def test_a_bomb_in_a_cut_file_is_refused_all_the_same(tmp_path):
    path = tmp_path / 'a.mcap'
    path.write_bytes(MAGIC + chunk(b'', said=1 << 60))

    with pytest.raises(BagError, match='at most 4096'):
        check_mcap(path, SizeLimits(message_bytes=4096))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_bag_error_or_pass(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp('fuzz') / 'a.mcap'
    path.write_bytes(MAGIC + noise)

    with suppress(BagError):
        check_mcap(path, SizeLimits(message_bytes=1000, total_bytes=1000))
