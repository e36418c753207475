"""Measurements: ratios of two things done in turn, in one process run.

``python -m bench`` runs them all, ``python -m bench.<name>`` one of them.
"""
