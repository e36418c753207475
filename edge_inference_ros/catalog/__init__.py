"""The models that are here, and how one comes in."""
