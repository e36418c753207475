"""What is at the other ends of a node's topics, as rows of a report.

A topic keeps its rows for as long as the node uses it, at level OK while nothing is wrong: of a
row that vanishes an aggregator says for ever that it is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.qos import QoSProfile

from edge_inference_ros.ros import qos
from edge_inference_ros.ros.messages import ERROR, OK

Row = tuple[int, str, str, str, Mapping[str, str]]
"""Level, name, message, hardware id and values of a ``diagnostic_msgs/DiagnosticStatus``."""


def publishers(node: Any, topic: str) -> dict[str, list[str]]:
    """Message types published on ``topic``, each with the nodes that do so."""
    by_type: dict[str, list[str]] = {}
    for info in node.get_publishers_info_by_topic(topic):
        by_type.setdefault(info.topic_type, []).append(qos.full_name(info))
    return by_type


class Connections:
    """The topics a node reads and writes, and who cannot reach it or be reached.

    Args:
        say: given an error in words, once for each cause of it.
    """

    def __init__(self, node: Any, say: Callable[[str], None]) -> None:
        self._node, self._say = node, say
        self._said: set[str] = set()
        self._looks: list[Callable[[], list[Row]]] = []

    def writes(self, topic: str, profile: QoSProfile) -> Callable[[], None]:
        """Watch the readers of a topic; returns what ends that."""
        watch = qos.QosWatch(self._node, topic, profile, lambda _: None, reading=False)
        name = self._node.resolve_topic_name(topic)
        return self._add(lambda: [self._qos(name, watch)])

    def reads(
        self, topic: str, kind: Any, profile: QoSProfile, *, remedy: str
    ) -> Callable[[], None]:
        """Watch the writers of a topic that is read as ``kind``; returns what ends that.

        Args:
            topic: its name in the node.
            kind: message class.
            profile: what the subscription asks for.
            remedy: what to do about a writer of another type.
        """
        watch = qos.QosWatch(self._node, topic, profile, lambda _: None, reading=True)
        name = self._node.resolve_topic_name(topic)
        ours = qos.type_name(kind)

        def look() -> list[Row]:
            return [self._qos(name, watch), self._type(name, topic, ours, remedy)]

        return self._add(look)

    def rows(self) -> list[Row]:
        """One row for the QoS of every topic, one for the types of every topic that is read."""
        return [row for look in self._looks for row in look()]

    def _add(self, look: Callable[[], list[Row]]) -> Callable[[], None]:
        self._looks.append(look)
        return lambda: self._looks.remove(look)

    def _qos(self, name: str, watch: qos.QosWatch) -> Row:
        return self._row(f'{name}: QoS', [str(mismatch) for mismatch in watch.look()])

    def _type(self, name: str, topic: str, ours: str, remedy: str) -> Row:
        published = publishers(self._node, topic)
        published.pop(ours, None)
        words = [
            f'{name} is read as {ours}, but {", ".join(sorted(set(nodes)))} sends {kind} there,'
            f' which nobody hears: {remedy}'
            for kind, nodes in sorted(published.items())
        ]
        return self._row(f'{name}: type', words)

    def _row(self, name: str, wrong: list[str]) -> Row:
        for words in wrong:
            if words not in self._said and qos.UNKNOWN_NODE not in words:
                self._said.add(words)
                self._say(words)
        return (ERROR if wrong else OK, name, '; '.join(wrong), '', {})
