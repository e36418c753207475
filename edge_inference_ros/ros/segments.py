"""Shared memory that killed processes left behind.

Fast DDS reserves a segment in ``/dev/shm`` for every participant, at its full size, and a process
that is killed cannot give it back. Enough of them fill the memory, and from then on messages stop
without a word. A living segment has a lock file beside it that its owner holds; a dead one's can
be locked, which is also how ``fastdds shm clean`` tells them apart.

A segment's name is used once. A port's name is a number that the next process uses again, and the
middleware itself renews the port of a dead one: its few kilobytes are left alone. If we removed
the port that a process has just taken over, no message would ever reach that process.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path('/dev/shm')  # noqa: S108 - where the middleware puts them, not our choice
_LOCK = re.compile(r'(fastrtps|fastdds)_[0-9a-z]{16}_(el|sl)')


def dead(  # noqa: D417
    folder: Path = SHARED_MEMORY, *, older_than_s: float = 5.0
) -> Iterator[tuple[Path, ...]]:
    """The files of each segment whose owner is gone: the memory, then its lock file.

    Args:
        older_than_s: leaves alone what was made just now: a lock file exists a moment before its
            owner locks it.
    """
    newest = time.time() - older_than_s
    for lock in folder.glob('fast*_[es]l'):
        if _LOCK.fullmatch(lock.name) and _made_at_s(lock) <= newest and not _held(lock):
            name = lock.name[:-3]
            yield folder / name, lock


def sweep(folder: Path = SHARED_MEMORY, *, older_than_s: float = 5.0) -> int:
    """Remove what the dead left and say how many bytes of memory that gave back."""
    freed_bytes = 0
    for files in list(dead(folder, older_than_s=older_than_s)):
        for file in files:
            try:
                size_bytes = file.stat().st_size
                file.unlink()
            except OSError:  # another process sweeps too, or the file is another user's
                continue
            freed_bytes += size_bytes
    return freed_bytes


def _made_at_s(lock: Path) -> float:
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return float('inf')


def _held(lock: Path) -> bool:
    try:
        # Anybody may put a pipe there, whose opening would wait for ever, or a link.
        file = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
