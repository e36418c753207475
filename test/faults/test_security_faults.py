"""Who has no key is not heard, and a node of ours without its key does not start.

The second half holds on every ROS 2. The first needs a middleware with the DDS Security plug-ins:
that of the distributions has them, that of the wheels was built without.
"""

import signal

import pytest
from support.keystore import OPENSSL, Keystore
from support.robots import ON_THE_COMMAND_LINE

from edge_inference_ros.errors import BAD_CONFIGURATION
from tools.security import policy
from tools.security.__main__ import SHIPPED

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(OPENSSL is None, reason='the openssl command is not installed'),
]

MANY = 50
DETECTOR, WATCHDOG = policy.read(SHIPPED)
CONSUMER = policy.Profile(
    '/test/consumer',
    '/',
    'consumer',
    reply=frozenset({'/consumer/get_type_description'}),
    publish=frozenset({'/odom', '/parameter_events'}),
    subscribe=frozenset({'/detections', '/fresh/detections'}),
)
CAMERA = policy.Profile(
    '/test/camera',
    '/',
    'camera',
    reply=frozenset({'/camera/get_type_description'}),
    publish=frozenset({'/image', '/parameter_events'}),
)
OPEN = {'ROS_SECURITY_ENABLE': 'false'}

MAKE = 'import rclpy; rclpy.init(); rclpy.create_node("consumer"); print("made")'
SEND = """
import sys, rclpy
from rclpy.node import Node
from vision_msgs.msg import Detection2D, Detection2DArray
rclpy.init(args=sys.argv)
node = Node(sys.argv[2], enable_rosout=False, start_parameter_services=False)
publisher = node.create_publisher(Detection2DArray, '/detections', 1)
sent = 0
def send():
    global sent
    msg = Detection2DArray(detections=[Detection2D(id=sys.argv[1])])
    msg.header.frame_id = 'camera'
    msg.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(msg)
    sent += 1
    if sent == 100:
        print('sent a hundred')
node.create_timer(0.02, send)
rclpy.spin(node)
"""
CONSUME = """
import sys, rclpy
from rclpy.node import Node
from nav_msgs.msg import Odometry
from vision_msgs.msg import Detection2DArray
rclpy.init(args=sys.argv)
node = Node('consumer', enable_rosout=False, start_parameter_services=False)
odometer = node.create_publisher(Odometry, '/odom', 1)
def move():
    msg = Odometry()
    msg.header.stamp = node.get_clock().now().to_msg()
    odometer.publish(msg)
node.create_timer(0.02, move)
for topic in ('/detections', '/fresh/detections'):
    hear = lambda msg, topic=topic: print(topic, *(d.id for d in msg.detections[:1]))
    node.create_subscription(Detection2DArray, topic, hear, 10)
rclpy.spin(node)
"""


SHOW = """
import sys, rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
rclpy.init(args=sys.argv)
node = Node('camera', enable_rosout=False, start_parameter_services=False)
publisher = node.create_publisher(Image, '/image', 1)
msg = Image(height=240, width=320, encoding='bgr8', step=960, data=bytes(240 * 960))
msg.header.frame_id = 'camera'
def show():
    msg.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(msg)
node.create_timer(0.1, show)
rclpy.spin(node)
"""


@pytest.fixture
def keys(tmp_path):
    """An authority that has signed our two enclaves, a camera's and a consumer's."""
    keys = Keystore(tmp_path / 'keys')
    for profile in (DETECTOR, WATCHDOG, CONSUMER, CAMERA):
        keys.add(profile)
    return keys


@pytest.fixture
def secured(ros, keys):
    """The environment of who has keys; skips where the middleware cannot use them."""
    child = ros.child('-c', MAKE, env={**keys.env, **enclave(CONSUMER)})
    if child.code() and "doesn't have the security libraries" in child.said:
        pytest.skip('this Fast DDS was built without security; that of ros-jazzy-* (apt) has it')
    return keys.env


def enclave(profile):
    return {'ROS_SECURITY_ENCLAVE_OVERRIDE': profile.enclave}


def start(ros, env, profile=WATCHDOG):
    """A node of ours, in the enclave the policy has for it."""
    robot = ON_THE_COMMAND_LINE if profile.node == 'watchdog' else []
    words = ('--ros-args', '-p', 'autostart:=true', *robot)
    module = f'edge_inference_ros.nodes.{profile.node}'
    return ros.child('-m', module, *words, env=env | enclave(profile))


def heard(consumer, who, topic):
    return consumer.lines.count(f'{topic} {who}')


@pytest.mark.fault('D3')
@pytest.mark.parametrize('intruder', ['without keys', 'of another authority', 'without the right'])
def test_only_who_may_publish_detections_is_heard(ros, secured, tmp_path, intruder):
    other = Keystore(tmp_path / 'forged')
    other.add(DETECTOR)
    sent, refused = 'sent a hundred', 'Failed to create publisher'
    intruding = {
        'without keys': (OPEN, 'camera_detector', sent),
        'of another authority': (other.env | enclave(DETECTOR), 'camera_detector', sent),
        'without the right': (secured | enclave(CONSUMER), 'consumer', refused),
    }

    env, name, outcome = intruding[intruder]
    bad = ros.child('-c', SEND, 'intruder', name, env=env)
    watchdog = start(ros, secured)
    consumer = ros.child('-c', CONSUME, env=secured | enclave(CONSUMER))
    ros.child('-c', SEND, 'camera', 'camera_detector', env=secured | enclave(DETECTOR))
    bad.wait_for(outcome)
    ros.until(
        lambda: heard(consumer, 'camera', '/fresh/detections') >= MANY,
        what=f'what the camera says; watchdog:\n{watchdog.said}\nconsumer:\n{consumer.said}',
    )

    assert heard(consumer, 'intruder', '/detections') == 0
    assert heard(consumer, 'intruder', '/fresh/detections') == 0


def test_without_security_the_intruder_is_heard(ros):
    ros.child('-c', SEND, 'intruder', 'camera_detector', env=OPEN)
    start(ros, OPEN)
    consumer = ros.child('-c', CONSUME, env=OPEN)

    ros.until(lambda: heard(consumer, 'intruder', '/fresh/detections') >= MANY, what='an intruder')


@pytest.mark.fault('D3')
@pytest.mark.parametrize('node', ['watchdog', 'camera_detector'])
@pytest.mark.parametrize('lack', ['no keystore', 'no such enclave', 'no permissions', 'no key'])
def test_a_node_without_its_key_does_not_start(ros, keys, tmp_path, node, lack):
    profile = WATCHDOG if node == 'watchdog' else DETECTOR
    place = keys.folder / 'enclaves' / profile.enclave.lstrip('/')
    env = keys.env | enclave(profile)
    if lack == 'no keystore':
        env['ROS_SECURITY_KEYSTORE'] = str(tmp_path / 'nothing')
    elif lack == 'no such enclave':
        env['ROS_SECURITY_ENCLAVE_OVERRIDE'] = '/edge_inference/somebody'
    else:
        (place / {'no permissions': 'permissions.p7s', 'no key': 'key.pem'}[lack]).unlink()

    child = ros.child('-m', f'edge_inference_ros.nodes.{node}', env=env)

    # rclpy refuses some of these when it starts, others when it makes the node.
    assert child.code() in (BAD_CONFIGURATION, 1), child.said
    assert ('cannot start: ROS would not start' in child.said) or ('RCLError' in child.said)


@pytest.mark.fault('D3')
@pytest.mark.parametrize(
    ('variable', 'word'),
    [('ROS_SECURITY_ENABLE', 'True'), ('ROS_SECURITY_ENABLE', '1'),
     ('ROS_SECURITY_STRATEGY', 'enforce'), ('ROS_SECURITY_STRATEGY', 'Enforced')],
)  # fmt: skip
def test_a_word_that_would_mean_no_security_is_refused(ros, keys, variable, word):
    child = ros.child('-m', 'edge_inference_ros.nodes.watchdog', env={**keys.env, variable: word})

    assert child.code() == BAD_CONFIGURATION, child.said
    assert f'{variable}={word}' in child.said


def whole_chain(ros, env):
    """Camera, detector, watchdog and consumer; until the consumer has what is fresh."""
    nodes = [start(ros, env, profile) for profile in (WATCHDOG, DETECTOR)]
    consumer = ros.child('-c', CONSUME, env=env | enclave(CONSUMER))
    ros.child('-c', SHOW, env=env | enclave(CAMERA))

    def forwarded():
        return sum(line.startswith('/fresh/detections') for line in consumer.lines)

    ros.until(
        lambda: forwarded() >= 10,
        deadline_s=60.0,
        what='what is fresh; ' + '\n'.join(child.said for child in [*nodes, consumer]),
    )
    return nodes


def test_the_shipped_policy_is_enough_for_the_whole_chain(ros, secured):
    nodes = whole_chain(ros, secured)

    for node in nodes:
        assert 'Found security directory' in node.said
        node.signal(signal.SIGTERM)
        assert node.code() == 0, node.said


def test_the_whole_chain_works_in_the_open(ros):
    whole_chain(ros, OPEN)
