"""What the watchdog says: verdicts on messages, and how the sources stand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from edge_inference_ros.core.types import Level, RosNs
from edge_inference_ros.guard.odometry import Motion
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.standing import State


class Verdict(Enum):
    """What became of one message, or of the silence since."""

    OK = 'OK'
    NO_ODOM = 'NO_ODOM'
    STALE_AGE = 'STALE_AGE'
    STALE_MOVED = 'STALE_MOVED'
    FUTURE = 'FUTURE'
    ZERO_STAMP = 'ZERO_STAMP'
    REPEATED = 'REPEATED'
    OUT_OF_ORDER = 'OUT_OF_ORDER'
    NONFINITE = 'NONFINITE'
    MALFORMED = 'MALFORMED'
    NONEWDATA = 'NONEWDATA'

    # Members are compared by identity, so they may hash by it; Enum's own hash runs in Python.
    __hash__ = object.__hash__


FORWARDED = (Verdict.OK, Verdict.NO_ODOM)
"""Fit for use; NO_ODOM was judged at the caps and deserves a warning."""

AGED = (*FORWARDED, Verdict.STALE_AGE, Verdict.STALE_MOVED)
"""Judged by its age; whatever else was refused for its header has none."""

UNCOUNTED = (Verdict.REPEATED, Verdict.OUT_OF_ORDER)
"""Neither good nor an error, so that silence behind them keeps counting."""


class Judgement(NamedTuple):
    """What was decided about one message, and from which figures.

    Attributes:
        verdict: the decision.
        age_ns: since capture; negative only for FUTURE.
        deadline_ns: how old it may be; 0 where something else decided first.
        travelled_m: how far a point in it may be off by now.
        v_assumed_mps: the speed that was assumed; void the message early if it is exceeded by
            more than a_acc since.
    """

    verdict: Verdict
    age_ns: int
    deadline_ns: int
    travelled_m: float
    v_assumed_mps: float

    @property
    def forwarded(self) -> bool:
        """Whether the message may be passed on."""
        return self.verdict in FORWARDED

    @property
    def aged(self) -> bool:
        """Whether ``age_ns`` says how late the source is, also where the deadline was 0."""
        return self.verdict in AGED


@dataclass(frozen=True)
class Source:
    """One stream of predictions to watch.

    Attributes:
        name: what it is called in reports.
        required: the robot must not move without it.
        robot: its own sight (range, confirmation) and body; None: the guard's.
        frame_id: the frame its stamps must carry; empty: that of its first good message.
        stamp_offset_ns: added to every stamp, for drivers that stamp start of exposure or arrival.
    """

    name: str
    required: bool = True
    robot: RobotProfile | None = None
    frame_id: str = ''
    stamp_offset_ns: int = 0


class SourceStatus(NamedTuple):
    """How one source stands at a tick.

    Attributes:
        last: the verdict on the newest message, NONEWDATA before the first.
        held: the newest acceptable message judged again now, with NONEWDATA if none came since
            the tick before; None when nothing acceptable has come yet.
        expires_at_ns: on the ROS clock, the last instant it may be used whatever the robot does
            within its limits; 0 when it may not be used at all, or nothing is held.
        stamp_ns: capture time of what is held, as its header says; 0 when nothing is.
        counts: messages by verdict since the start; live, do not change it.
        two_senders: so many are out of order that two nodes seem to publish on one topic.
        drift_ppm: how fast the sensor's clock falls behind ours; None while it does not.
        frames: the frame of the source, and another that its newest messages carry instead, which
            makes them MALFORMED; each empty when there is none.
    """

    name: str
    required: bool
    state: State
    level: Level
    last: Verdict
    held: Judgement | None
    expires_at_ns: RosNs
    stamp_ns: int
    counts: dict[Verdict, int]
    two_senders: bool
    drift_ppm: float | None = None
    frames: tuple[str, str] = ('', '')


class Status(NamedTuple):
    """How all sources stand at a tick: the worst of the required ones.

    Attributes:
        age_ns: the greatest age of what the required sources hold; None if one holds nothing.
        motion: the motion assumed, and what is wrong with odometry.
        limit_mps: what ``SpeedLimiter`` allows, for whoever asks it to put in; None: a stop.
    """

    state: State
    level: Level
    sources: tuple[SourceStatus, ...]
    motion: Motion
    age_ns: int | None
    limit_mps: float | None = None

    @property
    def fresh(self) -> bool:
        """Whether what the robot sees is good enough to move on."""
        return self.state is State.VALID

    @property
    def locked(self) -> bool:
        """Whether the robot must stand: one answer for the lock and the speed limit.

        A limiter that asks for a stop says nothing (see ``guard/speed_limit.py``), and the limit
        it gave before still holds downstream. So its stop locks, and the lock opens only on a
        limit that has been said.
        """
        return not self.fresh or self.limit_mps is None
