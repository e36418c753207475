"""Hears what the nodes of a running graph say, and disturbs nobody.

Every reader is best effort with depth 1, and nothing spins: the middleware keeps the newest
message of each topic, and a look takes what is there. So the price does not grow with the rate
at which the nodes speak, and no writer ever waits for this process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from edge_inference_ros.core.protocols import Gauge
from edge_inference_ros.monitor.board import Heard, StatusRow

DISCOVER_EVERY = 4  # looks
_DIAGNOSTICS = '/diagnostics'
_MANY = 50  # rows of all nodes share one topic, about one message a second and node


class Listener:
    """The topics of our nodes, found by type and last name in every namespace.

    Args:
        node: any rclpy node; it need not be spun.
        gauges: read at every look.
    """

    def __init__(self, node: Any, gauges: Sequence[Gauge] = ()) -> None:
        self._node, self._gauges = node, gauges
        self._readers: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}
        self._looks = 0

    def look(self) -> Heard:
        """What was said since the look before."""
        if self._looks % DISCOVER_EVERY == 0:
            self._discover()
        self._looks += 1
        return Heard(
            latency=self._newest('latency', _rows),
            freshness=self._newest('freshness', _rows),
            diagnostics=[row for msg in self._taken(_DIAGNOSTICS) for row in _rows(msg)],
            locks=self._newest('lock', lambda msg: bool(msg.data)),
            speeds_mps=self._newest('odometry', _speed_mps),
            gauges={name: value for gauge in self._gauges for name, value in gauge.read().items()},
        )

    @property
    def topics(self) -> list[str]:
        """What is listened to."""
        return sorted(self._readers)

    def _discover(self) -> None:
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._readers:
                continue
            for kind, msg in _WANTED.items():
                if _wanted(kind, topic) and _type_name(msg) in types:
                    self._listen(topic, kind, msg)

    def _listen(self, topic: str, kind: str, msg: type[Any]) -> None:
        depth = _MANY if topic == _DIAGNOSTICS else 1
        profile = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._readers[topic] = self._node.create_subscription(msg, topic, _nobody, profile)
        self._kinds[topic] = kind

    def _newest(self, kind: str, read: Callable[[Any], Any]) -> Mapping[str, Any]:
        newest = {}
        for topic, its in self._kinds.items():
            if its == kind:
                for msg in self._taken(topic):
                    newest[topic] = read(msg)
        return newest

    def _taken(self, topic: str) -> Iterator[Any]:
        """Every message of ``topic`` that waits; endless senders are cut off."""
        if (reader := self._readers.get(topic)) is None:
            return
        for _ in range(2 * _MANY):
            with reader.handle:
                taken = reader.handle.take_message(reader.msg_type, reader.raw)
            if taken is None:
                return
            yield taken[0]


_WANTED: dict[str, type[Any]] = {
    'latency': DiagnosticArray,
    'freshness': DiagnosticArray,
    'diagnostics': DiagnosticArray,
    'lock': Bool,
    'odometry': Odometry,
}


def _type_name(msg: type[Any]) -> str:
    return f'{msg.__module__.partition(".")[0]}/msg/{msg.__name__}'


def _wanted(kind: str, topic: str) -> bool:
    if kind == 'odometry':
        return True
    if kind == 'diagnostics':
        return topic == _DIAGNOSTICS
    return topic.rpartition('/')[2] == kind


def _rows(msg: DiagnosticArray) -> list[StatusRow]:
    return [
        StatusRow(
            int.from_bytes(status.level, 'little'),
            status.name,
            status.message,
            {item.key: item.value for item in status.values},
        )
        for status in msg.status
    ]


def _speed_mps(msg: Odometry) -> float:
    return math.hypot(msg.twist.twist.linear.x, msg.twist.twist.linear.y)


def _nobody(_msg: Any) -> None:
    """Nothing spins the node, so this is never called."""
