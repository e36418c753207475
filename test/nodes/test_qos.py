"""Both ends of a topic agree, or somebody says which policy stands between them."""

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def qos():
    from edge_inference_ros.nodes import qos

    return qos


def image():
    from sensor_msgs.msg import Image

    return Image


def profile(**policies):
    from rclpy.qos import QoSProfile

    return QoSProfile(depth=1, **policies)


def test_a_reader_without_writers_asks_for_best_effort(ros, qos):
    assert qos.follow(ros.helper, 'image').reliability == qos.BEST_EFFORT


@pytest.mark.parametrize(
    ('offered', 'asked'),
    [(['RELIABLE'], 'RELIABLE'), (['BEST_EFFORT'], 'BEST_EFFORT'),
     (['RELIABLE', 'BEST_EFFORT'], 'BEST_EFFORT')],
)  # fmt: skip
def test_a_reader_asks_for_what_every_writer_offers(ros, qos, offered, asked):
    for i, name in enumerate(offered):
        node = ros.node(f'camera_{i}')
        node.create_publisher(image(), 'image', profile(reliability=qos.ReliabilityPolicy[name]))
    ros.until(lambda: ros.helper.count_publishers('image') == len(offered))

    assert qos.follow(ros.helper, 'image').reliability.name == asked


def test_every_profile_keeps_the_newest_only(qos):
    for made in (qos.sensor(), qos.output(), qos.latched(), qos.heartbeat()):
        assert made.depth == 1
        assert made.history.name == 'KEEP_LAST'


@pytest.mark.parametrize('named', ['reliability', 'durability', 'deadline', 'liveliness'])
def test_a_reader_learns_which_policy_keeps_it_deaf(ros, qos, named):
    ask, offer = CLASHES[named](qos)
    ros.node('camera').create_publisher(image(), 'front/image', offer)
    found = []

    qos.subscribe(
        ros.helper, image(), 'front/image', found.append, qos=ask, on_mismatch=found.append
    )
    ros.until(lambda: found)

    assert (found[0].topic, found[0].policy) == ('/front/image', named)
    assert found[0].others == ('/camera',)
    assert f'nothing arrives from /camera, incompatible {named}' in str(found[0])


def test_a_writer_learns_which_policy_keeps_its_reader_deaf(ros, qos):
    found = []
    offer = qos.output()
    node = ros.node('detector')
    events = qos.publisher_events(node, 'detections', offer, found.append)
    node.create_publisher(image(), 'detections', offer, event_callbacks=events)

    ros.helper.create_subscription(image(), 'detections', found.append, qos.latched())
    ros.until(lambda: found)

    assert (found[0].topic, found[0].policy) == ('/detections', 'durability')
    assert 'nothing reaches /test_helper' in str(found[0])


def test_the_sensor_profile_hears_both_kinds_of_writer(ros, qos):
    heard = []
    qos.subscribe(
        ros.helper, image(), 'image', heard.append, qos=qos.sensor(), on_mismatch=heard.append
    )
    for reliability in (qos.RELIABLE, qos.BEST_EFFORT):
        heard.clear()
        writer = ros.publisher(image(), 'image', profile(reliability=reliability), readers=1)
        writer.publish(image()(width=3))
        ros.until(lambda: heard)
        assert heard[0].width == 3
        ros.helper.destroy_publisher(writer)


def test_a_late_reader_still_hears_what_was_latched(ros, qos):
    ros.helper.create_publisher(image(), 'labels', qos.latched()).publish(image()(width=7))

    heard = ros.collect(image(), 'labels', qos.latched())
    ros.until(lambda: heard)

    assert heard[0].width == 7


def test_a_silent_heart_is_noticed_and_so_is_its_return(ros, qos):
    lives = []
    events = qos.events.SubscriptionEventCallbacks(
        liveliness=lambda e: lives.append(e.alive_count)
    )
    ros.helper.create_subscription(
        image(), 'freshness', lambda _: None, qos.heartbeat(), event_callbacks=events
    )
    heart = ros.publisher(image(), 'freshness', qos.heartbeat(), readers=1)

    heart.publish(image()())
    ros.until(lambda: lives and lives[-1] == 1, what='the heart beats')
    ros.until(lambda: lives[-1] == 0, what='the heart stopped')
    heart.publish(image()())
    ros.until(lambda: lives[-1] == 1, what='the heart beats again')


def test_serialised_bytes_are_handed_over_when_asked_for(ros, qos):
    heard = []
    qos.subscribe(ros.helper, image(), 'image', heard.append, on_mismatch=heard.append, raw=True)
    ros.publisher(image(), 'image', qos.sensor(), readers=1).publish(image()())

    ros.until(lambda: heard)

    assert isinstance(heard[0], bytes)


def test_a_middleware_that_counts_no_losses_still_gets_its_subscription(ros, qos, monkeypatch):
    made = []

    def stingy(**calls):
        if 'message_lost' in calls:
            raise qos.events.UnsupportedEventTypeError('not here')
        made.append(calls)
        return genuine(**calls)

    genuine = qos.events.SubscriptionEventCallbacks
    monkeypatch.setattr(qos.events, 'SubscriptionEventCallbacks', stingy)

    qos.subscribe(ros.helper, image(), 'image', print, on_mismatch=print, on_lost=print)

    assert list(made[0]) == ['incompatible_qos']


def _seconds(value):
    from rclpy.duration import Duration

    return Duration(seconds=value)


CLASHES = {
    'reliability': lambda qos: (qos.output(), qos.sensor()),
    'durability': lambda qos: (qos.latched(), qos.output()),
    'deadline': lambda qos: (profile(deadline=_seconds(0.1)), profile(deadline=_seconds(1.0))),
    'liveliness': lambda qos: (qos.heartbeat(deadline_s=9.0), profile(deadline=_seconds(1.0))),
}
