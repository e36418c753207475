"""When each recorded message is due again, and which stamp it then carries."""

from __future__ import annotations

from dataclasses import dataclass

from edge_inference_ros.core.types import RosNs


@dataclass(frozen=True, slots=True)
class Schedule:
    """Maps the bag's clock onto now: ``start_ns + (t - first_ns) / rate``.

    The same line maps reception times to due times and old stamps to new ones, so the age a
    message had when it was recorded is the age it has when it is due (divided by ``rate``). A
    message the player publishes late is older by as much: the stamp says when it should have
    come, not when it did, and a stalled machine cannot hide in its own measurements.

    Attributes:
        first_ns: time of the first message, on the bag's clock.
        start_ns: when that message is due, on the clock of the new stamps.
        rate: bag seconds per real second.
    """

    first_ns: int
    start_ns: int
    rate: float = 1.0

    def now_ns(self, bag_ns: int) -> RosNs:
        """The instant, on the clock of the new stamps, that stands for ``bag_ns``."""
        return RosNs(self.start_ns + self._scaled(bag_ns - self.first_ns, 1.0 / self.rate))

    def bag_ns(self, now_ns: int) -> int:
        """The bag's time at ``now_ns``; within a nanosecond the inverse of ``now_ns``."""
        return self.first_ns + self._scaled(now_ns - self.start_ns, self.rate)

    def due_s(self, bag_ns: int) -> float:
        """Seconds after the start at which a message recorded at ``bag_ns`` is due."""
        return (bag_ns - self.first_ns) / self.rate / 1e9

    def _scaled(self, span_ns: int, factor: float) -> int:
        # The common case stays exact: a float holds only 104 days of nanoseconds.
        return span_ns if self.rate == 1.0 else round(span_ns * factor)
