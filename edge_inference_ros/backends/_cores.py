"""How many threads one frame is worth here, and why: what a runtime takes unless it is told.

The host's cores are not ours: a container may have a share of them (docker --cpus, the limit of a
pod), which the kernel enforces by stopping all threads for the rest of every tenth of a second.
More threads than the share has cores spend it sooner and wait longer.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

MOST_THREADS = 4

_ROOT = Path('/sys/fs/cgroup')


@dataclass(frozen=True, slots=True)
class Threads:
    """How many, and the sentence for the log."""

    count: int
    why: str

    def __str__(self) -> str:
        return f'{self.count} thread{"s" * (self.count > 1)}: {self.why}'


def threads(asked: int = 0) -> Threads:
    """Every core we may use but one, at least one and at most ``MOST_THREADS``; or as asked."""
    if asked:
        return Threads(asked, 'as asked')
    cores, share = len(os.sched_getaffinity(0)), quota()
    whole = cores if share is None else max(1, min(cores, math.floor(share)))
    count = max(1, min(whole - 1, MOST_THREADS))
    if share is not None and share < cores:
        why = f'this container has {share:g} of {cores} cores (cgroup quota)'
    else:
        why = f'this process may use {cores} cores'
    return Threads(count, f'{why}, one is left to the executor, and more than 4 gain nothing')


def quota(root: Path = _ROOT, own: Path = Path('/proc/self/cgroup')) -> float | None:
    """Cores that the control groups around this process grant it; None without a limit.

    See the kernel's cgroup-v2.rst (``cpu.max``) and sched-bwc.rst. The least of all levels counts.
    """
    shares = [share for folder in _folders(root, own) if (share := _share(folder)) is not None]
    return min(shares, default=None)


def _folders(root: Path, own: Path) -> list[Path]:
    """Our groups and those around them; in a container the root of the mount is ours."""
    found = [root, root / 'cpu', root / 'cpu,cpuacct']
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        base = root / controllers if controllers else root
        group = base / path.lstrip('/')
        found += [group, *(outer for outer in group.parents if outer.is_relative_to(base))]
    return found


def _share(folder: Path) -> float | None:
    try:
        if (folder / 'cpu.max').is_file():
            quota_us, period_us = (folder / 'cpu.max').read_text().split()
        else:
            quota_us = (folder / 'cpu.cfs_quota_us').read_text().strip()
            period_us = (folder / 'cpu.cfs_period_us').read_text().strip()
        if quota_us in ('max', '-1'):
            return None
        return int(quota_us) / int(period_us)
    except (OSError, ValueError, ZeroDivisionError):
        return None
