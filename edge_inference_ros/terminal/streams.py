"""Output that ends well: on a terminal that lacks a sign, and where nobody reads on."""

from __future__ import annotations

import codecs
import io
import os
import sys

_HANDLER = 'edge_inference_plain'
PIPE_CLOSED = 141
"""Exit status of a process that a closed pipe ends: 128 and SIGPIPE."""


_PLAIN = str.maketrans(
    dict(zip('─━·░█•▏▎▍▌▋▊▉', '--..#*#######', strict=True))
    | {'→': '->', '←': '<-', '…': '...', '°': ' deg', '≤': '<=', '≥': '>='}
)


def forgive_signs() -> None:
    """Show something plain for a sign that the terminal's encoding lacks."""
    codecs.register_error(_HANDLER, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = lacking.translate(_PLAIN)
    return plain.encode('ascii', 'replace').decode(), error.end


def closed() -> int:
    """Whoever read has read enough: write no more. Returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
