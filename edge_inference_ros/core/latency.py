"""Where the time went: laps that add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_inference_ros.core.types import MonoNs

STAGES = ('transport', 'wait', 'view', 'prepare', 'infer', 'decode', 'track', 'publish')
"""Every lap of a sample, in order; they add up to ``WHOLE``."""

WHOLE = 'sensor_to_output'

_SLEEPLESS = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)


def monotonic_ns() -> MonoNs:
    """Now, on the clock that only ever moves forward."""
    return MonoNs(time.monotonic_ns())


def sleepless_ns() -> MonoNs:
    """Now, on the clock that only ever moves forward, also while the computer sleeps.

    ``monotonic_ns`` stands still in suspend (clock_gettime(2)): what was held then would be no
    older afterwards. Where the system has no such clock it is the same as ``monotonic_ns``.
    """
    return MonoNs(time.clock_gettime_ns(_SLEEPLESS))


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one sample spent in each stage, in order.

    The laps leave no gaps: their sum is the total, so time cannot hide between stages.
    """

    laps_ns: tuple[tuple[str, int], ...]

    @property
    def total_ns(self) -> int:
        """From the first instant to the last."""
        return sum(lap_ns for _, lap_ns in self.laps_ns)


class Stopwatch:
    """Splits the time since ``start_ns`` into named laps."""

    __slots__ = ('_laps', '_last_ns', '_now')

    def __init__(self, start_ns: MonoNs, now: Callable[[], MonoNs] = monotonic_ns) -> None:
        self._last_ns = start_ns
        self._now = now
        self._laps: list[tuple[str, int]] = []

    def lap(self, stage: str) -> None:
        """Charge the time since the previous lap to ``stage``."""
        now_ns = self._now()
        self._laps.append((stage, now_ns - self._last_ns))
        self._last_ns = now_ns

    def read(self) -> Timing:
        """The laps so far."""
        return Timing(tuple(self._laps))
