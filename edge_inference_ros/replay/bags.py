"""A recording, opened with distrust and read in the order of its clock.

Formats: rosbag2 folders and single files, mcap and sqlite3, plain or compressed with zstd or lz4.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rosbags.rosbag2 import Reader

from edge_inference_ros.core.manifest import read_yaml
from edge_inference_ros.errors import BagError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay.containers import (
    Limits,
    check_mcap,
    check_sqlite,
    inflate,
    inflate_file,
)

SUFFIXES = ('.mcap', '.db3')


@dataclass(frozen=True, slots=True)
class Record:
    """One message as it was recorded: when it was received, and its serialised bytes."""

    topic: str
    msgtype: str
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """What a bag holds of one topic."""

    name: str
    msgtype: str
    count: int
    qos: Any = None


class Bag:
    """An open recording."""

    def __init__(self, path: Path, readers: list[Reader], limits: Limits, *, zipped: bool) -> None:
        self.path = path
        self._readers = readers
        self._limits = limits
        self._zipped = zipped
        self.topics = self._topics()

    @property
    def end_ns(self) -> int:
        """When the last message was received; 0 for a bag without any."""
        ends = [reader.end_time - 1 for reader in self._readers if reader.message_count]
        return max(ends, default=0)

    def need(self, name: str, msgtypes: Collection[str]) -> Topic:
        """The topic ``name``, which must hold messages of one of ``msgtypes``.

        Raises:
            BagError: no such topic, another type, other fields, or no messages.
        """
        topic = self.topics.get(name)
        if topic is None:
            there = ', '.join(sorted(self.topics)) or 'no topics at all'
            raise BagError(f'{self.path}: no topic {name!r}; there are {there}')
        if topic.msgtype not in msgtypes:
            raise BagError(
                f'{self.path}: {name} is {topic.msgtype}, expected {" or ".join(msgtypes)}'
            )
        if not topic.count:
            raise BagError(f'{self.path}: {name} has no messages')
        return topic

    def records(self, names: Collection[str] = ()) -> Iterator[Record]:
        """Every message of the topics ``names`` (all if empty), in the order of reception.

        Raises:
            BagError: the file is damaged, at the message where that shows.
        """
        wanted = set(names or self.topics)
        with _blaming(self.path):
            streams = [self._stream(reader, wanted) for reader in self._readers]
            yield from heapq.merge(*streams, key=lambda record: record.time_ns)

    def _stream(self, reader: Reader, wanted: set[str]) -> Iterator[Record]:
        chosen = [c for c in reader.connections if c.topic in wanted]
        if not chosen:
            return
        most = self._limits.message_bytes
        for connection, time_ns, data in reader.messages(chosen):
            plain = inflate(bytes(data), 'zstd', most) if self._zipped else data
            if len(plain) > most:
                raise BagError(
                    f'{connection.topic}: a message of {len(plain)} bytes; at most {most}'
                )
            yield Record(connection.topic, connection.msgtype, time_ns, bytes(plain))

    def _topics(self) -> dict[str, Topic]:
        found: dict[str, Topic] = {}
        for connection in (c for reader in self._readers for c in reader.connections):
            name, msgtype = connection.topic, connection.msgtype
            known = found.get(name, Topic(name, msgtype, 0))
            if known.msgtype != msgtype:
                raise BagError(f'{self.path}: {name} is both {known.msgtype} and {msgtype}')
            definitions.check_same(msgtype, _definition(connection))
            qos = getattr(connection.ext, 'offered_qos_profiles', None)
            found[name] = Topic(
                name, msgtype, known.count + connection.msgcount, qos[0] if qos else known.qos
            )
        return found


@contextmanager
def open_bag(path: Path, limits: Limits | None = None) -> Iterator[Bag]:
    """Open the folder or file at ``path``; it is closed on exit.

    Raises:
        BagError: it is not there, not a bag, damaged, hostile, or larger than ``limits``.
    """
    limits = limits or Limits()
    with ExitStack() as keep:
        with _blaming(path):
            files, mode = _files(path)
            if mode == 'file':
                folder = Path(keep.enter_context(TemporaryDirectory(prefix='edge_inference_')))
                files = [inflate_file(file, folder, limits) for file in files]
            readers = [_open(file, limits, keep) for file in files]
            bag = Bag(path, readers, limits, zipped=mode == 'message')
        yield bag


def _open(file: Path, limits: Limits, keep: ExitStack) -> Reader:
    if file.stat().st_size > limits.total_bytes:
        raise BagError(
            f'{file.name} has {file.stat().st_size} bytes; at most {limits.total_bytes}'
        )
    if file.suffix == '.mcap':
        check_mcap(file, limits)
    else:
        check_sqlite(file)
    return keep.enter_context(Reader(file))


def _files(path: Path) -> tuple[list[Path], str]:
    """The storage files of the bag at ``path``, and how they are compressed."""
    if not path.exists():
        raise BagError('no such file or folder')
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise BagError(f'not a bag; expected a folder, {" or ".join(SUFFIXES)}')
        return [path], ''
    said = _metadata(path)
    mode = str(said.get('compression_mode') or '').lower().replace('none', '')
    names = said.get('relative_file_paths')
    if not isinstance(names, list) or not names:
        raise BagError('metadata.yaml lists no files')
    return [_inside(path, name) for name in names], mode


def _metadata(folder: Path) -> Mapping[str, Any]:
    file = folder / 'metadata.yaml'
    if not file.is_file():
        raise BagError('the folder has no metadata.yaml: not a bag, or its recorder was killed')
    said = read_yaml(file, BagError).get('rosbag2_bagfile_information')
    if not isinstance(said, Mapping):
        raise BagError('metadata.yaml has no rosbag2_bagfile_information')
    if (mode := str(said.get('compression_mode') or '').lower()) not in (
        '',
        'none',
        'file',
        'message',
    ):
        raise BagError(f'compression mode {mode!r}; we read file and message')
    if (kind := said.get('compression_format') or 'zstd') != 'zstd':
        raise BagError(f'compression {kind!r}; we read zstd')
    return said


def _inside(folder: Path, name: Any) -> Path:
    """The file ``name`` of the bag; early versions wrote the folder's name in front of it."""
    relative = Path(str(name))
    if relative.parts[:1] == (folder.name,):
        relative = relative.relative_to(folder.name)
    file = (folder / relative).resolve()
    if len(relative.parts) != 1 or not file.is_relative_to(folder.resolve()):
        raise BagError(f'metadata.yaml names {str(name)!r}, which is not a file of this folder')
    if not file.is_file():
        raise BagError(f'{name} is missing')
    return file


def _definition(connection: Any) -> str:
    """The message definition recorded in the bag, if it is in the format we parse."""
    recorded = connection.msgdef
    return str(recorded.data) if recorded.format.name == 'MSG' else ''


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn whatever reading a hostile or damaged file raises into one error that names it."""
    try:
        yield
    except BagError as error:
        said = str(error)
        raise BagError(said if str(path) in said else f'{path}: {said}') from error.__cause__
    except GeneratorExit:
        raise
    except Exception as error:
        raise BagError(
            f'{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated or'
            ' damaged: `ros2 bag reindex` or `mcap recover` may save it'
        ) from error
