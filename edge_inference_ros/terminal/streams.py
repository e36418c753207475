"""Output that ends well: on a terminal that lacks a sign, and where nobody reads on."""

from __future__ import annotations

import io
import os
import sys

PIPE_CLOSED = 141
"""Exit status of a process that a closed pipe ends: 128 and SIGPIPE."""


def forgive_signs() -> None:
    """Show a question mark for a sign that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='replace')


def closed() -> int:
    """Whoever read has read enough: write no more. Returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
