"""What the nodes say when all is well."""

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def words():
    from edge_inference_ros.ros import words

    return words


class Ticking:
    """A clock that a test turns."""

    ns = 0

    def __call__(self):
        return self.ns

    def turn(self, seconds):
        self.ns += int(seconds * 1e9)


def test_the_first_output_is_said_at_once_and_the_others_once_a_minute(words):
    said, clock = [], Ticking()
    progress = words.Progress(said.append, clock)

    progress.look()
    for age_ms in (20.0, 40.0, 30.0):
        progress.output(age_ms)
    progress.look()
    assert said == ["first output: 20.0 ms after the sensor's stamp"]

    clock.turn(60)
    progress.look('; nothing lost')
    assert said[1:] == [
        'last 60 s: 3 outputs, 30.0 ms old on average, 40.0 at worst; nothing lost'
    ]

    progress.output(10.0)
    clock.turn(59)
    progress.look()
    assert len(said) == 2
    clock.turn(31)
    progress.look()
    assert said[2:] == ['last 90 s: 1 outputs, 10.0 ms old on average, 10.0 at worst']


def test_an_age_that_no_output_can_have_is_not_averaged(words):
    said, clock = [], Ticking()
    progress = words.Progress(said.append, clock)

    for age_ms in (7_200_000.0, 20.0, -3_600_000.0, 40.0):
        progress.output(age_ms)
    clock.turn(60)
    progress.look()

    odd = 'with a stamp of another clock, which says no age'
    assert said == [
        f'first output: {odd}',
        f'last 60 s: 4 outputs, 30.0 ms old on average, 40.0 at worst, 2 {odd}',
    ]

    progress.output(7_200_000.0)
    clock.turn(60)
    progress.look()
    assert said[2] == f'last 60 s: 1 outputs, 1 {odd}'


def test_a_minute_without_an_output_says_nothing_here(words):
    said, clock = [], Ticking()
    progress = words.Progress(said.append, clock)

    clock.turn(120)
    progress.look()

    assert said == []


def test_an_input_says_its_resolved_name_what_was_asked_and_who_publishes(ros, words):
    from sensor_msgs.msg import Image

    from edge_inference_ros.ros import qos

    reader = ros.node('reader', namespace='front', cli_args=['--ros-args', '-r', 'image:=/cam'])
    asked = qos.sensor()
    assert words.reads(reader, 'image', asked) == '/cam (best effort, depth 1, from nobody yet)'

    ros.node('driver').create_publisher(Image, '/cam', asked)
    ros.until(lambda: reader.count_publishers('/cam'))

    assert words.reads(reader, 'image', asked) == '/cam (best effort, depth 1, from /driver)'


def test_an_unconfigured_node_says_how_to_go_on(ros, words):
    said = words.unconfigured(ros.node('watchdog', namespace='front'))

    assert '`ros2 lifecycle set /front/watchdog configure`' in said
    assert 'autostart' in said
