"""One thing that was checked: how it stands, what to do, and how to see that it is cured."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from edge_inference_ros.core.types import Level


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: its name; a check may find several things.
        level: OK, WARN (perception may be late) or ERROR (perception is late, deaf or blind).
        text: what is so, with the figure that shows it.
        remedy: what to do; empty when there is nothing to do.
        see: a command that shows the cure.
    """

    check: str
    level: Level
    text: str
    remedy: str = ''
    see: str = ''


class Ran(NamedTuple):
    """How a command ended; ``status`` is None when there is no such command, or it hung."""

    status: int | None
    text: str


def run_command(command: Sequence[str], limit_s: float = 30.0) -> Ran:
    """Run a command without a shell; everything it prints, at most a few kilobytes."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of ours, given as lists
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Ran(None, '')
    return Ran(done.returncode, done.stdout[-4096:].decode(errors='replace').strip())


@dataclass(frozen=True)
class Machine:
    """Where a check looks; a test gives another.

    Attributes:
        root: in front of /proc, /sys and /dev.
        environ: environment variables.
        run: runs a command.
    """

    root: Path = Path('/')
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    run: Callable[[Sequence[str]], Ran] = run_command

    def read(self, path: str) -> str:
        """The text of a file below ``root``; empty when it cannot be read."""
        try:
            return (self.root / path.lstrip('/')).read_text(encoding='utf-8').strip()
        except (OSError, UnicodeDecodeError):
            return ''

    def glob(self, pattern: str) -> list[Path]:
        """Files below ``root``, sorted."""
        return sorted(self.root.glob(pattern.lstrip('/')))


Check: TypeAlias = Callable[[Machine], Iterator[Finding]]
