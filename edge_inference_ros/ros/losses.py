"""What samples were lost to: counted by reason, and told once for each place it comes from."""

from __future__ import annotations

import threading
import traceback

MOST_PLACES = 1000


class Losses:
    """An account of errors, each of which cost one sample. Safe to use from several threads.

    Attributes:
        counts: how many were lost to each type of error, by its name.
        newest: the last one; None before any.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.newest: Exception | None = None
        self._places: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()

    def add(self, error: Exception) -> bool:
        """Count it; answer whether nothing of its type came from that line of code before."""
        name, place = type(error).__name__, _place(error)
        with self._lock:
            self.newest = error
            self.counts[name] = self.counts.get(name, 0) + 1
            if place in self._places or len(self._places) >= MOST_PLACES:
                return False
            self._places.add(place)
            return True

    def values(self) -> dict[str, str]:
        """The counts as diagnostics carry them: ``lost_BadImage`` and the like."""
        with self._lock:
            return {f'lost_{name}': str(count) for name, count in sorted(self.counts.items())}


def _place(error: Exception) -> tuple[str, str, int]:
    frames = traceback.extract_tb(error.__traceback__)
    file, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else ('', 0)
    return type(error).__name__, file, line
