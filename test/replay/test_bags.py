"""A recording is read in order, or refused with a reason."""

import sqlite3
from contextlib import closing, suppress

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import bags

from edge_inference_ros.errors import BagError, ConfigError
from edge_inference_ros.replay.bags import only_whole, open_bag
from edge_inference_ros.replay.containers import SizeLimits


def times(path, *names):
    with open_bag(path) as bag:
        return [(r.topic, r.time_ns) for r in bag.records(names)]


def edit(folder, **changes):
    path = folder / 'metadata.yaml'
    said = yaml.safe_load(path.read_text())
    said['rosbag2_bagfile_information'].update(changes)
    path.write_text(yaml.safe_dump(said))


@pytest.mark.parametrize(
    ('storage', 'compression'),
    [
        ('mcap', None),
        ('mcap', 'storage'),
        ('sqlite3', None),
        ('sqlite3', 'file'),
        ('sqlite3', 'message'),
    ],
)
def test_every_container_gives_the_same_messages(tmp_path, storage, compression):
    path = bags.pictures(tmp_path / 'bag', 4, storage=storage, compression=compression)

    with open_bag(path) as bag:
        records = list(bag.records())
        topic = bag.need('/image', (bags.IMAGE,))

    assert topic.count == 4
    assert [r.data for r in records] == [
        bags.image(bags.FIRST_NS + i * 10**8, value=i) for i in range(4)
    ]
    assert [r.time_ns for r in records] == sorted(r.time_ns for r in records)


def test_a_single_file_is_a_bag_too(tmp_path):
    bags.pictures(tmp_path / 'bag', 3)

    assert len(times(next((tmp_path / 'bag').glob('*.mcap')))) == 3


def test_topics_are_merged_in_the_order_of_reception(tmp_path):
    rows = [
        ('/b', bags.IMAGE, 30, bags.image(3)),
        ('/a', bags.IMAGE, 10, bags.image(1)),
        ('/b', bags.IMAGE, 20, bags.image(2)),
    ]
    bags.write(tmp_path / 'bag', rows)

    assert times(tmp_path / 'bag') == [('/a', 10), ('/b', 20), ('/b', 30)]
    assert times(tmp_path / 'bag', '/b') == [('/b', 20), ('/b', 30)]


@pytest.mark.parametrize(
    ('name', 'types', 'words'),
    [
        ('/nothing', (bags.IMAGE,), "no topic '/nothing'; there are /empty, /image"),
        ('/image', (bags.DETECTIONS,), 'is sensor_msgs/msg/Image, expected vision_msgs'),
        ('/empty', (bags.IMAGE,), 'has no messages'),
    ],
)
def test_what_is_asked_for_and_not_there_is_named(tmp_path, name, types, words):
    rows = [('/image', bags.IMAGE, 1, bags.image(1)), ('/empty', bags.IMAGE, 1, None)]
    bags.write(tmp_path / 'bag', rows)

    with open_bag(tmp_path / 'bag') as bag, pytest.raises(BagError, match=words):
        bag.need(name, types)


def test_a_bag_without_messages_opens_and_ends_at_zero(tmp_path):
    bags.write(tmp_path / 'bag', [('/image', bags.IMAGE, 1, None)])

    with open_bag(tmp_path / 'bag') as bag:
        assert bag.end_ns == 0
        assert list(bag.records()) == []


def test_a_bag_error_is_a_config_error_so_nodes_refuse_to_configure():
    assert issubclass(BagError, ConfigError)


def test_paths_that_are_no_bags_are_named(tmp_path):
    (tmp_path / 'note.txt').write_text('hello')

    for path, words in (
        (tmp_path / 'missing', 'missing: no such file or folder'),
        (tmp_path / 'note.txt', r'not a bag; expected a folder, \.mcap or \.db3'),
        (tmp_path, r'no metadata\.yaml and no \.mcap or \.db3 file'),
    ):
        with pytest.raises(BagError, match=words), open_bag(path):
            pass


@pytest.mark.parametrize(
    'name', ['../outside.mcap', '/etc/passwd', 'sub/bag.mcap', '..', 'missing.mcap']
)
def test_metadata_may_not_name_files_elsewhere(tmp_path, name):
    bags.pictures(tmp_path / 'outside')
    path = bags.pictures(tmp_path / 'bag')
    edit(path, relative_file_paths=[name])

    with pytest.raises(BagError, match=r'not a file of this folder|is missing'), open_bag(path):
        pass


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    other = bags.pictures(tmp_path / 'other')
    path = bags.pictures(tmp_path / 'bag')
    (path / 'link.mcap').symlink_to(other / 'other.mcap')
    edit(path, relative_file_paths=['link.mcap'])

    with pytest.raises(BagError, match=r"'link\.mcap'"), open_bag(path):
        pass


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'relative_file_paths': []}, 'lists no files'),
        ({'relative_file_paths': 'bag.mcap'}, 'lists no files'),
        ({'compression_mode': 'file', 'compression_format': 'rar'}, "compression 'rar'"),
        ({'compression_mode': 'often'}, "mode 'often'"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(tmp_path, changes, words):
    path = bags.pictures(tmp_path / 'bag')
    edit(path, **changes)

    with pytest.raises(BagError, match=words), open_bag(path):
        pass


@pytest.mark.parametrize('text', ['', '[1, 2]', 'a: [', 'rosbag2_bagfile_information: 7', '\x00'])
def test_metadata_that_is_no_metadata_is_refused(tmp_path, text):
    path = bags.pictures(tmp_path / 'bag')
    (path / 'metadata.yaml').write_text(text)

    with pytest.raises(BagError, match=r'metadata\.yaml'), open_bag(path):
        pass


@pytest.mark.parametrize('kept', [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_truncated_bag_is_refused_or_says_what_is_lost_and_gives_no_figures(
    tmp_path, storage, kept
):
    path = bags.pictures(tmp_path / 'bag', 40, storage=storage)
    file = next(p for p in path.iterdir() if p.suffix in ('.mcap', '.db3'))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])

    with pytest.raises(BagError, match='bag'), open_bag(path) as bag:
        only_whole(bag)


def test_a_message_larger_than_allowed_is_refused(tmp_path):
    path = bags.pictures(tmp_path / 'bag', 1, storage='sqlite3')

    with pytest.raises(BagError, match='at most 50'), open_bag(path, SizeLimits(50)) as bag:
        list(bag.records())


def test_a_compressed_message_larger_than_allowed_is_refused_unexpanded(tmp_path):
    rows = [('/image', bags.IMAGE, 1, bags.image(1, height=2000, width=2000))]
    path = bags.write(tmp_path / 'bag', rows, storage='sqlite3', compression='message')

    with (
        pytest.raises(BagError, match='allowed 1000000'),
        open_bag(path, SizeLimits(10**6)) as bag,
    ):
        list(bag.records())


def test_a_file_larger_than_allowed_is_refused_unread(tmp_path):
    path = bags.pictures(tmp_path / 'bag')

    with pytest.raises(BagError, match='at most 100'), open_bag(path, SizeLimits(total_bytes=100)):
        pass


def test_a_bag_whose_definition_differs_from_the_type_is_refused(tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        row = writer.add_connection(
            '/image', bags.IMAGE, msgdef='uint8[] data\n', rihs01='RIHS01_' + '0' * 64
        )
        writer.write(row, 1, bags.image(1))

    with open_bag(tmp_path / 'bag') as bag, pytest.raises(BagError, match='other fields'):
        list(bag.records(('/image',)))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(data=st.data())
def test_a_damaged_file_is_a_bag_error_or_still_a_bag(tmp_path, data):
    source = tmp_path / 'good'
    if not source.exists():
        bags.pictures(source, 6)
    good = (source / 'good.mcap').read_bytes()
    bad = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=6)):
        bad[at] ^= data.draw(st.integers(1, 255))
    file = tmp_path / 'bad.mcap'
    file.write_bytes(bad)

    with suppress(BagError):
        times(file)


@pytest.mark.parametrize(
    ('language', 'type_hash', 'is_refused'),
    [
        ('ros2msg', 'RIHS01_' + '0' * 64, True),
        ('ros2idl', 'RIHS01_' + '0' * 64, True),
        ('ros2idl', '', False),
        ('ros2idl', 'TODO', False),
    ],
)
def test_another_hash_is_another_type_where_no_definition_says_more(
    tmp_path, language, type_hash, is_refused
):
    bag = bags.pictures(tmp_path / 'bag', storage='sqlite3')
    with closing(sqlite3.connect(next(bag.glob('*.db3')))) as db, db:
        text = 'module sensor_msgs {};' if language == 'ros2idl' else ''
        db.execute(
            'UPDATE message_definitions SET encoding = ?, encoded_message_definition = ?',
            (language, text),
        )
        db.execute('UPDATE topics SET type_description_hash = ?', (type_hash,))

    with open_bag(bag) as opened:
        fault = opened.fault('/image')

    assert ('recorded with another type of that name' in fault) is is_refused
