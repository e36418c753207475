"""Reads a recording of the live graph back into plain facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.errors import BadStamp, BagError
from edge_inference_ros.guard.verdict import Verdict
from edge_inference_ros.replay import definitions, stamps
from edge_inference_ros.replay.bags import Bag, Record
from edge_inference_ros.replay.figures import Observed, Output
from edge_inference_ros.replay.schedule import Schedule

DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
COUNTS = ('received', 'superseded', 'rejected', 'failed')
WORDS = ('model', 'digest', 'backend', 'precision', 'tracker')
_LARGEST_LOG_BYTES = 64 << 20


@dataclass(frozen=True)
class Played:
    """What a player said it put out, and how its stamps follow from the bag's.

    Attributes:
        loops: one schedule a pass over the bag.
        types: message type of every topic.
        stamps_ns: per topic, the stamps published, in order.
    """

    loops: tuple[Schedule, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    stamps_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def read_played(path: Path) -> Played:
    """The log of ``replay play``.

    Raises:
        BagError: not there, too large, or not such a log.
    """
    try:
        if path.stat().st_size > _LARGEST_LOG_BYTES:
            raise BagError(f'{path}: larger than {_LARGEST_LOG_BYTES} bytes')
        text = path.read_text(encoding='utf-8')
    except OSError as error:
        raise BagError(f'{path}: {error.strerror}') from error
    except ValueError as error:
        raise BagError(f'{path}: not a log of `replay play`: {error}') from error
    try:
        facts = json.loads(text)
        return Played(
            tuple(Schedule(**loop) for loop in facts['loops']),
            {str(name): str(kind) for name, kind in facts['types'].items()},
            {str(name): tuple(map(int, row)) for name, row in facts['stamps_ns'].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BagError(f'{path}: not a log of `replay play`: {error}') from error


@dataclass(frozen=True)
class Topics:
    """Names of what to read, relative to ``namespace``."""

    namespace: str = ''
    latency: str = 'latency'
    freshness: str = 'freshness'
    fresh: str = 'fresh/detections'

    def full(self, name: str) -> str:
        """The absolute name of ``name``."""
        return '/' + '/'.join(
            part for part in (self.namespace.strip('/'), name.strip('/')) if part
        )


def observe(bag: Bag, expected_ns: Iterable[int] = (), topics: Topics | None = None) -> Observed:
    """Collect what ``bag`` holds about one detector and, if there was one, its watchdog.

    Raises:
        BagError: no latency topic, or not a diagnostic one, or empty; its stamps do not rise; or
            the bag is damaged.
    """
    topics = topics or Topics()
    names = {
        kind: topics.full(getattr(topics, kind)) for kind in ('latency', 'freshness', 'fresh')
    }
    bag.need(names['latency'], (DIAGNOSTICS,))
    if names['freshness'] in bag.topics:
        bag.need(names['freshness'], (DIAGNOSTICS,))
    notes = _Notes()
    readers = {
        names['latency']: notes.latency,
        names['freshness']: notes.freshness,
        names['fresh']: notes.forwarded,
        '/diagnostics': notes.roll_up,
    }
    readable = {name for name in readers if name in bag.topics and not bag.fault(name)}
    for record in bag.records(readable):
        _read(bag.path, record, readers[record.topic])
    return notes.facts(expected_ns)


def _read(path: Path, record: Record, reader: Callable[[Record], None]) -> None:
    try:
        reader(record)
    except (BagError, BadStamp, ValueError) as error:
        raise BagError(f'{path}: {record.topic}: {error}') from error


class _Notes:
    """What has been read so far."""

    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._counts: dict[str, int] = {}
        self._engine: dict[str, str] = {}
        self._verdicts: dict[str, dict[str, int]] = {}
        self._forwarded: list[tuple[int, int]] = []
        self._ages: list[tuple[int, float, float]] = []
        self._rising = stamps.Rising('latency')

    def latency(self, record: Record) -> None:
        message = definitions.decode(record.msgtype, record.data)
        for values in map(_values, message.status):
            self._counts = {name: int(values[name]) for name in COUNTS if name in values}
            self._engine.update({name: values[name] for name in WORDS if name in values})
            laps = {k: v for k, v in _floats(values).items() if k not in COUNTS and k not in WORDS}
            if WHOLE in laps:
                self._rising.take(stamp_ns := stamps.read(record.data))
                self._outputs.append(Output(stamp_ns, laps))

    def roll_up(self, record: Record) -> None:
        """The detector's own once-a-second summary has the final word on its counts."""
        message = definitions.decode(record.msgtype, record.data)
        for values in map(_values, message.status):
            if {'posted', 'done', 'superseded', 'rejected'} <= set(values):
                counts = {**values, 'received': values['posted']}
                names = (*COUNTS, 'done')
                self._counts = {name: int(counts[name]) for name in names if name in counts}

    def freshness(self, record: Record) -> None:
        message = definitions.decode(record.msgtype, record.data)
        for status in message.status:
            values = _values(status)
            self._verdicts[status.name] = {
                verdict.value: int(values[verdict.value])
                for verdict in Verdict
                if values.get(verdict.value, '').isdecimal()
            }
            numbers = _floats(values)
            if {'age_ms', 'deadline_ms'} <= set(numbers):
                self._ages.append((record.time_ns, numbers['age_ms'], numbers['deadline_ms']))

    def forwarded(self, record: Record) -> None:
        self._forwarded.append((stamps.read(record.data), record.time_ns))

    def facts(self, expected_ns: Iterable[int]) -> Observed:
        verdicts: dict[str, int] = {}
        for counts in self._verdicts.values():
            for verdict, count in counts.items():
                verdicts[verdict] = verdicts.get(verdict, 0) + count
        return Observed(
            expected_ns=tuple(sorted(set(expected_ns))),
            outputs=tuple(self._outputs),
            counts=self._counts,
            forwarded_ns=tuple(self._forwarded),
            verdicts=verdicts,
            ages=tuple(self._ages),
            engine=self._engine,
        )


def _values(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def _floats(values: Mapping[str, str]) -> dict[str, float]:
    numbers = {}
    for name, text in values.items():
        with suppress(ValueError):
            numbers[name] = float(text)
    return numbers
