"""A reader adapts to its writers, and its account names what keeps messages away."""

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
        from edge_inference_ros.ros.reader import Reader

        self.heard, self.mismatches, self.now_ns = [], [], 0
        self.node = ros.node('listener')
        self.reader = Reader(
            self.node,
            image(),
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

    assert 'it carries sensor_msgs/msg/CompressedImage' in str(verdict)


def test_a_silent_writer_is_told_from_none(ros, qos):
    listener = Listener(ros)
    listener.now_ns = 3 * SECOND
    assert 'nobody publishes' in str(listener.reader.look()[0])

    ros.node('camera').create_publisher(image(), 'front/image', qos.sensor())
    ros.until(listener.writers_seen(1))

    assert 'config/transport/shm.xml' in str(listener.reader.look()[0])


def test_what_it_is_told_it_has_seen_is_in_the_account(ros):
    listener = Listener(ros)
    listener.reader.seen(7 * SECOND, 2_000_000, 100)

    verdict, facts = listener.reader.look()

    assert (facts.received, facts.age_s, facts.message_bytes) == (1, 0.002, 100)
    assert verdict.level == Level.OK


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
node.create_publisher(CompressedImage, 'front/image', 1)
rclpy.spin(node)
"""
