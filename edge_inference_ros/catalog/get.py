"""Fetches a detector of the catalogue and lets it in, once its digest is the promised one."""

from __future__ import annotations

import logging
import os
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.core.manifest import FILE_NAME, digest, load, read_yaml
from edge_inference_ros.core.params import param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.share import CATALOGUE, cache, own_models, share, ships
from edge_inference_ros.errors import BackendUnavailable, ConfigError, ModelError
from edge_inference_ros.terminal.progress import Progress

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_CHUNK_BYTES = 1 << 16
_SCHEMES = ('http', 'https')


@dataclass(frozen=True)
class Entry:
    """A detector somebody publishes.

    Attributes:
        url: where its ONNX file is.
        sha256: of that file.
        bytes: of that file.
        licence: SPDX name.
        head: that reads it.
        classes: name of a list of classes.
        input: width x height, pixels.
        coco_ap: average precision on COCO, per cent, as published.
    """

    url: str
    sha256: str
    bytes: int
    licence: str
    head: str
    classes: str
    input: str
    coco_ap: float


@dataclass(frozen=True)
class GetParams:
    """Where to and how long."""

    list: bool = param(default=False, doc='show what there is to fetch, and fetch nothing')
    folder: str = param(
        '',
        'folder of model folders; empty takes $EDGE_INFERENCE_MODELS, or'
        ' ~/.local/share/edge_inference_ros/models',
    )
    catalogue: str = param('', 'YAML file to read instead of the shipped catalogue')
    silence_s: float = param(
        30.0, 'longest that the server may send nothing', low=0.01, high=3600.0
    )


def get_model(name: Path | None, params: GetParams) -> Report:
    """Fetch ``name``, check its digest, and add it as ``models add`` does.

    Licence and size are told first. A file that was fetched before, or put into the folder by
    hand, is not fetched again.

    Raises:
        ConfigError: the catalogue has no such model, or another one of that name is here.
        ModelError: the file cannot be fetched, or is not the promised one.
        BackendUnavailable: pooch is not installed.
    """
    entries = catalogue(Path(params.catalogue) if params.catalogue else share(CATALOGUE))
    if params.list or name is None:
        rows = tuple(_row(title, entry) for title, entry in entries.items())
        return Report('models get', 'the catalogue', rows=rows)
    title = str(name)
    shelf = Path(params.folder) if params.folder else own_models()
    entry = entries.get(title)
    if os.sep in title and (name / FILE_NAME).is_file():
        return _here(title, name)
    if (shelf / title).is_dir():
        _check_same(shelf / title, entry)
        return _here(title, shelf / title)
    if entry is None:
        if ships('models', title):
            return _here(title, share(f'models/{title}'))
        raise ConfigError(f'no model {title!r} in the catalogue; there are {", ".join(entries)}')
    log.info(
        '%s: %.1f MB, licence %s, from %s', title, entry.bytes / 1e6, entry.licence, entry.url
    )
    file = fetched(entry, cache('downloads'), silence_s=params.silence_s)
    added = add_model(
        file,
        AddParams(
            name=title,
            head=entry.head,
            classes=(entry.classes,),
            licence=entry.licence,
            folder=params.folder,
        ),
    )
    facts = {**added.facts, 'coco_ap': entry.coco_ap, 'sha256': entry.sha256}
    return Report('models get', entry.url, added.out, facts, notes=added.notes)


def _here(title: str, folder: Path) -> Report:
    return Report('models get', title, str(folder), notes=('it is here already',))


def _check_same(folder: Path, entry: Entry | None) -> None:
    """Refuse to call a model the one of the catalogue that only has its name.

    Raises:
        ConfigError: none of its files is the promised one.
        ModelError: its manifest cannot be read.
    """
    there = load(folder)
    if entry is not None and entry.sha256 not in {file.sha256 for file in there.files}:
        raise ConfigError(
            f'{folder} is another model of that name: SHA-256'
            f' {", ".join(file.sha256 for file in there.files)}, licence {there.licence}; the'
            f" catalogue's has {entry.sha256}, {entry.licence}. Move that folder away, or fetch"
            ' into another by --folder'
        )


def catalogue(path: Path) -> dict[str, Entry]:
    """Every entry by name.

    Raises:
        ConfigError: the file is missing, or an entry is incomplete.
    """
    entries = {}
    for name, row in read_yaml(path, ConfigError).items():
        try:
            entry = Entry(**row)
        except TypeError as error:
            raise ConfigError(f'{path}: {name}: {error}') from None
        if urlsplit(str(entry.url)).scheme not in _SCHEMES:
            raise ConfigError(f'{path}: {name}: url = {entry.url!r}: expected http or https')
        entries[str(name)] = entry
    return entries


def fetched(entry: Entry, folder: Path, *, silence_s: float) -> Path:
    """The file of ``entry`` in ``folder``, fetched unless it is there; its digest is checked.

    Raises:
        ModelError: it cannot be had; names URL, digest and the folder to put it in.
        BackendUnavailable: pooch is not installed.
    """
    try:
        import pooch
        import requests
    except ImportError as error:
        raise BackendUnavailable(f'fetching needs {error.name}: pip install pooch') from error
    pooch.get_logger().setLevel(logging.WARNING)
    name = Path(urlsplit(entry.url).path).name
    answers: list[Any] = []  # pooch leaves them open when a download fails
    downloader = pooch.HTTPDownloader(
        progressbar=_Progress(entry.bytes),
        chunk_size=_CHUNK_BYTES,
        timeout=(_CONNECT_S, silence_s),
        hooks={'response': lambda answer, *_, **__: answers.append(answer)},
    )
    strange = _strange(folder / name, entry)
    if strange:
        log.warning('%s; fetching the promised one', strange)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = pooch.retrieve(
            entry.url, f'sha256:{entry.sha256}', fname=name, path=folder, downloader=downloader
        )
    except (requests.exceptions.RequestException, OSError, ValueError, _TooLong) as error:
        raise ModelError(
            f'{entry.url} cannot be had: {_cause(error)}. {strange + ". " if strange else ""}Put'
            f' a file {name} with SHA-256 {entry.sha256} into {folder} and try again'
        ) from error
    finally:
        for answer in answers:
            answer.close()
    return Path(file)


def _strange(file: Path, entry: Entry) -> str:
    """What is wrong with a file that is there already; empty if nothing is, or none is there."""
    if not file.is_file() or (found := digest(file)) == entry.sha256:
        return ''
    return (
        f'{file} is there, but it is not the file: {file.stat().st_size} bytes and SHA-256 {found}'
        f' instead of {entry.bytes} and {entry.sha256}'
    )


class _TooLong(Exception):
    """The server sends more than the file has."""


class _Progress:
    """Tells how far the download is, and ends one that does not end itself.

    What pooch asks of a progress bar: ``total``, ``update``, ``reset`` and ``close``.
    """

    def __init__(self, most_bytes: int) -> None:
        self.total, self._most, self._count = 0, most_bytes, 0
        self._progress = Progress('fetch', round(most_bytes / 1e3), unit='kB')

    def update(self, count: int) -> None:
        """So many bytes more; the last of them may be fewer."""
        self._count += count
        if self._count > self._most + 2 * _CHUNK_BYTES:
            raise _TooLong(f'it is longer than {self._most} bytes')
        self._progress(round(min(self._count, self._most) / 1e3))

    def reset(self) -> None:
        """Count from the beginning."""
        self._count = 0

    def close(self) -> None:
        """End what is drawn."""
        self._progress.close()


def _cause(error: Exception) -> str:
    """One line that names the cause, not the library's way to it."""
    if isinstance(error, ValueError) and 'hash' in str(error):
        return 'what came is not the file its digest promises'
    reason: Any = error
    while isinstance(reason, Exception):  # what lies inside says more than what is around it
        error = reason
        inner = [each for each in error.args if isinstance(each, Exception)]
        reason = getattr(error, 'reason', None) or next(iter(inner), None)
    words = ' '.join(str(error).split()).rpartition('object at 0x')[2]
    words = words.partition('>: ')[2] or words
    return textwrap.shorten(words, 200, placeholder=' …') or type(error).__name__


def _row(title: str, entry: Entry) -> dict[str, Value]:
    row: dict[str, Any] = {'model': title, **asdict(entry)}
    return {key: value for key, value in row.items() if key not in ('url', 'sha256')} | {
        'url': entry.url
    }
