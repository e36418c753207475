"""A detector that is told to end while its model loads ends with the step it is in."""

import signal

import pytest
from support.models import scripted_model

pytestmark = pytest.mark.ros

# No signal ends the step of a slow engine build: it goes on for a while after ROS was shut down.
DETECTOR = """
import sys, threading
import rclpy
from edge_inference_ros.core import registry
from edge_inference_ros.nodes import camera_detector
load = registry.load
def slowly(kind, name):
    module = load(kind, name)
    if kind == 'backends':
        open_ = module.open
        def open_slowly(*args, **settings):
            print('opening', flush=True)
            while rclpy.ok():
                threading.Event().wait(0.01)
            engine = open_(*args, **settings)
            print('opened', flush=True)
            return engine
        module.open = open_slowly
    elif kind == 'heads':
        print('a step too far', flush=True)
    return module
registry.load = slowly
code = camera_detector.main()
print('ended in order', flush=True)
sys.exit(code)
"""


def loading(ros, backend, model, *, autostart=True):
    """A detector in the middle of opening its engine."""
    said = {'backend': backend, 'model': model, 'autostart': str(autostart).lower()}
    arguments = [word for name, value in said.items() for word in ('-p', f'{name}:={value}')]
    return ros.child('-c', DETECTOR, '--ros-args', *arguments)


def ends(child):
    code = child.code()
    assert child.lines[-1] == 'ended in order', child.said
    assert 'opened' in child.lines
    for words in ('a step too far', 'Traceback', 'correct the cause', 'failed to', 'cannot'):
        assert words not in child.said
    return code


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('backend', ['null', 'ort', 'openvino'])
def test_a_signal_while_the_model_loads_ends_it_with_that_step(ros, tmp_path, number, backend):
    if backend != 'null':
        pytest.importorskip({'ort': 'onnxruntime'}.get(backend, backend))
    model = scripted_model(tmp_path / 'scripted') if backend == 'null' else 'street_tiny'
    child = loading(ros, backend, model)
    child.wait_for('opening')

    child.signal(number)

    assert ends(child) == 0


def test_a_second_signal_does_no_harm(ros, tmp_path):
    child = loading(ros, 'null', scripted_model(tmp_path / 'scripted'))
    child.wait_for('opening')

    child.signal(signal.SIGINT)
    child.signal(signal.SIGTERM)

    assert ends(child) == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_service_configures_it_ends_it_too(ros, tmp_path, number):
    from lifecycle_msgs.srv import ChangeState

    child = loading(ros, 'null', scripted_model(tmp_path / 'scripted'), autostart=False)
    service = ros.helper.create_client(ChangeState, 'camera_detector/change_state')
    ros.until(service.service_is_ready)
    request = ChangeState.Request()
    request.transition.id = 1
    service.call_async(request)
    child.wait_for('opening', ros.executor)

    child.signal(number)

    assert ends(child) == 0
