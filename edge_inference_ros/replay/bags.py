"""A recording, opened with distrust and read in the order of its clock.

Formats: rosbag2 folders and single files, mcap and sqlite3, plain or compressed with zstd or lz4.

A bag holds topics that nobody asked for: other encodings, types of other distributions. What is
read is checked when it is read, and the rest is left alone. A recorder that was killed leaves a
file without an end: what is there is read, and ``lost`` says what is not.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys.store import Typestore

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay.containers import ZSTD, SizeLimits, inflate, inflate_file
from edge_inference_ros.replay.storage import folder
from edge_inference_ros.replay.storage.channel import Channel, Storage
from edge_inference_ros.replay.storage.mcap import Mcap
from edge_inference_ros.replay.storage.sqlite import Sqlite, mended

log = logging.getLogger(__name__)

Types: TypeAlias = Callable[[str], Typestore]


@dataclass(frozen=True, slots=True)
class Record:
    """One message as it was recorded: when it was received, and its serialised bytes."""

    topic: str
    msgtype: str
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """What a bag holds of one topic.

    Attributes:
        qos: what its publishers offered, as rosbags reads it; ``None`` if it cannot be read.
    """

    name: str
    msgtype: str
    count: int
    qos: Any = None


class Bag:
    """An open recording.

    Attributes:
        topics: all there are, whether they can be read or not.
        lost: what is missing of the recording, in sentences; empty if it is whole.
    """

    def __init__(
        self,
        path: Path,
        storages: list[Storage],
        limits: SizeLimits,
        layout: folder.Layout,
        types: Types,
    ) -> None:
        self.path = path
        self._types = types
        self._storages = storages
        self._limits = limits
        self._hashes = layout.type_hashes
        self._channels = _by_topic(storages)
        self.topics = {name: _topic(name, rows) for name, rows in self._channels.items()}
        lost = [layout.lost, *(storage.lost for storage in storages)]
        gone = layout.count - sum(topic.count for topic in self.topics.values())
        if any(lost) and gone > 0:
            counted = f'{layout.count} messages that metadata.yaml counts'
            lost.append(f'{gone} of the {counted} are lost.')
        self.lost = ' '.join(filter(None, lost))

    @property
    def start_ns(self) -> int:
        """When the first message was received; 0 for a bag without any."""
        return min((s.span_ns[0] for s in self._storages if s.span_ns), default=0)

    @property
    def end_ns(self) -> int:
        """When the last message was received; 0 for a bag without any."""
        return max((s.span_ns[1] for s in self._storages if s.span_ns), default=0)

    def last_ns(self, names: Collection[str]) -> int:
        """When the last message of the topics ``names`` was received; 0 without any.

        Raises:
            BagError: the file is damaged where that is looked up.
        """
        with _blaming(self.path):
            return max(
                (
                    storage.last_ns([row.key for row in storage.channels if row.topic in names])
                    for storage in self._storages
                ),
                default=0,
            )

    def fault(self, name: str) -> str:
        """Why the messages of topic ``name`` cannot be read; empty if they can."""
        rows = self._channels[name]
        if encodings := sorted({row.encoding for row in rows} - {'cdr'}):
            return f'its messages are {" and ".join(encodings)}, not CDR'
        if len(types := sorted({row.msgtype for row in rows})) > 1:
            return f'it is both {" and ".join(types)}'
        return next(filter(None, map(self._type_fault, rows)), '')

    def need(self, name: str, msgtypes: Collection[str]) -> Topic:
        """The topic ``name``, which must hold messages of one of ``msgtypes``.

        Raises:
            BagError: no such topic, another type, other fields, or no messages.
        """
        topic = self.topics.get(name)
        if topic is None:
            topics = ', '.join(sorted(self.topics)) or 'no topics at all'
            raise BagError(f'{self.path}: no topic {name!r}; there are {topics}')
        if topic.msgtype not in msgtypes:
            raise BagError(
                f'{self.path}: {name} is {topic.msgtype}, expected {" or ".join(msgtypes)}'
            )
        if fault := self.fault(name):
            raise BagError(f'{self.path}: {name}: {fault}')
        if not topic.count:
            raise BagError(f'{self.path}: {name} has no messages')
        return topic

    def only(self, msgtypes: Collection[str], name: str = '', what: str = 'pictures') -> Topic:
        """The topic ``name``, or the only one that holds messages of one of ``msgtypes``.

        Raises:
            BagError: as ``need`` does; or several hold ``what``, or none.
        """
        fitting = [t.name for t in self.topics.values() if t.msgtype in msgtypes and t.count]
        if name or len(fitting) == 1:
            return self.need(name or fitting[0], msgtypes)
        if fitting:
            raise BagError(f'{self.path}: which topic? {what} are on {", ".join(sorted(fitting))}')
        held = ', '.join(f'{t.name} ({t.msgtype})' for t in self.topics.values()) or 'nothing'
        raise BagError(f'{self.path}: a recording without {what}; it holds {held}')

    def records(self, names: Collection[str] = ()) -> Iterator[Record]:
        """Every message of the topics ``names``, in the order of reception.

        Without ``names``, of all topics that can be read.

        Raises:
            BagError: a topic of ``names`` cannot be read; or the file is damaged, at the message
                where that shows.
        """
        for name in names:
            if name in self.topics and (fault := self.fault(name)):
                raise BagError(f'{self.path}: {name}: {fault}')
        wanted = set(names) or {name for name in self.topics if not self.fault(name)}
        with _blaming(self.path):
            streams = [self._stream(storage, wanted) for storage in self._storages]
            yield from heapq.merge(*streams, key=lambda record: record.time_ns)

    def _stream(self, storage: Storage, wanted: set[str]) -> Iterator[Record]:
        chosen = {row.key: row for row in storage.channels if row.topic in wanted}
        if not chosen:
            return
        most = self._limits.message_bytes
        for key, time_ns, data in storage.messages(chosen):
            plain = inflate(data, 'zstd', most) if data.startswith(ZSTD) else data
            channel = chosen[key]
            if len(plain) > most:
                raise BagError(f'{channel.topic}: a message of {len(plain)} bytes; at most {most}')
            yield Record(channel.topic, channel.msgtype, time_ns, plain)

    def _type_fault(self, row: Channel) -> str:
        type_hash = row.type_hash or self._hashes.get((row.topic, row.msgtype), '')
        text = row.definition if row.language == 'ros2msg' else ''
        return _type_fault(row.msgtype, text, type_hash, self._types)


@lru_cache(maxsize=256)
def _type_fault(msgtype: str, text: str, type_hash: str, types: Types) -> str:
    """Why messages of this type are not what we take them for; empty if they may be."""
    try:
        store = types(msgtype)
        if not definitions.has_hash(msgtype, type_hash, store):
            definitions.check_same(msgtype, text, store)
            if not text:
                definitions.check_hash(msgtype, type_hash, store)
    except BagError as error:
        return str(error)
    return ''


def _by_topic(storages: list[Storage]) -> dict[str, list[Channel]]:
    channels: dict[str, list[Channel]] = {}
    for channel in (c for storage in storages for c in storage.channels):
        channels.setdefault(channel.topic, []).append(channel)
    return channels


def _topic(name: str, rows: list[Channel]) -> Topic:
    count = sum(row.count for row in rows)
    qos = next(filter(None, (_qos(row.qos) for row in rows)), None)
    return Topic(name, rows[0].msgtype, count, qos)


@lru_cache(maxsize=256)
def _qos(text: str) -> Any:
    """The first profile; ``None`` if there is none, or none that can be read."""
    try:
        return next(iter(parse_qos(text)), None)
    except Exception as error:  # noqa: BLE001 - untrusted YAML raises what it stumbles over
        log.debug('a QoS profile in the recording cannot be read: %s', error)
        return None


@contextmanager
def open_bag(
    path: Path, limits: SizeLimits | None = None, types: Types = definitions.decodable
) -> Iterator[Bag]:
    """Open the folder or file at ``path``; it is closed on exit.

    What is missing of it is said once, as a warning, and in ``Bag.lost``.

    Args:
        path: a folder with ``metadata.yaml``, or one storage file.
        limits: the most to expand.
        types: what the types in the recording are held against when they are read: those we
            decode, or ``definitions.learn``, those of the distribution that runs.

    Raises:
        BagError: it is not there, not a bag, damaged, hostile, or larger than ``limits``.
    """
    limits = limits or SizeLimits()
    with ExitStack() as keep:
        with _blaming(path):
            layout = folder.find(path)
            storages = [_open(file, limits, keep) for file in layout.files]
            bag = Bag(path, storages, limits, layout, types)
        if bag.lost:
            log.warning('%s: %s', path, bag.lost)
        yield bag


def _open(file: Path, limits: SizeLimits, keep: ExitStack) -> Storage:
    if file.stat().st_size > limits.total_bytes:
        raise BagError(
            f'{file.name} has {file.stat().st_size} bytes; at most {limits.total_bytes}'
        )
    with file.open('rb') as stream:
        packed = stream.read(len(ZSTD)) == ZSTD
    scratch = Path(keep.enter_context(TemporaryDirectory(prefix='edge_inference_')))
    if packed:
        file = inflate_file(file, scratch, limits)
    storage: Storage
    if file.name.removesuffix(folder.PACKED).endswith('.mcap'):
        storage = Mcap(file, limits)
    else:
        storage = Sqlite(mended(file, scratch, limits))
    keep.callback(storage.close)
    return storage


def only_whole(bag: Bag) -> Bag:
    """``bag``, of which nothing may be missing: figures and verdicts need all of it.

    Raises:
        BagError: something is.
    """
    if bag.lost:
        raise BagError(f'INVALID INPUT: {bag.path}: {bag.lost}')
    return bag


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn whatever reading a hostile or damaged file raises into one error that names it."""
    try:
        yield
    except BagError as error:
        words = str(error)
        raise BagError(words if str(path) in words else f'{path}: {words}') from error.__cause__
    except GeneratorExit:
        raise
    except Exception as error:
        raise BagError(
            f'{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated or'
            ' damaged: `ros2 bag reindex` or `mcap recover` may save it'
        ) from error


def left_out(bag: Bag, faults: Mapping[str, str]) -> None:
    """Say once, by name and reason, which topics of ``bag`` are not used."""
    if faults:
        rows = '; '.join(f'{name} ({why})' for name, why in sorted(faults.items()))
        log.warning('%s: left out: %s', bag.path, rows)
