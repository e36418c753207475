"""What an exporter wrote into a network's file beside the network: names, sizes, the task."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DETECT = 'detect'
NAME_KEYS = ('names', 'classes', 'class_names', 'labels')
_LONGEST_TEXT, _LONGEST_NAME, _MOST_NAMES = 1 << 16, 100, 10_000
_LARGEST_PX = 8192
_FAULTS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Names:
    """Class names of a file.

    Attributes:
        names: in the order of the network, some perhaps twice; empty if there are none that can
            be taken.
        fault: why what is there cannot be taken; empty if nothing is there or all is well.
    """

    names: tuple[str, ...] = ()
    fault: str = ''


@dataclass(frozen=True)
class Exported:
    """What an exporter says of its network. Read as literals; never evaluated, never trusted.

    Attributes:
        names: of the classes.
        size: height and width in pixels it was exported for, if that is said.
        task: ``detect``, ``segment``, ``pose``, …; empty if nobody says.
        head: the network's last module, such as ``RTDETRDecoder``.
        chosen: the network chooses its boxes itself; None if nobody says.
        licence: of the weights, on one line.
    """

    names: Names = Names()
    size: tuple[int, int] | None = None
    task: str = ''
    head: str = ''
    chosen: bool | None = None
    licence: str = ''


def read(metadata: Mapping[str, str]) -> Exported:
    """What the metadata of a file says; what is too long or no literal is ignored."""
    texts = {key: text for key, text in metadata.items() if len(text) <= _LONGEST_TEXT}
    return Exported(
        names=class_names(texts),
        size=picture_size(texts),
        task=_word(texts.get('task', '')),
        head=_word(texts.get('head', '')),
        chosen=_chosen(texts),
        licence=' '.join(texts.get('license', '').split())[:120],
    )


def class_names(metadata: Mapping[str, str]) -> Names:
    """Class names, or why there are none.

    Read as literals: ``{0: 'person', 1: 'car'}`` as Ultralytics writes them, a list, or words with
    commas.
    """
    faults = []
    for key in NAME_KEYS:
        text = metadata.get(key, '')
        if not text or len(text) > _LONGEST_TEXT:
            continue
        names = _names(text)
        if names.names:
            return names
        faults += [names.fault] if names.fault else []
    return Names(fault=faults[0] if faults else '')


def picture_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width the network was exported for (``imgsz``), if the file says so."""
    value = _literal(metadata.get('imgsz', '')[:64])
    sizes = [value, value] if isinstance(value, int) else value
    if not isinstance(sizes, (list, tuple)) or len(sizes) != 2:
        return None
    if not all(type(size) is int and 0 < size <= _LARGEST_PX for size in sizes):
        return None
    return sizes[0], sizes[1]


def _names(text: str) -> Names:
    value = _literal(text)
    if isinstance(value, dict):
        keys = list(value)
        if not all(type(key) is int for key in keys):
            return Names()
        if sorted(keys) != list(range(len(keys))):
            return Names(fault=_numbering(keys))
        value = [value[key] for key in range(len(keys))]
    if value is None and '{' not in text and '[' not in text:
        value = [part.strip() for part in text.replace('\n', ',').split(',')]
    return _listed(value)


def _numbering(keys: list[int]) -> str:
    if not keys:
        return ''
    return (
        f'it numbers {len(keys)} classes from {min(keys)} to {max(keys)}, where'
        f' 0 to {len(keys) - 1} was expected'
    )


def _listed(value: Any) -> Names:
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= _MOST_NAMES:
        return Names()
    names = [v for v in value if isinstance(v, str) and v.strip() and len(v) <= _LONGEST_NAME]
    if len(names) != len(value):
        return Names(fault=f'{len(value) - len(names)} of its {len(value)} class names are empty')
    return Names(tuple(names))


def _chosen(metadata: Mapping[str, str]) -> bool | None:
    """Whether the network chooses its boxes: Ultralytics' ``end2end``, and ``nms`` of ``args``."""
    arguments = _literal(metadata.get('args', ''))
    flags = [_literal(metadata.get('end2end', '')), _literal(metadata.get('nms', ''))]
    if isinstance(arguments, dict):
        flags += [arguments.get('end2end'), arguments.get('nms')]
    known = [value for value in flags if isinstance(value, bool)]
    return any(known) if known else None


def _word(text: str) -> str:
    return text.strip() if text.strip().isidentifier() and len(text) <= _LONGEST_NAME else ''


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except _FAULTS:
        return None
