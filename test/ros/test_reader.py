"""A reader adapts to its writers, and its account names what keeps messages away."""

import itertools

import pytest

from edge_inference_ros.core.types import Level

pytestmark = pytest.mark.ros
SECOND = 10**9


@pytest.fixture
def qos():
    from edge_inference_ros.ros import qos

    return qos


def image():
    from sensor_msgs.msg import Image

    return Image


class Listener:
    """A reader of ``image`` on a clock that stands still, and what it was given."""

    def __init__(self, ros, **options):
        from edge_inference_ros.ros.reader import InputReader

        self.heard, self.mismatches, self.now_ns = [], [], 0
        self.node = ros.node('listener')
        self.reader = InputReader(
            self.node,
            options.pop('kinds', [image()]),
            'front/image',
            self.heard.append,
            on_mismatch=self.mismatches.append,
            clock=lambda: self.now_ns,
            **options,
        )

    def writers_seen(self, count):
        return lambda: self.node.count_publishers('front/image') == count

    @property
    def reliability(self):
        (info,) = self.node.get_subscriptions_info_by_topic('front/image')
        return info.qos_profile.reliability.name


def test_it_becomes_reliable_when_a_reliable_writer_comes(ros, qos):
    listener = Listener(ros)
    assert listener.reliability == 'BEST_EFFORT'
    writer = ros.publisher(image(), 'front/image', qos.output())
    ros.until(listener.writers_seen(1))

    listener.reader.look()
    ros.until(lambda: writer.get_subscription_count() == 1)
    writer.publish(image()(width=4))
    ros.until(lambda: listener.heard)

    assert listener.reliability == 'RELIABLE'
    assert listener.heard[0].width == 4


def test_it_stays_reliable_for_a_writer_that_comes_back(ros, qos):
    writer = ros.publisher(image(), 'front/image', qos.output())
    listener = Listener(ros)
    ros.until(listener.writers_seen(1))
    listener.reader.look()
    ros.helper.destroy_publisher(writer)
    ros.until(listener.writers_seen(0))

    listener.reader.look()

    assert listener.reliability == 'RELIABLE'


def test_it_becomes_best_effort_again_when_such_a_writer_joins(ros, qos):
    ros.node('one').create_publisher(image(), 'front/image', qos.output())
    ros.until(lambda: ros.helper.count_publishers('front/image'))
    listener = Listener(ros)
    ros.until(listener.writers_seen(1))
    listener.reader.look()
    assert listener.reliability == 'RELIABLE'

    ros.node('two').create_publisher(image(), 'front/image', qos.sensor())
    ros.until(listener.writers_seen(2))
    listener.reader.look()

    assert listener.reliability == 'BEST_EFFORT'


def test_it_keeps_what_it_was_told_to_ask_for_and_names_the_policy(ros, qos):
    listener = Listener(ros, profile=qos.output())
    ros.node('camera').create_publisher(image(), 'front/image', qos.sensor())
    ros.until(lambda: listener.mismatches)

    verdict, _ = listener.reader.look()
    listener.reader.look()

    assert listener.reliability == 'RELIABLE'
    assert verdict.level == Level.ERROR
    assert 'incompatible reliability' in verdict.message
    assert len(listener.mismatches) == 1


def test_a_mismatch_that_left_is_no_longer_an_error(ros, qos):
    listener = Listener(ros, profile=qos.output())
    camera = ros.node('camera')
    writer = camera.create_publisher(image(), 'front/image', qos.sensor())
    ros.until(lambda: listener.reader.look()[0].level == Level.ERROR)

    camera.destroy_publisher(writer)
    ros.until(listener.writers_seen(0))

    assert listener.reader.look()[0].level == Level.OK


def test_a_topic_that_carries_another_type_is_named(ros, qos):
    listener = Listener(ros)
    ros.child('-c', COMPRESSING)  # a process of its own: one participant has one type per topic
    ros.until(listener.writers_seen(1))
    listener.now_ns = 3 * SECOND

    verdict, _ = listener.reader.look()

    assert 'it carries sensor_msgs/msg/CompressedImage: remap' in str(verdict)


def test_the_remedy_for_another_form_of_what_we_read_is_the_callers(ros):
    remedy = 'set the parameter transport:=compressed'
    listener = Listener(ros, remedies={'sensor_msgs/msg/CompressedImage': remedy})
    ros.child('-c', COMPRESSING)
    ros.until(listener.writers_seen(1))
    listener.now_ns = 3 * SECOND

    assert str(listener.reader.look()[0]).endswith(f'CompressedImage: {remedy}')


@pytest.mark.parametrize('first', ['writer', 'reader'])
def test_it_takes_that_of_its_types_which_is_published(ros, first):
    from sensor_msgs.msg import CompressedImage

    if first == 'writer':
        ros.child('-c', COMPRESSING)
        ros.until(lambda: ros.helper.count_publishers('front/image'))
    listener = Listener(ros, kinds=[image(), CompressedImage])
    if first == 'reader':
        assert listener.reader.kind is image()
        ros.child('-c', COMPRESSING)
    ros.until(listener.writers_seen(1))

    listener.reader.look()
    ros.until(lambda: listener.heard, what='a message of the other type')

    assert listener.reader.kind is CompressedImage
    assert listener.heard[0].format == 'jpeg'


def test_the_topics_that_would_do_are_named_when_nobody_publishes(ros):
    from sensor_msgs.msg import CompressedImage

    listener = Listener(ros)
    for kind, topic in ((image(), 'rear/image'), (CompressedImage, 'rear/compressed')):
        ros.publisher(kind, topic)
    ros.until(lambda: listener.node.count_publishers('rear/image'))
    listener.now_ns = 3 * SECOND

    assert 'or remap to one of /rear/image (ros2' in str(listener.reader.look()[0])


def test_what_the_writer_numbered_and_did_not_come_is_missing(ros):
    writer = ros.publisher(image(), 'front/image', 1)
    listener = Listener(ros)
    stamps = iter(range(1, 100))
    listener.reader._callback = lambda _: listener.reader.seen(next(stamps) * SECOND // 30, 0, 100)
    ros.until(lambda: writer.get_subscription_count() == 1)
    writer.publish(image()())
    ros.until(lambda: listener.reader.look()[1].received == 1)

    for _ in range(3):  # while nobody takes them, the newest replaces the others
        writer.publish(image()())
    ros.until(lambda: listener.reader.look()[1].received == 2)
    writer.publish(image()())
    ros.until(lambda: listener.reader.look()[1].received == 3)

    verdict, facts = listener.reader.look()
    assert (facts.skipped, facts.newly_lost, facts.is_counted) == (2, 0, True)
    assert 'this process is overloaded' in str(verdict)


def test_two_writers_that_send_by_turns_are_named(ros):
    left, right = ros.node('left'), ros.node('right')
    writers = [node.create_publisher(image(), 'front/image', 1) for node in (left, right)]
    listener = Listener(ros)
    taken_ns = itertools.count(SECOND, SECOND // 10)
    listener.reader._callback = lambda _: listener.reader.seen(next(taken_ns), 0, 100)
    ros.until(lambda: all(writer.get_subscription_count() for writer in writers))
    for count in range(1, 11):
        writers[count % 2].publish(image()())
        ros.until(lambda count=count: listener.reader.look()[1].received == count)

    verdict, _ = listener.reader.look()

    assert verdict.message.endswith('2 publishers that send by turns: /left, /right')


def test_a_silent_writer_is_told_from_none(ros, qos):
    listener = Listener(ros)
    listener.now_ns = 3 * SECOND
    assert 'nobody publishes' in str(listener.reader.look()[0])

    ros.node('camera').create_publisher(image(), 'front/image', qos.sensor())
    ros.until(listener.writers_seen(1))

    said = str(listener.reader.look()[0])
    assert 'though /camera has announced it; either it sends nothing' in said
    assert 'config/transport/shm.xml' in said


def test_what_it_is_told_it_has_seen_is_in_the_account(ros):
    listener = Listener(ros)
    listener.reader.seen(7 * SECOND, 2_000_000, 100)
    listener.reader.seen(0, 0, 100)

    verdict, facts = listener.reader.look()

    assert (facts.received, facts.age_s, facts.message_bytes) == (2, 0.002, 100)
    assert '1 of the last 2 messages on /front/image carry no usable stamp' in verdict.message


def test_closing_unsubscribes(ros):
    listener = Listener(ros)

    with listener.reader:
        pass

    assert not list(listener.node.subscriptions)


COMPRESSING = """
import rclpy
from sensor_msgs.msg import CompressedImage
rclpy.init()
node = rclpy.create_node('camera')
camera = node.create_publisher(CompressedImage, 'front/image', 1)
node.create_timer(0.05, lambda: camera.publish(CompressedImage(format='jpeg')))
rclpy.spin(node)
"""
