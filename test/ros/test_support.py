"""The helpers every ROS test leans on."""

import signal

import pytest

pytestmark = pytest.mark.ros


def test_a_message_crosses_the_private_domain(ros):
    from std_msgs.msg import String

    heard = ros.collect(String, 'talk')
    ros.publisher(String, 'talk', readers=1).publish(String(data='hello'))

    ros.until(lambda: heard)

    assert heard[0].data == 'hello'


def test_a_child_process_meets_the_test_in_its_domain(ros):
    from std_msgs.msg import String

    heard = ros.collect(String, 'talk')
    child = ros.child('-c', TALKER)
    child.wait_for('matched', ros.executor)

    ros.until(lambda: heard)

    assert heard[0].data == 'from the child'
    child.signal(signal.SIGKILL)
    assert child.code() == -signal.SIGKILL


def test_waiting_in_vain_fails_and_says_for_what(ros):
    with pytest.raises(pytest.fail.Exception, match='a miracle'):
        ros.until(lambda: False, deadline_s=0.0, what='a miracle')


TALKER = """
import rclpy, time
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node('talker')
publisher = node.create_publisher(String, 'talk', 10)
while not publisher.get_subscription_count():
    rclpy.spin_once(node, timeout_sec=0.01)
print('matched')
while True:
    publisher.publish(String(data='from the child'))
    rclpy.spin_once(node, timeout_sec=0.05)
"""
