"""Runtimes that execute a network: one file a runtime."""
