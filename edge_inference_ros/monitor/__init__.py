"""Screens: what a running graph says about itself, for a person."""
