"""Measurements: ratios of two things done in turn, in one process run."""
