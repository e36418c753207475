"""How hard the machine works: one file a source, each with ``open() -> Gauge | None``."""
