"""What a node says when all is well, so that people and launch_testing can wait for it.

Four lines, and one a minute: ``configured in``, ``active:``, ``first output:`` and ``last 60 s:``.
What is wrong is said where it is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import NS_PER_S
from edge_inference_ros.ros.clock_fault import IMPLAUSIBLE_S

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile

_ODD = 'with a stamp of another clock, which says no age'
PERIOD_NS = 60 * NS_PER_S
"""Between two lines about ordinary work."""


def unconfigured(node: Any) -> str:
    """How to go on with a node that waits to be configured."""
    name = node.get_fully_qualified_name()
    return (
        f'unconfigured: `ros2 lifecycle set {name} configure`, then `activate`;'
        ' or start it with the parameter autostart set to true'
    )


def reads(node: Any, topic: str, profile: QoSProfile) -> str:
    """An input as it was resolved, what we asked of it, and who publishes it now."""
    from edge_inference_ros.ros.qos import full_name  # which imports rclpy: see `process`

    name = node.resolve_topic_name(topic)
    writers = sorted({full_name(info) for info in node.get_publishers_info_by_topic(topic)})
    asked = profile.reliability.name.lower().replace('_', ' ')
    return f'{name} ({asked}, depth {profile.depth}, from {", ".join(writers) or "nobody yet"})'


def writes(node: Any, *topics: str) -> str:
    """Outputs as they were resolved."""
    return ', '.join(node.resolve_topic_name(topic) for topic in topics)


class Progress:
    """Says that there is a first output, and at most once a minute how many more.

    ``output`` may be called on any one thread, ``look`` on another; counting costs nothing.

    Args:
        say: takes a line, such as ``node.get_logger().info``.
        now: monotonic nanoseconds.
    """

    def __init__(
        self, say: Callable[[str], object], now: Callable[[], int] = monotonic_ns
    ) -> None:
        self._say = say
        self._now = now
        self._said_ns = now()
        self._before = self._count = self._odd = 0
        self._sum_ms = self._before_ms = 0.0
        self._worst_ms = -math.inf

    def output(self, age_ms: float) -> None:
        """Count an output that is so old by its stamp."""
        self._count += 1
        if believed := 0.0 <= age_ms <= 1e3 * IMPLAUSIBLE_S:
            self._sum_ms += age_ms
            self._worst_ms = max(self._worst_ms, age_ms)
        else:
            self._odd += 1
        if self._count == 1:
            after = f"{age_ms:.1f} ms after the sensor's stamp" if believed else _ODD
            self._say(f'first output: {after}')

    def look(self, more: str = '') -> None:
        """Say how it went, if the last time is a minute ago. Call it about once a second."""
        now_ns = self._now()
        if now_ns - self._said_ns < PERIOD_NS:
            return
        count, sum_ms, worst_ms, odd = self._count, self._sum_ms, self._worst_ms, self._odd
        self._odd = 0
        count_now, elapsed_s = count - self._before, (now_ns - self._said_ns) / 1e9
        self._said_ns, self._before, self._worst_ms = now_ns, count, -math.inf
        since_ms, self._before_ms = sum_ms - self._before_ms, sum_ms
        if count_now:
            words = f', {odd} {_ODD}' if odd else ''
            if (told := count_now - odd) > 0:
                words = (
                    f', {since_ms / told:.1f} ms old on average, {worst_ms:.1f} at worst{words}'
                )
            self._say(f'last {elapsed_s:.0f} s: {count_now} outputs{words}{more}')
