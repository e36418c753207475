"""An mcap file, read by its index; without one, as far as it goes.

A recorder that was killed leaves no index and no footer. What it flushed before is whole, is
found by walking the file from its start, and is read; what comes after is counted as lost. The
library that parses the records (``mcap``) expands a chunk in one go and believes the sizes it
states, so expanding is done here, piece by piece and up to a limit.

Source: https://mcap.dev/spec
"""

from __future__ import annotations

import heapq
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk, ChunkIndex, Footer, Schema, Statistics
from mcap.stream_reader import StreamReader

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay.containers import SizeLimits, inflate
from edge_inference_ros.replay.storage.channel import Channel

MAGIC = b'\x89MCAP0\r\n'
_HEAD = struct.Struct('<BQ')
_MESSAGE = struct.Struct('<HIQQ')
_RUN_BYTES = 1 << 20
_FOOTER_BYTES = _HEAD.size + 20 + len(MAGIC)


class _Span(NamedTuple):
    """Where messages of this time lie: in a chunk, or in a run of records without one."""

    first_ns: int
    offset: int
    end: int
    last_ns: int
    keys: frozenset[int]


class _Cut(Exception):
    """The file ends, or makes no sense, from here on."""


class Mcap:
    """One open mcap file.

    Raises:
        BagError: not an mcap file, empty, damaged, or larger than the limits when expanded.
    """

    def __init__(self, path: Path, limits: SizeLimits) -> None:
        self.lost = ''
        self._name = path.name
        self._size = path.stat().st_size
        self._limits = limits
        self._schemas: dict[int, Schema] = {}
        self._known: dict[int, ChannelRecord] = {}
        self._counts: Counter[int] = Counter()
        self._spans: list[_Span] = []
        self._expanded = 0
        self._run: _Span | None = None
        self._stream = path.open('rb')
        try:
            self._index()
        except BaseException:
            self._stream.close()
            raise
        self.channels = tuple(self._channel(key) for key in sorted(self._known))

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """When the first and the last message were received; ``None`` without messages."""
        if not self._spans:
            return None
        return min(s.first_ns for s in self._spans), max(s.last_ns for s in self._spans)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def last_ns(self, keys: Collection[int]) -> int:
        """When the last message of these channels was received; 0 without any.

        Raises:
            BagError: damaged.
        """
        wanted, last = frozenset(keys), 0
        for span in sorted(self._spans, key=lambda span: span.last_ns, reverse=True):
            if span.last_ns <= last:
                break
            if span.keys <= wanted:
                last = span.last_ns
            elif span.keys & wanted:  # what ends it may be another channel's
                last = max([last, *(time_ns for _, time_ns, _ in self._at(span, wanted))])
        return last

    def messages(self, keys: Collection[int]) -> Iterator[tuple[int, int, bytes]]:
        """Key of the channel, time of reception, and bytes of each message, in order of time.

        Raises:
            BagError: damaged, or so out of order that it cannot be sorted within the limits.
        """
        wanted = frozenset(keys)
        ahead = sorted((s for s in self._spans if s.keys & wanted), reverse=True)
        held: list[tuple[int, int, int, bytes]] = []
        held_bytes = serial = 0
        while ahead or held:
            while ahead and (not held or ahead[-1].first_ns <= held[0][0]):
                for key, time_ns, data in self._at(ahead.pop(), wanted):
                    heapq.heappush(held, (time_ns, serial, key, data))
                    serial += 1
                    held_bytes += len(data)
                if held_bytes > 2 * self._limits.message_bytes:
                    raise BagError(
                        f'{self._name}: its chunks overlap in time so much that putting their'
                        f' messages in order takes more than {held_bytes} bytes: rewrite it with'
                        ' `mcap sort`'
                    )
            if held:
                time_ns, _, key, data = heapq.heappop(held)
                held_bytes -= len(data)
                yield key, time_ns, data

    def _index(self) -> None:
        if not self._size:
            raise BagError(f'{self._name} is empty: its recorder wrote nothing, or was killed')
        if self._stream.read(len(MAGIC)) != MAGIC:
            raise BagError(f'{self._name} is not an mcap file')
        footer = self._footer()
        if footer is None:
            self._recover()
        elif not self._summary(footer):
            self._forget()
            self._walk(len(MAGIC), whole=True)

    def _forget(self) -> None:
        self._schemas.clear()
        self._known.clear()
        self._counts.clear()
        self._spans.clear()
        self._run = None

    def _footer(self) -> Footer | None:
        """The last record; ``None`` if the file was cut short."""
        if self._size < len(MAGIC) + _FOOTER_BYTES:
            return None
        self._stream.seek(-_FOOTER_BYTES, 2)
        end = self._stream.read()
        if not end.endswith(MAGIC) or _HEAD.unpack_from(end) != (Opcode.FOOTER, 20):
            return None
        footer: Footer = Footer.read(_parser(end[_HEAD.size :]))
        return footer

    def _summary(self, footer: Footer) -> bool:
        """Take over the index; whether it is there and says all we need."""
        start, end = footer.summary_start, self._size
        if not start:
            return False
        if not len(MAGIC) <= start < end or end - start > self._limits.message_bytes:
            raise BagError(f'{self._name}: its footer says that the index begins at byte {start}')
        self._stream.seek(start)
        reader = StreamReader(
            BytesIO(self._stream.read()), skip_magic=True, record_size_limit=end - start
        )
        chunks: list[ChunkIndex] = []
        statistics: Statistics | None = None
        for record in reader.records:
            if isinstance(record, (Schema, ChannelRecord)):
                self._learn(record)
            elif isinstance(record, ChunkIndex):
                chunks.append(record)
            elif isinstance(record, Statistics):
                statistics = record
        return statistics is not None and self._believe(statistics, chunks)

    def _believe(self, statistics: Statistics, chunks: list[ChunkIndex]) -> bool:
        """Whether the index leaves nothing out; if so, use it."""
        if len(chunks) != statistics.chunk_count or (statistics.message_count and not chunks):
            return False
        counts = {key: n for key, n in statistics.channel_message_counts.items() if n}
        schemas = {channel.schema_id for channel in self._known.values()} - {0}
        if not counts.keys() <= self._known.keys() or not schemas <= self._schemas.keys():
            return False
        if sum(chunk.uncompressed_size for chunk in chunks) > self._limits.total_bytes:
            raise BagError(f'{self._name} expands to more than {self._limits.total_bytes} bytes')
        self._counts.update(counts)
        every = frozenset(self._known)
        for chunk in chunks:
            keys = frozenset(chunk.message_index_offsets)
            if keys or not chunk.message_index_length:
                first_ns, offset = chunk.message_start_time, chunk.chunk_start_offset
                end, last_ns = offset + chunk.chunk_length, chunk.message_end_time
                self._spans.append(_Span(first_ns, offset, end, last_ns, keys or every))
        return True

    def _recover(self) -> None:
        """Take what was written before the file was cut."""
        end = self._walk(len(MAGIC), whole=False)
        count = sum(self._counts.values())
        left = self._size - end
        self.lost = (
            f'{self._name} has no end: its recorder was killed, or the copy is incomplete.'
            f' {count} messages can be read'
            + (f'; the {left} bytes after them, from byte {end} on, are lost.' if left else '.')
        )

    def _walk(self, offset: int, *, whole: bool) -> int:
        """Find everything from ``offset`` on; return where the last good record ends.

        Raises:
            BagError: the file makes no sense somewhere, and is ``whole`` or hostile.
        """
        while True:
            try:
                end = self._record(offset)
            except _Cut as error:
                if whole:
                    raise BagError(f'{self._name}: {error}') from error.__cause__
                return offset
            if end is None:
                return offset
            offset = end

    def _record(self, offset: int) -> int | None:
        """Take in the record at ``offset``; where it ends, ``None`` after the last with data."""
        self._stream.seek(offset)
        head = self._stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise _Cut(f'ends at byte {self._size} without a footer: truncated')
        code, length = _HEAD.unpack(head)
        end: int = offset + _HEAD.size + length
        if not code or end > self._size:
            raise _Cut(
                f'the record at byte {offset} claims {length} bytes of a file that has'
                f' {self._size}: truncated or damaged'
            )
        if code in (Opcode.DATA_END, Opcode.FOOTER):
            return None
        take = self._takers().get(code)
        if take is not None:
            self._check_length(length, offset)
            try:
                take(offset, self._stream.read(length))
            except BagError as error:
                raise error if isinstance(error, _TooLarge) else _Cut(str(error)) from error
            except Exception as error:  # the parser of damaged bytes raises what it stumbles over
                raise _Cut(f'the record at byte {offset} is damaged: {error}') from error
        return end

    def _check_length(self, length: int, offset: int) -> None:
        if length > self._limits.message_bytes + _RUN_BYTES:
            raise _TooLarge(
                f'{self._name}: the record at byte {offset} has {length} bytes; at most'
                f' {self._limits.message_bytes}'
            )

    def _takers(self) -> dict[int, Callable[[int, bytes], None]]:
        return {
            Opcode.SCHEMA: lambda _, content: self._learn(Schema.read(_parser(content))),
            Opcode.CHANNEL: lambda _, content: self._learn(ChannelRecord.read(_parser(content))),
            Opcode.MESSAGE: self._take_message,
            Opcode.CHUNK: self._take_chunk,
        }

    def _take_message(self, offset: int, content: bytes) -> None:
        key, _, time_ns, _ = _MESSAGE.unpack_from(content)
        self._count(key)
        end = offset + _HEAD.size + len(content)
        fresh = _Span(time_ns, offset, end, time_ns, frozenset((key,)))
        run = self._run
        if run is not None and end - run.offset <= _RUN_BYTES:
            first_ns, last_ns = min(run.first_ns, time_ns), max(run.last_ns, time_ns)
            fresh = _Span(first_ns, run.offset, end, last_ns, run.keys | fresh.keys)
            self._spans.pop()
        self._spans.append(fresh)
        self._run = fresh

    def _take_chunk(self, offset: int, content: bytes) -> None:
        chunk = Chunk.read(_parser(content))
        plain = self._expand(chunk, offset)
        self._expanded += len(plain)
        if self._expanded > self._limits.total_bytes:
            raise _TooLarge(f'{self._name} expands to more than {self._limits.total_bytes} bytes')
        counts: Counter[int] = Counter()
        times = []
        for code, part in _records(plain):
            if code == Opcode.MESSAGE:
                key, _, time_ns, _ = _MESSAGE.unpack_from(part)
                counts[key] += 1
                times.append(time_ns)
            elif code in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._takers()[code](offset, bytes(part))
        for key, count in counts.items():
            self._count(key, count)
        self._run = None
        if times:
            end = offset + _HEAD.size + len(content)
            self._spans.append(_Span(min(times), offset, end, max(times), frozenset(counts)))

    def _count(self, key: int, count: int = 1) -> None:
        if key not in self._known:
            raise BagError(f'a message of a channel {key} that nothing describes')
        self._counts[key] += count

    def _learn(self, record: Schema | ChannelRecord) -> None:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        else:
            self._known[record.id] = record

    def _at(self, span: _Span, wanted: frozenset[int]) -> Iterator[tuple[int, int, bytes]]:
        if not span.offset < span.end <= self._size:
            raise BagError(f'{self._name}: the index names bytes {span.offset} to {span.end}')
        self._check_length(span.end - span.offset, span.offset)
        self._stream.seek(span.offset)
        for code, part in self._flat(self._stream.read(span.end - span.offset), span.offset):
            if code == Opcode.MESSAGE:
                key, _, time_ns, _ = _MESSAGE.unpack_from(part)
                if key in wanted:
                    yield key, time_ns, bytes(part[_MESSAGE.size :])

    def _flat(self, content: bytes, offset: int) -> Iterator[tuple[int, memoryview]]:
        """Code and content of each record, chunks taken apart."""
        for code, part in _records(content):
            if code == Opcode.CHUNK:
                yield from _records(self._expand(Chunk.read(_parser(bytes(part))), offset))
            else:
                yield code, part

    def _expand(self, chunk: Chunk, offset: int) -> bytes:
        """What a chunk holds: counted, not believed, and as its checksum says."""
        size_bytes, most = chunk.uncompressed_size, self._limits.message_bytes
        if size_bytes > most:
            raise _TooLarge(
                f'{self._name}: the chunk at byte {offset} claims {size_bytes} bytes;'
                f' at most {most}'
            )
        plain = (
            inflate(chunk.data, chunk.compression, size_bytes) if chunk.compression else chunk.data
        )
        checksum = chunk.uncompressed_crc
        if len(plain) != size_bytes or (checksum and zlib.crc32(plain) != checksum):
            raise BagError(f'{self._name}: the chunk at byte {offset} is damaged')
        return plain

    def _channel(self, key: int) -> Channel:
        channel = self._known[key]
        schema = self._schemas.get(channel.schema_id) or Schema(0, b'', '', '')
        return Channel(
            key=key,
            topic=channel.topic,
            msgtype=schema.name,
            encoding=channel.message_encoding,
            definition=schema.data.decode(errors='replace'),
            language=schema.encoding,
            type_hash=channel.metadata.get('topic_type_hash', ''),
            qos=channel.metadata.get('offered_qos_profiles', ''),
            count=self._counts[key],
        )


class _TooLarge(BagError):
    """More than we are willing to expand: not a matter of where the file was cut."""


def _records(content: bytes) -> Iterator[tuple[int, memoryview]]:
    """Code and content of the records that ``content`` consists of."""
    plain = memoryview(content)
    at = 0
    while at < len(plain):
        code, length = _HEAD.unpack_from(plain, at)
        start, at = at + _HEAD.size, at + _HEAD.size + length
        if at > len(plain):
            raise BagError(f'a record claims {length} bytes; {len(plain) - start} are there')
        yield code, plain[start:at]


def _parser(content: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(content))
