"""Sensor messages as views: one file a message type."""
