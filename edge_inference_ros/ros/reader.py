"""A subscription that asks for what is offered, with an account of how it fares."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from edge_inference_ros.core import transport
from edge_inference_ros.core.types import Level
from edge_inference_ros.ros import qos, words
from edge_inference_ros.ros.account import Account, Facts
from edge_inference_ros.ros.inputs import Ends, InputState, Judge

_NUMBERED = hasattr(Subscription, 'CallbackType')  # Humble's hands over the message alone
_UNCOUNTED = 2**64 - 1  # RMW_MESSAGE_INFO_SEQUENCE_NUMBER_UNSUPPORTED


class InputReader:
    """One input of a node; used on its executor's thread only.

    A writer that appears after us may offer more than we asked for when nobody was there, or
    another of the types we can read, so ``look``, called about once a second, subscribes anew
    where that pays. Enter it on an ``ExitStack``, or ``close`` it.

    Args:
        kinds: message types that will do, the likeliest first.
        callback: given each message, or its bytes when ``raw``; it calls ``seen``.
        on_mismatch: hears, once each, of writers that cannot reach us.
        profile: what to ask for; the sensor profile as reliable as what is offered unless said.
        expected_hz: at which messages should arrive; 0 when nobody knows.
        remedies: full name of a type published instead of ours → what to do about it.

    Attributes:
        kind: the one of ``kinds`` that is subscribed to now.
    """

    def __init__(
        self,
        node: Any,
        kinds: Sequence[Any],
        topic: str,
        callback: Callable[[Any], None],
        *,
        on_mismatch: Callable[[qos.Mismatch], None],
        profile: QoSProfile | None = None,
        raw: bool = False,
        expected_hz: float = 0.0,
        remedies: Mapping[str, str] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._node, self._topic = node, topic
        self._kinds = {qos.type_name(kind): kind for kind in kinds}
        self._callback, self._raw, self._fixed = callback, raw, profile
        self._on_mismatch = on_mismatch
        self._mismatches: set[qos.Mismatch] = set()
        self._clock = clock
        self._sequence = 0
        name = node.resolve_topic_name(topic)
        pairs = tuple((remedies or {}).items())
        shortage = transport.ENLARGE if transport.is_makeshift() else ''
        self._judge = Judge(name, str(transport.profile()), expected_hz, pairs, shortage)
        self._account = Account(clock())
        self.kind = self._published() or kinds[0]
        self._subscribe()

    def __enter__(self) -> InputReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def seen(self, stamp_ns: int, age_ns: int, message_bytes: int) -> None:
        """Count the message in hand: its header's stamp, the ROS clock minus that, and its size.

        Count those of no use too: a stamp of 0 or less is one that cannot be used.
        """
        now_ns, sequence = self._clock(), self._sequence
        self._account.seen(now_ns, stamp_ns, age_ns, message_bytes, sequence=sequence)

    def __str__(self) -> str:
        return words.reads(self._node, self._topic, self._profile)

    def look(self) -> tuple[InputState, Facts]:
        """Adapt to whoever publishes now, and judge how the input fares."""
        self._adapt()
        facts = self._account.facts(self._clock())
        watch = qos.QosWatch(self._node, self._topic, self._profile, self._heard, reading=True)
        if mismatches := watch.look():
            return InputState(Level.ERROR, str(mismatches[0])), facts
        return self._judge(facts, self._ends()), facts

    def _adapt(self) -> None:
        kind, profile = self._published() or self.kind, self._profile
        # Nobody there is no reason to ask for less: a restarted driver offers the same.
        if self._fixed is None and self._ends().writers:
            profile = qos.follow(self._node, self._topic)
        if kind is not self.kind or profile.reliability != self._profile.reliability:
            self.close()
            self.kind = kind
            self._subscribe()

    def _published(self) -> Any:
        """The likeliest of the types we read that somebody publishes; None when nobody does."""
        infos = self._node.get_publishers_info_by_topic(self._topic)
        types = {info.topic_type for info in infos}
        return next((kind for name, kind in self._kinds.items() if name in types), None)

    def _subscribe(self) -> None:
        self._profile = self._fixed or qos.follow(self._node, self._topic)
        self._subscription = qos.subscribe(
            self._node,
            self.kind,
            self._topic,
            self._take if _NUMBERED and not _in_events(self._node) else self._callback,
            qos=self._profile,
            on_mismatch=self._heard,
            on_lost=self._account.lose,
            raw=self._raw,
        )

    def _take(self, message: Any, info: Mapping[str, int]) -> None:
        """Note the number the writer gave it, where the middleware tells."""
        sequence = info['publication_sequence_number']
        self._sequence = 0 if sequence == _UNCOUNTED else sequence
        self._callback(message)

    def _heard(self, mismatch: qos.Mismatch) -> None:
        if mismatch not in self._mismatches:
            self._mismatches.add(mismatch)
            self._on_mismatch(mismatch)

    def _ends(self) -> Ends:
        infos = self._node.get_publishers_info_by_topic(self._topic)
        ours = qos.type_name(self.kind)
        writers = (qos.full_name(info) for info in infos if info.topic_type == ours)
        types = {info.topic_type for info in infos} - {ours}
        elsewhere = () if infos else self._elsewhere()
        return Ends(tuple(sorted(writers)), tuple(sorted(types)), elsewhere)

    def _elsewhere(self) -> tuple[str, ...]:
        """Topics that carry what we read, for an operator who looks for the right one."""
        ours, topic = set(self._kinds), self._node.resolve_topic_name(self._topic)
        topics = self._node.get_topic_names_and_types()
        named = (name for name, kinds in topics if name != topic and ours & set(kinds))
        return tuple(name for name in named if self._somebody_else_publishes(name))

    def _somebody_else_publishes(self, topic: str) -> bool:
        own = self._node.get_fully_qualified_name()
        infos = self._node.get_publishers_info_by_topic(topic)
        return any(qos.full_name(info) != own for info in infos)


def _in_events(node: Any) -> bool:
    """Whether the events executor spins the node: it dies of a callback that takes two."""
    return type(node.executor).__name__ == 'EventsExecutor'
