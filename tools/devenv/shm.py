"""Removes what killed processes of Fast DDS left in shared memory.

A killed process leaves its segments behind; a few hundred of them fill the memory and messages
stop without a word. Beside each segment lies a lock file, held as long as its owner lives: one
we can lock has no owner.
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = Path('/dev/shm')  # noqa: S108 - where Fast DDS puts them
# `_el` is held alone, `_sl` is shared by the readers of a port.
LOCKS = ('_el', '_sl')


def sweep(folder: Path = FOLDER) -> int:
    """Remove the segments of this user that nobody holds; return how many there were."""
    removed = 0
    for suffix in LOCKS:
        for lock in folder.glob(f'fastrtps_*{suffix}'):
            # Held by its owner, or gone since it was listed: not ours to remove.
            with suppress(OSError):
                removed += _remove_if_dead(lock, lock.name.removesuffix(suffix))
    return removed


def _remove_if_dead(lock: Path, name: str) -> int:
    if lock.stat().st_uid != os.geteuid():
        return 0
    with lock.open('rb') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The lock goes last: what is interrupted here is found again.
        for path in (lock.parent / name, lock.parent / f'sem.{name}_mutex', lock):
            path.unlink(missing_ok=True)
    return 1


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    if count := sweep():
        log.info('removed %d dead shared-memory segments', count)
