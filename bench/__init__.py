"""Measurements, printed as ratios taken in one run: ``python -m bench.<name>``."""
