"""What may no longer be used is not handed over."""

import pytest

pytestmark = pytest.mark.ros

S = 10**9


class Rig:
    """A consumer between a scripted watchdog and clocks that the test turns."""

    def __init__(self, ros):
        from diagnostic_msgs.msg import DiagnosticArray
        from vision_msgs.msg import Detection2DArray

        from edge_inference_ros.nodes.fresh import FreshSubscription
        from edge_inference_ros.ros import qos

        self.ros = ros
        self.mono_ns, self.now_ns, self.sim = 5 * S, 1_700_000_000 * S, False
        self.got = []
        self.node = ros.node('consumer')
        self.node.get_clock = lambda: self
        self.fresh = FreshSubscription(
            self.node, Detection2DArray, 'detections', self.got.append, now=lambda: self.mono_ns
        )
        self.messages = ros.publisher(Detection2DArray, 'fresh/detections', readers=1)
        self.heart = ros.publisher(DiagnosticArray, 'freshness', qos.heartbeat(), readers=1)

    @property
    def ros_time_is_active(self):
        return self.sim

    def now(self):
        from rclpy.time import Time

        return Time(nanoseconds=self.now_ns)

    def pass_(self, s):
        self.mono_ns += int(s * S)
        self.now_ns += int(s * S)

    def send(self, age_s=0.0):
        from vision_msgs.msg import Detection2DArray

        msg = Detection2DArray()
        stamp_ns = self.now_ns - int(age_s * S)
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, S)
        before = self.fresh._msg
        self.messages.publish(msg)
        self.ros.until(lambda: self.fresh._msg is not before, what='the message')
        return stamp_ns

    def beat(self, held_ns, *, left_s=60.0, state='VALID', name='detections', sent_s=0.0, **said):
        """A heartbeat that was sent ``sent_s`` ago, processed."""
        from edge_inference_ros.ros.wire import diagnostics

        values = {'stamp_ns': str(held_ns), 'expires_at_ns': str(self.now_ns + int(left_s * S))}
        values |= said
        seen, self.fresh._tell, tell = [], lambda: (seen.append(1), tell()), self.fresh._tell
        stamp_ns = self.now_ns - int(sent_s * S)
        self.heart.publish(diagnostics(stamp_ns, '', [(0, name, state, '', values)]))
        self.ros.until(lambda: seen, what='the heartbeat')
        self.fresh._tell = tell


@pytest.fixture
def rig(ros):
    return Rig(ros)


def test_a_message_waits_for_the_heartbeat_that_vouches_for_it(rig):
    held_ns = rig.send()
    assert not rig.got

    rig.beat(held_ns)

    assert len(rig.got) == 1
    assert rig.fresh.newest() is rig.got[0]
    assert rig.fresh.valid


def test_a_newer_message_is_covered_by_an_older_ones_expiry(rig):
    rig.beat(rig.now_ns - S)

    rig.send()

    assert len(rig.got) == 1


def test_each_message_is_handed_over_once(rig):
    rig.beat(rig.now_ns)
    rig.beat(rig.send())

    assert len(rig.got) == 1


@pytest.mark.parametrize(
    'beat',
    [
        {'left_s': -1.0},
        {'name': 'others'},
        {'stamp_ns': ''},
        {'expires_at_ns': '9' * 5000},
        {'expires_at_ns': '0'},
        {'sent_s': 0.101},
        {'sent_s': -0.021},
    ],
    ids=['expired', 'another topic', 'no stamp', 'no number', 'none', 'waited', 'from the future'],
)
def test_what_no_heartbeat_vouches_for_is_kept_back(rig, beat):
    held_ns = rig.send()

    rig.beat(held_ns, **beat)

    assert not rig.got
    assert rig.fresh.newest() is None
    assert rig.fresh.valid == (beat.keys() <= {'left_s', 'stamp_ns', 'expires_at_ns'})


@pytest.mark.parametrize('sent_s', [0.1, -0.02])
def test_a_heartbeat_within_lease_and_tolerance_counts(rig, sent_s):
    rig.beat(rig.send(), sent_s=sent_s)

    assert rig.got
    assert rig.fresh.valid


def test_a_message_that_was_replaced_is_kept_back(rig):
    held_ns = rig.send()

    rig.beat(held_ns + 1)

    assert rig.fresh.newest() is None


def test_a_message_from_the_future_is_kept_back(rig):
    rig.beat(rig.now_ns - S)

    rig.send(age_s=-0.021)
    assert not rig.got
    rig.send(age_s=-0.02)
    assert len(rig.got) == 1


def test_when_the_heart_stops_nothing_may_be_used(rig):
    rig.beat(rig.send())

    rig.pass_(0.1)
    assert rig.fresh.newest() is not None
    rig.mono_ns += 1  # the steady clock alone
    assert rig.fresh.newest() is None
    assert not rig.fresh.valid


def test_a_heartbeat_that_waited_behind_a_callback_is_as_old_as_its_stamp_says(rig):
    held_ns = rig.send()
    rig.beat(held_ns, sent_s=0.06)
    assert rig.fresh.valid

    rig.pass_(0.04)
    assert rig.fresh.valid
    rig.now_ns += 1
    assert not rig.fresh.valid
    assert rig.fresh.newest() is None


def test_every_heartbeat_counts_anew(rig):
    held_ns = rig.send()
    for _ in range(5):
        rig.beat(held_ns)
        rig.pass_(0.09)

    assert rig.fresh.newest() is not None


def test_an_expiry_that_comes_nearer_is_the_one_that_counts(rig):
    held_ns = rig.send()
    rig.beat(held_ns, left_s=60.0)
    rig.beat(held_ns, left_s=0.02)

    rig.pass_(0.02)
    assert rig.fresh.newest() is not None
    rig.now_ns += 1
    assert rig.fresh.newest() is None
    assert rig.fresh.valid  # the source; what is held of it has expired


def test_setting_the_clock_back_prolongs_nothing(rig):
    rig.beat(rig.send(), left_s=0.05)

    rig.pass_(0.051)
    rig.now_ns -= int(0.01 * S)

    assert rig.fresh.newest() is None


def test_what_was_held_in_a_suspend_is_gone_after_it(rig):
    rig.beat(rig.send())

    rig.mono_ns += 3600 * S  # CLOCK_BOOTTIME; the ROS clock is read as before

    assert rig.fresh.newest() is None
    assert not rig.fresh.valid


def test_it_reads_the_clock_that_goes_on_in_a_suspend(ros):
    import inspect

    from edge_inference_ros.core.latency import sleepless_ns
    from edge_inference_ros.nodes.fresh import FreshSubscription

    assert inspect.signature(FreshSubscription).parameters['now'].default is sleepless_ns


def test_nothing_is_held_for_a_source_that_has_sent_nothing(rig):
    rig.send()
    rig.beat(0)

    assert rig.fresh.newest() is None


def test_a_simulated_clock_may_lag_by_its_step(rig):
    rig.sim = True
    for _ in range(3):
        rig.beat(rig.now_ns)
        rig.pass_(0.1)

    rig.pass_(0.001)  # past the lease of the last of them
    held_ns = rig.send()

    rig.beat(held_ns, sent_s=-0.11)
    assert not rig.got
    rig.beat(held_ns, sent_s=-0.1)
    assert len(rig.got) == 1


@pytest.mark.parametrize(('sent_s', 'alive'), [(0.4, True), (0.401, False)])
def test_in_simulation_a_heartbeat_may_be_older_by_the_step_of_the_clock(rig, sent_s, alive):
    rig.sim = True
    rig.beat(rig.now_ns)
    rig.pass_(0.1)
    rig.beat(rig.now_ns)
    rig.pass_(0.3)  # past the lease of 0.1 s and a step of as much

    rig.beat(rig.send(), sent_s=sent_s)

    assert rig.fresh.valid is alive
    assert len(rig.got) == alive


def test_where_time_is_real_the_distance_of_heartbeats_is_no_step(rig):
    for _ in range(3):
        rig.beat(rig.now_ns)
        rig.pass_(0.11)

    rig.beat(rig.send(), sent_s=-0.04)

    assert not rig.got


def test_a_leap_of_a_simulated_clock_is_no_step(rig):
    rig.sim = True
    rig.beat(rig.now_ns)
    rig.pass_(3600.0)

    rig.beat(rig.send(), sent_s=-0.1)

    assert not rig.got


def test_after_the_end_nothing_is_handed_over(rig):
    rig.beat(rig.now_ns)

    rig.fresh.destroy()
    rig.fresh._arrived(type('', (), {}))  # what an executor had taken before

    assert not rig.got
    assert not rig.fresh.valid
    rig.ros.until(lambda: not rig.messages.get_subscription_count(), what='the end of both')
    rig.ros.until(lambda: not rig.heart.get_subscription_count(), what='the end of both')
