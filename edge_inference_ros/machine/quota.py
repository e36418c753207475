"""How many cores a container grants this process, by its control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path

_ROOT = Path('/sys/fs/cgroup')


def quota(root: Path = _ROOT, own: Path = Path('/proc/self/cgroup')) -> float | None:
    """Cores that the control groups around this process grant it; None without a limit.

    See the kernel's cgroup-v2.rst (``cpu.max``) and sched-bwc.rst. The least of all levels counts.
    """
    shares = [share for folder in _folders(root, own) if (share := _share(folder)) is not None]
    return min(shares, default=None)


def cores() -> int:
    """Whole cores this process may keep busy: of those it may run on, as many as are granted.

    Libraries that count the host's start a thread for each, which then wait for one another while
    the kernel stops them all.
    """
    return whole(len(os.sched_getaffinity(0)), quota())


def whole(cores: int, share: float | None) -> int:
    """Cores that ``share`` of ``cores`` cores fills, at least one; all of them without a limit."""
    return cores if share is None else max(1, min(cores, math.floor(share)))


def _folders(root: Path, own: Path) -> list[Path]:
    """Our groups and those around them; in a container the root of the mount is ours."""
    folders = [root, root / 'cpu', root / 'cpu,cpuacct']
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        base = root / controllers if controllers else root
        group = base / path.lstrip('/')
        folders += [group, *(outer for outer in group.parents if outer.is_relative_to(base))]
    return folders


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
