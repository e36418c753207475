"""Every shape a recording comes in gives its pictures, whatever else is in it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
import yaml
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from support import bags

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay.bags import open_bag
from edge_inference_ros.replay.containers import SizeLimits

zstd = pytest.importorskip('backports.zstd', reason='rosbags brings it before Python 3.14')

TIMES = [bags.FIRST_NS + i * 10**8 for i in range(6)]
PICTURES = [bags.image(ns, value=i) for i, ns in enumerate(TIMES)]
RANGE = 'sensor_msgs/msg/Range'
JAZZY_RANGE = (
    'std_msgs/Header header\nuint8 ULTRASOUND=0\nuint8 INFRARED=1\nuint8 radiation_type\n'
    'float32 field_of_view\nfloat32 min_range\nfloat32 max_range\nfloat32 range\n'
    'float32 variance\n' + '=' * 80 + '\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\n'
    'string frame_id\n' + '=' * 80 + '\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n'
)  # fmt: skip


def definition():
    return definitions.typestore().generate_msgdef(bags.IMAGE, ros_version=2)[0]


def mcap(path, *, beside=(), order=None, times=TIMES, profile='ros2', qos='', **options):
    """An mcap file with the pictures and whatever is to stand beside them.

    ``beside`` are (topic, msgtype, message encoding, schema encoding, definition) of channels
    with one message each, written before the pictures.
    """
    with path.open('wb') as stream:
        writer = McapWriter(stream, **{'chunk_size': 200, **options})
        writer.start(profile)
        for topic, kind, encoding, language, text in beside:
            schema = writer.register_schema(kind, language, text.encode()) if kind else 0
            channel = writer.register_channel(topic, encoding, schema)
            writer.add_message(channel, TIMES[0], b'\x00\x01\x00\x00{}', TIMES[0])
        schema = writer.register_schema(bags.IMAGE, 'ros2msg', definition().encode())
        metadata = {'offered_qos_profiles': qos} if qos else {}
        channel = writer.register_channel('/image', 'cdr', schema, metadata)
        for i in order or range(len(PICTURES)):
            writer.add_message(channel, times[i], PICTURES[i], times[i])
        writer.finish()
    return path


def beside(topic, kind, encoding='cdr', language='ros2msg', text=''):
    return lambda there: mcap(there / 'a.mcap', beside=[(topic, kind, encoding, language, text)])


def plain(there, **options):
    rows = [('/image', bags.IMAGE, ns, data) for ns, data in zip(TIMES, PICTURES, strict=True)]
    return bags.write(there / 'bag', rows, **options)


def edit(folder, **changes):
    path = folder / 'metadata.yaml'
    said = yaml.safe_load(path.read_text())
    said['rosbag2_bagfile_information'].update(changes)
    path.write_text(yaml.safe_dump(said))
    return folder


def split(there, cut=3, *, mode='', pack=()):
    """Two files, the second from picture ``cut`` on; those of ``pack`` are compressed."""
    folder = there / 'bag'
    folder.mkdir()
    mcap(folder / 'bag_0.mcap', order=list(range(cut)))
    mcap(folder / 'bag_1.mcap', order=list(range(cut, len(PICTURES))))
    names = []
    for i in range(2):
        file = folder / f'bag_{i}.mcap'
        if i in pack:
            packed = folder / f'{file.name}.zstd'
            packed.write_bytes(zstd.compress(file.read_bytes()))
            file.unlink()
            file = packed
        names.append(file.name)
    said = {'relative_file_paths': names, 'compression_mode': mode}
    (folder / 'metadata.yaml').write_text(
        yaml.safe_dump({'rosbag2_bagfile_information': {'version': 5, **said}})
    )
    return folder


def sqlite(path, *, version=4, topics=(('/image', bags.IMAGE, 'cdr', '[]'),), language='ros2msg'):
    """A file with the tables that rosbag2 had in that version of its schema."""
    with closing(sqlite3.connect(path)) as db:
        columns = ['id INTEGER PRIMARY KEY', 'name TEXT', 'type TEXT', 'serialization_format TEXT']
        columns += ['offered_qos_profiles TEXT'] if version >= 2 else []
        columns += ['type_description_hash TEXT'] if version >= 4 else []
        db.execute(f'CREATE TABLE topics({",".join(columns)})')
        db.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,'
                   ' timestamp INTEGER NOT NULL, data BLOB NOT NULL)')  # fmt: skip
        if version >= 3:
            db.execute('CREATE TABLE schema(schema_version INTEGER, ros_distro TEXT)')
            db.execute('INSERT INTO schema VALUES(?, ?)', (version, 'jazzy'))
        if version >= 4:
            db.execute('CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT,'
                       ' encoding TEXT, encoded_message_definition TEXT,'
                       ' type_description_hash TEXT)')  # fmt: skip
            for row, (_, kind, *_) in enumerate(topics):
                text = definition() if kind == bags.IMAGE else ''
                said = 'ros2msg' if kind == bags.IMAGE else language
                db.execute(
                    'INSERT INTO message_definitions VALUES(?, ?, ?, ?, ?)',
                    (row, kind, said, text, ''),
                )
        for i, row in enumerate(topics, 1):
            values = [i, *row, ''][: len(columns)]
            db.execute(f'INSERT INTO topics VALUES({",".join("?" * len(columns))})', values)
            for ns, data in zip(TIMES, PICTURES, strict=True):
                db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                           (i, ns, data if row[0] == '/image' else b'{}'))  # fmt: skip
        db.commit()
    return path


def with_side_file(there, mode):
    """A recording as a killed recorder leaves it: half of it not yet in the file itself."""
    live, dead = there / 'live.db3', there / 'dead.db3'
    sqlite(live)
    with closing(sqlite3.connect(live, isolation_level=None)) as db:
        db.execute('DELETE FROM messages WHERE id > 3')
        db.execute(f'PRAGMA journal_mode = {mode}')
        db.execute('PRAGMA wal_autocheckpoint = 0')
        db.execute('PRAGMA cache_spill = 1')
        db.execute('PRAGMA cache_size = 1')
        db.execute('BEGIN')
        for row in zip(TIMES[3:], PICTURES[3:], strict=True):
            db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(1, ?, ?)', row)
        if mode == 'wal':
            db.execute('COMMIT')
        else:  # an uncommitted change, spilt into the file; what was there is in the journal
            db.execute('COMMIT')
            db.execute('BEGIN')
            db.execute("UPDATE messages SET data = x'00', timestamp = 0")
            db.execute('INSERT INTO messages SELECT id + 100, 1, 5, zeroblob(9999) FROM messages')
        for end in ('', '-wal', '-journal'):
            if live.with_name(live.name + end).exists():
                shutil.copyfile(live.with_name(live.name + end), f'{dead}{end}')
    assert dead.with_name(f'dead.db3-{"wal" if mode == "wal" else "journal"}').stat().st_size
    return dead


def cut(path, keep=None, tail=b''):
    """The file without its end: index, footer and the last bytes that were on their way."""
    data = path.read_bytes()
    end = keep or data.rindex(b'\x0f\x04\x00\x00\x00\x00\x00\x00\x00')  # the DataEnd record
    path.write_bytes(data[:end] + tail)
    return path


def moved(path, name):
    return path.rename(path.with_name(name))


def packed(path):
    path.with_name(path.name + '.zstd').write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    return path.with_name(path.name + '.zstd')


def without_metadata(folder):
    (folder / 'metadata.yaml').unlink()
    return folder


INDEXES = {
    'no chunk index': IndexType.MESSAGE,
    'no message index': IndexType.CHUNK,
    'no index at all': IndexType.NONE,
}
SHAPES = {
    'mcap': plain,
    'mcap, chunks by zstd': lambda t: plain(t, compression='storage'),
    'mcap, chunks by lz4': lambda t: mcap(t / 'a.mcap', compression=CompressionType.LZ4),
    'mcap, plain chunks': lambda t: mcap(t / 'a.mcap', compression=CompressionType.NONE),
    'mcap, no chunks': lambda t: mcap(t / 'a.mcap', use_chunking=False),
    'mcap, one file of a folder': lambda t: next(plain(t).glob('*.mcap')),
    'mcap, one file, compressed': lambda t: packed(mcap(t / 'a.mcap')),
    'mcap, no statistics': lambda t: mcap(t / 'a.mcap', use_statistics=False),
    'mcap, schemas not repeated': lambda t: mcap(t / 'a.mcap', repeat_schemas=False),
    'mcap, channels not repeated': lambda t: mcap(t / 'a.mcap', repeat_channels=False),
    'mcap, no checksums': lambda t: mcap(t / 'a.mcap', enable_crcs=False),
    'mcap, another profile': lambda t: mcap(t / 'a.mcap', profile=''),
    'mcap, no summary': lambda t: mcap(
        t / 'a.mcap',
        use_statistics=False,
        repeat_schemas=False,
        repeat_channels=False,
        use_summary_offsets=False,
        index_types=IndexType.NONE,
    ),
    **{
        f'mcap, {name}': lambda t, kind=kind: mcap(t / 'a.mcap', index_types=kind)
        for name, kind in INDEXES.items()
    },
    'mcap, disordered in a chunk': lambda t: mcap(
        t / 'a.mcap', order=[2, 0, 1, 5, 4, 3], chunk_size=10**6
    ),
    'mcap, chunks that overlap': lambda t: mcap(t / 'a.mcap', order=[2, 0, 4, 1, 5, 3]),
    'mcap, disordered without chunks': lambda t: mcap(
        t / 'a.mcap', order=[2, 0, 4, 1, 5, 3], use_chunking=False
    ),
    'mcap, a path of odd letters': lambda t: moved(mcap(t / 'a.mcap'), 'a #1?100%25.mcap'),
    'a QoS that is no YAML': lambda t: mcap(t / 'a.mcap', qos='}{'),
    'a QoS of another form': lambda t: mcap(t / 'a.mcap', qos='- 7'),
    'a QoS of an unknown policy': lambda t: mcap(
        t / 'a.mcap', qos='- {history: 9, depth: x, reliability: sometimes}'
    ),
    'beside JSON': beside('/j', 'state', 'json', 'jsonschema', '{}'),
    'beside protobuf': beside('/p', 'foxglove.Log', 'protobuf', 'protobuf', '\x00\x01'),
    'beside ROS 1': beside('/r', 'std_msgs/String', 'ros1', 'ros1msg', 'string data'),
    'beside a schema nobody knows': beside('/x', 'a/msg/B', 'cdr', 'unheard_of', '?'),
    'beside no schema': beside('/x', '', 'cdr'),
    'beside an IDL': beside('/x', 'a/msg/B', 'cdr', 'ros2idl', 'module a {};'),
    'beside the Range of Jazzy': beside('/range', RANGE, text=JAZZY_RANGE),
    'beside an abridged rosout': beside(
        '/rosout', 'rcl_interfaces/msg/Log', text='builtin_interfaces/Time stamp\nuint8 level\n'
    ),
    'beside text that is no definition': beside('/x', bags.DIAGNOSTICS, text='((('),
    'beside an empty definition': beside('/x', bags.DIAGNOSTICS, text=''),
    'split': split,
    'split, and the parts overlap': lambda t: edit(
        split(t), relative_file_paths=['bag_1.mcap', 'bag_0.mcap']
    ),
    'split and compressed': lambda t: split(t, mode='file', pack=(0, 1)),
    'split and compressed, but for the last': lambda t: split(t, mode='file', pack=(0,)),
    'compressed, listed by its plain name': lambda t: edit(
        split(t, mode='file', pack=(0, 1)), relative_file_paths=['bag_0.mcap', 'bag_1.mcap']
    ),
    'listed as compressed, still plain': lambda t: edit(
        split(t, mode='file'), relative_file_paths=['bag_0.mcap.zstd', 'bag_1.mcap.zstd']
    ),
    'the folder in front of the name': lambda t: edit(
        split(t), relative_file_paths=['bag/bag_0.mcap', 'bag/bag_1.mcap']
    ),
    'sqlite': lambda t: plain(t, storage='sqlite3'),
    'sqlite, each message compressed': lambda t: plain(
        t, storage='sqlite3', compression='message'
    ),
    'sqlite, the same without metadata': lambda t: next(
        plain(t, storage='sqlite3', compression='message').glob('*.db3')
    ),
    'sqlite, compressed': lambda t: plain(t, storage='sqlite3', compression='file'),
    **{
        f'sqlite, version {v}': lambda t, v=v: sqlite(t / 'a.db3', version=v) for v in (1, 2, 3, 4)
    },
    'sqlite, a path of odd letters': lambda t: sqlite(t / 'a #1?100%25.db3'),
    'sqlite, beside JSON': lambda t: sqlite(
        t / 'a.db3', topics=[('/j', 's', 'json', ''), ('/image', bags.IMAGE, 'cdr', '')]
    ),
    'sqlite, beside a definition not found': lambda t: sqlite(
        t / 'a.db3',
        topics=[('/x', 'a/msg/B', 'cdr', '}{'), ('/image', bags.IMAGE, 'cdr', '')],
        language='unknown',
    ),
    'sqlite, not merged yet': lambda t: with_side_file(t, 'wal'),
    'sqlite, a change half made': lambda t: with_side_file(t, 'delete'),
}
LEFT = {
    'mcap, cut': lambda t: cut(mcap(t / 'a.mcap')),
    'mcap, cut, without chunks': lambda t: cut(mcap(t / 'a.mcap', use_chunking=False)),
    'mcap, cut, zeros after it': lambda t: cut(mcap(t / 'a.mcap'), tail=bytes(5000)),
    'mcap, cut, noise after it': lambda t: cut(mcap(t / 'a.mcap'), tail=b'\xff' * 999),
    'mcap, cut in the index': lambda t: cut(mcap(t / 'a.mcap'), keep=-100),
    'mcap, cut in the footer': lambda t: cut(mcap(t / 'a.mcap'), keep=-5),
    'no metadata': lambda t: without_metadata(split(t)),
    'no metadata, one file not finished': lambda t: (
        cut(without_metadata(split(t)) / 'bag_1.mcap').parent
    ),
    'no metadata, sqlite': lambda t: without_metadata(plain(t, storage='sqlite3')),
    'no metadata, compressed': lambda t: without_metadata(split(t, mode='file', pack=(0,))),
}
"""What a recorder leaves that was killed."""


@pytest.mark.parametrize('shape', SHAPES | LEFT)
def test_its_pictures_are_read_in_order(tmp_path, shape):
    with open_bag((SHAPES | LEFT)[shape](tmp_path)) as bag:
        assert bag.need('/image', (bags.IMAGE,)).count == len(PICTURES)
        records = list(bag.records(('/image',)))
        everything = [r for r in bag.records() if r.topic == '/image']

    assert [r.data for r in records] == PICTURES
    assert [r.time_ns for r in records] == TIMES
    assert everything == records
    assert (bag.start_ns, bag.end_ns) == (TIMES[0], TIMES[-1])
    assert bool(bag.lost) == (shape in LEFT)


def test_there_are_more_shapes_than_were_met_in_the_field():
    assert len(SHAPES | LEFT) >= 29 + 30


@pytest.mark.parametrize(
    ('shape', 'topic', 'words'),
    [
        ('beside JSON', '/j', 'its messages are json, not CDR'),
        ('beside protobuf', '/p', 'its messages are protobuf, not CDR'),
        ('beside ROS 1', '/r', 'its messages are ros1, not CDR'),
        ('beside the Range of Jazzy', '/range', r'sensor_msgs/msg/Range.*other fields.*variance'),
        ('beside an abridged rosout', '/rosout', r'rcl_interfaces/msg/Log.*other fields'),
        ('beside text that is no definition', '/x', 'is not one'),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_asked_for(tmp_path, shape, topic, words):
    with open_bag(SHAPES[shape](tmp_path)) as bag:
        assert topic not in {r.topic for r in bag.records()}
        with pytest.raises(BagError, match=f'{topic}: .*{words}'):
            list(bag.records((topic,)))


@pytest.mark.parametrize('kept', [0.2, 0.5, 0.8])
@pytest.mark.parametrize('chunks', [True, False])
def test_of_a_cut_file_what_was_written_before_is_read_and_the_loss_is_told(
    tmp_path, caplog, kept, chunks
):
    path = mcap(tmp_path / 'a.mcap', use_chunking=chunks)
    whole = path.read_bytes()
    size = int(len(whole) * kept)
    path.write_bytes(whole[:size])

    with open_bag(path) as bag:
        records = list(bag.records())

    assert [r.data for r in records] == PICTURES[: len(records)]
    assert f'{len(records)} messages can be read' in bag.lost
    assert bag.lost in caplog.text


def test_what_is_lost_of_a_cut_bag_is_counted_against_its_metadata(tmp_path):
    folder = plain(tmp_path)
    file = next(folder.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:400])

    with open_bag(folder) as bag:
        assert '6 of the 6 messages that metadata.yaml counts are lost' in bag.lost


def test_reading_does_not_touch_a_recording_that_is_not_merged(tmp_path):
    path = with_side_file(tmp_path, 'wal')
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    with open_bag(path) as bag:
        assert len(list(bag.records())) == len(PICTURES)

    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_side_file_of_another_database_is_refused_by_name(tmp_path):
    path = sqlite(tmp_path / 'a.db3')
    path.with_name('a.db3-wal').write_bytes(b'\x37\x7f\x06\x82' + bytes(60))
    with open_bag(path) as bag:  # nothing in it is valid: SQLite drops it
        assert len(list(bag.records())) == len(PICTURES)

    path.write_bytes(path.read_bytes()[:4096] + b'\xff' * 8192)
    with pytest.raises(BagError, match=r'a\.db3'), open_bag(path) as bag:
        list(bag.records())


def test_an_empty_file_is_named_as_one(tmp_path):
    (tmp_path / 'a.mcap').touch()

    with pytest.raises(BagError, match=r'a\.mcap is empty'), open_bag(tmp_path / 'a.mcap'):
        pass


@pytest.mark.parametrize('index', list(IndexType))
def test_a_chunk_that_is_not_what_its_checksum_says_is_refused(tmp_path, index):
    path = mcap(tmp_path / 'a.mcap', compression=CompressionType.NONE, index_types=index)
    data = bytearray(path.read_bytes())
    data[data.index(PICTURES[2]) + 40] ^= 1  # one bit of one picture
    path.write_bytes(data)

    with pytest.raises(BagError, match=r'chunk at byte .* is damaged'), open_bag(path) as bag:
        list(bag.records())


def test_chunks_that_overlap_beyond_the_limits_are_refused_and_not_held_in_memory(tmp_path):
    path = mcap(tmp_path / 'a.mcap', order=[0] * 80, chunk_size=1000)
    limits = SizeLimits(message_bytes=3000)

    with pytest.raises(BagError, match='overlap in time'), open_bag(path, limits) as bag:
        list(bag.records())


def test_a_copy_that_finds_no_room_says_how_to_merge_in_place(tmp_path):
    path = with_side_file(tmp_path, 'wal')
    limits = SizeLimits(total_bytes=path.stat().st_size + 10)

    with pytest.raises(BagError, match='wal_checkpoint'), open_bag(path, limits):
        pass
