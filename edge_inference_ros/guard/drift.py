"""Whether a sensor's clock runs away from ours, seen before it does harm.

The age of a message is its true age plus the difference of the two clocks. The true age has a
floor, the best case of transport and inference, which stays where it is; so a floor that climbs or
sinks steadily is a clock that runs slow or fast. At 100 ppm it takes 100 s to be off by 10 ms.
"""

from __future__ import annotations

from itertools import pairwise

WINDOW_NS = 10_000_000_000
_STEPS = 5
_NOTABLE_NS = 3_000_000


class Drift:
    """Watches the least age of each ten seconds.

    Six floors in a row that each move the same way, by 3 ms or more together, and none by more
    than half of that, are a drift. One big step is a change of load and no drift.

    Attributes:
        ppm: how fast the stamps fall behind our clock, parts per million; negative when they
            run ahead; None while nothing is wrong.
    """

    __slots__ = ('_floors', '_least_ns', '_until_ns', 'ppm')

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start again: time has jumped."""
        self.ppm: float | None = None
        self._floors: list[int] = []
        self._least_ns: int | None = None
        self._until_ns: int | None = None

    def observe(self, age_ns: int, mono_ns: int) -> None:
        """Take the age of a message that arrived at steady time ``mono_ns``."""
        if self._until_ns is None:
            self._until_ns = mono_ns + WINDOW_NS
        if mono_ns >= self._until_ns:
            self._close(mono_ns)
        least_ns = self._least_ns
        self._least_ns = age_ns if least_ns is None or age_ns < least_ns else least_ns

    def _close(self, mono_ns: int) -> None:
        """End a window; a silence of more than one makes the floors before it useless."""
        if self._until_ns is None or mono_ns >= self._until_ns + WINDOW_NS:
            self.forget()
            self._until_ns = mono_ns + WINDOW_NS
            return
        if self._least_ns is not None:
            self._floors = [*self._floors[-_STEPS:], self._least_ns]
        self._until_ns += WINDOW_NS
        self._least_ns = None
        self.ppm = _slope_ppm(self._floors)


def _slope_ppm(floors: list[int]) -> float | None:
    steps = [after - before for before, after in pairwise(floors)]
    whole = sum(steps)
    one_way = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    even = all(2 * abs(step) <= abs(whole) for step in steps)
    if len(steps) < _STEPS or not one_way or not even or abs(whole) < _NOTABLE_NS:
        return None
    return whole / (len(steps) * WINDOW_NS) * 1e6
