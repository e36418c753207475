"""A subscription that asks for what is offered, with an account of how it fares."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile

from edge_inference_ros.core import transport
from edge_inference_ros.core.types import Level
from edge_inference_ros.ros import qos
from edge_inference_ros.ros.connections import type_name
from edge_inference_ros.ros.inputs import Ends, Facts, Input, Verdict


class Reader:
    """One input of a node; used on its executor's thread only.

    A writer that appears after us may offer more than we asked for when nobody was there, so
    ``look``, called about once a second, subscribes anew where that pays. Enter it on an
    ``ExitStack``, or ``close`` it.

    Args:
        callback: given each message, or its bytes when ``raw``; it calls ``seen``.
        on_mismatch: hears, once each, of writers that cannot reach us.
        profile: what to ask for; the sensor profile as reliable as what is offered unless said.
        expected_hz: at which messages should arrive; 0 learns it from their stamps.
    """

    def __init__(
        self,
        node: Any,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        *,
        on_mismatch: Callable[[qos.Mismatch], None],
        profile: QoSProfile | None = None,
        raw: bool = False,
        expected_hz: float = 0.0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._node, self._kind, self._topic = node, kind, topic
        self._callback, self._raw, self._fixed = callback, raw, profile
        self._on_mismatch = on_mismatch
        self._mismatches: set[qos.Mismatch] = set()
        self._clock = clock
        name = node.resolve_topic_name(topic)
        remedy = str(transport.profile())
        self._input = Input(name, remedy, clock(), expected_hz=expected_hz)
        self._subscribe()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def seen(self, stamp_ns: int, age_ns: int, message_bytes: int) -> None:
        """Count a message: its header's stamp, the ROS clock minus that, and its size."""
        self._input.seen(self._clock(), stamp_ns, age_ns, message_bytes)

    def look(self) -> tuple[Verdict, Facts]:
        """Adapt to whoever publishes now, and judge how the input fares."""
        self._adapt()
        facts = self._input.facts(self._clock())
        watch = qos.Watch(self._node, self._topic, self._profile, self._heard, reading=True)
        if mismatches := watch.look():
            return Verdict(Level.ERROR, str(mismatches[0])), facts
        return self._input.judge(facts, self._ends()), facts

    def _adapt(self) -> None:
        if self._fixed is not None:
            return
        wanted = qos.follow(self._node, self._topic).reliability
        # Nobody there is no reason to ask for less: a restarted driver offers the same.
        if self._ends().writers and wanted != self._profile.reliability:
            self.close()
            self._subscribe()

    def _subscribe(self) -> None:
        self._profile = self._fixed or qos.follow(self._node, self._topic)
        self._subscription = qos.subscribe(
            self._node,
            self._kind,
            self._topic,
            self._callback,
            qos=self._profile,
            on_mismatch=self._heard,
            on_lost=self._input.lose,
            raw=self._raw,
        )

    def _heard(self, mismatch: qos.Mismatch) -> None:
        if mismatch not in self._mismatches:
            self._mismatches.add(mismatch)
            self._on_mismatch(mismatch)

    def _ends(self) -> Ends:
        infos = self._node.get_publishers_info_by_topic(self._topic)
        kinds = [info.topic_type for info in infos]
        ours = type_name(self._kind)
        return Ends(kinds.count(ours), tuple(sorted(set(kinds) - {ours})))
