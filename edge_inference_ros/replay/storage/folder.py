"""Which files a bag consists of: what its metadata lists, or what a killed recorder left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.manifest import read_yaml
from edge_inference_ros.errors import BagError

SUFFIXES = ('.mcap', '.db3')
PACKED = '.zstd'
_MODES = ('', 'none', 'file', 'message')


@dataclass(frozen=True)
class Layout:
    """The files of one bag, in the order they were written.

    Attributes:
        type_hashes: (topic, type) to the RIHS01 that the metadata states.
        count: messages, as the metadata counts them; 0 if nobody counted.
        lost: what the folder itself lacks, as a sentence; or empty.
    """

    files: tuple[Path, ...]
    type_hashes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    count: int = 0
    lost: str = ''


def find(path: Path) -> Layout:
    """The storage files of the bag at ``path``: a folder, or one such file.

    Raises:
        BagError: nothing of that name, or no bag.
    """
    if not path.exists():
        raise BagError('no such file or folder')
    if path.is_file():
        if not is_storage(path):
            raise BagError(f'not a bag; expected a folder, {" or ".join(SUFFIXES)}')
        return Layout((path,))
    if not (path / 'metadata.yaml').is_file():
        return _orphans(path)
    metadata = _metadata(path)
    names = metadata.get('relative_file_paths')
    if not isinstance(names, list) or not names:
        raise BagError('metadata.yaml lists no files')
    count = metadata.get('message_count')
    files = tuple(_inside(path, name) for name in names)
    return Layout(files, _hashes(metadata), count if isinstance(count, int) else 0)


def is_storage(path: Path) -> bool:
    """Whether the name is that of a storage file, compressed as a whole or not."""
    return path.name.removesuffix(PACKED).endswith(SUFFIXES)


def _orphans(folder: Path) -> Layout:
    """Files without the metadata that a recorder writes last."""
    files = sorted((p for p in folder.iterdir() if is_storage(p) and p.is_file()), key=_order)
    if not files:
        raise BagError('the folder has no metadata.yaml and no .mcap or .db3 file: not a bag')
    return Layout(
        tuple(_inside(folder, file.name) for file in files),
        lost='There is no metadata.yaml: the recorder was killed.',
    )


def _order(path: Path) -> list[Any]:
    """``bag_2`` before ``bag_10``."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]


def _metadata(folder: Path) -> Mapping[str, Any]:
    metadata = read_yaml(folder / 'metadata.yaml', BagError).get('rosbag2_bagfile_information')
    if not isinstance(metadata, Mapping):
        raise BagError('metadata.yaml has no rosbag2_bagfile_information')
    if (mode := str(metadata.get('compression_mode') or '').lower()) not in _MODES:
        raise BagError(f'compression mode {mode!r}; we read file and message')
    if (kind := metadata.get('compression_format') or 'zstd') != 'zstd':
        raise BagError(f'compression {kind!r}; we read zstd')
    return metadata


def _inside(folder: Path, name: Any) -> Path:
    """The file ``name`` of the bag; early versions wrote the folder's name in front of it.

    A recorder that was interrupted may have compressed a file it still lists by its plain name,
    or not yet one that it lists as compressed.
    """
    relative = Path(str(name))
    if relative.parts[:1] == (folder.name,):
        relative = relative.relative_to(folder.name)
    if len(relative.parts) != 1 or not is_storage(relative):
        raise _outside(name)
    plain = relative.name.removesuffix(PACKED)
    packed = plain if relative.name.endswith(PACKED) else plain + PACKED
    for choice in (relative.name, packed):
        file = (folder / choice).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise _outside(name)
        if file.is_file():
            return file
    raise BagError(f'{name} is missing')


def _outside(name: Any) -> BagError:
    return BagError(f'metadata.yaml names {str(name)!r}, which is not a file of this folder')


def _hashes(metadata: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    hashes = {}
    rows = metadata.get('topics_with_message_count')
    for row in rows if isinstance(rows, list) else []:
        topic = row.get('topic_metadata') if isinstance(row, Mapping) else None
        if isinstance(topic, Mapping):
            key = str(topic.get('name')), str(topic.get('type'))
            hashes[key] = str(topic.get('type_description_hash') or '')
    return hashes
