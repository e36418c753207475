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
from edge_inference_ros.ros.clock_fault import clock_fault
from edge_inference_ros.ros.tool import message_class

SENSORS = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
    'sensor_msgs/msg/PointCloud2',
    'nav_msgs/msg/Odometry',
)
STOPS = {'lock': 'std_msgs/msg/Bool', 'speed_limit': 'nav2_msgs/msg/SpeedLimit'}
_MOST_NODES = 50
_DISCOVERED_S, _QUIET_S = 10.0, 3.0
_MOST_TOPICS = 200
_OURS = 'edge_inference_doctor'


def wait_for_discovery(
    node: Any,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Until nodes and topics have been the same for a while: what is young has heard of nobody."""
    start_s = quiet_since_s = clock()
    seen = None
    while clock() - start_s < _DISCOVERED_S and clock() - quiet_since_s < _QUIET_S:
        there = node.get_node_names_and_namespaces(), node.get_topic_names_and_types()
        if there != seen:
            seen, quiet_since_s = there, clock()
        pause(0.05)


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
    clocks = (wall_ns, steady_s)
    heard = _first_of_each(node, watched, clocks, listen_s=listen_s, pause=pause)
    for topic, _ in watched:
        yield judge_stamp(topic, *heard[topic]) if topic in heard else Finding(
            'stamps', Level.ERROR, f'{topic}: published, and nothing arrived in {listen_s:g} s',
            'see the findings on shared memory, transport and QoS', f'ros2 topic hz {topic}',
        )  # fmt: skip


def _first_of_each(
    node: Any,
    watched: list[tuple[str, str]],
    clocks: tuple[Callable[[], int], Callable[[], float]],
    *,
    listen_s: float,
    pause: Callable[[float], None],
) -> dict[str, tuple[bytes, int, int]]:
    """The first message of each topic, with the ROS time and CLOCK_MONOTONIC when it came.

    Where somebody publishes ``/clock``, a message waits for the tick after it: the one before may
    be older than its stamp, which is no fault of the stamp's.
    """
    wall_ns, steady_s = clocks
    readers = {topic: _reader(node, topic, kind) for topic, kind in watched}
    ticks = _reader(node, '/clock', 'rosgraph_msgs/msg/Clock', raw=False)
    came: dict[str, tuple[bytes, int, int]] = {}
    heard: dict[str, tuple[bytes, int, int]] = {}
    end_s = steady_s() + listen_s
    while steady_s() < end_s and len(heard) < len(readers):
        is_simulated = bool(node.get_publishers_info_by_topic('/clock'))
        for tick in _taken(ticks):
            now_ns = tick.clock.sec * NS_PER_S + tick.clock.nanosec
            heard |= {topic: (data, now_ns, up) for topic, (data, _, up) in came.items()}
        for topic, reader in readers.items():
            for data in _taken(reader):
                came.setdefault(topic, (data, wall_ns(), round(steady_s() * NS_PER_S)))
        if not is_simulated:
            heard |= came
        pause(0.01)
    for reader in (*readers.values(), ticks):
        node.destroy_subscription(reader)
    return came | heard


def judge_stamp(topic: str, data: bytes, now_ns: int, since_start_ns: int) -> Finding:
    """One message's stamp against the clocks at its arrival, by the rule of the detectors.

    Args:
        topic: names it.
        data: the message, serialised; it begins with a header.
        now_ns: the ROS time then.
        since_start_ns: CLOCK_MONOTONIC then.
    """
    see = f'ros2 topic echo --field header.stamp {topic}'
    try:
        taken_ns, _ = peek_header(data)
    except BadStamp as error:
        return Finding('stamps', Level.ERROR, f'{topic}: {error}', '', see)
    if taken_ns == 0:
        return Finding(
            'stamps', Level.ERROR, f'{topic}: the stamp is zero',
            'let the driver stamp the time of acquisition', see,
        )  # fmt: skip
    age_ns = now_ns - taken_ns
    if fault := clock_fault(age_ns, taken_ns, since_start_ns):
        return Finding('stamps', Level.ERROR, f'{topic}: {fault.words}', fault.remedy, see)
    return Finding('stamps', Level.OK, f'{topic}: {1e3 * age_ns / NS_PER_S:.1f} ms old on arrival')


def sim_time(node: Any, *, limit_s: float = 5.0) -> Iterator[Finding]:
    """Nodes that disagree about which clock is the time."""
    nodes: dict[bool, list[str]] = {False: [], True: []}
    for name, answer in _parameters(node, 'use_sim_time', limit_s):
        nodes[bool(answer)].append(name)
    see = 'ros2 param get NODE use_sim_time'
    clock = bool(node.get_publishers_info_by_topic('/clock'))
    if nodes[True] and nodes[False]:
        few = min(nodes.values(), key=len)
        yield Finding(
            'use_sim_time', Level.ERROR,
            f'true for {", ".join(nodes[True])}; false for {", ".join(nodes[False])}',
            f'set it alike: it differs for {", ".join(few)}', see,
        )  # fmt: skip
    elif nodes[True] and not clock:
        yield Finding(
            'use_sim_time', Level.ERROR, 'true, and nobody publishes /clock: time stands still',
            'start the simulator or `ros2 bag play --clock`, or set it to false', see,
        )  # fmt: skip
    else:
        word = 'true' if nodes[True] else 'false'
        count = sum(map(len, nodes.values()))
        yield Finding('use_sim_time', Level.OK, f'{word} for each of the {count} that answered')


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
