"""Every executable, as a process of its own, starts, becomes active and ends when told to."""

import signal

import pytest
from support.robots import ON_THE_COMMAND_LINE

from edge_inference_ros.ros.process import EXECUTOR

pytestmark = pytest.mark.ros
LISTENS_WHEN_ACTIVE = {'camera_detector': 'image', 'watchdog': 'detections'}


@pytest.mark.parametrize(
    ('name', 'executor'),
    [
        ('camera_detector', None),
        ('camera_detector', 'events'),
        ('watchdog', None),
        ('watchdog', 'single'),
    ],
)
def test_it_starts_by_itself_and_ends_when_told_to(ros, name, executor):
    module = f'edge_inference_ros.nodes.{name}'
    robot = ON_THE_COMMAND_LINE if name == 'watchdog' else []
    start = ('--ros-args', '-p', 'autostart:=true', *robot)
    child = ros.child('-m', module, *start, env={EXECUTOR: executor})

    child.wait_for('configured in')
    child.wait_for('active: reads')
    ros.until(lambda: ros.helper.count_subscribers(LISTENS_WHEN_ACTIVE[name]), what='a reader')
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
    assert 'Traceback' not in child.said
    refused = (name, executor) == ('camera_detector', 'events')
    assert ('this node offers the single-threaded one only' in child.said) is refused


@pytest.mark.parametrize('name', ['camera_detector', 'watchdog'])
def test_it_says_how_to_go_on_when_nobody_configured_it(ros, name):
    child = ros.child('-m', f'edge_inference_ros.nodes.{name}')

    child.wait_for(f'`ros2 lifecycle set /{name} configure`')
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
