"""How many threads one frame is worth here, and why: what a runtime takes unless it is told.

The host's cores are not ours: a container may have a share of them (docker --cpus, the limit of a
pod), which the kernel enforces by stopping all threads for the rest of every tenth of a second.
More threads than the share has cores spend it sooner and wait longer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from edge_inference_ros.machine.quota import quota, whole

MOST_THREADS = 4


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
    count = max(1, min(whole(cores, share) - 1, MOST_THREADS))
    if share is not None and share < cores:
        why = f'this container has {share:g} of {cores} cores (cgroup quota)'
    else:
        why = f'this process may use {cores} cores'
    return Threads(count, f'{why}, one is left to the executor, and more than 4 gain nothing')
