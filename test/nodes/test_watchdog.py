"""On a real graph: what is fresh goes through by its bytes, and silence is reported."""

import math

import pytest
from support.robots import GIVEN
from support.watchdog import Rig, S

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(ros):
    return Rig(ros)


def test_what_is_fresh_goes_through_byte_for_byte(rig):
    rig.start().drive(0.5)

    data, _ = rig.detect(age_s=0.05)
    rig.until(lambda: rig.fresh, what='the forwarded message')

    assert rig.fresh == [data]
    assert rig.until_verdict('OK')['OK'] == '1'


@pytest.mark.parametrize(
    ('v_mps', 'age_s', 'verdict'),
    [
        (1.5, 0.25, 'STALE_AGE'),  # the deadline at 1.5 m/s is 0.2 s
        (0.0, 0.60, 'STALE_AGE'),  # at rest it is the cap, 0.5 s
        (0.5, -1.0, 'FUTURE'),
    ],
)
def test_what_is_not_fresh_is_refused_by_name(rig, v_mps, age_s, verdict):
    rig.start().drive(v_mps)

    rig.detect(age_s=age_s)

    assert rig.until_verdict(verdict)['verdict'] == verdict
    assert not rig.fresh


def test_the_same_age_is_fresh_at_a_lower_speed(rig):
    rig.start().drive(0.2)

    rig.detect(age_s=0.25)
    rig.until(lambda: rig.fresh, what='the forwarded message')


def test_zero_repeated_and_out_of_order_stamps_are_refused(rig):
    rig.start().drive(0.0)
    _, stamp_ns = rig.detect()

    for stamp, verdict in (
        (0, 'ZERO_STAMP'),
        (stamp_ns, 'REPEATED'),
        (stamp_ns - 1, 'OUT_OF_ORDER'),
    ):
        rig.detect(stamp_ns=stamp)
        assert rig.until_verdict(verdict)[verdict] == '1'

    assert len(rig.fresh) == 1


def test_a_message_from_another_frame_is_refused(rig):
    rig.start().drive(0.0)
    rig.detect()

    rig.detect(frame_id='somewhere_else')

    rig.until_verdict('MALFORMED')
    assert len(rig.fresh) == 1


def test_without_odometry_the_highest_speed_is_assumed(ros):
    rig = Rig(ros, range_reverse_m=4.0).start()

    rig.detect(age_s=0.25)
    rig.detect(age_s=0.1)

    assert rig.until_verdict('NO_ODOM')['STALE_AGE'] == '1'
    assert rig.summary()['odometry'] == 'no odometry yet'


def test_silence_becomes_stale_and_the_heartbeat_goes_on(rig):
    rig.start().drive(1.0)
    for _ in range(3):
        rig.detect()
    rig.until(lambda: rig.row().message == 'VALID', what='VALID')

    rig.until(lambda: rig.row().message == 'STALE', what='STALE')

    assert rig.row('perception').level == b'\x02'
    beats = len(rig.beats)
    rig.until(lambda: len(rig.beats) > beats + 3, what='more heartbeats')


def test_the_heartbeat_says_until_when_a_prediction_may_be_used(rig):
    rig.start().drive(1.0)
    _, stamp_ns = rig.detect()

    expires_at_ns = int(rig.until_verdict('OK')['expires_at_ns'])

    assert stamp_ns < expires_at_ns <= stamp_ns + 0.5 * S


def test_the_profile_changes_while_running(rig):
    from rclpy.parameter import Parameter

    rig.start().drive(1.0)
    rig.detect(age_s=0.2)
    rig.until(lambda: rig.fresh, what='the forwarded message')

    (answer,) = rig.node.set_parameters([Parameter('d_max_m', value=0.1)])
    assert answer.successful
    rig.drive(1.0)
    rig.detect(age_s=0.15)

    rig.until_verdict('STALE_AGE')
    assert len(rig.fresh) == 1


@pytest.mark.parametrize(
    ('params', 'words'),
    [
        ({'d_max_m': -1.0}, 'd_max_m'),
        ({'d_max_m': float('nan')}, 'd_max_m'),
        ({'margin_m': 9.0}, 'margin_m'),
        ({'topics': ['a', 'a']}, 'each once'),
        ({'topics': ['/detections']}, "topics has '/detections': expected a relative name"),
        ({'topics': ['perception']}, "'perception', which is a topic or a row of the watchdog"),
        ({'topics': ['lock']}, "'lock', which is a topic or a row of the watchdog"),
        ({'topics': ['fresh/detections']}, 'which is a topic or a row of the watchdog'),
        ({'frames': ['a', 'b']}, 'frames'),
        ({'topics': ['a', 'my topic']}, "topics has 'my topic': expected a relative name"),
        ({'heartbeat_s': 0.06, 'tick_s': 0.04}, 'their sum must be < 0.1'),
        ({'types': ['no_such/msg/Type']}, 'no_such'),
        ({'types': ['nonsense']}, "'nonsense' is no message type: expected 'package/msg/Type'"),
        ({'types': ['']}, "'' is no message type"),
        ({'types': ['.std_msgs/msg/Header']}, "'.std_msgs/msg/Header' is no message type"),
        ({'types': ['std_msgs/msg/no_such']}, 'is no message type'),
        ({'types': ['std_msgs/msg/NoSuch']}, 'is not an installed message type'),
        (
            {'topics': ['a', 'b'], 'types': ['nonsense', 'std_msgs/msg/NoSuch']},
            "Detection2DArray; types: 'std_msgs/msg/NoSuch' is not an installed",
        ),
        ({'stamp_offsets_s': [0.0, 0.1]}, 'expected none, or one for each of topics'),
        ({'stamp_offsets_s': [-2.0]}, 'expected -1 … 1'),
        ({'types': ['std_msgs/msg/Bool']}, 'begins with no std_msgs/Header'),
        ({'optional': ['b']}, "'b'"),
        ({'optional': ['detections']}, 'no source is required'),
        ({'tick': 0.02}, 'did you mean tick_s?'),
    ],
)
def test_a_configuration_that_cannot_be_honoured_is_refused_in_words(ros, params, words, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    node = Rig(ros, **params).node

    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert words in capfd.readouterr().err


def test_parameters_and_qos_agree_on_the_lease_of_the_heartbeat():
    from edge_inference_ros.core.types import LEASE_S
    from edge_inference_ros.errors import ParameterError
    from edge_inference_ros.nodes.watchdog_params import WatchdogParams
    from edge_inference_ros.ros import qos

    with pytest.raises(ParameterError, match='lease'):
        WatchdogParams(tick_s=LEASE_S / 2, heartbeat_s=LEASE_S / 2)
    assert qos.heartbeat().liveliness_lease_duration.nanoseconds == round(LEASE_S * 1e9)


def test_several_topics_of_several_types_are_guarded(ros):
    from sensor_msgs.msg import PointCloud2

    rig = Rig(
        ros,
        topics=['detections', 'points'],
        types=['vision_msgs/msg/Detection2DArray', 'sensor_msgs/msg/PointCloud2'],
        range_reverse_m=4.0,
    )
    fresh = ros.collect(PointCloud2, 'fresh/points')
    rig.start()
    lidar = ros.publisher(PointCloud2, 'points', readers=1)
    ros.until(lambda: rig.node.count_subscribers('fresh/points'), what='ears')
    msg = PointCloud2(data=bytes(1000))
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(rig.now_ns(), S)
    lidar.publish(msg)
    ros.until(lambda: fresh, what='the forwarded cloud')

    assert fresh[0].header == msg.header
    assert len(fresh[0].data) == 1000


def test_a_velocity_command_counts_as_motion(ros):
    from geometry_msgs.msg import Twist

    rig = Rig(ros, command='Twist').start()
    driver = ros.publisher(Twist, 'cmd_vel', readers=1)
    rig.drive(0.0)
    msg = Twist()
    msg.linear.x = 1.4
    driver.publish(msg)
    rig.until(lambda: float(rig.summary()['v_assumed_mps']) > 1.3, what='the command')


def test_bytes_that_are_no_odometry_mean_the_caps_until_the_next_good_sample(rig):
    rig.start().drive(0.2)

    rig.odometer.publish(b'\0\1\0\0 no odometry')
    rig.taken(rig.odometer)
    rig.next_beats(1)
    assert rig.summary()['odometry'] == 'odometry is not a number, or says that it is lost'
    rig.until(lambda: float(rig.summary()['v_assumed_mps']) == 1.5, what='the caps')

    rig.drive(0.2)
    rig.until(lambda: rig.summary()['odometry'] == 'ok', what='good odometry')


def test_bytes_without_a_header_are_counted_and_refused(rig):
    rig.start().drive(0.2)
    rig.detect()

    rig.detector.publish(b'\0\1\0\0 no header')
    rig.taken(rig.detector)
    rig.next_beats(1)

    assert rig.source()['verdict'] == 'MALFORMED'
    assert rig.source()['MALFORMED'] == '1'
    assert len(rig.fresh) == 1


LOST = {
    'a quaternion of zeros': {'quaternion': (0.0, 0.0, 0.0, 0.0)},
    'a variance of 9999': {'variance': 9999.0},
    'a negative variance': {'variance': -1.0},
}


@pytest.mark.parametrize('lost', LOST)
def test_odometry_that_says_it_is_lost_is_no_robot_that_stands(rig, lost):
    rig.start().drive(0.2)

    for k in range(4):
        rig.odometry(rig.now_ns() + k * 1000, 0.0, **LOST[lost])
    rig.taken(rig.odometer)
    rig.next_beats(1)

    assert rig.summary()['odometry'] == 'odometry is not a number, or says that it is lost'


@pytest.mark.parametrize('length', [1.0, 0.5, 0.2, 2.0])
def test_a_twist_of_the_world_is_turned_by_a_quaternion_of_any_length(ros, length):
    """Half a turn: what moves ahead in the world goes backwards, where nothing looks."""
    rig = Rig(ros).start()

    rig.drive(0.5, child='odom', frame='odom', quaternion=(0.0, 0.0, length, 0.0))

    assert 'reverse' in rig.summary()['toward']


def test_two_publishers_of_odometry_are_named_and_believed_no_slower_than_the_faster(rig):
    from nav_msgs.msg import Odometry

    rig.start()
    other = rig.ros.publisher(Odometry, 'odom')
    for _ in range(20):
        now_ns = rig.now_ns()
        rig.odometry(now_ns, 0.0)
        late = Odometry(child_frame_id='base_link')
        late.header.stamp.sec, late.header.stamp.nanosec = divmod(now_ns - S // 200, S)
        late.twist.twist.linear.x = 1.2
        rig.taken(rig.odometer)
        other.publish(late)
        rig.taken(other)
        rig.clock.advance(0.02)
    rig.next_beats(1)

    assert float(rig.summary()['v_assumed_mps']) > 1.0
    rig.until(lambda: rig.report('odom: input'), what='a report')
    ((_, words),) = rig.report('odom: input').values()
    assert '2 nodes publish it' in words


def test_zeros_of_a_second_odometry_slow_nothing_once_it_is_seen(rig):
    from nav_msgs.msg import Odometry

    rig.start()
    other = rig.ros.publisher(Odometry, 'odom')
    rig.until(
        lambda: '2 nodes publish it' in str(rig.report('odom: input')), what='both to be seen'
    )
    least = math.inf
    for n in range(60):
        now_ns = rig.now_ns()
        sample = Odometry(child_frame_id='base_link')  # of neither the pose says anything
        sample.header.stamp.sec, sample.header.stamp.nanosec = divmod(now_ns, S)
        sample.pose.pose.orientation.w = 1.0
        sample.twist.twist.linear.x = 0.0 if n % 10 else 1.0
        publisher = other if n % 10 else rig.odometer
        publisher.publish(sample)
        rig.taken(publisher)
        rig.clock.advance(0.02)
        rig.next_beats(1)
        if n > 30:
            least = min(least, float(rig.summary()['v_assumed_mps']))

    assert least >= 1.5  # v_cap: nobody knows how fast it is
    assert '2 nodes publish odom' in rig.summary()['odometry']


@pytest.mark.parametrize('topic', ['lock', 'speed_limit'])
def test_a_second_watchdog_is_named(rig, capfd, topic):
    from nav2_msgs.msg import SpeedLimit
    from std_msgs.msg import Bool

    rig.start()
    rig.until(lambda: rig.report(f'{topic}: output'), what='a report')
    assert set(rig.report(f'{topic}: output').values()) == {(0, '')}

    rig.ros.publisher({'lock': Bool, 'speed_limit': SpeedLimit}[topic], topic)
    rig.until(
        lambda: '2 nodes publish it' in str(rig.report(f'{topic}: output')), what='the words'
    )

    ((level, words),) = rig.report(f'{topic}: output').values()
    assert level == 2
    assert 'end all but one watchdog' in words
    assert f'{topic}: 2 nodes publish it' in capfd.readouterr().err


def test_every_command_of_a_burst_counts(ros):
    from geometry_msgs.msg import Twist

    rig = Rig(ros, command='Twist').start()
    driver = ros.publisher(Twist, 'cmd_vel', readers=1)
    rig.drive(0.0)
    fast, stop = Twist(), Twist()
    fast.linear.x = 1.3
    driver.publish(fast)
    driver.publish(stop)
    rig.taken(driver)
    rig.clock.advance(0.1)
    rig.detect(age_s=0.1)

    assert float(rig.source()['travelled_m']) >= 0.9 * 1.3 * 0.1


def test_a_frame_that_is_pinned_never_changes(ros):
    rig = Rig(ros, frames=['camera']).start()
    rig.drive(0.0)

    for _ in range(5):
        rig.detect(frame_id='rear')
        rig.clock.advance(1.0)
        rig.drive(0.0)

    assert not rig.fresh
    assert rig.source()['verdict'] == 'MALFORMED'
    assert "expected frame_id 'camera', got 'rear'" in rig.source()['frame']


@pytest.mark.parametrize(('cpu', 'cpus'), [(-1, []), (0, [0]), (3, [3])])
def test_the_scheduler_is_asked_for_what_the_parameters_say_and_its_refusal_is_logged(
    ros, cpu, cpus, monkeypatch, capfd
):
    from edge_inference_ros.ros import process

    asked = []

    def real_time(**what):
        asked.append(what)
        return ['not allowed here']

    monkeypatch.setattr(process, 'real_time', real_time)
    Rig(ros, priority=7, cpu=cpu).configure()

    assert asked == [{'priority': 7, 'cpus': cpus}]
    assert 'not allowed here' in capfd.readouterr().err


@pytest.mark.parametrize('kind', ['Twist', 'TwistStamped'])
def test_bytes_that_are_no_command_count_as_the_caps(ros, kind):
    import geometry_msgs.msg

    rig = Rig(ros, command=kind).start()
    driver = ros.publisher(getattr(geometry_msgs.msg, kind), 'cmd_vel', readers=1)
    driver.publish(b'\0\1\0\0 no command')
    rig.drive(0.2)

    rig.until(lambda: float(rig.summary()['v_assumed_mps']) == 1.5, what='the caps')


def test_a_watchdog_that_is_deactivated_leaves_the_robot_locked(rig):
    from std_msgs.msg import Bool

    locks = rig.ros.collect(Bool, 'lock')
    rig.start().drive(0.0)

    def released():
        rig.detect()
        return locks and not locks[-1].data

    rig.until(released, what='the release')
    rig.node.trigger_deactivate()

    rig.until(lambda: locks[-1].data, what='the lock')


def test_a_driver_that_stamps_arrival_is_corrected(ros):
    rig = Rig(ros, stamp_offsets_s=[-0.6]).start()
    rig.drive(0.0)

    rig.detect()  # now, so the driver says; at rest 0.5 s is too old

    assert rig.until_verdict('STALE_AGE')['STALE_AGE'] == '1'


def test_a_stamp_from_the_future_blames_the_clock(rig):
    rig.start().drive(0.0)
    rig.detect(age_s=-1.0)

    assert 'synchronise' in rig.until_verdict('FUTURE')['clock']


def test_two_nodes_on_one_topic_are_flagged(rig):
    rig.start().drive(0.0)

    for n in range(5):
        _, stamp_ns = rig.detect()
        rig.detect(stamp_ns=stamp_ns - 1_000_000 + n)

    rig.until(lambda: 'ASYMMETRIC' in rig.source().get('senders', ''), what='the flag')
    assert rig.row().level == b'\x01'


def test_there_is_no_default_robot_and_the_refusal_says_how_to_give_one(ros, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    from edge_inference_ros.nodes.watchdog import Watchdog

    some = [Parameter('b_mps2', value=0.75), Parameter('tick_s', value=0.01)]
    node = ros.add(Watchdog(context=ros.context, parameter_overrides=some))

    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert (
        'no robot profile: v_cap_mps, w_cap_radps, a_acc_mps2, alpha_acc_radps2, d_max_m,' in said
    )
    assert 'give robot:=NAME to a launch file (humanoid, indoor_amr, outdoor_delivery' in said
    assert '--params-file' in said
    rest = [Parameter(name, value=value) for name, value in GIVEN.items() if name != 'b_mps2']
    assert all(answer.successful for answer in node.set_parameters(rest))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize(
    ('topic', 'optional', 'said'),
    [
        ('odom', [], 'nobody publishes /odom: the robot is taken to move as fast as it can'),
        ('cmd_vel', [], 'nobody publishes /cmd_vel: motion is known from odometry alone'),
        ('lidar', [], 'nobody publishes /lidar: the robot may not move without it'),
        ('lidar', ['lidar'], None),
    ],
)
def test_a_required_input_that_nobody_publishes_is_a_row_of_the_diagnostics(
    ros, topic, optional, said
):
    topics = (
        {'topics': ['detections', 'lidar'], 'optional': optional}
        if optional
        else {'topics': ['detections', 'lidar']}
    )
    rig = Rig(ros, command='Twist', **topics)
    ros.helper.destroy_publisher(rig.odometer)
    rig.node.trigger_configure()
    rig.node.trigger_activate()

    def row(name):
        rows = (row for report in rig.diagnostics[-1:] for row in report.status)
        return next((row for row in rows if row.name.endswith(f'{name}: input')), None)

    ros.until(lambda: row('detections') and not row('detections').message, what='the detector')
    assert (row(topic).message if row(topic) else None) == said or said in row(topic).message
    assert row(topic) is None or row(topic).level == b'\x02'


def test_the_watchdog_relays_small_messages_and_so_offers_the_events_executor(monkeypatch):
    from edge_inference_ros.nodes import watchdog

    offered = {}
    monkeypatch.setattr(watchdog.process, 'run', lambda _, **options: offered.update(options))

    watchdog.main()

    assert offered == {'events': True}


def test_how_it_went_is_said_with_the_report_once_the_period_is_over(rig, monkeypatch, capfd):
    monkeypatch.setattr('edge_inference_ros.ros.words.PERIOD_NS', 0)
    rig.start().drive(0.5)
    rig.detect(age_s=0.05)
    heard = []

    def is_said():
        heard.append(capfd.readouterr().err)
        return ': 1 outputs, 50.0 ms old on average' in ''.join(heard)

    rig.until(is_said, what='the line')


def test_a_change_of_frame_is_logged_once_with_both_names(rig, capfd):
    rig.start().drive(0.5)
    for frame_id in ('camera', 'other', 'other'):
        rig.detect(age_s=0.05, frame_id=frame_id)
    reports = len(rig.diagnostics)

    rig.until(lambda: len(rig.diagnostics) > reports + 2, what='reports')

    assert capfd.readouterr().err.count("expected frame_id 'camera', got 'other'") == 1
