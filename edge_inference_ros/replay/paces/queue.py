"""One worker and one waiting place, in the time of the bag: the lane, played in thought.

All times are whole nanoseconds, so the same recording gives the same result on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_inference_ros.errors import SampleError
from edge_inference_ros.replay.bags import Record


@dataclass(frozen=True, slots=True)
class Done:
    """One frame that was worked on.

    Attributes:
        stamp_ns: when it was taken.
        arrived_ns: when it came.
        started_ns: when the worker was free for it.
        laps_ns: stage to duration, in order; what the worker spent on it.
    """

    stamp_ns: int
    arrived_ns: int
    started_ns: int
    laps_ns: Mapping[str, int]

    @property
    def ended_ns(self) -> int:
        """When its result was there."""
        return self.started_ns + sum(self.laps_ns.values())


@dataclass
class Queue:
    """Frames come; the newest waits while one is worked on, and displaces what waited.

    Attributes:
        work: stage to nanoseconds spent on a frame. Raises ``SampleError`` for one that is no
            good, which then takes no time.
    """

    work: Callable[[Record], Mapping[str, int]]
    done: list[Done] = field(default_factory=list)
    received: int = 0
    superseded: int = 0
    rejected: int = 0
    _waiting: tuple[int, int, Record] | None = None
    _free_ns: int = 0

    def arrive(self, at_ns: int, stamp_ns: int, record: Record) -> None:
        """Take in the frame that comes at ``at_ns``, not before the one before it."""
        if self._waiting and self._free_ns <= at_ns:
            self._take()
        self.superseded += self._waiting is not None
        self._waiting = at_ns, stamp_ns, record
        self.received += 1

    def finish(self) -> None:
        """Work on the frame still waiting."""
        if self._waiting:
            self._take()

    def counts(self) -> dict[str, int]:
        """What became of the frames."""
        return {
            'received': self.received,
            'superseded': self.superseded,
            'rejected': self.rejected,
            'done': len(self.done),
        }

    def _take(self) -> None:
        if self._waiting is None:
            return
        (at_ns, stamp_ns, record), self._waiting = self._waiting, None
        try:
            laps_ns = self.work(record)
        except SampleError:
            self.rejected += 1
            return
        done = Done(stamp_ns, at_ns, max(at_ns, self._free_ns), laps_ns)
        self._free_ns = done.ended_ns
        self.done.append(done)
