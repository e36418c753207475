"""Offline steps that make a model smaller, faster and proven: one file a step."""
