"""Bags through the pipeline or the live graph, and what came of it."""
