"""What a model folder says about itself, checked before anything is loaded.

A model is a folder with a ``manifest.yaml``::

    schema: 1
    name: street_tiny
    task: detect2d                    # detect2d | detect3d
    licence: Apache-2.0
    made_by: edge_inference train camera --seed 0
    classes: [person, vehicle, cone, box]
    input:                            # how a picture is shown to the network
      tensor: images
      shape: [1, 256, 320, 3]
      dtype: uint8                    # uint8 | float32 | float16
      layout: nhwc                    # nhwc | nchw
      order: rgb                      # rgb | bgr
      fit: letterbox                  # letterbox | stretch
      rounding: nearest               # of a letterboxed picture's sides: nearest | down
      scale: 1.0                      # float inputs only: (pixel * scale - mean) / std
      mean: [0.0, 0.0, 0.0]
      std: [1.0, 1.0, 1.0]
    outputs:
      - {tensor: output0, shape: [1, 8, 1680], dtype: float32}
    head:
      name: yolov8
      score_threshold: 0.3            # the rest of Selection may stand here too,
      options: {}                     # and what only this head understands goes here
    files:                            # first one that suits the backend and precision wins
      - {path: model.onnx, precision: fp32, sha256: …}
      - path: model_int8.onnx
        precision: int8
        sha256: …
        backends: [ort]
        provenance: {}                # free: what it was made from, how, and how good it is
    accuracy: {}                      # free: measured figures, for people
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml

from edge_inference_ros.core.types import told_apart
from edge_inference_ros.errors import (
    ConfigError,
    DigestMismatch,
    EngineMissing,
    ManifestError,
)

SCHEMA = 1
FILE_NAME = 'manifest.yaml'
_LARGEST_YAML_BYTES = 1 << 20
_LARGEST_LINKED_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20
_CHOICES = {
    'task': ('detect2d', 'detect3d'),
    'layout': ('nhwc', 'nchw'),
    'order': ('rgb', 'bgr'),
    'fit': ('letterbox', 'stretch'),
    'rounding': ('nearest', 'down'),
    'dtype': ('uint8', 'int32', 'int64', 'float16', 'float32'),
}
_NOT_SAID = 'not said'
_INPUT_DTYPES = ('uint8', 'float16', 'float32')

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as the manifest promises it; -1 in ``shape`` is a size the data decides."""

    tensor: str
    shape: tuple[int, ...]
    dtype: str = 'float32'


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a picture is shown to the network. Float inputs get (pixel * scale - mean) / std.

    ``rounding`` is what becomes of the fraction of a pixel in the sides of a letterboxed picture:
    most networks are trained with the nearest whole number, YOLOX with the one below.
    """

    tensor: str
    shape: tuple[int, ...]
    dtype: str = 'uint8'
    layout: str = 'nhwc'
    order: str = 'rgb'
    fit: str = 'letterbox'
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    rounding: str = 'nearest'

    @property
    def height_px(self) -> int:
        """Rows the network sees."""
        return self.shape[1] if self.layout == 'nhwc' else self.shape[2]

    @property
    def width_px(self) -> int:
        """Columns the network sees."""
        return self.shape[2] if self.layout == 'nhwc' else self.shape[3]


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """Which output layout to decode, and which of its boxes to keep.

    Attributes:
        score_threshold: boxes below are dropped.
        iou_threshold: non-maximum suppression drops the weaker of two boxes that overlap more.
        class_agnostic: boxes of different classes suppress each other too.
        candidates: only so many best boxes enter suppression. 1000 are 80 people with a dozen
            boxes each; suppressing them costs about 3 ms of one core, in such pictures only.
        max_detections: only so many leave it.
        options: what only this head understands.
    """

    name: str
    score_threshold: float = 0.25
    iou_threshold: float = 0.5
    class_agnostic: bool = False
    candidates: int = 1000
    max_detections: int = 300
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One artefact of the model.

    Attributes:
        path: absolute, inside the model folder; it may be a link, whose own name says nothing.
        sha256: of its bytes.
        precision: of its weights and arithmetic.
        backends: which may run it; empty means any that reads its suffix.
        provenance: what it was made from and how, for people and for later steps.
    """

    path: Path
    sha256: str
    precision: str = 'fp32'
    backends: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model folder's own description; see the module's docstring for the file.

    Attributes:
        classes: names, each once; of those that the file has twice, the later ones are numbered.
        notes: what a person should know of how the file was read; not in the file.
    """

    folder: Path
    name: str
    task: str
    licence: str
    made_by: str
    classes: tuple[str, ...]
    input: InputSpec
    outputs: tuple[TensorSpec, ...]
    head: HeadSpec
    files: tuple[ModelFile, ...]
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), metadata={_NOT_SAID: True})

    def file(self, backend: str, precision: str = '') -> ModelFile:
        """The first file that ``backend`` may run, of ``precision`` if that is not empty.

        Raises:
            EngineMissing: there is none; the message lists what there is.
        """
        for file in self.files:
            if backend in (file.backends or (backend,)) and precision in ('', file.precision):
                return file
        files = ', '.join(
            f'{f.path.name} ({f.precision}, {"/".join(f.backends) or "any"})' for f in self.files
        )
        raise EngineMissing(
            f'{self.folder / FILE_NAME}: no file for backend {backend!r}'
            f' with precision {precision or "any"!r}; there are {files}'
        )


def load(folder: Path) -> Manifest:
    """Read and check ``folder/manifest.yaml``.

    Raises:
        ManifestError: missing, unreadable, incomplete or contradictory; names file, key and value.
    """
    path = folder / FILE_NAME
    table = read_yaml(path, ManifestError)
    try:
        return _manifest(folder, table)
    except ManifestError as error:
        raise ManifestError(f'{path}: {error}') from None


def verify(file: ModelFile) -> None:
    """Compare the file's bytes with the digest its manifest promises.

    Raises:
        EngineMissing: there is no such file.
        DigestMismatch: it is not the file the manifest was written for.
    """
    try:
        actual = digest(file.path)
    except OSError as error:
        raise EngineMissing(f'{file.path}: {error.strerror}; restore the file') from error
    if actual != file.sha256:
        raise DigestMismatch(
            f'{file.path} has SHA-256 {actual}, its manifest says {file.sha256};'
            ' restore the file or write its manifest again'
        )


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    sha = hashlib.sha256()
    with path.open('rb') as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def read_yaml(path: Path, error: type[ConfigError]) -> dict[str, Any]:
    """A YAML mapping of reasonable size, read safely; anything else raises ``error``."""
    try:
        if path.stat().st_size > _LARGEST_YAML_BYTES:
            raise error(f'{path}: larger than {_LARGEST_YAML_BYTES} bytes')
        table = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as cause:
        raise error(f'{path}: {cause.strerror}') from cause
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as cause:
        raise error(f'{path}: not YAML: {cause}') from cause
    if not isinstance(table, dict):
        raise error(f'{path}: expected a mapping, got {type(table).__name__}')
    return table


def _manifest(folder: Path, table: dict[str, Any]) -> Manifest:
    table = dict(table)
    if (schema := table.pop('schema', None)) != SCHEMA:
        raise ManifestError(f'schema = {schema!r}; this version reads {SCHEMA}')
    table['input'] = _record(InputSpec, table.get('input'), 'input')
    table['head'] = _record(HeadSpec, table.get('head'), 'head')
    table['outputs'] = tuple(
        _record(TensorSpec, row, f'outputs[{i}]') for i, row in enumerate(_rows(table, 'outputs'))
    )
    table['files'] = tuple(_file(folder, row, i) for i, row in enumerate(_rows(table, 'files')))
    manifest = _record(Manifest, {**table, 'folder': folder}, '')
    _check(manifest)
    classes, notes = told_apart(manifest.classes)
    return dataclasses.replace(manifest, classes=classes, notes=notes)


def _rows(table: Mapping[str, Any], key: str) -> list[Any]:
    rows = table.get(key)
    if not isinstance(rows, list) or not rows:
        raise ManifestError(f'{key} = {rows!r}: expected a list with at least one entry')
    return rows


def _file(folder: Path, row: Any, index: int) -> ModelFile:
    file = _record(ModelFile, row, f'files[{index}]')
    path = folder.absolute() / file.path
    if (
        file.path.is_absolute()
        or '..' in file.path.parts
        or not _belongs(folder, path, file.sha256)
    ):
        raise ManifestError(f'files[{index}].path = {str(file.path)!r} leaves the model folder')
    return dataclasses.replace(file, path=path)


def _belongs(folder: Path, path: Path, sha256: str) -> bool:
    """Whether a path below ``folder`` is the model's, links followed.

    It may lie in the folder, or in the one the manifest itself is a link into: a workspace of
    links is built so. A link to a store elsewhere (DVC, git-annex) belongs to the model if it
    leads to the very bytes the manifest promises; who can promise them knows them already.
    """
    homes = (_real(folder), _real(folder / FILE_NAME).parent)
    if any(_real(path).is_relative_to(home) for home in homes):
        return True
    if not path.is_symlink() or not _real(path.parent).is_relative_to(homes[0]):
        return False
    # What is no ordinary file of a size, such as those of /proc, may never end.
    ordinary = path.is_file() and 0 < path.stat().st_size <= _LARGEST_LINKED_BYTES
    return ordinary and digest(path) == sha256


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises where links go in a circle


def _record(kind: type[T], row: Any, where: str) -> T:
    """Build the dataclass ``kind`` from a mapping; refuse what is unknown, missing or unfit."""
    if not isinstance(row, Mapping):
        raise ManifestError(f'{where} = {row!r}: expected a mapping')
    fields: dict[str, dataclasses.Field[Any]] = {
        f.name: f
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if _NOT_SAID not in f.metadata
    }
    if unknown := sorted(str(key) for key in row if key not in fields):
        raise ManifestError(
            f'{_at(where, unknown[0])}: unknown key; there are {", ".join(sorted(fields))}'
        )
    if missing := [name for name, f in fields.items() if _required(f) and name not in row]:
        raise ManifestError(f'{_at(where, missing[0])}: missing')
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], row[key], _at(where, key)) for key in row})


def _required(field_: dataclasses.Field[Any]) -> bool:
    return field_.default is dataclasses.MISSING and field_.default_factory is dataclasses.MISSING


def _at(where: str, key: str) -> str:
    return f'{where}.{key}' if where else key


def _value(hint: Any, value: Any, where: str) -> Any:
    name = where.rpartition('.')[2]
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ManifestError(f'{where} = {value!r}: expected one of {", ".join(_CHOICES[name])}')
    if get_origin(hint) is tuple:
        return _tuple(hint.__args__[0], value, where)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    kind = get_origin(hint) or hint
    if not isinstance(value, kind) or (kind is int and type(value) is bool):
        raise ManifestError(f'{where} = {value!r}: expected {kind.__name__}')
    return value


def _tuple(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ManifestError(f'{where} = {value!r}: expected a list')
    return tuple(_value(kind, item, f'{where}[{i}]') for i, item in enumerate(value))


def _check(manifest: Manifest) -> None:
    seen, head = manifest.input, manifest.head
    channels = seen.shape[-1 if seen.layout == 'nhwc' else 1] if len(seen.shape) == 4 else 0
    rules = (
        (manifest.classes, 'classes is empty; name at least one'),
        (
            len(seen.shape) == 4
            and seen.shape[0] == 1
            and channels == 3
            and min(seen.shape, default=0) > 0,
            f'input.shape = {list(seen.shape)}: expected [1, H, W, 3] (nhwc), [1, 3, H, W] (nchw)',
        ),
        (
            max(seen.shape, default=0) <= 8192,
            f'input.shape = {list(seen.shape)}: expected no side larger than 8192',
        ),
        (
            seen.dtype in _INPUT_DTYPES,
            f'input.dtype = {seen.dtype!r}: expected one of {", ".join(_INPUT_DTYPES)}',
        ),
        (
            len(seen.mean) == 3 and len(seen.std) == 3,
            f'input.mean = {list(seen.mean)}, std = {list(seen.std)}: expected 3 values each',
        ),
        (
            all(value > 0 for value in seen.std),
            f'input.std = {list(seen.std)}: expected values above 0',
        ),
        *(
            (low <= value <= high, f'head.{name} = {value}: expected {low} … {high}')
            for name, value, low, high in (
                ('score_threshold', head.score_threshold, 0, 1),
                ('iou_threshold', head.iou_threshold, 0, 1),
                ('candidates', head.candidates, 1, 30_000),
                ('max_detections', head.max_detections, 1, 1000),
            )
        ),
    )
    for holds, fault in rules:
        if not holds:
            raise ManifestError(fault)
