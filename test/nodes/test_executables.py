"""Every executable, as a process of its own, starts, becomes active and ends when told to."""

import signal

import pytest

from edge_inference_ros.nodes.process import EXECUTOR

pytestmark = pytest.mark.ros
ACTIVE = 3


@pytest.mark.parametrize(
    ('name', 'executor'), [('camera_detector', None), ('watchdog', None), ('watchdog', 'single')]
)
def test_it_starts_by_itself_and_ends_when_told_to(ros, name, executor):
    from lifecycle_msgs.srv import GetState

    module = f'edge_inference_ros.nodes.{name}'
    start = ('--ros-args', '-p', 'autostart:=true')
    child = ros.child('-m', module, *start, env={EXECUTOR: executor})
    service = ros.helper.create_client(GetState, f'{name}/get_state')

    def active():
        assert child.process.poll() is None, child.said
        if not service.service_is_ready():
            return False
        answer = service.call_async(GetState.Request())
        ros.until(lambda: answer.done() or child.process.poll() is not None)
        return answer.done() and answer.result().current_state.id == ACTIVE

    ros.until(active, what='the node to be active')
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
    assert 'Traceback' not in child.said
