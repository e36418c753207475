"""Remembers which steps are done, by a digest of everything each of them depends on."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

log = logging.getLogger(__name__)


def digest(files: Iterable[Path], *facts: str) -> str:
    """Digest of facts, file names and file contents; equal only when all of them are.

    Each part is preceded by its length, so that moving text from one file to the next
    changes the digest.
    """
    total = hashlib.sha256()
    named = [part for path in sorted(files) for part in (path.name.encode(), path.read_bytes())]
    for part in [*(fact.encode() for fact in facts), *named]:
        total.update(f'{len(part)}:'.encode())
        total.update(part)
    return total.hexdigest()


class Stamps:
    """The steps done so far, in one file that is replaced whole after each of them.

    A run that is interrupted therefore resumes at the step it was in, and a step whose
    inputs changed is done again. Steps may be done by several threads at once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._done: dict[str, str] = {}
        self._lock = threading.Lock()
        with suppress(FileNotFoundError, ValueError):
            known = json.loads(file.read_text())
            self._done = known if isinstance(known, dict) else {}

    def holds(self, step: str, inputs: str) -> bool:
        """Whether the step was done with exactly these inputs."""
        return self._done.get(step) == inputs

    def once(self, step: str, inputs: str, work: Callable[[], None]) -> bool:
        """Do the work unless it was done with these inputs; say whether it was done now.

        The old stamp is taken back before the work starts: half of a new step is not an
        old step.
        """
        if self.holds(step, inputs):
            return False
        self._put(step, None)
        work()
        self._put(step, inputs)
        return True

    def _put(self, step: str, inputs: str | None) -> None:
        with self._lock:
            known = self._done.pop(step, None)
            if inputs is not None:
                self._done[step] = inputs
            if inputs != known:
                self._save()

    def _save(self) -> None:
        fresh = self._file.with_suffix('.new')
        fresh.write_text(json.dumps(self._done, indent=2) + '\n')
        fresh.replace(self._file)
