"""On a real graph a bag comes out with true stamps, and what is heard goes into a bag."""

import errno
import json
import signal
import threading
from itertools import pairwise

import pytest
from replay.test_clock import clock_message, simulated
from support import bags

from edge_inference_ros.errors import BagError, ConfigError
from edge_inference_ros.replay import clock, definitions, play, record, stamps
from edge_inference_ros.replay.bags import open_bag

pytestmark = pytest.mark.ros

CLI = ('-m', 'edge_inference_ros.cli', 'replay')


def listen(ros, kind, topic, raw=True):
    return ros.collect(kind, topic, 100, raw=raw)  # reliable: as the bag says it was published


def player(ros, bag, *more):
    return ros.child(*CLI, 'play', '--bag', bag, '--wait-for', '/image', '--json', *more)


def test_stamps_are_true_now_and_keep_their_distances(ros, tmp_path):
    from sensor_msgs.msg import Image

    bag = bags.pictures(tmp_path / 'bag', 6, reliable=True)
    held = listen(ros, Image, '/image')
    before_ns = ros.helper.get_clock().now().nanoseconds

    child = player(ros, bag, '--log', tmp_path / 'played.json')
    ros.until(lambda: len(held) == 6, what='six pictures')

    assert child.code() == 0
    found = [stamps.read(data) for data in held]
    assert [b - a for a, b in pairwise(found)] == [10**8] * 5
    assert before_ns < found[0]
    assert found[-1] < ros.helper.get_clock().now().nanoseconds
    assert found == json.loads((tmp_path / 'played.json').read_text())['stamps_ns']['/image']


def test_with_a_clock_the_stamps_stay_and_time_is_published(ros, tmp_path):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image

    bag = bags.pictures(tmp_path / 'bag', 4, reliable=True)
    held, clock = listen(ros, Image, '/image'), ros.collect(Clock, '/clock', 100)

    child = player(ros, bag, '--clock')
    ros.until(lambda: len(held) == 4, what='four pictures')

    assert child.code() == 0
    assert [stamps.read(d) for d in held] == [bags.FIRST_NS + i * 10**8 for i in range(4)]
    times = [c.clock.sec * 10**9 + c.clock.nanosec for c in clock]
    assert times == sorted(times)
    assert len(times) > 4
    assert times[0] >= bags.FIRST_NS


def test_loops_follow_one_another_without_a_pause(ros, tmp_path):
    from sensor_msgs.msg import Image

    bag = bags.pictures(tmp_path / 'bag', 3, reliable=True)
    held = listen(ros, Image, '/image')

    child = player(ros, bag, '--loops', '3')
    ros.until(lambda: len(held) == 9, what='nine pictures')

    assert child.code() == 0
    found = [stamps.read(d) for d in held]
    assert {b - a for a, b in pairwise(found)} == {10**8}


def test_a_player_tells_people_how_far_it_is(ros, tmp_path):
    from sensor_msgs.msg import Image

    bag = bags.pictures(tmp_path / 'bag', 11, reliable=True)
    ros.collect(Image, '/image', 100)
    child = ros.child(*CLI, 'play', '--bag', bag, '--wait-for', '/image')

    child.wait_for('play: 100 of 100 %', ros.executor)
    assert child.code() == 0


def test_nobody_listening_is_an_error_that_names_the_topic(ros, tmp_path):
    bag = bags.pictures(tmp_path / 'bag', 2)

    child = player(ros, bag, '--wait-s', '0.5')

    assert child.code() == 2
    assert 'nobody, or too few, subscribed to /image within 0.5 s' in child.said


def test_a_type_that_is_not_installed_is_named(ros, tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        row = writer.add_connection(
            '/x', 'odd_msgs/msg/Odd', msgdef='int8 a\n', rihs01='RIHS01_' + '0' * 64
        )
        writer.write(row, 1, b'\x00\x01\x00\x00\x01')

    child = ros.child(*CLI, 'play', '--bag', tmp_path / 'bag')

    assert child.code() == 2
    assert 'odd_msgs/msg/Odd: not installed here' in child.said


def test_what_is_published_is_in_the_bag_byte_for_byte_to_the_decoder(ros, tmp_path):
    from sensor_msgs.msg import Image

    child = ros.child(*CLI, 'record', '--out', tmp_path / 'out', '--topics', '/image', '--json')
    publisher = ros.publisher(Image, '/image', 10, readers=1)
    for i in range(5):
        publisher.publish(bags.image(10**9 + i, value=i))
    child.wait_for('"/image": 5', ros.executor)
    child.signal(signal.SIGINT)

    assert child.code() == 0
    with open_bag(tmp_path / 'out') as bag:
        assert bag.need('/image', (bags.IMAGE,)).count == 5
        assert [stamps.read(r.data) for r in bag.records()] == [10**9 + i for i in range(5)]


def test_a_recorder_that_is_terminated_leaves_a_whole_bag(ros, tmp_path):
    from sensor_msgs.msg import Image

    child = ros.child(*CLI, 'record', '--out', tmp_path / 'out', '--topics', 'image', '--json')
    publisher = ros.publisher(Image, '/image', 10, readers=1)
    publisher.publish(bags.image(5))
    child.wait_for('"/image": 1', ros.executor)
    child.signal(signal.SIGTERM)

    assert child.code() == 0
    with open_bag(tmp_path / 'out') as bag:
        assert bag.topics['/image'].count == 1


def test_a_recorder_says_what_it_records_and_what_nobody_sends(ros, tmp_path):
    from sensor_msgs.msg import Image

    child = ros.child(*CLI, 'record', '--out', tmp_path / 'out', '--topics', 'image', 'other')
    publisher = ros.publisher(Image, '/image', 10, readers=1)
    publisher.publish(bags.image(5))
    child.wait_for('records /image (sensor_msgs/msg/Image)', ros.executor)
    child.wait_for('nobody publishes /other so far (ROS_DOMAIN_ID', ros.executor)
    child.signal(signal.SIGINT)

    assert child.code() == 0
    child.wait_for('1  /image', ros.executor)
    child.wait_for('0  /other: nobody published it', ros.executor)
    assert '/image: nobody' not in child.said


def test_an_empty_recording_is_said_to_be_empty(ros, tmp_path):
    child = ros.child(*CLI, 'record', '--out', tmp_path / 'out', '--topics', 'a', '--seconds', '1')

    assert child.code() == 0
    child.wait_for('out holds no message', ros.executor)


def test_recording_over_something_is_refused(tmp_path):
    with pytest.raises(BagError, match='cannot be recorded into'):
        record.run(record.Params(out=str(tmp_path), topics=('a',)))
    with pytest.raises(ConfigError, match='name the topics'):
        record.run(record.Params(out=str(tmp_path)))


def test_a_recording_that_cannot_begin_leaves_nothing_in_the_way(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr(record, 'flush', full)
        with pytest.raises(BagError, match='No space left'):
            record.open_writer(tmp_path / 'bag')
    (tmp_path / 'mine').mkdir()
    with pytest.raises(BagError, match='cannot be recorded into'):
        record.open_writer(tmp_path / 'mine')

    assert [path.name for path in tmp_path.iterdir()] == ['mine']
    record.open_writer(tmp_path / 'bag').close()


def test_playing_what_is_not_in_the_bag_is_refused(tmp_path):
    bag = bags.pictures(tmp_path / 'bag', 2)

    with pytest.raises(BagError, match="no topic '/other'; there are /image"):
        play.run(play.Params(bag=str(bag), topics=('/other',)))
    empty = bags.write(tmp_path / 'empty', [('/image', bags.IMAGE, 1, None)])
    with pytest.raises(BagError, match='no messages to play'):
        play.run(play.Params(bag=str(empty)))


def test_no_thread_of_ours_outlives_a_refusal(tmp_path):
    before = threading.active_count()

    with pytest.raises(BagError):
        play.run(play.Params(bag=str(tmp_path)))

    assert threading.active_count() == before


def test_a_topic_that_cannot_be_played_is_left_out_and_named_unless_asked_for(ros, tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from sensor_msgs.msg import Image

    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        odd = writer.add_connection(
            '/odd', 'odd_msgs/msg/Odd', msgdef='int8 a\n', rihs01='RIHS01_' + '0' * 64
        )
        picture = writer.add_connection(
            '/image', bags.IMAGE, typestore=definitions.typestore(),
            offered_qos_profiles=[bags.RELIABLE],
        )  # fmt: skip
        for i in range(3):
            writer.write(odd, bags.FIRST_NS + i, b'\x00\x01\x00\x00\x01')
            writer.write(picture, bags.FIRST_NS + i, bags.image(bags.FIRST_NS + i))
    held = listen(ros, Image, '/image')

    child = player(ros, tmp_path / 'bag')
    ros.until(lambda: len(held) == 3, what='three pictures')
    refused = ros.child(*CLI, 'play', '--bag', tmp_path / 'bag', '--topics', '/odd')

    assert child.code() == 0
    assert 'left out: /odd (odd_msgs/msg/Odd: not installed here' in child.said
    assert refused.code() == 2
    assert '/odd: odd_msgs/msg/Odd: not installed here' in refused.said


@pytest.mark.parametrize('rate', ['1', '0.5'])
def test_a_simulation_is_played_with_its_own_clock(ros, tmp_path, rate):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image

    bag = simulated(tmp_path / 'bag', 5)
    held, times = listen(ros, Image, '/image'), ros.collect(Clock, '/clock', 100)

    child = player(ros, bag, '--clock', '--rate', rate)
    ros.until(lambda: len(held) == len(times) == 5, what='five pictures and five times')

    assert child.code() == 0
    expected = [bags.SECOND_NS + i * 10**8 for i in range(5)]
    assert [stamps.read(data) for data in held] == expected
    assert [c.clock.sec * 10**9 + c.clock.nanosec for c in times] == expected


def test_a_clock_is_made_for_stamps_of_another_clock_that_bring_none(ros, tmp_path):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image

    bag = simulated(tmp_path / 'bag', 3, with_clock=False)
    held, times = listen(ros, Image, '/image'), ros.collect(Clock, '/clock', 100)

    child = player(ros, bag, '--clock')
    ros.until(lambda: len(held) == 3, what='three pictures')

    assert child.code() == 0
    assert {c.clock.sec for c in times} == {1}


def test_what_would_be_54_years_old_is_not_played(ros, tmp_path):
    bag = simulated(tmp_path / 'bag')

    child = ros.child(*CLI, 'play', '--bag', bag)

    assert child.code() == 2
    assert '/image was stamped at 1.0 s but received at 2023-11-14' in child.said
    assert 'Play it with --clock' in child.said


def test_a_clock_that_was_set_while_recording_is_not_waited_for(ros, tmp_path):
    rows = [('/image', bags.IMAGE, ns, bags.image(bags.FIRST_NS)) for ns in (0, bags.FIRST_NS)]
    bag = bags.write(tmp_path / 'bag', rows)

    child = ros.child(*CLI, 'play', '--bag', bag)

    assert child.code() == 2
    assert 'the first message (/image) was received at 0.0 s' in child.said


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_when_a_topic_nobody_asked_for_was_received_is_of_no_concern(ros, tmp_path, storage):
    first_ns = bags.FIRST_NS
    rows = [('/image', bags.IMAGE, ns, bags.image(ns)) for ns in (first_ns, first_ns + 5)]
    rows.append(('/other', bags.IMAGE, 4 * 10**18, bags.image(bags.FIRST_NS)))
    bag, log = bags.write(tmp_path / 'bag', rows, storage=storage), tmp_path / 'played.json'

    child = ros.child(*CLI, 'play', '--bag', bag, '--topics', '/image', '--loops', 2, '--log', log)

    assert child.code() == 0
    assert json.loads(log.read_text())['published'] == {'/image': 4}


def test_a_clock_is_played_with_what_has_no_stamps(ros, tmp_path):
    from rosgraph_msgs.msg import Clock

    rows = []
    for i in range(3):
        received_ns = bags.FIRST_NS + i * 10**8
        rows.append((clock.TOPIC, clock.CLOCK, received_ns, clock_message(10**9 + i * 10**8)))
        rows.append(('/image', bags.IMAGE, received_ns, bags.image(0)))
    times = ros.collect(Clock, '/clock', 100)
    bag = bags.write(tmp_path / 'bag', rows, reliable=True)

    child = ros.child(*CLI, 'play', '--bag', bag, '--clock', '--wait-for', '/clock')

    assert child.code() == 0
    ros.until(lambda: len(times) == 3, what='three times')
    assert [c.clock.nanosec for c in times] == [0, 10**8, 2 * 10**8]


def test_a_clock_that_is_not_played_is_said(ros, tmp_path):
    rows = [('/image', bags.IMAGE, bags.FIRST_NS, bags.image(bags.FIRST_NS))]
    rows.append((clock.TOPIC, clock.CLOCK, bags.FIRST_NS, clock_message(bags.FIRST_NS)))

    child = ros.child(*CLI, 'play', '--bag', bags.write(tmp_path / 'bag', rows))

    assert child.code() == 0
    assert '/clock (stamps are renewed; --clock keeps them and plays it)' in child.said


def test_a_clock_alone_is_nothing_to_play_and_that_is_said(tmp_path):
    rows = [(clock.TOPIC, clock.CLOCK, bags.FIRST_NS, clock_message(bags.FIRST_NS))]
    bag = bags.write(tmp_path / 'bag', rows)

    with pytest.raises(BagError, match='/clock: it is played beside other topics only'):
        play.run(play.Params(bag=str(bag), topics=('/clock',)))


def test_a_recorder_that_is_killed_leaves_all_but_the_last_second(ros, tmp_path):
    from sensor_msgs.msg import Image

    out = tmp_path / 'out'
    child = ros.child(*CLI, 'record', '--out', out, '--topics', '/image', '--json')
    publisher = ros.publisher(Image, '/image', 10, readers=1)
    file = out / 'out.mcap'
    assert file.read_bytes().startswith(b'\x89MCAP0')  # at once, before the first message
    before = file.stat().st_size
    for i in range(5):
        publisher.publish(bags.image(10**9 + i, value=i))
    child.wait_for('"/image": 5', ros.executor)
    ros.until(lambda: file.stat().st_size > before, what='a chunk in the file')
    child.signal(signal.SIGKILL)
    child.code()

    with open_bag(out) as bag:
        assert [stamps.read(r.data) for r in bag.records()] == [10**9 + i for i in range(5)]
        assert 'There is no metadata.yaml: the recorder was killed.' in bag.lost
        assert 'out.mcap has no end' in bag.lost


def test_what_is_recorded_is_described_as_the_running_distribution_has_it(ros, tmp_path):
    from sensor_msgs.msg import Range

    child = ros.child(*CLI, 'record', '--out', tmp_path / 'out', '--topics', '/range', '--json')
    publisher = ros.publisher(Range, '/range', 10, readers=1)
    publisher.publish(Range(range=2.5))
    child.wait_for('"/range": 1', ros.executor)
    child.signal(signal.SIGINT)

    assert child.code() == 0
    with open_bag(tmp_path / 'out', types=definitions.learn) as bag:
        (record,) = bag.records(('/range',))
    store = definitions.learn('sensor_msgs/msg/Range')
    assert store.deserialize_cdr(record.data, 'sensor_msgs/msg/Range').range == 2.5
    fields = [name for name, _ in store.fielddefs['sensor_msgs/msg/Range'][1]]
    assert fields == list(Range.get_fields_and_field_types())
