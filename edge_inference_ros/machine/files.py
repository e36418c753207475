"""Files that are whole or not there: a full disk leaves no half of one, and its path is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edge_inference_ros.errors import ConfigError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place when all went well, and vanishes if not.

    Folders that are missing are made. What was at ``path`` before stays until then.

    Yields:
        Where to write. Its suffix is ``.part``.

    Raises:
        ConfigError: it cannot be written; names ``path``.
    """
    part = path.with_name(f'.{path.name}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise ConfigError(f'{path} cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all; raises as ``whole``."""
    with whole(path) as part:
        part.write_text(text, encoding='utf-8')


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data``, whole or not at all; raises as ``whole``."""
    with whole(path) as part:
        part.write_bytes(data)
