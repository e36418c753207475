"""What a process holds, read from /proc, and whether it holds more and more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

SETTLED_S = 180.0
"""By then everything that is allocated once has been: pools, arenas, caches, threads."""

_WINDOW_S = 60.0
_FIELDS = ('rss_kib', 'threads', 'files')


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a process held at one moment.

    Attributes:
        at_s: since the beginning.
        rss_kib: resident memory.
        files: open file descriptors.
    """

    at_s: float
    rss_kib: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Means over a minute: the first after everything had settled, and the last of all."""

    what: str
    settled: float
    end: float

    @property
    def part(self) -> float:
        """How much more there is in the end; 0.01 is one per cent."""
        return self.end / self.settled - 1.0


def read(process: int, at_s: float, proc: Path = Path('/proc')) -> Vitals:
    """Look at a living process."""
    folder = proc / str(process)
    said = dict(
        line.split(':', 1) for line in (folder / 'status').read_text().splitlines() if ':' in line
    )
    files = len(list((folder / 'fd').iterdir()))
    return Vitals(at_s, int(said['VmRSS'].split()[0]), int(said['Threads']), files)


def growth(seen: Sequence[Vitals], *, settled_s: float = SETTLED_S) -> list[Growth]:
    """Compare the minute from ``settled_s`` on with the last one.

    Raises:
        ValueError: it was not watched for long enough.
    """
    last_s = seen[-1].at_s if seen else 0.0
    if last_s < settled_s:
        raise ValueError(f'watched for {last_s:.0f} s; need more than {settled_s:.0f}')
    window_s = min(_WINDOW_S, (last_s - settled_s) / 2)
    first = [v for v in seen if settled_s <= v.at_s <= settled_s + window_s]
    last = [v for v in seen if v.at_s >= last_s - window_s]
    return [
        Growth(name, fmean(getattr(v, name) for v in first), fmean(getattr(v, name) for v in last))
        for name in _FIELDS
    ]
