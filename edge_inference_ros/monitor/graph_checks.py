"""What on a running graph keeps messages from being heard or believed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from edge_inference_ros.core.cdr import peek_header
from edge_inference_ros.core.types import NS_PER_S, Level
from edge_inference_ros.errors import BadStamp
from edge_inference_ros.monitor.finding import Finding
from edge_inference_ros.ros import qos
from edge_inference_ros.ros.tool import message_class

SENSORS = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
    'sensor_msgs/msg/PointCloud2',
    'nav_msgs/msg/Odometry',
)
STOPS = {'lock': 'std_msgs/msg/Bool', 'speed_limit': 'nav2_msgs/msg/SpeedLimit'}
FUTURE_S, OLD_S = 0.05, 10.0
"""How far a stamp may lie ahead of our clock, and how old a sensor's message may be."""

_MOST_NODES = 50
_MOST_TOPICS = 200
_OURS = 'edge_inference_doctor'


def types(node: Any) -> Iterator[Finding]:
    """Two types on one topic: who expects the other one hears nothing."""
    mixed = [(t, kinds) for t, kinds in node.get_topic_names_and_types() if len(kinds) > 1]
    for topic, kinds in mixed:
        ends = node.get_publishers_info_by_topic(topic) + node.get_subscriptions_info_by_topic(
            topic
        )
        who = ', '.join(sorted(f'{_node(end)} ({end.topic_type})' for end in ends))
        yield Finding(
            'types', Level.ERROR, f'{topic} carries {" and ".join(kinds)}: {who}',
            'remap one of them to another topic, or change its type',
            f'ros2 topic info -v {topic}',
        )  # fmt: skip
    if not mixed:
        yield Finding('types', Level.OK, 'one type a topic')


def profiles(node: Any) -> Iterator[Finding]:
    """Writers and readers whose QoS cannot meet."""
    clean = True
    for topic, _ in node.get_topic_names_and_types()[:_MOST_TOPICS]:
        readers = node.get_subscriptions_info_by_topic(topic)
        for writer in node.get_publishers_info_by_topic(topic) if readers else ():
            for reader in readers:
                for policy in qos.clashes(writer.qos_profile, reader.qos_profile):
                    clean = False
                    yield Finding(
                        'qos', Level.ERROR,
                        f'{topic}: nothing of {_node(writer)} reaches {_node(reader)}:'
                        f' incompatible {policy}',
                        qos.REMEDIES.get(policy, ''), f'ros2 topic info -v {topic}',
                    )  # fmt: skip
    if clean:
        yield Finding('qos', Level.OK, 'every reader can hear every writer of its topics')


def names(node: Any) -> Iterator[Finding]:
    """Two nodes of one name: services and parameters reach either of them."""
    counts = Counter(
        f'{namespace.rstrip("/")}/{name}'
        for name, namespace in node.get_node_names_and_namespaces()
        if not name.startswith(_OURS)
    )
    twice = [name for name, count in counts.items() if count > 1]
    for name in twice:
        yield Finding(
            'names', Level.ERROR, f'{counts[name]} nodes are called {name}',
            'give each its own name or namespace (-r __node:=… or __ns:=…)', 'ros2 node list',
        )  # fmt: skip
    if not twice:
        yield Finding('names', Level.OK, f'{len(counts)} nodes, each with its own name')


def stops(node: Any) -> Iterator[Finding]:
    """A lock or a limit that nobody reads stops nobody."""
    for topic, kinds in node.get_topic_names_and_types():
        last = topic.rpartition('/')[2]
        if STOPS.get(last) not in kinds or not node.get_publishers_info_by_topic(topic):
            continue
        if node.count_subscribers(topic):
            yield Finding('stops', Level.OK, f'{topic} is read')
        else:
            yield Finding(
                'stops', Level.ERROR if last == 'lock' else Level.WARN,
                f'nobody reads {topic}: what the watchdog says stops nobody',
                'connect it: a lock of twist_mux, or speed_limit_topic of controller_server'
                ' (docs/nav2.md)', f'ros2 topic info -v {topic}',
            )  # fmt: skip


def stamps(
    node: Any,
    *,
    listen_s: float = 2.0,
    wall_ns: Callable[[], int] = time.time_ns,
    steady_s: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Sensors whose stamps are not of the clock that ages are read from."""
    watched = [
        (topic, kind)
        for topic, kinds in node.get_topic_names_and_types()
        for kind in kinds
        if kind in SENSORS and _OURS not in topic and node.get_publishers_info_by_topic(topic)
    ]
    if not watched:
        yield Finding('stamps', Level.OK, 'no sensor publishes')
        return
    readers = {topic: _reader(node, topic, kind) for topic, kind in watched}
    ticks = _reader(node, '/clock', 'rosgraph_msgs/msg/Clock', raw=False)
    heard: dict[str, tuple[bytes, int]] = {}
    now_ns = 0
    end_s = steady_s() + listen_s
    while steady_s() < end_s and len(heard) < len(readers):
        for tick in _taken(ticks):
            now_ns = tick.clock.sec * NS_PER_S + tick.clock.nanosec
        for topic, reader in readers.items():
            for data in _taken(reader):
                heard.setdefault(topic, (data, now_ns or wall_ns()))
        pause(0.01)
    for reader in (*readers.values(), ticks):
        node.destroy_subscription(reader)
    for topic, _ in watched:
        yield judge_stamp(topic, *heard[topic]) if topic in heard else Finding(
            'stamps', Level.ERROR, f'{topic}: published, and nothing arrived in {listen_s:g} s',
            'see the findings on shared memory, transport and QoS', f'ros2 topic hz {topic}',
        )  # fmt: skip


def judge_stamp(topic: str, data: bytes, now_ns: int) -> Finding:
    """One message's stamp against the clock at its arrival."""
    see = f'ros2 topic echo --field header.stamp {topic}'
    try:
        taken_ns, _ = peek_header(data)
    except BadStamp as error:
        return Finding('stamps', Level.ERROR, f'{topic}: {error}', '', see)
    age_s = (now_ns - taken_ns) / NS_PER_S
    if taken_ns == 0:
        return Finding(
            'stamps', Level.ERROR, f'{topic}: the stamp is zero',
            'let the driver stamp the time of acquisition', see,
        )  # fmt: skip
    if age_s < -FUTURE_S:
        return Finding(
            'stamps', Level.ERROR, f'{topic}: stamped {-age_s:.3f} s in the future',
            'synchronise the clocks of sensor and computer (chrony, PTP)', see,
        )  # fmt: skip
    if age_s > OLD_S:
        return Finding(
            'stamps', Level.ERROR,
            f'{topic}: stamped {age_s:.0f} s ago: the driver uses another clock, or a bag is'
            ' played without --clock',
            'let the driver use the system clock; play bags with --clock and use_sim_time', see,
        )  # fmt: skip
    return Finding('stamps', Level.OK, f'{topic}: {1e3 * age_s:.1f} ms old on arrival')


def sim_time(node: Any, *, limit_s: float = 5.0) -> Iterator[Finding]:
    """Nodes that disagree about which clock is the time."""
    said: dict[bool, list[str]] = {False: [], True: []}
    for name, answer in _parameters(node, 'use_sim_time', limit_s):
        said[bool(answer)].append(name)
    see = 'ros2 param get NODE use_sim_time'
    clock = bool(node.get_publishers_info_by_topic('/clock'))
    if said[True] and said[False]:
        few = min(said.values(), key=len)
        yield Finding(
            'use_sim_time', Level.ERROR,
            f'true for {", ".join(said[True])}; false for {", ".join(said[False])}',
            f'set it alike: it differs for {", ".join(few)}', see,
        )  # fmt: skip
    elif said[True] and not clock:
        yield Finding(
            'use_sim_time', Level.ERROR, 'true, and nobody publishes /clock: time stands still',
            'start the simulator or `ros2 bag play --clock`, or set it to false', see,
        )  # fmt: skip
    else:
        word = 'true' if said[True] else 'false'
        yield Finding('use_sim_time', Level.OK, f'{word} for all {sum(map(len, said.values()))}')


def _parameters(node: Any, name: str, limit_s: float) -> Iterator[tuple[str, Any]]:
    """Every node that answers, with the value of its boolean parameter ``name``."""
    from rcl_interfaces.srv import GetParameters
    from rclpy.executors import SingleThreadedExecutor

    offered = dict(node.get_service_names_and_types())
    spinner = SingleThreadedExecutor(context=node.context)
    spinner.add_node(node)
    end_s = time.monotonic() + limit_s
    for who, namespace in node.get_node_names_and_namespaces()[:_MOST_NODES]:
        full = f'{namespace.rstrip("/")}/{who}'
        if who.startswith(_OURS) or f'{full}/get_parameters' not in offered:
            continue
        client = node.create_client(GetParameters, f'{full}/get_parameters')
        if client.wait_for_service(max(0.0, end_s - time.monotonic())):
            future = client.call_async(GetParameters.Request(names=[name]))
            spinner.spin_until_future_complete(future, max(0.0, end_s - time.monotonic()))
            if future.done() and (values := future.result().values):
                yield full, values[0].bool_value
        node.destroy_client(client)
    spinner.remove_node(node)


def _reader(node: Any, topic: str, kind: str, *, raw: bool = True) -> Any:
    return node.create_subscription(message_class(kind), topic, _nobody, qos.sensor(), raw=raw)


def _taken(reader: Any) -> Iterator[Any]:
    with reader.handle:
        while (taken := reader.handle.take_message(reader.msg_type, reader.raw)) is not None:
            yield taken[0]


def _nobody(_msg: Any) -> None:
    """Nothing spins the node while a reader lives, so this is never called."""


def _node(end: Any) -> str:
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'


CHECKS = (types, profiles, names, stops, stamps, sim_time)
