"""What may no longer be used is not handed over."""

import pytest

pytestmark = pytest.mark.ros

S = 10**9


class Rig:
    """A consumer between a scripted watchdog and a clock that stands still."""

    def __init__(self, ros):
        from diagnostic_msgs.msg import DiagnosticArray
        from vision_msgs.msg import Detection2DArray

        from edge_inference_ros.nodes.fresh import FreshSubscription
        from edge_inference_ros.ros import qos

        self.ros = ros
        self.mono_ns = 0
        self.got = []
        node = ros.node('consumer')
        self.now_ns = node.get_clock().now().nanoseconds
        self.fresh = FreshSubscription(
            node, Detection2DArray, 'detections', self.got.append, now=lambda: self.mono_ns
        )
        self.messages = ros.publisher(Detection2DArray, 'fresh/detections', readers=1)
        self.heart = ros.publisher(DiagnosticArray, 'freshness', qos.heartbeat(), readers=1)

    def send(self, stamp_ns):
        from vision_msgs.msg import Detection2DArray

        msg = Detection2DArray()
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, S)
        before = self.fresh._msg
        self.messages.publish(msg)
        self.ros.until(lambda: self.fresh._msg is not before, what='the message')

    def beat(self, held_ns, *, left_s=60.0, state='VALID', name='detections', **said):
        from edge_inference_ros.ros.wire import diagnostics

        values = {'stamp_ns': str(held_ns), 'expires_at_ns': str(self.now_ns + int(left_s * S))}
        values |= said
        heard, seen = self.fresh._heard, []
        self.heart.publish(diagnostics(1, '', [(0, name, state, '', values)]))
        self.fresh._tell, tell = lambda: (seen.append(1), tell()), self.fresh._tell
        self.ros.until(lambda: seen, what='the heartbeat')
        self.fresh._tell, self.fresh._heard = tell, heard


@pytest.fixture
def rig(ros):
    return Rig(ros)


def test_a_message_waits_for_the_heartbeat_that_vouches_for_it(rig):
    rig.send(5 * S)
    assert not rig.got

    rig.beat(5 * S)

    assert [msg.header.stamp.sec for msg in rig.got] == [5]
    assert rig.fresh.newest() is rig.got[0]
    assert rig.fresh.valid


def test_a_newer_message_is_covered_by_an_older_ones_expiry(rig):
    rig.beat(5 * S)

    rig.send(6 * S)

    assert [msg.header.stamp.sec for msg in rig.got] == [6]


def test_each_message_is_handed_over_once(rig):
    rig.beat(5 * S)
    rig.send(5 * S)
    rig.beat(5 * S)

    assert len(rig.got) == 1


@pytest.mark.parametrize(
    'beat',
    [{'left_s': -1.0}, {'name': 'others'}, {'stamp_ns': ''}, {'expires_at_ns': '9' * 5000}],
    ids=['expired', 'another topic', 'no stamp', 'no number'],
)
def test_what_no_heartbeat_vouches_for_is_kept_back(rig, beat):
    rig.send(5 * S)

    rig.beat(5 * S, **beat)

    assert not rig.got
    assert rig.fresh.newest() is None


def test_a_message_that_was_replaced_is_kept_back(rig):
    rig.send(5 * S)

    rig.beat(6 * S)

    assert rig.fresh.newest() is None


def test_when_the_heart_stops_nothing_may_be_used(rig):
    rig.beat(5 * S)
    rig.send(5 * S)

    rig.mono_ns = int(0.1 * S) + 1

    assert rig.fresh.newest() is None
    assert not rig.fresh.valid


def test_nothing_is_held_for_a_source_that_has_sent_nothing(rig):
    rig.send(5 * S)
    rig.beat(0)

    assert rig.fresh.newest() is None
