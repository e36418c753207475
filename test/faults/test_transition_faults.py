"""Nodes that change state at 50 Hz while messages arrive, under every executor they offer.

An executor may have taken a message, or noted that a timer is due, before the node let go of what
the callback uses. It calls back all the same, and that must not end the process.
"""

import signal
import time

import pytest
from support.models import HEIGHT_PX, WIDTH_PX, scripted_model
from support.robots import GIVEN

pytestmark = pytest.mark.ros

PERIOD_S = 0.02


class Process:
    """A node in a process of its own under ``executor``, and what sends it what it listens to."""

    def __init__(self, ros, name, executor, *words):
        from lifecycle_msgs.srv import ChangeState, GetState

        options = [word for pair in words for word in ('-p', pair)]
        env = {'EDGE_INFERENCE_EXECUTOR': executor}
        module = f'edge_inference_ros.nodes.{name}'
        self.ros = ros
        self.child = ros.child('-m', module, '--ros-args', *options, env=env)
        self.changes = ros.helper.create_client(ChangeState, f'/{name}/change_state')
        self.states = ros.helper.create_client(GetState, f'/{name}/get_state')
        self.streams = list(streams(ros))
        ros.until(self.changes.service_is_ready, what='the node')
        ros.until(self.states.service_is_ready, what='the node')

    def send(self):
        stamp = divmod(time.time_ns(), 10**9)
        for publisher, message in self.streams:
            message.header.stamp.sec, message.header.stamp.nanosec = stamp
            publisher.publish(message)

    def ask(self, client, request, *, at_least_s=0.0):
        """The answer, with messages in flight before, during and after."""
        answer, due_s = client.call_async(request), time.monotonic() + at_least_s
        while not answer.done() or time.monotonic() < due_s:
            self.send()
            self.ros.executor.spin_once(timeout_sec=0.001)
            assert self.child.process.poll() is None, self.child.said
            assert time.monotonic() < due_s + 30.0, f'no answer:\n{self.child.said}'
        return answer.result()

    def change(self, verb):
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{verb}')
        assert self.ask(self.changes, request, at_least_s=PERIOD_S).success, self.child.said

    @property
    def state(self):
        from lifecycle_msgs.srv import GetState

        return self.ask(self.states, GetState.Request()).current_state.label

    def end(self, *, tracebacks=0):
        self.child.signal(signal.SIGINT)
        assert self.child.code() == 0, self.child.said
        assert self.child.said.count('Traceback') == tracebacks, self.child.said


def streams(ros):
    from nav_msgs.msg import Odometry
    from sensor_msgs.msg import Image
    from vision_msgs.msg import Detection2DArray

    image = Image(height=HEIGHT_PX, width=WIDTH_PX, encoding='bgr8', step=3 * WIDTH_PX)
    image.data.frombytes(bytes(HEIGHT_PX * image.step))
    yield ros.publisher(Odometry, 'odom'), Odometry(child_frame_id='base_link')
    yield ros.publisher(Detection2DArray, 'detections'), Detection2DArray()
    yield ros.publisher(Image, 'image'), image


def camera_detector(ros, executor, folder, **script):
    model = scripted_model(folder / 'model', **script)
    return Process(ros, 'camera_detector', executor, f'model:={model}', 'backend:=null')


def watchdog(ros, executor, _folder):
    return Process(ros, 'watchdog', executor, *('{}:={}'.format(*pair) for pair in GIVEN.items()))


OFFERED = [(watchdog, 'single'), (watchdog, 'events'), (camera_detector, 'single')]


@pytest.mark.fault('K6')
@pytest.mark.parametrize(('start', 'executor'), OFFERED)
def test_deactivating_in_mid_stream_never_ends_the_process(ros, tmp_path, figure, start, executor):
    process = start(ros, executor, tmp_path)
    process.change('CONFIGURE')

    for _ in range(figure.tries(100, 1000)):
        process.change('ACTIVATE')
        process.change('DEACTIVATE')

    process.end()
    figure('exits', 0)


def test_a_dead_runtime_takes_the_node_to_unconfigured(ros, tmp_path):
    process = camera_detector(ros, 'single', tmp_path, faults={'1': 'InferenceFailed'})
    process.change('CONFIGURE')
    process.change('ACTIVATE')

    ros.until(lambda: process.state == 'unconfigured', what='error processing')

    process.change('CONFIGURE')
    process.end(tracebacks=1)  # of the run that failed
