"""Model folders as the steps see them: which network to start from, where to put what was made."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from edge_inference_ros.core.manifest import (
    FILE_NAME,
    Manifest,
    digest,
    load,
    read_yaml,
    verify,
)
from edge_inference_ros.errors import ConfigError, EngineMissing, ManifestError
from edge_inference_ros.machine import files, processor
from edge_inference_ros.optimize import _foreign

_TOOLS = ('numpy', 'onnx', 'onnxruntime')


@dataclass(frozen=True)
class FloatNetwork:
    """The float network a step starts from.

    Attributes:
        path: its ONNX file.
        manifest: of the folder it was found in, if it was one.
    """

    path: Path
    manifest: Manifest | None = None

    @property
    def folder(self) -> Path | None:
        """The model folder, if it came from one."""
        return self.manifest.folder if self.manifest else None


@dataclass(frozen=True)
class Made:
    """A file to be added to a model folder.

    Attributes:
        file_name: inside the folder.
        precision: as the manifest says it.
        backends: which may run it; empty means any.
        provenance: what it was made from and how.
    """

    file_name: str
    precision: str
    backends: tuple[str, ...]
    provenance: Mapping[str, Any]


def source(model: Path) -> FloatNetwork:
    """The float network of ``model``: an ONNX file, or a model folder's fp32 file.

    Raises:
        ConfigError: no such file.
        ModelError: the folder has no fp32 network, or it is not the promised one.
    """
    if not model.is_dir():
        if not model.is_file():
            raise ConfigError(f'{model}: no such file or folder')
        return FloatNetwork(_foreign.admit(model))
    manifest = load(model)
    for file in manifest.files:
        if file.precision == 'fp32' and file.path.suffix == '.onnx':
            verify(file)
            return FloatNetwork(file.path, manifest)
    raise EngineMissing(f'{model}/{FILE_NAME} names no fp32 network to start from')


def target(source_: FloatNetwork, out: Path, file_name: str) -> Path:
    """Where the file goes: into the model folder ``out``, or ``out`` itself without a manifest.

    The folder starts as a copy of the one the network came from, unless it is that one.
    """
    if source_.manifest is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        return out
    out.mkdir(parents=True, exist_ok=True)
    if not out.samefile(source_.manifest.folder):
        shutil.copy2(source_.manifest.folder / FILE_NAME, out / FILE_NAME)
        for file in source_.manifest.files:
            shutil.copy2(file.path, out / file.path.name)
    return out / file_name


def register(source_: FloatNetwork, path: Path, made: Made) -> None:
    """Write into the manifest, or into a file beside ``path``, what ``path`` is."""
    if source_.manifest is None:
        text = json.dumps(dict(made.provenance), indent=2)
        files.write_text(path.with_suffix('.json'), text + '\n')
        return
    table = read_yaml(path.parent / FILE_NAME, ManifestError)
    entry: dict[str, Any] = {
        'path': made.file_name,
        'precision': made.precision,
        'sha256': digest(path),
    }
    if made.backends:
        entry['backends'] = list(made.backends)
    entry['provenance'] = plain(made.provenance)
    rows = [row for row in table['files'] if row['path'] != made.file_name]
    table['files'] = [*rows, entry]
    write_manifest(path.parent, table)


def write_manifest(folder: Path, table: Mapping[str, Any]) -> None:
    """Replace the folder's manifest; an interruption leaves the old one."""
    text = yaml.safe_dump(dict(table), sort_keys=False, default_flow_style=None, width=99)
    files.write_text(folder / FILE_NAME, text)


def provenance(source_: FloatNetwork, step: str, made_by: str, **facts: Any) -> dict[str, Any]:
    """What something was made from, with what, and what is known about it."""
    return {
        'step': step,
        **({'command': made_by} if made_by else {}),
        'from': {'path': source_.path.name, 'sha256': digest(source_.path)},
        'tools': tools(),
        'machine': machine(),
        **facts,
    }


def tools() -> dict[str, str]:
    """Versions of what shapes the bytes a step writes."""
    versions = {'python': platform.python_version()}
    for name in _TOOLS:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def machine() -> str:
    """The processor that latencies were measured on."""
    return processor.name()


@contextmanager
def untouched_on_failure(out: Path | None) -> Iterator[None]:
    """A step that fails leaves ``out`` as it was: nothing new in it, no manifest half rewritten.

    Args:
        out: what the step writes, a file or a folder; None if it writes nothing.
    """
    if out is None:
        yield
        return
    missing = [path for path in (out, *out.parents) if not path.exists()]
    before = set(out.iterdir()) if out.is_dir() else set()
    kept = {path: path.read_bytes() for path in before if path.name == FILE_NAME}
    beside = set(out.parent.iterdir()) if out.parent.is_dir() and not out.is_dir() else None
    try:
        yield
    except BaseException:
        new = set(out.iterdir()) - before if out.is_dir() else set()
        if beside is not None and out.parent.is_dir():
            new |= {p for p in set(out.parent.iterdir()) - beside if p.stem == out.stem}
        for path in (*new, *missing):
            _remove(path)
        for path, data in kept.items():
            path.write_bytes(data)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """The same value in types that YAML and JSON know, floats with four digits."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f'{value:.4g}')
    return value
