"""Whether an input arrives as it should, judged from stamps and arrival times.

Pure: the node tells it what arrived and what discovery knows, and asks once a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.types import Level

WINDOW = 128
FEW = 8  # intervals, before a rate can be learned
GRACE_NS = 2_000_000_000  # a driver may take this long to say its first word
BIG_BYTES = 500_000  # what the middleware's ordinary transports no longer carry (docs/latency.md)


class Ends(NamedTuple):
    """What discovery says of the other end of an input.

    Attributes:
        writers: how many publish our type on the topic.
        others: types published on it that are not ours.
    """

    writers: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """How an input has fared over the last ``WINDOW`` messages.

    Attributes:
        received: messages so far.
        rate_hz: at which they arrive; 0 while fewer than two have.
        expected_hz: at which they are sent: as configured, or learned from the stamps; 0 unknown.
        missing: the share of messages sent that did not arrive, by the gaps between stamps.
        gaps: how many times at least one was missing.
        longest_gap_s: between two stamps.
        age_s: of the newest message when it arrived; negative means disagreeing clocks.
        least_age_s: the least in the window.
        worst_age_s: the greatest in the window.
        silent_s: since the last arrival, or since the start.
        lost: messages the middleware itself says it lost, so far.
        disordered: stamps equal to or before their predecessor's, so far.
        message_bytes: size of the newest.
    """

    received: int = 0
    rate_hz: float = 0.0
    expected_hz: float = 0.0
    missing: float = 0.0
    gaps: int = 0
    longest_gap_s: float = 0.0
    age_s: float = 0.0
    least_age_s: float = 0.0
    worst_age_s: float = 0.0
    silent_s: float = 0.0
    lost: int = 0
    disordered: int = 0
    message_bytes: int = 0

    def values(self) -> dict[str, str]:
        """The facts as diagnostics carry them."""
        return {
            'received': str(self.received),
            'rate_hz': f'{self.rate_hz:.1f}',
            'expected_hz': f'{self.expected_hz:.1f}',
            'missing_percent': f'{100.0 * self.missing:.1f}',
            'gaps': str(self.gaps),
            'longest_gap_ms': f'{1e3 * self.longest_gap_s:.1f}',
            'age_ms': f'{1e3 * self.age_s:.1f}',
            'least_age_ms': f'{1e3 * self.least_age_s:.1f}',
            'worst_age_ms': f'{1e3 * self.worst_age_s:.1f}',
            'silent_ms': f'{1e3 * self.silent_s:.0f}',
            'lost': str(self.lost),
            'disordered': str(self.disordered),
            'message_bytes': str(self.message_bytes),
        }


class Verdict(NamedTuple):
    """What to tell the operator: how bad, what, and what to do."""

    level: Level
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        return f'{self.message}; {self.remedy}' if self.remedy else self.message


class Input:
    """The record of one input.

    Args:
        topic: as the operator knows it.
        profile: path of the transport profile to recommend.
        expected_hz: at which it should arrive; 0 learns it from the stamps.
        now_ns: monotonic time of the start.
    """

    def __init__(self, topic: str, profile: str, now_ns: int, *, expected_hz: float = 0.0) -> None:
        self._topic = topic
        self._profile = profile
        self._expected_hz = expected_hz
        self._start_ns = now_ns
        self._arrivals_ns = np.zeros(WINDOW, np.int64)
        self._stamps_ns = np.zeros(WINDOW, np.int64)
        self._ages_ns = np.zeros(WINDOW, np.int64)
        self._received = self._lost = self._disordered = self._message_bytes = 0
        self._newest_stamp_ns = 0

    def seen(self, now_ns: int, stamp_ns: int, age_ns: int, message_bytes: int) -> None:
        """A message arrived. Called for each, so it only writes down.

        Args:
            now_ns: monotonic.
            stamp_ns: of its header.
            age_ns: the ROS clock minus the stamp.
            message_bytes: its size.
        """
        if stamp_ns <= self._newest_stamp_ns:
            self._disordered += 1
        else:
            self._newest_stamp_ns = stamp_ns
        slot = self._received % WINDOW
        self._arrivals_ns[slot] = now_ns
        self._stamps_ns[slot] = stamp_ns
        self._ages_ns[slot] = age_ns
        self._received += 1
        self._message_bytes = message_bytes

    def lose(self, count: int) -> None:
        """The middleware says it lost ``count`` messages."""
        self._lost += count

    def facts(self, now_ns: int) -> Facts:
        """What the record amounts to."""
        if not self._received:
            return Facts(silent_s=(now_ns - self._start_ns) / 1e9, lost=self._lost)
        held = min(self._received, WINDOW)
        newest = (self._received - 1) % WINDOW
        arrivals_ns, ages_ns = self._arrivals_ns[:held], self._ages_ns[:held]
        span_s = (arrivals_ns.max() - arrivals_ns.min()) / 1e9
        intervals_s = _intervals_s(self._stamps_ns[:held])
        period_s = 1.0 / self._expected_hz if self._expected_hz else _period_s(intervals_s)
        missed = _missed(intervals_s, period_s)
        return Facts(
            received=self._received,
            rate_hz=(held - 1) / span_s if span_s > 0.0 else 0.0,
            expected_hz=1.0 / period_s if period_s else 0.0,
            missing=float(missed.sum() / (missed.sum() + held)),
            gaps=int(np.count_nonzero(missed)),
            longest_gap_s=float(intervals_s.max(initial=0.0)),
            age_s=float(ages_ns[newest]) / 1e9,
            least_age_s=float(ages_ns.min()) / 1e9,
            worst_age_s=float(ages_ns.max()) / 1e9,
            silent_s=float(now_ns - arrivals_ns[newest]) / 1e9,
            lost=self._lost,
            disordered=self._disordered,
            message_bytes=self._message_bytes,
        )

    def judge(self, facts: Facts, ends: Ends) -> Verdict:
        """Say the most important thing that is wrong, or that nothing is."""
        if silence := self._silence(facts, ends):
            return silence
        if facts.least_age_s < 0.0:
            return Verdict(
                Level.ERROR,
                f'{self._topic} is stamped {-1e3 * facts.least_age_s:.1f} ms in the future',
                'synchronise the clocks of this host and the sensor (chrony, PTP), and check'
                ' that all nodes agree on use_sim_time',
            )
        return self._loss(facts) or self._slowness(facts) or self._fine(facts)

    def _silence(self, facts: Facts, ends: Ends) -> Verdict | None:
        period_s = 1.0 / facts.expected_hz if facts.expected_hz else 0.0
        if facts.silent_s < max(GRACE_NS / 1e9, 5.0 * period_s):
            return None
        silent = f'nothing on {self._topic} for {facts.silent_s:.1f} s'
        if ends.writers:
            return Verdict(
                Level.ERROR, f'{silent}, though it is published', self._to_driver(facts)
            )
        if ends.others:
            carried = ', '.join(ends.others)
            return Verdict(Level.ERROR, silent, f'it carries {carried}: remap to another topic')
        return Verdict(
            Level.ERROR,
            silent,
            'nobody publishes it: start the driver, or remap (ros2 topic list)',
        )

    def _loss(self, facts: Facts) -> Verdict | None:
        if facts.missing <= 0.02:
            return None
        level = Level.ERROR if facts.missing > 0.2 else Level.WARN
        said = (
            f'{100.0 * facts.missing:.0f} % of {self._topic} is missing:'
            f' {facts.rate_hz:.1f} of {facts.expected_hz:.1f} Hz arrive'
        )
        return Verdict(level, said, self._to_driver(facts))

    def _slowness(self, facts: Facts) -> Verdict | None:
        if not self._expected_hz or facts.rate_hz >= 0.9 * self._expected_hz or not facts.rate_hz:
            return None
        said = f'{self._topic} arrives at {facts.rate_hz:.1f} of {self._expected_hz:.1f} Hz'
        return Verdict(Level.WARN, said, 'the driver sends no faster: check its settings')

    def _fine(self, facts: Facts) -> Verdict:
        if not facts.received:
            return Verdict(Level.OK, f'waiting for {self._topic}')
        return Verdict(Level.OK, f'{self._topic} at {facts.rate_hz:.1f} Hz')

    def _to_driver(self, facts: Facts) -> str:
        if facts.received and facts.message_bytes < BIG_BYTES:
            return 'the network or this processor is overloaded: look at the load and the link'
        return (
            'its publisher probably uses the default transport, which drops messages over 0.5 MB:'
            f' set FASTRTPS_DEFAULT_PROFILES_FILE={self._profile} in the environment of its driver'
        )


def _intervals_s(stamps_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Times between successive stamps in the order they were taken, repetitions left out."""
    intervals_s = np.diff(np.sort(stamps_ns)).astype(np.float64) / 1e9
    return intervals_s[intervals_s > 0.0]


def _period_s(intervals_s: NDArray[np.float64]) -> float:
    """The sender's period: the middle of those intervals in which nothing can be missing."""
    if len(intervals_s) < FEW:
        return 0.0
    shortest_s = np.quantile(intervals_s, 0.1)
    return float(np.median(intervals_s[intervals_s <= 1.5 * shortest_s]))


def _missed(intervals_s: NDArray[np.float64], period_s: float) -> NDArray[np.float64]:
    """How many messages are missing in each interval."""
    if not period_s:
        return np.zeros(0)
    return np.maximum(np.rint(intervals_s / period_s) - 1.0, 0.0)
