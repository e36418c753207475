"""The logic alone: the bag's stamps, a simulated clock, and an engine that takes as long as told.

What decides is what runs on the robot: frames come when they were received, the newest waits, and
the guard judges each result by the odometry beside it. Only the engine is a script. Nothing is
measured, so two runs are equal bit for bit, on any machine, and a difference is a change of logic.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.core.types import MonoNs, RosNs
from edge_inference_ros.errors import BadStamp, BagError, ParameterError, SampleError
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source
from edge_inference_ros.replay import stamps
from edge_inference_ros.replay.bags import Record
from edge_inference_ros.replay.figures import MS, Observed, Output
from edge_inference_ros.replay.paces.queue import Done, Queue
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.ros.odometry import read_odometry

SOURCE = 'detections'
TICK_NS = 20_000_000
"""How often the guard looks, as the watchdog does by default."""

_MOVED, _OUTPUT, _TICK = range(3)
_Event = tuple[int, int, Any]


@dataclass(frozen=True)
class Script:
    """How long the engine takes: one duration a frame, from the start again after the last.

    Raises:
        ParameterError: no durations, or one below zero.
    """

    durations_ns: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.durations_ns or min(self.durations_ns) < 0:
            raise ParameterError(f'durations_ns = {self.durations_ns}: need some, none below zero')

    def of(self, index: int) -> int:
        """Of the frame that is worked on as number ``index``, counted from 0."""
        return self.durations_ns[index % len(self.durations_ns)]


@dataclass(frozen=True)
class Outcome:
    """Everything the logic did with a recording, in whole nanoseconds.

    Attributes:
        stamps_ns: of the frames that came, in order.
        verdicts: of the guard on each result, in the order of ``done``; empty without a guard.
        states: how many ticks the guard spent in each state.
    """

    stamps_ns: tuple[int, ...]
    done: tuple[Done, ...]
    counts: Mapping[str, int]
    verdicts: tuple[str, ...] = ()
    states: Mapping[str, int] = field(default_factory=dict)

    def observed(self) -> Observed:
        """The same for whoever makes tables of runs."""
        passed = [
            (done.stamp_ns, done.ended_ns)
            for done, verdict in zip(self.done, self.verdicts, strict=False)
            if verdict == 'VALID'
        ]
        return Observed(
            expected_ns=self.stamps_ns,
            outputs=tuple(map(_output, self.done)),
            counts=self.counts,
            forwarded_ns=tuple(passed),
            verdicts=Counter(self.verdicts),
            engine={'backend': 'script'},
        )

    def sha256(self) -> str:
        """Digest of every result: its stamp, when it was there, and what the guard said."""
        verdicts = self.verdicts or ('',) * len(self.done)
        sha = hashlib.sha256(repr(sorted({**self.counts, **self.states}.items())).encode())
        for done, verdict in zip(self.done, verdicts, strict=True):
            sha.update(f'{done.stamp_ns} {done.started_ns} {done.ended_ns} {verdict}\n'.encode())
        return sha.hexdigest()


def play(frames: Iterable[Record], script: Script, *, rate: float = 1.0) -> Outcome:
    """Let ``frames`` go through the lane.

    Args:
        frames: in the order of reception, of one topic.
        script: how long each that is worked on takes.
        rate: they come so many times faster.

    Raises:
        BagError: a frame without a stamp, stamps that do not increase, or one from after its
            reception by more than a clock may be off.
    """
    queue = Queue(lambda _record: {'infer': script.of(len(queue.done))})
    came: list[int] = []
    schedule: Schedule | None = None
    rising: stamps.Rising | None = None
    for record in frames:
        rising = rising or stamps.Rising(record.topic)
        rising.take(stamp_ns := _stamp(record))
        schedule = schedule or Schedule(record.time_ns, record.time_ns, rate)
        # Faster, a frame is as old as it was when it came: only the time between frames shrinks.
        at_ns = int(schedule.now_ns(record.time_ns))
        stamp_ns = at_ns - max(record.time_ns - stamp_ns, 0)
        came.append(stamp_ns)
        queue.arrive(at_ns, stamp_ns, record)
    queue.finish()
    return Outcome(tuple(came), tuple(queue.done), queue.counts())


def guarded(
    outcome: Outcome,
    moves: Iterable[Record],
    robot: RobotProfile,
    schedule: Schedule | None = None,
) -> Outcome:
    """What the guard of ``robot`` says to the results of ``outcome``.

    Args:
        outcome: of ``play``.
        moves: odometry as it was received; what cannot be read is no information.
        robot: whose deadlines hold.
        schedule: maps times of reception to those of ``outcome``; ``None`` if they are the same.
    """
    guard = Guard(robot, [Source(SOURCE)])
    verdicts: list[str] = []
    states: Counter[str] = Counter()
    results = sorted(outcome.done, key=lambda done: done.ended_ns)
    for at_ns, kind, what in heapq.merge(
        _moved(moves, schedule), _outputs(results), _ticks(results), key=lambda event: event[:2]
    ):
        now = Instant(RosNs(at_ns), MonoNs(at_ns))
        if kind == _MOVED:
            _move(guard, what, now)
        elif kind == _OUTPUT:
            verdicts.append(guard.judge(SOURCE, RosNs(what), 'camera', now).verdict.value)
        else:
            states[guard.tick(now).state.value] += 1
    return Outcome(outcome.stamps_ns, tuple(results), outcome.counts, tuple(verdicts), states)


def _moved(moves: Iterable[Record], schedule: Schedule | None) -> Iterator[_Event]:
    for record in moves:
        at_ns = int(schedule.now_ns(record.time_ns)) if schedule else record.time_ns
        yield at_ns, _MOVED, record.data


def _outputs(results: Sequence[Done]) -> Iterator[_Event]:
    for done in results:
        yield done.ended_ns, _OUTPUT, done.stamp_ns


def _ticks(results: Sequence[Done]) -> Iterator[_Event]:
    if results:
        for at_ns in range(results[0].arrived_ns, results[-1].ended_ns + 1, TICK_NS):
            yield at_ns, _TICK, 0


def _move(guard: Guard, data: bytes, now: Instant) -> None:
    try:
        sample = read_odometry(data)
    except SampleError:
        return
    guard.moved(sample.stamp_ns, *sample.base_twist, now, pose=sample.pose)


def _output(done: Done) -> Output:
    laps = {
        WHOLE: done.ended_ns - done.stamp_ns,
        'transport': done.arrived_ns - done.stamp_ns,
        'wait': done.started_ns - done.arrived_ns,
        **done.laps_ns,
    }
    return Output(done.stamp_ns, {stage: ns * MS for stage, ns in laps.items()})


def _stamp(record: Record) -> int:
    try:
        return int(stamps.read(record.data))
    except BadStamp as error:
        raise BagError(f'INVALID INPUT: {record.topic}: {error}') from error
