"""Load of the processor and of memory, from Linux's own counters in /proc.

Source: proc(5). A container sees the counters of its host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PROC = Path('/proc')
_IDLE = (3, 4)  # idle and iowait, in the order of /proc/stat


@dataclass
class Host:
    """The share of processor time spent since the last reading, and of memory in use."""

    proc: Path = PROC
    _before: tuple[int, int] = field(default=(0, 0), init=False)
    _share: float | None = field(default=None, init=False)

    def read(self) -> dict[str, float]:
        """``cpu`` and ``memory``, each 0 to 1; what cannot be read is not in it."""
        return {
            name: value
            for name, value in (('cpu', self._cpu()), ('memory', self._memory()))
            if value is not None
        }

    def _cpu(self) -> float | None:
        try:
            first = (self.proc / 'stat').read_text(encoding='ascii').splitlines()[0]
            ticks = [int(word) for word in first.split()[1:9]]
            idle, total = sum(ticks[place] for place in _IDLE), sum(ticks)
        except (OSError, ValueError, IndexError):
            return None
        idle_before, total_before = self._before
        self._before = idle, total
        if (passed := total - total_before) > 0:  # the counters move every 10 ms
            self._share = 1.0 - (idle - idle_before) / passed
        return self._share

    def _memory(self) -> float | None:
        try:
            lines = (self.proc / 'meminfo').read_text(encoding='ascii').splitlines()
            words = (line.split() for line in lines)
            kib = {name.rstrip(':'): int(size) for name, size, *_ in words}
            return 1.0 - kib['MemAvailable'] / kib['MemTotal']
        except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
            return None


def open() -> Host | None:  # noqa: A001 - what every gauge's file calls it
    """The gauge, or None where there is no /proc."""
    return Host() if (PROC / 'stat').exists() else None
