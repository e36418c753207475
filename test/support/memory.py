"""A control group of our own with a limit on memory; needs root and a writable hierarchy."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

ROOT = Path('/sys/fs/cgroup')
KINDS = (
    (ROOT / 'memory', ('memory.limit_in_bytes', 'memory.memsw.limit_in_bytes')),  # version 1
    (ROOT, ('memory.max', 'memory.swap.max')),  # version 2
)


class MemoryGroup:
    """Processes that together may have only so much: beyond it the kernel kills one of them."""

    def __init__(self, folder, files):
        self.folder = folder
        self._limit, self._swap = files

    def confine(self, pid, most_bytes):
        """Move a process in; from now on it may have ``most_bytes``, none of it swapped out."""
        (self.folder / 'cgroup.procs').write_text(str(pid))
        (self.folder / self._limit).write_text(str(most_bytes))
        with contextlib.suppress(OSError):  # a kernel without swap accounting has no such file
            swapped = '0' if self._swap == 'memory.swap.max' else str(most_bytes)
            (self.folder / self._swap).write_text(swapped)


@pytest.fixture
def memory_group():
    """Ask for it before ``ros``, so that the processes end first."""
    for root, files in KINDS:
        folder = root / f'edge_inference_{os.getpid()}'
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / files[0]).exists():
                yield MemoryGroup(folder, files)
                return
        finally:
            folder.rmdir()
    pytest.skip('no memory control group can be made here')
