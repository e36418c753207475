"""Expands what is compressed, piece by piece and up to a limit.

Libraries expand a compressed block in one go and compare sizes afterwards, so a megabyte that
says "a kilobyte" and holds thirty gigabytes would fill the memory.
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
ZSTD = b'\x28\xb5\x2f\xfd'
"""How every zstd frame begins; no serialised message does."""

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """The most we are willing to expand.

    Attributes:
        message_bytes: one message, or one compressed chunk of them.
        total_bytes: the whole recording.
    """

    message_bytes: int = 256 << 20
    total_bytes: int = 64 << 30


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


def inflate(data: bytes, kind: str, most: int) -> bytes:
    """Expand ``data`` unless it becomes more than ``most`` bytes.

    Raises:
        BagError: it does, or ``data`` is damaged.
    """
    pieces: list[bytes] = []
    _expand(io.BytesIO(data), len(data), kind, most, pieces.append)
    return b''.join(pieces)


def inflate_file(path: Path, folder: Path, limits: SizeLimits) -> Path:
    """Expand the zstd file ``path`` into ``folder``; return the new file."""
    target = folder / path.name.removesuffix('.zstd')
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
