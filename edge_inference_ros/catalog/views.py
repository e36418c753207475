"""Pictures to try a network on: streets of the small world, or a person's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import registry
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError, SampleError

SUFFIXES = ('.jpg', '.jpeg', '.png')
COUNT = 3
LARGEST_FILE_BYTES = 64 << 20
_WIDTH_PX, _HEIGHT_PX = 480, 360
_NOWHERE = Origin('', RosNs(0), MonoNs(0))

Pixels = NDArray[np.uint8]


@contextmanager
def saved(folder: str = '') -> Iterator[Path]:
    """An ``.npy`` of (N, H, W, 3) uint8 bgr pictures, until the context ends.

    Args:
        folder: with pictures, of which the first few of one size are taken; empty renders some.

    Raises:
        ConfigError: it holds none that can be read.
    """
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as place:
        path = Path(place) / 'pictures.npy'
        np.save(path, np.stack(_of_folder(Path(folder)) if folder else streets(COUNT)))
        yield path


@lru_cache(maxsize=2)
def streets(count: int) -> list[Pixels]:
    """Rendered streets, (H, W, 3) bgr; the same every time. Borrowed."""
    dataset = registry.load('sim', 'dataset')
    split = dataset.Split(
        dataset.TRAIN, count, scenes=dataset.STREET, width=_WIDTH_PX, height=_HEIGHT_PX
    )
    return [np.asarray(dataset.example(seed, split).picture) for seed in range(count)]


def read(path: Path) -> Pixels:
    """(H, W, 3) bgr of a picture file.

    Raises:
        ConfigError: it is none, or too large.
    """
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ConfigError(f'{path}: larger than {LARGEST_FILE_BYTES} bytes')
        message = SimpleNamespace(format='', data=path.read_bytes())
        image: Image = registry.load('sensors', 'compressed').view(message, _NOWHERE)
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}') from error
    except SampleError as error:
        raise ConfigError(f'{path}: {error}') from error
    return _bgr(image)


def _bgr(image: Image) -> Pixels:
    places = [image.order.index(colour) if colour in image.order else 0 for colour in 'bgr']
    return np.ascontiguousarray(image.pixels[:, :, places])


def _of_folder(folder: Path) -> Sequence[Any]:
    """The first few pictures, cut to the size of the smallest so that they fit in one array."""
    files = sorted(p for p in folder.glob('*') if p.suffix.lower() in SUFFIXES)[:COUNT]
    if not files:
        raise ConfigError(f'{folder}: no picture in it; we read {", ".join(SUFFIXES)}')
    pictures = [read(file) for file in files]
    high, wide = (min(p.shape[axis] for p in pictures) for axis in (0, 1))
    return [picture[:high, :wide] for picture in pictures]
