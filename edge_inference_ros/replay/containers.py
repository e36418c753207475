"""How large a bag really is: measured with a limit before anything expands it.

The library that reads bags expands a compressed chunk in one go and compares sizes afterwards, so
a megabyte that says "a kilobyte" and holds thirty gigabytes would fill the memory. Here the file
is walked first, and what is compressed is expanded piece by piece and thrown away.
"""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edge_inference_ros.errors import BagError

_SQLITE = b'SQLite format 3\x00'
_MAGIC = b'\x89MCAP0\r\n'
_CHUNK, _FOOTER = 0x06, 0x02
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The most we are willing to expand.

    Attributes:
        message_bytes: one message, or one compressed chunk of them.
        total_bytes: the whole recording.
    """

    message_bytes: int = 256 << 20
    total_bytes: int = 64 << 30


def check_mcap(path: Path, limits: Limits) -> None:
    """Raise ``BagError`` unless every record of ``path`` ends in the file and fits the limits."""
    size = path.stat().st_size
    total = 0
    with path.open('rb') as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise BagError(f'{path.name} is not an mcap file')
        while True:
            start = stream.tell()
            head = stream.read(9)
            if len(head) < 9:
                raise BagError(f'{path.name} ends at byte {size} without a footer: truncated')
            code, length = struct.unpack('<BQ', head)
            if start + 9 + length > size:
                raise BagError(
                    f'{path.name}: the record at byte {start} claims {length} bytes of a file'
                    f' that has {size}: truncated or damaged'
                )
            if code == _FOOTER:
                return
            if code == _CHUNK:
                total += _chunk_bytes(stream, length, limits.message_bytes, path.name)
            if total > limits.total_bytes:
                raise BagError(f'{path.name} expands to more than {limits.total_bytes} bytes')
            stream.seek(start + 9 + length)


def check_sqlite(path: Path) -> None:
    """Raise ``BagError`` unless ``path`` is an SQLite file with all the pages it claims.

    Source: https://www.sqlite.org/fileformat.html, section 1.3.
    """
    with path.open('rb') as stream:
        head = stream.read(100)
    if len(head) < 100 or not head.startswith(_SQLITE):
        raise BagError(f'{path.name} is not an SQLite file')
    (page,) = struct.unpack_from('>H', head, 16)
    changed, pages, valid_for = (struct.unpack_from('>I', head, at)[0] for at in (24, 28, 92))
    claimed = pages * (65536 if page == 1 else page)
    if changed == valid_for and (size := path.stat().st_size) < claimed:
        raise BagError(f'{path.name} has {size} of its {claimed} bytes: truncated')


def _chunk_bytes(stream: BinaryIO, length: int, most: int, name: str) -> int:
    """The expanded size of the chunk that starts here, counted, not believed."""
    start = stream.tell()
    said, _, word = struct.unpack('<QII', stream.read(32)[16:])
    if said > most or word > 16 or length < 40 + word:
        raise BagError(f'{name}: the chunk at byte {start} claims {said} bytes; at most {most}')
    kind = stream.read(word).decode('ascii', 'replace')
    (packed,) = struct.unpack('<Q', stream.read(8))
    if packed > length - 40 - word:
        raise BagError(f'{name}: the chunk at byte {start} claims {packed} bytes of {length}')
    if not kind:
        return int(packed)
    return _expand(stream, packed, kind, said, lambda _piece: None)


def inflate(data: bytes, kind: str, most: int) -> bytes:
    """Expand ``data`` unless it becomes more than ``most`` bytes.

    Raises:
        BagError: it does, or ``data`` is damaged.
    """
    pieces: list[bytes] = []
    _expand(io.BytesIO(data), len(data), kind, most, pieces.append)
    return b''.join(pieces)


def inflate_file(path: Path, folder: Path, limits: Limits) -> Path:
    """Expand the zstd file ``path`` into ``folder``; return the new file."""
    target = folder / path.stem
    with path.open('rb') as packed, target.open('wb') as plain:
        _expand(packed, path.stat().st_size, 'zstd', limits.total_bytes, plain.write)
    return target


def _expand(
    stream: BinaryIO, packed: int, kind: str, most: int, use: Callable[[bytes], Any]
) -> int:
    """Hand the ``packed`` bytes of ``stream``, expanded, to ``use``; return their number."""
    expander = _expander(kind)
    left, total = packed, 0
    fresh = b''
    while True:
        if not fresh and expander.needs_input and not expander.eof:
            fresh = stream.read(min(_PIECE_BYTES, left))
            left -= len(fresh)
            if not fresh:
                raise BagError(f'a {kind} block ends before its data does')
        piece = _step(expander, fresh, kind)
        fresh = b''
        total += len(piece)
        if total > most:
            raise BagError(f'{packed} compressed bytes expand to more than the allowed {most}')
        use(piece)
        if expander.eof:
            fresh = expander.unused_data or b''
            if not fresh and not left:
                return total
            expander = _expander(kind)  # frames may follow one another


def _step(expander: Any, fresh: bytes, kind: str) -> bytes:
    try:
        return bytes(expander.decompress(fresh, _PIECE_BYTES))
    except Exception as error:  # each codec has errors of its own
        raise BagError(f'a {kind} block is damaged: {error}') from error


def _expander(kind: str) -> Any:
    if kind == 'zstd':
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return zstd.ZstdDecompressor()
    if kind == 'lz4':
        from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

        return LZ4FrameDecompressor()
    raise BagError(f'compression {kind!r}; we read zstd and lz4')
