"""Breaks things on purpose, and reports what came of it."""
