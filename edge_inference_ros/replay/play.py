"""Plays a bag into the live graph, on a steady schedule, with stamps that are true now."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.params import param
from edge_inference_ros.core.types import NS_PER_S, RosNs
from edge_inference_ros.errors import BadStamp, BagError, ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.replay import clock, definitions, stamps
from edge_inference_ros.replay._ros import offered_qos
from edge_inference_ros.replay.bags import Bag, Record, left_out, open_bag
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.ros.tool import message_class, open_node
from edge_inference_ros.terminal.progress import Progress

log = logging.getLogger(__name__)

_CLOCK_PERIOD_S = 0.01
_LONG_WAIT_S = 10.0
_LINGER_S = 3.0
_TELL_S = 0.25
_LEAD_S = 0.5  # the readers must know us, too, before the first message


@dataclass(frozen=True)
class Params:
    """How to play."""

    bag: str = param('', 'folder or file to play', required=True)
    topics: tuple[str, ...] = param((), 'topics to play; empty plays all')
    rate: float = param(1.0, 'bag seconds per real second', low=0.01, high=100.0)
    clock: bool = param(
        default=False,
        doc='keep the stamps; publish /clock, the one of the bag if it has one (use_sim_time)',
    )
    seconds: float = param(0.0, 'stop after so many bag seconds; 0 plays all', low=0.0)
    loops: int = param(1, 'times to play the bag; 0 means until stopped', low=0)
    wait_for: tuple[str, ...] = param(
        (),
        'topics whose subscribers to wait for before the start; a topic named twice waits for two',
    )
    wait_s: float = param(10.0, 'give up waiting after so many seconds', low=0.0, high=600.0)
    log: str = param('', 'write what was played, and when, to this JSON file')
    json: bool = param(default=False, doc='print progress as JSON lines')


@dataclass
class Played:
    """What went out.

    Attributes:
        schedules: one a loop.
        types: message type of every topic.
        stamps: per stamped topic, the header stamps published, in order.
        late_ms: how long after its due time each message went out.
    """

    schedules: list[Schedule] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    types: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, list[int]] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the log file, which ``report`` reads."""
        return {
            'loops': [
                {'first_ns': s.first_ns, 'start_ns': s.start_ns, 'rate': s.rate}
                for s in self.schedules
            ],
            'types': self.types,
            'published': dict(self.counts),
            'stamps_ns': self.stamps,
            'latest_ms': max(self.late_ms, default=0.0),
        }


def run(params: Params) -> Played:
    """Play ``params.bag`` until its end, or until interrupted.

    Topics that cannot be played, of types not installed here for instance, are left out and named
    in a warning, unless ``params.topics`` asks for them.

    Raises:
        BagError: the bag cannot be read, lacks a topic or has one that cannot be played, or its
            stamps are on clocks that do not go together.
    """
    if not params.bag:
        raise ConfigError('play needs --bag')
    played = Played()
    with open_bag(Path(params.bag), types=definitions.learn) as bag:
        if unknown := [name for name in params.topics if name not in bag.topics]:
            names = ', '.join(sorted(bag.topics)) or 'none'
            raise BagError(f'{params.bag}: no topic {unknown[0]!r}; there are {names}')
        if not any(topic.count for topic in bag.topics.values()):
            raise BagError(f'{params.bag}: no messages to play')
        with open_node('player') as node:
            _Player(node, bag, _chosen(bag, params), params, played).play()
    if params.log:
        files.write_text(Path(params.log), json.dumps(played.as_dict()))
    return played


def _chosen(bag: Bag, params: Params) -> dict[str, Any]:
    """Topics to play, and the Python class of their messages."""
    classes: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name in params.topics or bag.topics:
        if name == clock.TOPIC:
            continue
        try:
            classes[name] = message_class(bag.topics[name].msgtype)
            faults[name] = bag.fault(name)
        except BagError as error:
            faults[name] = str(error)
    faults = {name: why for name, why in faults.items() if why}
    if asked := sorted(set(faults) & set(params.topics)):
        raise BagError(f'{params.bag}: {asked[0]}: {faults[asked[0]]}')
    if not any(bag.topics[name].count for name in classes if name not in faults):
        if clock.TOPIC in (params.topics or bag.topics):
            faults[clock.TOPIC] = 'it is played beside other topics only'
        why = '; '.join(f'{name}: {fault}' for name, fault in sorted(faults.items()))
        raise BagError(f'{params.bag}: no messages to play' + (f' ({why})' if why else ''))
    left_out(bag, faults)
    return {name: kind for name, kind in classes.items() if name not in faults}


class _Player:
    """One bag, its publishers, and the wait between messages."""

    def __init__(
        self, node: Any, bag: Bag, classes: dict[str, Any], params: Params, played: Played
    ) -> None:
        self._node = node
        self._bag = bag
        self._params = params
        self._played = played
        self._told_s = 0.0
        endless = not params.loops
        self._bar = None if params.json or endless else Progress('play', 100, unit='%')
        topics = [bag.topics[name] for name in classes]
        played.types.update({t.name: t.msgtype for t in topics})
        self._publishers = {
            t.name: node.create_publisher(classes[t.name], t.name, offered_qos(t.msgtype, t.qos))
            for t in topics
        }
        self._stamped = {t.name for t in topics if definitions.is_stamped(t.msgtype)}
        self._names = list(classes)
        self._end_ns = bag.last_ns(self._names)
        clock.check_span(params.bag, next(bag.records(self._names)), self._end_ns)
        self._clocks = clock.look(bag.records(self._names), self._stamped)
        brings = self._brings_clock()
        self._own = params.clock and brings
        self._clocks.check(params.bag, keep_stamps=params.clock, own_clock=brings)
        if clock.TOPIC in bag.topics and not self._own:
            left_out(bag, {clock.TOPIC: _no_clock(params)})
        self._clock = None
        if params.clock:
            self._clock = node.create_publisher(
                message_class(clock.CLOCK), clock.TOPIC, offered_qos('', None)
            )
        self._readable = dict(self._publishers)  # what somebody may be waited for on
        if self._clock is not None:
            self._readable[clock.TOPIC] = self._clock

    def _brings_clock(self) -> bool:
        """Whether the recording has a ``/clock`` that goes with its stamps, if it has stamps."""
        topic = self._bag.topics.get(clock.TOPIC)
        if topic is None or topic.msgtype != clock.CLOCK or not topic.count:
            return False
        if not self._clocks.near and not self._clocks.far:
            return True
        first = next(self._bag.records((clock.TOPIC,)))
        apart_ns = first.time_ns - clock.value_ns(first.data) - self._clocks.offset_ns
        return abs(apart_ns) <= clock.NEAR_NS

    def play(self) -> None:
        """Wait for listeners, then play every loop."""
        self._wait_for_listeners()
        start_s = time.monotonic() + _LEAD_S
        start_ns = self._node.get_clock().now().nanoseconds + int(_LEAD_S * 1e9)
        loop = 0
        while not self._params.loops or loop < self._params.loops:
            whole_s = self._play_once(loop, start_s, start_ns)
            start_s += whole_s
            start_ns += int(whole_s * 1e9)
            loop += 1
        self._linger()
        self._tell('end', 1.0)

    def _linger(self) -> None:
        """Stay until the last messages have been taken: they vanish with their publisher."""
        from rclpy.duration import Duration

        for publisher in self._readable.values():
            publisher.wait_for_all_acked(Duration(seconds=_LINGER_S))
        time.sleep(_LEAD_S)  # best-effort readers acknowledge nothing

    def _play_once(self, loop: int, start_s: float, start_ns: int) -> float:
        """One pass over the bag; returns how long after its start the next one begins."""
        names = [*self._names, clock.TOPIC] if self._own else self._names
        records = self._bag.records(names)
        first = next(records)
        live = Schedule(first.time_ns, start_ns, self._params.rate)
        stamping = live
        if self._params.clock:  # stamps stay: the identity, whatever the rate
            stamping = Schedule(first.time_ns, first.time_ns)
        self._played.schedules.append(stamping)
        length_s = self._length_s(first.time_ns)
        for record in self._due(first, records, live, start_s, length_s):
            self._publish(record, stamping)
            late_s = time.monotonic() - start_s - live.due_s(record.time_ns)
            self._played.late_ms.append(1e3 * late_s)
            part = min(live.due_s(record.time_ns) / length_s, 1.0) if length_s else 1.0
            self._progress((loop + part) / max(self._params.loops, 1))
        return length_s + self._period_s(length_s)

    def _period_s(self, length_s: float) -> float:
        """Between two messages of the busiest topic: the pause before the next pass."""
        most = max(self._bag.topics[name].count for name in self._publishers)
        return length_s / (most - 1) if most > 1 else 0.1

    def _due(
        self,
        first: Record,
        rest: Iterator[Record],
        schedule: Schedule,
        start_s: float,
        whole_s: float,
    ) -> Iterator[Record]:
        """Each record when its time has come."""
        yield from self._held(first, schedule, start_s)
        for record in rest:
            if self._params.seconds and schedule.due_s(record.time_ns) > whole_s:
                return
            yield from self._held(record, schedule, start_s)

    def _held(self, record: Record, schedule: Schedule, start_s: float) -> Iterator[Record]:
        due_s = start_s + schedule.due_s(record.time_ns)
        if (left_s := due_s - time.monotonic()) > _LONG_WAIT_S:
            log.info('nothing in the bag for %.0f s: waiting', left_s)
        while (left_s := due_s - time.monotonic()) > 0:
            if self._clock is None or self._own:
                time.sleep(left_s)
            else:
                elapsed_ns = int((time.monotonic() - start_s) * 1e9 * schedule.rate)
                # Never past the record that waits: its own time comes next, and none goes back.
                now_ns = schedule.first_ns + max(elapsed_ns, 0)
                self._publish_clock(min(now_ns, record.time_ns))
                time.sleep(min(left_s, _CLOCK_PERIOD_S))
        if self._clock is not None and not self._own:
            self._publish_clock(record.time_ns)
        yield record

    def _length_s(self, first_ns: int) -> float:
        """Real seconds one loop takes; what the progress is a part of."""
        span_s = (self._end_ns - first_ns) / 1e9
        if self._params.seconds:
            span_s = min(span_s, self._params.seconds)
        return max(span_s, 0.0) / self._params.rate

    def _publish(self, record: Record, schedule: Schedule) -> None:
        data = record.data
        if record.topic == clock.TOPIC and self._clock is not None:
            self._clock.publish(data)
            return
        if record.topic in self._stamped:
            with suppress(BadStamp):  # what carries no stamp is played as it is
                old_ns = stamps.read(data)
                new_ns = schedule.now_ns(old_ns) if old_ns else RosNs(0)
                if new_ns != old_ns:
                    data = stamps.replace(data, new_ns)
                self._played.stamps.setdefault(record.topic, []).append(new_ns)
        elif record.msgtype == clock.TF and not self._params.clock:
            data = _restamp_tf(data, schedule)
        self._publishers[record.topic].publish(data)
        self._played.counts[record.topic] += 1

    def _publish_clock(self, received_ns: int) -> None:
        """The time, on the clock of the stamps, at which something was received."""
        now = message_class(clock.CLOCK)()
        at_ns = max(received_ns - self._clocks.offset_ns, 0)
        now.clock.sec, now.clock.nanosec = divmod(at_ns, NS_PER_S)
        if self._clock is not None:
            self._clock.publish(now)

    def _wait_for_listeners(self) -> None:
        names = self._params.wait_for
        if missing := [name for name in names if name not in self._readable]:
            raise BagError(f'wait_for names {missing[0]!r}, which is not played')
        end_s = time.monotonic() + self._params.wait_s
        while deaf := [name for name in set(names) if self._heard_by(name) < names.count(name)]:
            if time.monotonic() > end_s:
                raise BagError(
                    f'nobody, or too few, subscribed to {", ".join(sorted(deaf))}'
                    f' within {self._params.wait_s:g} s;'
                    ' are the nodes active, and the topics remapped to these names?'
                )
            time.sleep(0.02)
        self._tell('start', 0.0)

    def _heard_by(self, name: str) -> int:
        return int(self._readable[name].get_subscription_count())

    def _progress(self, part: float) -> None:
        if time.monotonic() - self._told_s > _TELL_S:
            self._tell('progress', min(part, 1.0))

    def _tell(self, event: str, part: float) -> None:
        self._told_s = time.monotonic()
        if self._bar is not None:
            self._bar(round(100 * part))
        if self._params.json:
            line = {'event': event, 'part': round(part, 4), 'published': self._played.counts}
            print(json.dumps(line), flush=True)  # noqa: T201 - this is the output


def _no_clock(params: Params) -> str:
    """Why a recorded ``/clock`` is not played."""
    if not params.clock:
        return 'stamps are renewed; --clock keeps them and plays it'
    return 'it does not go with the stamps; one that does is made'


def _restamp_tf(data: bytes, schedule: Schedule) -> bytes:
    message = definitions.decode(clock.TF, data)
    for transform in message.transforms:
        stamp = transform.header.stamp
        old_ns = stamp.sec * NS_PER_S + stamp.nanosec
        if old_ns:  # zero means "always", and stays
            stamp.sec, stamp.nanosec = divmod(schedule.now_ns(old_ns), NS_PER_S)
    return definitions.encode(clock.TF, message)
