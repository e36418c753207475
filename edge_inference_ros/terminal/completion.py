"""Completes the words of a command line, for bash, zsh and fish, by argcomplete."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

SHELLS = ('bash', 'zsh', 'fish')
ASKED = '_ARGCOMPLETE'
"""In the environment when a shell asks for words instead of running the command."""


def script(program: str, shell: str) -> str:
    """What the shell is to evaluate so that it asks ``program`` for words.

    Raises:
        ImportError: argcomplete is not installed.
    """
    from argcomplete.shell_integration import shellcode

    return str(shellcode([program], shell=shell))


def answer(parser_of: Callable[[Sequence[str]], argparse.ArgumentParser]) -> None:
    """Tell the shell that asks which words may come next, and end the process.

    Args:
        parser_of: makes a parser that knows what may follow these words.
    """
    import argcomplete
    from argcomplete.lexers import split_line

    line = os.environ.get('COMP_LINE', '')
    point = int(os.environ.get('COMP_POINT', len(line)))
    _, _, _, words, _ = split_line(line, point)
    argcomplete.autocomplete(parser_of(words[1:]), always_complete_options='long')
