"""Puts ``edge_inference`` into the environment, as the command of this checkout."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = 'edge_inference'

_SCRIPT = """#!/bin/sh
# The command of the checkout below; tools.devenv writes it.
PYTHONPATH={checkout}${{PYTHONPATH:+:$PYTHONPATH}} exec {python} -m edge_inference_ros.cli "$@"
"""


def install(venv: Path, checkout: Path) -> None:
    """Write the script, whole or not at all; what it starts finds the checkout too."""
    script = venv / 'bin' / NAME
    fresh = script.with_suffix('.new')
    words = {'checkout': checkout, 'python': venv / 'bin' / 'python'}
    fresh.write_text(_SCRIPT.format(**{key: shlex.quote(str(at)) for key, at in words.items()}))
    fresh.chmod(0o755)
    fresh.replace(script)
