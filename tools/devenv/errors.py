"""What can go wrong while the environment is made, in words that say what to do."""

from __future__ import annotations


class DevenvError(Exception):
    """Says what is missing for the environment, and the command that brings it."""
