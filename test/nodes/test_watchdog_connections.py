"""Who is at the other end of a topic: named while something is wrong, and OK once it is right."""

import contextlib
import re
from pathlib import Path

import pytest
from support.models import scripted_model
from support.watchdog import Rig

pytestmark = pytest.mark.ros

OK, WARN, ERROR = 0, 1, 2


@contextlib.contextmanager
def elsewhere(ros):
    """A node of another process, so to speak: one participant may not mix types on a topic."""
    import rclpy
    from rclpy.node import Node

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros.domain_id)
    node = Node('controller', context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.fixture
def other(ros):
    with elsewhere(ros) as node:
        yield node


def command(stamped, vx):
    from geometry_msgs.msg import Twist, TwistStamped

    msg = TwistStamped() if stamped else Twist()
    (msg.twist if stamped else msg).linear.x = vx
    return msg


def until_row(rig, ending, level):
    """The words of a row once it has that level and whoever it is about is known by name."""

    def known():
        rows = rig.report(ending).values()
        named = not any('not known yet' in words for _, words in rows)
        return rows and named and max(level for level, _ in rows) == level

    rig.until(known, what=f'level {level} in {ending}')
    return '; '.join(words for _, words in rig.report(ending).values() if words)


def test_every_topic_has_its_row_while_nothing_is_wrong(ros):
    rig = Rig(ros, command='Twist').start()
    ros.until(lambda: rig.diagnostics, what='a report')

    topics = ('detections', 'odom', 'cmd_vel')
    outputs = ('lock', 'speed_limit', 'fresh/detections', 'freshness', 'diagnostics')
    assert rig.report(': type') == {f'/watchdog: /{name}: type': (OK, '') for name in topics}
    assert rig.report(': QoS') == {
        f'/watchdog: /{name}: QoS': (OK, '') for name in (*topics, *outputs)
    }


def in_words(profile):
    """What a publisher offers, in the words of the table in docs/consumers.md."""

    def word(policy):
        return policy.name.lower().replace('_', ' ').replace('system default', 'automatic')

    def ms(duration):
        return f'{duration.nanoseconds // 10**6} ms'

    lease = profile.liveliness_lease_duration
    endless = 10**18
    return (
        f'{word(profile.reliability)}, {word(profile.history)} {profile.depth}',
        word(profile.durability),
        ms(profile.deadline) if 0 < profile.deadline.nanoseconds < endless else 'none',
        word(profile.liveliness)
        + (f', lease {ms(lease)}' if 0 < lease.nanoseconds < endless else ''),
    )


def test_what_is_offered_is_what_the_page_for_consumers_says(ros, tmp_path):
    from rclpy.parameter import Parameter

    from edge_inference_ros.nodes.camera_detector import CameraDetector

    page = (Path(__file__).parents[2] / 'docs' / 'consumers.md').read_text()
    table = page[page.index('| topic | reliability') :].split('\n\n', maxsplit=1)[0]
    promised = {}
    for line in table.splitlines()[2:]:
        topics, *words = (cell.strip() for cell in line.strip('|').split('|'))
        for topic in re.findall('`(.*?)`', topics):
            ours = topic.replace('<topic>', 'detections').replace('~', '/camera_detector')
            promised[ours if ours.startswith('/') else f'/{ours}'] = tuple(words)
    given = {'model': str(scripted_model(tmp_path / 'model')), 'backend': 'null'}
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    detector = ros.add(CameraDetector(context=ros.context, parameter_overrides=overrides))
    detector.trigger_configure()
    detector.trigger_activate()
    watchdog = Rig(ros).start().node

    standard = {'/rosout', '/parameter_events'}
    offered = {
        publisher.topic_name: in_words(publisher.qos_profile)
        for node in (detector, watchdog)
        for publisher in node.publishers
        if publisher.topic_name not in standard and 'transition_event' not in publisher.topic_name
    }
    for debug in [topic for topic in offered if '/debug/' in topic]:
        assert offered.pop(debug) == promised['/camera_detector/debug/…']
    del promised['/camera_detector/debug/…']
    assert offered == promised


def test_a_publisher_with_other_demands_is_named_with_the_policy_until_it_leaves(ros):
    from vision_msgs.msg import Detection2DArray

    from edge_inference_ros.ros import qos

    rig = Rig(ros).start()  # the detector is reliable, so the watchdog is
    stranger = ros.publisher(Detection2DArray, 'detections', qos.sensor())
    words = until_row(rig, '/detections: QoS', ERROR)
    assert 'reliability' in words

    ros.helper.destroy_publisher(stranger)

    assert until_row(rig, '/detections: QoS', OK) == ''


def test_who_cannot_reach_us_is_reported_at_once_and_not_with_the_next_report(ros, monkeypatch):
    from vision_msgs.msg import Detection2DArray

    from edge_inference_ros.nodes.watchdog import Watchdog
    from edge_inference_ros.ros import qos

    create_timer = Watchdog.create_timer

    def without_reports(self, period_s, *args, **options):
        return create_timer(self, 1e6 if period_s == 60.0 else period_s, *args, **options)

    monkeypatch.setattr(Watchdog, 'create_timer', without_reports)
    rig = Rig(ros, diagnostics_period_s=60.0).start()

    ros.publisher(Detection2DArray, 'detections', qos.sensor())

    assert 'reliability' in until_row(rig, '/detections: QoS', ERROR)


def test_a_reader_with_other_demands_is_an_error_that_names_the_policy(ros):
    from std_msgs.msg import Bool

    from edge_inference_ros.ros import qos

    rig = Rig(ros).start()
    ros.collect(Bool, 'lock', qos.latched())

    words = '/lock: nothing reaches /test_helper, incompatible durability'
    assert words in until_row(rig, '/lock: QoS', ERROR)


def test_every_output_names_a_reader_it_cannot_reach(ros):
    from rclpy.duration import Duration

    from edge_inference_ros.ros import qos

    rig = Rig(ros).start()
    impossible = qos.output()
    impossible.deadline = Duration(nanoseconds=1)
    rclpys = ('/rosout', '/parameter_events', '/watchdog/transition_event')
    outputs = {p.topic_name: p.msg_type for p in rig.node.publishers if p.topic_name not in rclpys}
    assert set(outputs) == {
        '/diagnostics', '/fresh/detections', '/freshness', '/lock', '/speed_limit'
    }  # fmt: skip
    for topic, kind in outputs.items():
        ros.collect(kind, topic, impossible)

    for topic in outputs:
        words = f'{topic}: nothing reaches /test_helper, incompatible deadline'
        ros.until(lambda words=words: words in str(rig.report(': QoS')), what=words)


@pytest.mark.parametrize(('choice', 'stamped'), [('Twist', True), ('TwistStamped', False)])
def test_a_command_of_another_type_is_named_and_unknown_and_not_zero(ros, other, choice, stamped):
    rig = Rig(ros, command=choice, range_reverse_m=2.0, range_side_m=2.0).start()
    rig.until_valid()
    assert float(rig.summary()['v_assumed_mps']) < 0.5

    driver = other.create_publisher(type(command(stamped, 0.0)), 'cmd_vel', 1)
    driver.publish(command(stamped, 1.0))

    words = until_row(rig, '/cmd_vel: type', ERROR)
    assert '/controller' in words
    assert f'geometry_msgs/msg/{type(command(stamped, 0.0)).__name__}' in words
    rig.drive(0.0, since_s=0.1)
    assert float(rig.summary()['v_assumed_mps']) == 1.5
    assert 'unknown' in rig.summary()['odometry']
    other.destroy_publisher(driver)
    assert until_row(rig, '/cmd_vel: type', OK) == ''
    rig.drive(0.0, since_s=0.1)
    rig.until(lambda: rig.summary()['odometry'] == 'ok', what='an end of it')


def test_what_is_unheard_may_go_any_way_so_where_nothing_looks_back_it_locks(ros, other):
    rig = Rig(ros, command='Twist').start().until_valid()
    ros.until(lambda: not rig.locked, what='the release')

    driver = other.create_publisher(type(command(True, 0.0)), 'cmd_vel', 1)

    ros.until(lambda: rig.locked, what='the lock')
    assert driver.topic_name == '/cmd_vel'


@pytest.mark.parametrize('stamped', [False, True])
def test_auto_hears_the_type_that_is_published_and_follows_a_change(ros, other, stamped):
    rig = Rig(ros, command='auto').start()
    rig.drive(0.0)
    for kind in (stamped, not stamped):
        driver = other.create_publisher(type(command(kind, 0.0)), 'cmd_vel', 1)
        ros.until(driver.get_subscription_count, what='the watchdog to follow')

        def commanded(driver=driver, kind=kind):
            driver.publish(command(kind, 1.0))
            rig.drive(0.0, since_s=0.1)
            return 1.0 <= float(rig.summary()['v_assumed_mps']) < 1.3

        ros.until(commanded, what='the command')
        assert rig.summary()['odometry'] == 'ok'
        other.destroy_publisher(driver)


def test_auto_takes_one_of_two_types_and_counts_the_other_as_unknown(ros, other):
    rig = Rig(ros, command='auto').start()
    drivers = [other.create_publisher(type(command(False, 0.0)), 'cmd_vel', 1)]
    ros.until(drivers[0].get_subscription_count, what='the first to be heard')

    with elsewhere(ros) as third:
        drivers += [third.create_publisher(type(command(True, 0.0)), 'cmd_vel', 1)]
        rig.until(lambda: 'TwistStamped' in rig.summary()['odometry'], what='the second one')

    assert drivers[0].get_subscription_count() == 1


@pytest.mark.parametrize('topic', ['odom', 'detections'])
def test_another_type_on_any_topic_is_named_with_who_sends_it(ros, topic):
    from geometry_msgs.msg import TwistWithCovarianceStamped

    with elsewhere(ros) as other:
        rig = Rig(ros)
        rig.configure()
        publisher = other.create_publisher(TwistWithCovarianceStamped, topic, 1)
        rig.activate()

        words = until_row(rig, f'/{topic}: type', ERROR)

        assert publisher.topic_name == f'/{topic}'
    assert '/controller sends geometry_msgs/msg/TwistWithCovarianceStamped there' in words


def test_every_sample_of_a_burst_of_odometry_counts(ros):
    rig = Rig(ros).start()
    rig.until_valid(v_mps=0.4)
    rig.clock.advance(1.0)
    rig.drive(0.4)  # eleven samples, published before the watchdog turns
    rig.detect(age_s=0.35)

    assert float(rig.source()['travelled_m']) < 0.3  # 0.14, and what each gap leaves open


def test_of_a_burst_of_detections_only_the_newest_is_judged(ros):
    rig = Rig(ros).start()
    rig.drive(0.2)

    for age_s in (0.03, 0.02, 0.01):
        data, _ = rig.detection(age_s=age_s)
        rig.detector.publish(data)
    rig.taken(rig.detector)
    rig.next_beats(1)

    assert rig.fresh == [data]
    assert rig.source()['OK'] == '1'


def test_a_twist_in_the_frame_of_the_world_is_named(ros):
    rig = Rig(ros).start()
    rig.drive(0.2, child='odom', frame='odom')

    def said(frame):
        level, words = rig.report('odom: input').get('/watchdog: odom: input', (None, ''))
        return (level, frame in words) == (WARN, True)

    rig.until(lambda: said("child_frame_id is 'odom'"), what='the frame in the row of the input')
    assert "child_frame_id is 'odom'" in rig.summary()['odometry']
    rig.drive(0.2)
    rig.until(
        lambda: rig.report('odom: input').get('/watchdog: odom: input') == (OK, ''), what='OK'
    )
