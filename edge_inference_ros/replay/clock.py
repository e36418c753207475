"""Which clock the stamps of a recording are on, and what follows for playing it.

Whoever records notes when each message was received, by the clock of the recorder. Stamps are
usually on the same clock, a little earlier. They are on another one in a recording of a
simulation (stamps from 1 s on, ``/clock`` beside them), or of a driver that counts from boot:
then nothing can be made of the difference, and stamps that are true now cannot be made at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from statistics import median

from edge_inference_ros.core.types import NS_PER_S
from edge_inference_ros.errors import BadStamp, BagError
from edge_inference_ros.replay import definitions, stamps
from edge_inference_ros.replay.bags import Record

TOPIC = '/clock'
TF = 'tf2_msgs/msg/TFMessage'
CLOCK = 'rosgraph_msgs/msg/Clock'
NEAR_NS = 600 * NS_PER_S
"""Stamps as near as that to the reception are on its clock: latched ones may be minutes old."""

LONGEST_NS = 366 * 86_400 * NS_PER_S
"""No recording goes on for longer: the clock jumped."""

_LOOK_AT, _PER_TOPIC, _LEAST = 400, 8, 2


@dataclass(frozen=True)
class Clocks:
    """On which clock the stamps of each topic are; topics that say too little are left out.

    Attributes:
        near: topics whose stamps are on the clock of reception, and one of their stamps.
        far: topics whose stamps are on another.
        offset_ns: reception minus stamp of the latter; 0 without any.
        received_ns: when the first message was received.
    """

    near: Mapping[str, int] = field(default_factory=dict)
    far: Mapping[str, int] = field(default_factory=dict)
    offset_ns: int = 0
    received_ns: int = 0

    def check(self, where: str, *, keep_stamps: bool, own_clock: bool) -> None:
        """Refuse what cannot be played with stamps that mean anything.

        Args:
            where: names the recording.
            keep_stamps: stamps are played as they are, with a ``/clock``.
            own_clock: the recording brings its own.

        Raises:
            BagError: two clocks are mixed, or stamps of another clock are to be renewed.
        """
        if self.far and self.near:
            near, far = next(iter(self.near.items())), next(iter(self.far.items()))
            raise BagError(
                f'{where}: two clocks are mixed: {near[0]} was stamped {_when(near[1])}, like its'
                f' reception, but {far[0]} {_when(far[1])}. Name the topics of one of them'
                f' with --topics: {", ".join(sorted(self.near))}; or {", ".join(sorted(self.far))}'
            )
        if self.far and not keep_stamps:
            name, stamp_ns = next(iter(self.far.items()))
            brings = 'its own /clock' if own_clock else 'a /clock made to fit them'
            raise BagError(
                f'{where}: {name} was stamped {_when(stamp_ns)} but received'
                f' {_when(self.received_ns)}: the stamps are on another clock, of a simulation or'
                ' since boot, and cannot be renewed. Play it with --clock: the stamps stay,'
                f' {brings} is played, and nodes with use_sim_time live in it'
            )


def look(records: Iterable[Record], stamped: set[str]) -> Clocks:
    """Judge by the beginning of a recording.

    Args:
        records: in order of reception.
        stamped: topics whose messages begin with a header.
    """
    pairs: dict[str, list[tuple[int, int]]] = {}
    received_ns = 0
    for record in islice(records, _LOOK_AT):
        received_ns = received_ns or record.time_ns
        stamp_ns = _stamp(record, stamped)
        if stamp_ns:
            pairs.setdefault(record.topic, []).append((record.time_ns, stamp_ns))
        if pairs and all(len(counted) >= _PER_TOPIC for counted in pairs.values()):
            break
    offsets = {
        name: round(median(received - stamp for received, stamp in counted))
        for name, counted in pairs.items()
        if len({stamp for _, stamp in counted}) >= _LEAST or len(pairs) == 1
    }
    far = {name: pairs[name][0][1] for name, ns in offsets.items() if abs(ns) > NEAR_NS}
    near = {name: pairs[name][0][1] for name in offsets if name not in far}
    offset_ns = round(median(offsets[name] for name in far)) if far else 0
    return Clocks(near, far, offset_ns, received_ns)


def check_span(where: str, first: Record, end_ns: int) -> None:
    """Refuse a recording whose reception times are on two clocks.

    Raises:
        BagError: years lie between the first message and the end.
    """
    if end_ns - first.time_ns > LONGEST_NS:
        raise BagError(
            f'{where}: the first message ({first.topic}) was received {_when(first.time_ns)}, the'
            f' last {_when(end_ns)}: the clock of the recorder was set in between. Leave the'
            ' topic whose times are wrong out with --topics, or cut it off with `ros2 bag'
            ' convert`'
        )


def value_ns(data: bytes) -> int:
    """What a serialised ``rosgraph_msgs/msg/Clock`` says.

    Raises:
        BadStamp: the bytes are none.
    """
    return int(stamps.read(data))  # it begins with the time, as a header does


def _stamp(record: Record, stamped: set[str]) -> int:
    """The stamp of a message; 0 if it has none."""
    try:
        if record.topic in stamped:
            return int(stamps.read(record.data))
        if record.msgtype == TF:
            first = next(iter(definitions.decode(TF, record.data).transforms), None)
            stamp = first.header.stamp if first else None
            return int(stamp.sec * NS_PER_S + stamp.nanosec) if stamp else 0
    except (BadStamp, BagError):
        return 0
    return 0


def _when(time_ns: int) -> str:
    """A date, or seconds where it is none."""
    seconds = time_ns / NS_PER_S
    if seconds < 366 * 86_400:
        return f'at {seconds:.1f} s'
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f'at {at:%Y-%m-%d %H:%M:%S} UTC'
