"""On a real graph a bag comes out with true stamps, and what is heard goes into a bag."""

import json
import signal
import threading
from itertools import pairwise

import pytest
from support import bags

from edge_inference_ros.errors import BagError, ConfigError
from edge_inference_ros.replay import play, record, stamps
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


def test_recording_over_something_is_refused(tmp_path):
    with pytest.raises(BagError, match='cannot be recorded into'):
        record.run(record.Params(out=str(tmp_path), topics=('a',)))
    with pytest.raises(ConfigError, match='name the topics'):
        record.run(record.Params(out=str(tmp_path)))


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
