"""A live parameter set at run time does what it does when the node is made with it."""

import math

import pytest
from support.robots import GIVEN

pytestmark = pytest.mark.ros

S = 10**9
EPOCH_NS, MONO_NS = 1_700_000_000 * S, 1000 * S

VALUES = {
    'v_cap_mps': 1.1,
    'w_cap_radps': 0.4,
    'v_floor_mps': 1.0,
    'a_acc_mps2': 3.0,
    'alpha_acc_radps2': 9.0,
    'b_mps2': 0.4,
    'slope_rad': 0.05,
    'jerk_mps3': 0.6,
    'd_max_m': 0.12,
    'lever_m': 8.0,
    'range_m': 1.2,
    'range_reverse_m': 6.0,
    'range_side_m': 6.0,
    'margin_m': 2.1,
    'v_other_mps': 1.4,
    'confirm_s': 2.5,
    'after_s': 2.5,
    'deadline_cap_s': 0.9,
    'deadline_floor_s': 0.3,
    'strict': True,
    'still_mps': 0.1,
    'odom_timeout_s': 0.03,
    'command_timeout_s': 0.05,
    'skew_tol_s': 0.2,
    'reverses': False,
    'strafes': True,
    'creep_m': 0.0,
}
"""Other than the defaults, and far enough away to show in the schedule below."""


def live(schema):
    from edge_inference_ros.core.params import specs

    return {name: default for name, default, _, spec in specs(schema) if spec.live}


def watchdog_params():
    from edge_inference_ros.nodes.watchdog_params import WatchdogParams

    return WatchdogParams


class Bench:
    """A watchdog off the graph: its callbacks are called, and what it would publish is kept."""

    def __init__(self, ros, **params):
        from rclpy.parameter import Parameter

        from edge_inference_ros.guard.timeline import Instant
        from edge_inference_ros.nodes.watchdog import Watchdog

        self.ns, self.out = 0, []
        overrides = [Parameter(k, value=v) for k, v in {**GIVEN, 'range_m': 2.2, **params}.items()]
        self.node = ros.add(
            Watchdog(
                now=lambda: Instant(EPOCH_NS + self.ns, MONO_NS + self.ns),
                context=ros.context,
                parameter_overrides=overrides,
            )
        )
        self.node.trigger_configure()
        self.node.activate(self.node._active)
        for name in ('_freshness', '_lock', '_speed_limit'):
            setattr(self.node, name, Kept(name, self.out))

    def set(self, name, value):
        from rclpy.parameter import Parameter

        (answer,) = self.node.set_parameters([Parameter(name, value=value)])
        assert answer.successful, answer.reason

    def drive(self, seconds):
        """A drive with every kind of motion, late messages and some from the future."""
        end_ns = self.ns + int(seconds * S)
        while self.ns < end_ns:
            self.ns += S // 100
            k = self.ns // (S // 100)
            t = self.ns / S
            if k % 4 == 0:
                back = -1.0 if t % 8.0 > 6.0 else 1.0
                v, w = back * (0.6 + 0.6 * math.sin(t)), 0.3 * math.sin(0.7 * t)
                vy = 0.06 if t % 8.0 > 5.0 else 0.0
                at_ns = EPOCH_NS + self.ns - S // 200
                self.node._guard.moved(at_ns, v if t % 8.0 < 7.0 else 0.0, vy, w, self.node._now())
            if k % 90 == 0:
                self.node._commanded(0.9, 0.0, 0.2)
            if k % 5 == 0:
                late = (0.03, 0.1, 0.45, 0.6, -0.1)[(k // 50) % 5]
                self._detect(EPOCH_NS + self.ns - int(late * S) + k)
            if k % 2 == 0:
                self.node._tick()

    def _detect(self, stamp_ns):
        from edge_inference_ros.core.types import RosNs
        from edge_inference_ros.ros.wire import header

        data = b'\0\1\0\0' + header(RosNs(stamp_ns), b'camera') + b'\0\0\0\0'
        self.node._arrived('detections', self.forward, data)

    def forward(self, data):
        self.out.append(('forward', data))


class Kept:
    """A publisher that keeps what it is given."""

    def __init__(self, name, out):
        self._name, self._out = name, out

    def publish(self, msg):
        self._out.append((self._name, bytes(msg) if isinstance(msg, bytes) else repr(msg)))


@pytest.fixture
def bench(ros):
    return lambda **params: Bench(ros, **params)


def test_every_live_parameter_of_the_watchdog_is_tried():
    assert VALUES.keys() == live(watchdog_params()).keys()


def test_the_detectors_live_parameters_are_tried_with_the_detector():
    from edge_inference_ros.nodes.camera_params import CameraDetectorParams

    tried = {'score_threshold': -1.0, 'iou_threshold': -1.0, 'max_detections': 0}
    assert live(CameraDetectorParams) == tried  # in test_camera_detector.py


@pytest.mark.parametrize('name', VALUES)
def test_set_at_run_time_the_watchdog_says_what_it_says_when_made_with_it(bench, name):
    made, changed, default = bench(**{name: VALUES[name]}), bench(), bench()
    changed.set(name, VALUES[name])
    for one in (made, changed, default):
        one.drive(18.0)

    assert changed.out == made.out
    assert changed.out != default.out, 'this drive does not show the parameter'
