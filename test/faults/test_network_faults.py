"""A cable is pulled between the detector's host and the watchdog's."""

import time

import pytest
from support.network import network  # noqa: F401 - a fixture
from support.robots import ON_THE_COMMAND_LINE

pytestmark = [pytest.mark.ros, pytest.mark.faults]

HEARTBEAT_HZ = 20
PARTITION_S = 5

DETECT = """
import sys, rclpy
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray
rclpy.init()
node = Node('camera_detector')
publisher = node.create_publisher(Detection2DArray, '/detections', 1)
def send():
    msg = Detection2DArray()
    msg.header.frame_id = 'camera'
    msg.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(msg)
node.create_timer(0.04, send)
rclpy.spin(node)
"""
CONSUME = """
import time, rclpy
from rclpy.node import Node
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from std_msgs.msg import Bool
from vision_msgs.msg import Detection2DArray
from edge_inference_ros.ros import qos
rclpy.init()
node = Node('consumer')
odometer = node.create_publisher(Odometry, '/odom', 1)
def move():
    msg = Odometry()
    msg.header.stamp = node.get_clock().now().to_msg()
    msg.twist.twist.linear.x = 0.5
    odometer.publish(msg)
def beat(msg):
    row = next(s for s in msg.status if s.name == 'detections')
    print('state', row.message, time.monotonic())
node.create_timer(0.02, move)
node.create_subscription(DiagnosticArray, '/freshness', beat, qos.heartbeat())
node.create_subscription(Bool, '/lock', lambda m: print('lock', m.data, time.monotonic()), 1)
node.create_subscription(Detection2DArray, '/fresh/detections', lambda m: print('fresh'), 1)
rclpy.spin(node)
"""


class Watched:
    """What the consumer has said, as it says it."""

    def __init__(self, ros, child):
        self.ros, self.child = ros, child

    def times(self, words, since_s):
        """When ``words`` were said, from ``since_s`` on."""
        said = [line.rpartition(' ') for line in self.child.lines if line.startswith(words)]
        return [float(at) for head, _, at in said if head == words and float(at) >= since_s]

    def until(self, words, since_s, *, count=1):
        """Wait until ``words`` were said ``count`` times since; the first time."""
        self.ros.until(
            lambda: len(self.times(words, since_s)) >= count,
            deadline_s=60.0,
            what=f'{words!r} {count} times; the last was {self.child.lines[-1:]}',
        )
        return self.times(words, since_s)[0]


@pytest.mark.fault('D1')
def test_a_pulled_cable_is_stale_and_valid_again_once_it_is_back(network, ros, figure):  # noqa: F811
    network.child(ros, 'a', '-c', DETECT)
    network.child(
        ros, 'b', '-m', 'edge_inference_ros.nodes.watchdog',
        '--ros-args', '-p', 'autostart:=true', *ON_THE_COMMAND_LINE,
    )  # fmt: skip
    consumer = Watched(ros, network.child(ros, 'b', '-c', CONSUME))
    consumer.until('state VALID', 0.0, count=HEARTBEAT_HZ)

    lines = consumer.child.lines
    before, cut_s = len(lines), time.monotonic()
    network.cut()
    stale_s = consumer.until('state STALE', cut_s) - cut_s
    locked_s = consumer.until('lock True', cut_s) - cut_s
    consumer.until('state STALE', cut_s, count=PARTITION_S * HEARTBEAT_HZ)
    during = lines[before:]
    mended_s = time.monotonic()
    network.mend()
    valid_s = consumer.until('state VALID', mended_s) - mended_s

    figure('STALE after the cut', stale_s * 1e3, 'ms')
    figure('locked after the cut', locked_s * 1e3, 'ms')
    figure('VALID after it was mended', valid_s, 's')
    assert stale_s < 10.0
    assert valid_s < 20.0
    stale_at = next(i for i, line in enumerate(during) if line.startswith('state STALE'))
    assert 'fresh' not in during[stale_at:]
    ros.until(lambda: 'fresh' in lines[before + len(during) :], what='what is fresh again')
