"""Both ends of a topic agree, or somebody says which policy stands between them."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.ros


@pytest.fixture
def qos():
    from edge_inference_ros.ros import qos

    return qos


def ignore(_):
    """What a reader does here; Python 3.10 knows no signature of the built-in print."""


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
@pytest.mark.parametrize('writer', ['was there before', 'comes later'])
def test_a_reader_learns_which_policy_keeps_it_deaf(ros, qos, named, writer):
    ask, offer = CLASHES[named](qos)
    camera, found = ros.node('camera'), []

    def read():
        qos.subscribe(
            ros.helper, image(), 'front/image', ignore, qos=ask, on_mismatch=found.append
        )

    if writer == 'was there before':
        camera.create_publisher(image(), 'front/image', offer)
        ros.until(lambda: ros.helper.count_publishers('front/image'))
        read()
        assert found
    else:
        read()
        camera.create_publisher(image(), 'front/image', offer)
        ros.until(lambda: found)

    assert (found[0].topic, found[0].policy) == ('/front/image', named)
    assert f'nothing arrives from /camera, incompatible {named}' in str(found[0])


def test_a_deaf_pair_is_reported_once(ros, qos):
    ask, offer = CLASHES['reliability'](qos)
    ros.node('camera').create_publisher(image(), 'image', offer)
    ros.until(lambda: ros.helper.count_publishers('image'))
    found = []

    qos.subscribe(ros.helper, image(), 'image', ignore, qos=ask, on_mismatch=found.append)
    ros.node('lidar').create_publisher(image(), 'image', offer)
    ros.until(lambda: len(found) > 1)

    assert [mismatch.other for mismatch in found] == ['/camera', '/lidar']


def test_an_event_discovery_knows_nothing_of_still_names_its_policy(ros, qos):
    found = []
    watch = qos.QosWatch(ros.helper, 'image', qos.output(), found.append, reading=True)

    watch.on_event(SimpleNamespace(last_policy_kind=qos.QoSPolicyKind.DEADLINE))

    assert str(found[0]).startswith('/image: nothing arrives from another node, incompatible dead')


def test_an_ordinary_reader_is_no_mismatch(ros, qos):
    detector, found = ros.node('detector'), []
    ros.collect(image(), 'detections')
    ros.until(lambda: detector.count_subscribers('detections'))

    qos.advertise(detector, image(), 'detections', qos.output(), on_mismatch=found.append)

    assert not found


@pytest.mark.parametrize('reader', ['was there before', 'comes later'])
def test_a_writer_learns_which_policy_keeps_its_reader_deaf(ros, qos, reader):
    detector, found = ros.node('detector'), []

    def write():
        qos.advertise(detector, image(), 'detections', qos.output(), on_mismatch=found.append)

    def read():
        ros.helper.create_subscription(image(), 'detections', ignore, qos.latched())
        ros.until(lambda: detector.count_subscribers('detections'))

    for step in (read, write) if reader == 'was there before' else (write, read):
        step()
    ros.until(lambda: found)

    assert [(m.topic, m.policy) for m in found] == [('/detections', 'durability')]
    assert 'nothing reaches /test_helper' in str(found[0])


def profiles():
    from edge_inference_ros.ros import qos

    seconds = st.sampled_from([None, 0.1, 1.0])
    return st.builds(
        lambda reliability, durability, liveliness, deadline, lease: profile(
            reliability=qos.ReliabilityPolicy[reliability],
            durability=qos.DurabilityPolicy[durability],
            liveliness=qos.LivelinessPolicy[liveliness],
            **({} if deadline is None else {'deadline': _seconds(deadline)}),
            **({} if lease is None else {'liveliness_lease_duration': _seconds(lease)}),
        ),
        st.sampled_from(['RELIABLE', 'BEST_EFFORT']),
        st.sampled_from(['VOLATILE', 'TRANSIENT_LOCAL']),
        st.sampled_from(['AUTOMATIC', 'MANUAL_BY_TOPIC']),
        seconds,
        seconds,
    )


@given(data=st.data())
def test_the_policies_that_clash_are_those_rmw_names(data):
    from rclpy.qos import QoSCompatibility, qos_check_compatible

    from edge_inference_ros.ros import qos

    offered, requested = data.draw(profiles()), data.draw(profiles())
    compatibility, words = qos_check_compatible(offered, requested)

    found = qos.clashes(offered, requested)

    assert bool(found) is (compatibility == QoSCompatibility.ERROR)
    for policy in ('deadline', 'liveliness'):
        assert (policy in found) is (policy in words.lower())
    assert ('reliability' in found) is ('eliable subscription' in words)
    assert ('durability' in found) is ('olatile publisher' in words)


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

    qos.subscribe(ros.helper, image(), 'image', ignore, on_mismatch=ignore, on_lost=ignore)

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
