"""A subscription that hands over nothing that may no longer be used.

One line for a consumer in Python::

    FreshSubscription(node, Detection2DArray, 'detections', self.on_detections)

The rule, for consumers in any language. Subscribe to ``fresh/<topic>`` and to ``freshness``. The
heartbeat's row of that topic says which message is held (``stamp_ns``) and until when it
may be used whatever the robot does within its limits (``expires_at_ns``, ROS clock). A message may
be used while all of this holds:

* the last heartbeat came no longer ago than its lease, on a steady clock;
* the message's stamp is not before ``stamp_ns``: a newer one expires later still, an older one
  has been replaced;
* the ROS clock is not past ``expires_at_ns``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import MonoNs
from edge_inference_ros.ros import qos
from edge_inference_ros.ros.messages import stamp_ns

_NEVER_NS = MonoNs(-(10**18))


class FreshSubscription:
    """Calls back with the newest message of a guarded topic, once, while it may be used.

    Attributes:
        valid: whether the watchdog trusts the source, by its last heartbeat and while that lasts.
    """

    def __init__(
        self,
        node: Any,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None] = lambda _msg: None,
        *,
        lease_s: float = qos.LEASE_S,
        now: Callable[[], MonoNs] = monotonic_ns,
    ) -> None:
        self._clock, self._now = node.get_clock(), now
        self._topic, self._callback = topic, callback
        self._lease_ns = int(lease_s * 1e9)
        self._msg: Any = None
        self._told = True
        self._beat_ns = _NEVER_NS
        self._stamp_ns = self._expires_ns = 0
        self._state = ''
        self._subscriptions = [
            qos.subscribe(node, kind, f'fresh/{topic}', self._arrived, on_mismatch=_say(node)),
            qos.subscribe(node, DiagnosticArray, 'freshness', self._heard, on_mismatch=_say(node)),
        ]
        self._node = node

    def newest(self) -> Any:
        """The newest message, or None when it may not be used (any more, or yet)."""
        if self._msg is None or not self._alive:
            return None
        fits = self._stamp_ns and stamp_ns(self._msg.header) >= self._stamp_ns
        return self._msg if fits and self._ros_ns() <= self._expires_ns else None

    @property
    def valid(self) -> bool:
        """Whether the watchdog trusts the source now."""
        return self._alive and self._state == 'VALID'

    def destroy(self) -> None:
        """End both subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    @property
    def _alive(self) -> bool:
        return 0 <= self._now() - self._beat_ns <= self._lease_ns

    def _ros_ns(self) -> int:
        return int(self._clock.now().nanoseconds)

    def _arrived(self, msg: Any) -> None:
        self._msg, self._told = msg, False
        self._tell()

    def _heard(self, beat: DiagnosticArray) -> None:
        for status in beat.status:
            if status.name == self._topic:
                said = {item.key: item.value for item in status.values}
                self._state = status.message
                self._stamp_ns = _whole(said.get('stamp_ns', ''))
                self._expires_ns = _whole(said.get('expires_at_ns', ''))
                self._beat_ns = self._now()
        self._tell()

    def _tell(self) -> None:
        if not self._told and (msg := self.newest()) is not None:
            self._told = True
            self._callback(msg)


def _whole(text: str) -> int:
    """A number a watchdog wrote; what is none vouches for nothing."""
    try:
        return int(text)
    except ValueError:
        return 0


def _say(node: Any) -> Callable[[qos.Mismatch], None]:
    return lambda mismatch: node.get_logger().error(str(mismatch))
