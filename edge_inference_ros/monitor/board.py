"""What is known of a running graph, put together from what its nodes said last.

Pure: ``Board.take`` is given rows of diagnostics and answers with facts; no ROS, no clock.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edge_inference_ros.core.latency import STAGES, WHOLE
from edge_inference_ros.core.types import Level
from edge_inference_ros.guard.verdict import FORWARDED, Verdict

SILENT_S = 3.0
"""A node that has said nothing for so long is shown as silent."""

SURE_S = 5.0
"""Nobody is called absent before so long: discovery takes seconds on a busy machine."""

RATE_S = 5.0
LOG_LINES = 200
_FIGURE = re.compile(r'\d+(\.\d+)?')
COUNTS = ('received', 'superseded', 'rejected', 'failed')


class StatusRow(NamedTuple):
    """One ``diagnostic_msgs/DiagnosticStatus``."""

    level: int
    name: str
    message: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Heard:
    """What was said since the last look. Every key is the full name of the topic.

    Attributes:
        latency, freshness: the newest message of each such topic, as rows.
        diagnostics: every row of /diagnostics.
        locks: the newest word of each ``lock``.
        speeds_mps: how fast each odometry says the robot is.
        gauges: of the machine this runs on.
    """

    latency: Mapping[str, Sequence[StatusRow]] = field(default_factory=dict)
    freshness: Mapping[str, Sequence[StatusRow]] = field(default_factory=dict)
    diagnostics: Sequence[StatusRow] = ()
    locks: Mapping[str, bool] = field(default_factory=dict)
    speeds_mps: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """How long one stage took: last, and by the node's own roll-up; None while unknown."""

    name: str
    last_ms: float | None
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class DetectorView:
    """One node that detects.

    Attributes:
        name: full name of the node.
        topic: full name of its detections.
        silent_s: since it was last heard.
        rate_hz: detections a second over the last seconds; None until two looks have seen some.
        words: what the node says is wrong; empty when nothing is.
    """

    name: str
    topic: str
    level: int
    silent_s: float
    rate_hz: float | None
    model: str
    backend: str
    whole: Stage
    stages: tuple[Stage, ...]
    counts: Mapping[str, int]
    words: str = ''


@dataclass(frozen=True, kw_only=True)
class SourceView:
    """One topic that a watchdog guards, as it says itself.

    Attributes:
        state: of the source now.
        verdict: on the last message that came, however long ago that was.
    """

    name: str
    topic: str
    state: str
    verdict: str
    level: int
    required: bool
    age_ms: float | None
    deadline_ms: float | None
    refused: Mapping[str, int]
    words: str = ''


@dataclass(frozen=True)
class WatchdogView:
    """One watchdog.

    Attributes:
        locked: None while nobody says, also once the watchdog has fallen silent.
        limit_mps: how fast it lets the robot go; 0 where it asks for a stop; None as above.
    """

    name: str
    state: str
    level: int
    silent_s: float
    odometry: str
    v_assumed_mps: float | None
    locked: bool | None
    limit_mps: float | None
    sources: tuple[SourceView, ...]


@dataclass(frozen=True)
class Picture:
    """Everything a screen shows; times of ``log`` are seconds of the caller's clock.

    Attributes:
        listened_s: for how long. Before ``SURE_S`` whoever is missing may only not be heard yet.
    """

    guards: tuple[WatchdogView, ...] = ()
    detectors: tuple[DetectorView, ...] = ()
    speeds_mps: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    log: tuple[tuple[float, str], ...] = ()
    listened_s: float = 0.0

    @property
    def sure(self) -> bool:
        """Whether whoever is not heard is taken to be absent."""
        return self.listened_s >= SURE_S

    @property
    def whole(self) -> bool:
        """Whether nothing is missing: every detector is guarded and every guard has said all."""
        guarded = {source.topic for guard in self.guards for source in guard.sources}
        detecting = {detector.topic for detector in self.detectors}
        return bool(
            guarded
            and guarded == detecting
            and all(guard.locked is not None for guard in self.guards)
        )

    @property
    def empty(self) -> bool:
        """Whether nothing of ours has been heard yet."""
        return not self.guards and not self.detectors


@dataclass
class _Entry:
    """The last rows of one topic, and when they came."""

    rows: Sequence[StatusRow]
    at_s: float
    done: deque[tuple[float, int]] = field(default_factory=deque)


class Board:
    """Keeps the last word of every node, and writes down what changed."""

    def __init__(self) -> None:
        self._latency: dict[str, _Entry] = {}
        self._freshness: dict[str, _Entry] = {}
        self._roll_up: dict[str, StatusRow] = {}
        self._locks: dict[str, bool] = {}
        self._speeds: dict[str, tuple[float, float]] = {}
        self._start_s: float | None = None
        self._states: dict[str, str] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._log: deque[tuple[float, str]] = deque(maxlen=LOG_LINES)

    def take(self, heard: Heard, now_s: float) -> Picture:
        """Add what was heard and say how things stand.

        Args:
            heard: since the call before.
            now_s: on a clock that does not jump.
        """
        for topic, rows in heard.latency.items():
            self._remember(self._latency, topic, rows, now_s)
            self._count_done(self._latency[topic], now_s)
        for topic, rows in heard.freshness.items():
            self._remember(self._freshness, topic, rows, now_s)
        self._roll_up |= {row.name: row for row in heard.diagnostics}
        self._locks |= heard.locks
        self._speeds |= {topic: (mps, now_s) for topic, mps in heard.speeds_mps.items()}
        if self._start_s is None:
            self._start_s = now_s
        picture = Picture(
            tuple(self._guard(topic, now_s) for topic in sorted(self._freshness)),
            tuple(self._detector(topic, now_s) for topic in sorted(self._latency)),
            {t: mps for t, (mps, at_s) in self._speeds.items() if now_s - at_s <= SILENT_S},
            dict(heard.gauges),
            listened_s=now_s - self._start_s,
        )
        self._note(picture, now_s)
        return replace(picture, log=tuple(self._log))

    @staticmethod
    def _remember(
        entries: dict[str, _Entry], topic: str, rows: Sequence[StatusRow], now_s: float
    ) -> None:
        entry = entries.setdefault(topic, _Entry(rows, now_s))
        entry.rows, entry.at_s = rows, now_s

    @staticmethod
    def _count_done(entry: _Entry, now_s: float) -> None:
        """Detections so far, by the node's own counts: no message needs to be seen for them."""
        counts = _counts(entry.rows[0].values if entry.rows else {})
        done = counts.get('received', 0) - sum(counts.get(name, 0) for name in COUNTS[1:])
        if entry.done and done < entry.done[-1][1]:
            entry.done.clear()  # configured again
        entry.done.append((now_s, done))
        while entry.done[0][0] < now_s - RATE_S:
            entry.done.popleft()

    def _detector(self, topic: str, now_s: float) -> DetectorView:
        entry = self._latency[topic]
        row = entry.rows[0] if entry.rows else StatusRow(Level.OK, topic, '', {})
        rolled = self._roll_up.get(f'{row.name}: latency')
        summary = rolled.values if rolled else {}
        words = [row.message]
        levels = [row.level]
        for part in ('latency', 'input', 'output'):
            if (status := self._roll_up.get(f'{row.name}: {part}')) and status.level:
                words.append(status.message)
                levels.append(status.level)
        silent_s = now_s - entry.at_s
        return DetectorView(
            row.name,
            _beside(topic, 'detections'),
            int(Level.ERROR if silent_s > SILENT_S else max(levels)),
            silent_s,
            _rate(entry.done) if silent_s <= SILENT_S else 0.0,
            row.values.get('model', ''),
            row.values.get('backend', ''),
            _stage(WHOLE, row.values, summary),
            tuple(_stage(name, row.values, summary) for name in STAGES if name in row.values),
            _counts(row.values),
            '; '.join(word for word in dict.fromkeys(words) if word),
        )

    def _guard(self, topic: str, now_s: float) -> WatchdogView:
        entry = self._freshness[topic]
        first, *rest = entry.rows or [StatusRow(Level.ERROR, '', 'NODATA', {})]
        silent_s = now_s - entry.at_s
        silent = silent_s > SILENT_S
        values: Mapping[str, str] = {} if silent else first.values
        return WatchdogView(
            _beside(topic, 'watchdog'),
            'SILENT' if silent else first.message,
            int(Level.ERROR if silent else first.level),
            silent_s,
            values.get('odometry', ''),
            _number(values.get('v_assumed_mps')),
            None if silent else self._locks.get(_beside(topic, 'lock')),
            0.0 if values.get('limit_mps') == 'none' else _number(values.get('limit_mps')),
            tuple(_source(topic, row, silent=silent) for row in rest),
        )

    def _note(self, picture: Picture, now_s: float) -> None:
        """Write down what is different from the picture before."""
        for name, state in _standing(picture):
            before = self._states.get(name)
            if _without_figures(before) != _without_figures(state):
                self._states[name] = state
                change = f'{before} → {state}' if before else state
                self._log.append((now_s, f'{name}: {change}'))
        for guard in picture.guards:
            for source in guard.sources:
                self._note_refused(source, now_s)

    def _note_refused(self, source: SourceView, now_s: float) -> None:
        for verdict, count in source.refused.items():
            before = self._counts.get((source.topic, verdict))
            self._counts[source.topic, verdict] = count
            if before is not None and count > before:
                self._log.append((now_s, f'{source.topic}: {count - before} more {verdict}'))


def _without_figures(words: str | None) -> str | None:
    """A figure that runs is no news: 'silent for 7.1 s' is 'silent for 8.1 s'."""
    return words if words is None else _FIGURE.sub('#', words)


def _standing(picture: Picture) -> list[tuple[str, str]]:
    """Name and state of everything whose changes are worth a line."""
    rows = []
    for guard in picture.guards:
        rows.append((guard.name, guard.state))
        rows.append((f'{guard.name} odometry', guard.odometry or 'unknown'))
        rows.append((f'{guard.name} lock', _lock_word(guard.locked)))
        rows += [(source.topic, source.state) for source in guard.sources]
    for detector in picture.detectors:
        state = 'SILENT' if detector.silent_s > SILENT_S else Level(min(detector.level, 2)).name
        rows.append((detector.name, f'{state} {detector.words}'.strip()))
        rows.append((f'{detector.name} model', f'{detector.model} on {detector.backend}'))
    return rows


def _lock_word(locked: bool | None) -> str:  # noqa: FBT001 - a fact to be named, not an option
    return {None: 'unknown', True: 'locked', False: 'unlocked'}[locked]


def _source(topic: str, row: StatusRow, *, silent: bool) -> SourceView:
    counts = {v.value: _whole(row.values.get(v.value)) for v in Verdict if v not in FORWARDED}
    refused = {name: count for name, count in counts.items() if count is not None}
    words = [row.values[name] for name in ('senders', 'clock') if name in row.values]
    return SourceView(
        name=row.name,
        topic=_beside(topic, row.name),
        state='SILENT' if silent else row.message,
        verdict=row.values.get('verdict', ''),
        level=int(Level.ERROR) if silent else row.level,
        required=row.values.get('required') != 'false',
        age_ms=None if silent else _number(row.values.get('age_ms')),
        deadline_ms=_number(row.values.get('deadline_ms')),
        refused=refused,
        words='; '.join(words),
    )


def _stage(name: str, values: Mapping[str, str], summary: Mapping[str, str]) -> Stage:
    return Stage(
        name,
        _number(values.get(name)),
        _number(summary.get(f'{name}_p50_ms')),
        _number(summary.get(f'{name}_p99_ms')),
    )


def _rate(done: deque[tuple[float, int]]) -> float | None:
    (first_s, first), (last_s, last) = done[0], done[-1]
    return (last - first) / (last_s - first_s) if last_s > first_s else None


def _counts(values: Mapping[str, str]) -> dict[str, int]:
    return {name: count for name in COUNTS if (count := _whole(values.get(name))) is not None}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _beside(topic: str, name: str) -> str:
    """The topic ``name`` in the namespace of ``topic``; a full name stays as it is."""
    if name.startswith('/'):
        return name
    return f'{topic.rpartition("/")[0]}/{name}'
