"""A subscription that hands over nothing that may no longer be used.

One line for a consumer in Python::

    FreshSubscription(node, Detection2DArray, 'detections', self.on_detections)

The rule, for consumers in any language. Subscribe to ``fresh/<topic>`` and to ``freshness``. The
heartbeat's row of that topic says which message is held (``stamp_ns``) and until when it
may be used whatever the robot does within its limits (``expires_at_ns``, ROS clock). A message may
be used while all of this holds:

* the last heartbeat is no older than its lease. It has two ages: on a steady clock since it was
  processed, and on the ROS clock since its own stamp, for it may have waited behind a callback.
  The greater counts. One from the future beyond a tolerance has no age, and vouches for nothing;
* the message's stamp is not before ``stamp_ns``: a newer one expires later still, an older one
  has been replaced. Nor is it from the future beyond the tolerance;
* ``expires_at_ns`` has not passed, on the ROS clock, nor what was left of it when the heartbeat
  was processed, on the steady clock: somebody may set the ROS clock.

The steady clock goes on while the machine is suspended (CLOCK_BOOTTIME).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from edge_inference_ros.core.latency import sleepless_ns
from edge_inference_ros.core.types import LEASE_S, NS_PER_S, MonoNs
from edge_inference_ros.guard.timeline import Steps
from edge_inference_ros.ros import qos
from edge_inference_ros.ros.messages import stamp_ns

TOLERANCE_S = 0.02
"""How far the clocks of two computers may be apart: about 0.001 with PTP, 0.020 with NTP."""

_NEVER_NS = MonoNs(-(10**18))


class FreshSubscription:
    """Calls back with the newest message of a guarded topic, once, while it may be used.

    In simulated time the tolerance, and the lease on that clock, are longer by the step in which
    it advances; where it runs faster than real time, raise ``lease_s`` by that factor.

    Args:
        node: that subscribes.
        kind: message class.
        topic: as the watchdog's ``topics`` name it.
        callback: given the message.
        lease_s: of the heartbeat.
        tolerance_s: how far in the future a stamp may be.
        now: steady clock.

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
        lease_s: float = LEASE_S,
        tolerance_s: float = TOLERANCE_S,
        now: Callable[[], MonoNs] = sleepless_ns,
    ) -> None:
        self._clock, self._now = node.get_clock(), now
        self._topic, self._callback = topic, callback
        self._lease_ns, self._tolerance_ns = int(lease_s * NS_PER_S), int(tolerance_s * NS_PER_S)
        self._msg: Any = None
        self._told = True
        self._heard_ns, self._beat_ns = _NEVER_NS, 0
        self._stamp_ns = self._expires_ns = self._left_ns = 0
        self._state = ''
        self._steps, self._read_ns = Steps(), 0
        self._subscriptions = [
            qos.subscribe(node, kind, f'fresh/{topic}', self._arrived, on_mismatch=_say(node)),
            qos.subscribe(node, DiagnosticArray, 'freshness', self._heard, on_mismatch=_say(node)),
        ]
        self._node = node

    def newest(self) -> Any:
        """The newest message, or None when it may not be used (any more, or yet)."""
        ros_ns, waited_ns = self._ros_ns(), self._now() - self._heard_ns
        if self._msg is None or not self._is_alive(ros_ns, waited_ns):
            return None
        taken_ns = stamp_ns(self._msg.header)
        held = 0 < self._stamp_ns <= taken_ns <= ros_ns + self._ahead_ns()
        lasts = 0 < self._expires_ns >= ros_ns and waited_ns <= self._left_ns
        return self._msg if held and lasts else None

    @property
    def valid(self) -> bool:
        """Whether the watchdog trusts the source now."""
        alive = self._is_alive(self._ros_ns(), self._now() - self._heard_ns)
        return alive and self._state == 'VALID'

    def destroy(self) -> None:
        """End both subscriptions; nothing is handed over any more."""
        self._heard_ns, self._told = _NEVER_NS, True
        self._callback = lambda _msg: None
        for subscription in self._subscriptions:
            qos.retire(subscription)
            self._node.destroy_subscription(subscription)

    def _is_alive(self, ros_ns: int, waited_ns: int) -> bool:
        """Whether the last heartbeat counts, of which ``waited_ns`` is the age since processed."""
        age_ns = ros_ns - self._beat_ns
        return (
            0 <= waited_ns <= self._lease_ns
            and -self._ahead_ns() <= age_ns <= self._lease_ns + self._step_ns()
        )

    def _ahead_ns(self) -> int:
        return max(self._tolerance_ns, self._step_ns())

    def _step_ns(self) -> int:
        """The longest of the last steps of a simulated clock; 0 where time is real."""
        return self._steps.longest_ns if self._clock.ros_time_is_active else 0

    def _ros_ns(self) -> int:
        return int(self._clock.now().nanoseconds)

    def _arrived(self, msg: Any) -> None:
        self._msg, self._told = msg, False
        self._tell()

    def _heard(self, beat: DiagnosticArray) -> None:
        ros_ns = self._ros_ns()
        self._steps.note(ros_ns - self._read_ns)
        self._read_ns = ros_ns
        for status in beat.status:
            if status.name == self._topic:
                values = {item.key: item.value for item in status.values}
                self._state = status.message
                self._stamp_ns = _whole(values.get('stamp_ns', ''))
                self._expires_ns = _whole(values.get('expires_at_ns', ''))
                self._left_ns = self._expires_ns - ros_ns
                self._heard_ns, self._beat_ns = self._now(), stamp_ns(beat.header)
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
