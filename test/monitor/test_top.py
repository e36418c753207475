"""`edge_inference top`: for scripts, for terminals that are none, and over a real graph."""

import io
import json
import os
import pty

import pytest
from monitor.pictures import freshness, heard, latency

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.monitor import top
from edge_inference_ros.monitor.board import SURE_S, Board, Picture


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def wait(self, seconds):
        self.now_s += seconds


def looks(*said, clock=lambda: 0.0):
    """One picture a look; the last for ever."""
    board, rest = Board(), list(said)

    def look():
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        return board.take(now, clock()) if now else Picture()

    return look


def test_once_prints_one_table(monkeypatch):
    monkeypatch.delenv('COLUMNS', raising=False)
    clock, out = Clock(), io.StringIO()

    top.report(looks(None, heard()), top.Params(once=True), out, clock=clock, wait=clock.wait)

    assert '/front/detections' in out.getvalue()
    assert '\x1b' not in out.getvalue()


def test_a_guard_that_is_heard_late_is_not_called_absent():
    clock, out = Clock(), io.StringIO()
    alone = heard(freshness={}, locks={})
    look = looks(*[alone] * 12, heard(), clock=clock)  # the guard 3 s after the detector

    top.report(look, top.Params(once=True), out, clock=clock, wait=clock.wait)

    assert 'unlocked' in out.getvalue()
    assert 'no watchdog' not in out.getvalue()
    assert 'UNGUARDED' not in out.getvalue()


def test_a_lock_that_is_heard_late_is_waited_for():
    clock, out = Clock(), io.StringIO()
    look = looks(*[heard(locks={})] * 9, heard(), clock=clock)

    top.report(look, top.Params(once=True, json=True), out, clock=clock, wait=clock.wait)

    (guard,) = json.loads(out.getvalue())['guards']
    assert guard['locked'] is False


def test_the_guard_of_a_second_detector_is_waited_for():
    clock, out = Clock(), io.StringIO()
    both = {'/front/latency': [latency()], '/rear/latency': [latency()]}
    guards = {'/front/freshness': freshness(), '/rear/freshness': freshness()}
    late = heard(latency=both, freshness=guards, locks={'/front/lock': False, '/rear/lock': False})
    look = looks(*[heard(latency=both)] * 9, late, clock=clock)

    top.report(look, top.Params(once=True), out, clock=clock, wait=clock.wait)

    assert '/rear/watchdog' in out.getvalue()
    assert 'guard?' not in out.getvalue()


def test_who_is_missing_long_enough_is_called_absent():
    clock, out = Clock(), io.StringIO()
    look = looks(heard(freshness={}, locks={}), clock=clock)

    top.report(look, top.Params(once=True), out, clock=clock, wait=clock.wait)

    assert 'no watchdog is heard' in out.getvalue()
    assert 'UNGUARDED' in out.getvalue()
    assert clock.now_s >= SURE_S


def test_without_a_terminal_the_table_is_as_wide_as_columns_says(monkeypatch):
    widths = []
    for columns in ('40', '200'):
        monkeypatch.setenv('COLUMNS', columns)
        clock, out = Clock(), io.StringIO()
        top.report(looks(heard()), top.Params(once=True), out, clock=clock, wait=clock.wait)
        widths.append(max(map(len, out.getvalue().splitlines())))

    assert widths[0] <= 40 < widths[1]


def test_json_is_a_record_a_second():
    clock, out = Clock(), io.StringIO()

    class Enough(Exception):
        pass

    def wait(seconds):
        clock.wait(seconds)
        if clock.now_s > 5.0:
            raise Enough

    with pytest.raises(Enough):
        top.report(looks(heard()), top.Params(json=True), out, clock=clock, wait=wait)

    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) >= 3
    assert records[0]['guards'][0]['sources'][0]['age_ms'] == 40.0
    assert records[0]['detectors'][0]['stages'][0]['name'] == 'transport'


def test_records_end_with_the_context():
    clock, out = Clock(), io.StringIO()
    going = iter([True, True, False])

    top.report(
        looks(heard()), top.Params(json=True), out,
        going=lambda: next(going), clock=clock, wait=clock.wait,
    )  # fmt: skip

    assert len(out.getvalue().splitlines()) == 3


def test_nobody_there_is_an_error_that_says_where_was_listened(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', '42')
    clock = Clock()

    with pytest.raises(ConfigError, match=r'ROS_DOMAIN_ID 42.*within 5 s'):
        top.first(looks(None), 5.0, clock=clock, wait=clock.wait)


@pytest.mark.parametrize(
    ('said', 'words'),
    [
        ({'svg': 'a.svg', 'once': True}, 'choose one'),
        ({'svg': 'a.svg', 'json': True}, 'choose one'),
        ({'svg': 'a.png'}, r'ends in \.svg'),
    ],
)
def test_options_that_cannot_both_be_obeyed_are_refused(said, words):
    with pytest.raises(ConfigError, match=words):
        top.run(params=top.Params(**said))


def test_no_terminal_names_what_works_without():
    with pytest.raises(ConfigError, match='--once or --json'):
        top.check_terminal(io.StringIO())


def test_a_narrow_terminal_is_named_with_its_width():
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 40, 0, 0))
    with os.fdopen(follower, 'w') as narrow, pytest.raises(ConfigError, match='40 columns'):
        top.check_terminal(narrow)
    os.close(leader)


def test_the_screen_is_drawn_for_a_page(tmp_path):
    pytest.importorskip('textual', reason='the live screen needs textual')

    top.draw(looks(heard()), top.Params(wait_s=0.5), tmp_path / 'top.svg')

    text = (tmp_path / 'top.svg').read_text()
    assert text.startswith('<svg')
    assert 'front/detections' in text
    with pytest.raises(ConfigError, match=r'top\.svg cannot be written'):
        top.draw(looks(heard()), top.Params(), tmp_path / 'top.svg' / 'top.svg')


@pytest.mark.ros
def test_real_nodes_are_found_in_their_namespace_and_not_disturbed(ros, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from nav_msgs.msg import Odometry
    from std_msgs.msg import Bool

    from edge_inference_ros.monitor.listener import Listener
    from edge_inference_ros.ros import qos

    def array_of(rows):
        return DiagnosticArray(
            status=[
                DiagnosticStatus(
                    level=bytes([row.level]),
                    name=row.name,
                    message=row.message,
                    values=[KeyValue(key=k, value=v) for k, v in row.values.items()],
                )
                for row in rows
            ]
        )

    said = heard()
    spoken = [
        (DiagnosticArray, '/front/latency', array_of(said.latency['/front/latency'])),
        (DiagnosticArray, '/front/freshness', array_of(said.freshness['/front/freshness'])),
        (DiagnosticArray, '/diagnostics', array_of(said.diagnostics)),
        (Bool, '/front/lock', Bool(data=False)),
        (Odometry, '/odom', Odometry()),
    ]
    publishers = [(ros.publisher(kind, topic, qos.output()), msg) for kind, topic, msg in spoken]
    node = ros.node('screen')
    ros.executor.remove_node(node)  # nothing spins what only looks
    listener, board = Listener(node), Board()
    held = [Picture()]

    def complete():
        for publisher, msg in publishers:
            publisher.publish(msg)
        picture = held[0] = board.take(listener.look(), 0.0)
        return bool(
            picture.detectors
            and picture.detectors[0].whole.last_ms
            and picture.detectors[0].stages[0].p50_ms
            and picture.guards
            and picture.guards[0].limit_mps
            and picture.guards[0].locked is False
            and picture.speeds_mps
        )

    ros.until(complete, what='everything to be shown')

    assert held[0].detectors[0].name == '/front/camera_detector'
    for topic in listener.topics:
        (info,) = node.get_subscriptions_info_by_topic(topic)
        assert info.qos_profile.reliability.name == 'BEST_EFFORT'
