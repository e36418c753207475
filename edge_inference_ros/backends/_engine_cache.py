"""Engines on disk that are what they say they are, or are not loaded.

An engine is machine code: whoever can write one can run anything. So the folder is private, its
owner and links are checked, and the digest of the bytes is compared *before* TensorRT sees them.

A ``<key>.json`` beside the engines says everything an engine depends on and which
``<digest>.engine`` holds it. It is renamed into place last: before that moment the engine does
not exist, after it is complete.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.errors import DigestMismatch, EngineMissing, EngineStale, ModelError

ENVIRONMENT = 'EDGE_INFERENCE_ENGINES'
SCHEMA = 1
_AMPERE = 8  # its compute capability
_LARGEST_SIDECAR_BYTES = 1 << 16
_NEXT_MAJOR = {8: 10, 10: 11}  # there was no TensorRT 9 for everybody
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """Everything an engine depends on; change any of it and it is another engine.

    Attributes:
        capability: compute capability of the GPU.
        driver: CUDA version of the driver.
        options: how it was built, ``EngineOptions`` as a mapping.
    """

    onnx_sha256: str
    tensorrt: str
    gpu: str
    capability: str
    driver: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of the key."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _hardware(self, want: Key) -> list[str]:
        compatible = self.options.get('hardware_compatible', 'none')
        if compatible == 'none':
            return ['gpu', 'capability']
        is_ampere = int(want.capability.split('.')[0]) >= _AMPERE
        return [] if compatible == 'ampere_plus' and is_ampere else ['capability']

    def _loads_in(self, tensorrt: str) -> bool:
        """Whether a version-compatible engine of ours is one that TensorRT version loads.

        A newer runtime loads it, of the same major version or the next, never an older one
        (NVIDIA's support matrix, TensorRT 11.4).
        """
        if not self.options.get('version_compatible'):
            return False
        built, running = _numbers(self.tensorrt), _numbers(tensorrt)
        return built <= running and running[0] in (built[0], _NEXT_MAJOR.get(built[0]))

    def made_for(self, want: Key) -> bool:
        """Whether it was built by this TensorRT for this very GPU, needing no compatibility."""
        same = ('tensorrt', 'gpu', 'capability', 'driver')
        return all(getattr(self, name) == getattr(want, name) for name in same)

    def misfits(self, want: Key) -> list[str]:
        """Why an engine of this key cannot serve ``want``, one entry a reason; empty if it can.

        How it was built is free, except for what changes the numbers: precision and device.
        """
        must = ['onnx_sha256']
        if not self._loads_in(want.tensorrt):
            must += ['tensorrt', 'driver']
        must += self._hardware(want)
        wrong = [
            f'{name} is {getattr(self, name)!r}, here {getattr(want, name)!r}'
            for name in must
            if getattr(self, name) != getattr(want, name)
        ]
        return wrong + [
            f'{name} is {self.options.get(name)!r}, wanted {want.options.get(name)!r}'
            for name in ('precision', 'dla_core')
            if self.options.get(name) != want.options.get(name)
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """A serialised engine whose bytes have been compared with their digest."""

    key: Key
    data: bytes
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def default_folder() -> Path:
    """``$EDGE_INFERENCE_ENGINES``, or a folder in the user's cache."""
    if folder := os.environ.get(ENVIRONMENT):
        return Path(folder)
    base = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')
    return Path(base) / 'edge_inference_ros' / 'engines'


class EngineCache:
    """The engines of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, want: Key) -> Plan:
        """The engine that serves ``want`` best, its bytes verified.

        One built for just this machine goes before one that is compatible with it; of several
        the newest.

        Raises:
            EngineMissing: none was built from this network.
            EngineStale: some were, but for something else; each difference is named.
            DigestMismatch: the engine's bytes are not the ones that were written.
            ModelError: the folder or a file in it is not private.
        """
        side = self._newest(want)
        try:
            return self._read(side)
        except EngineMissing:  # a builder may have replaced it since its sidecar was read
            again = self._newest(want)
            if again == side:
                raise
            return self._read(again)

    def _newest(self, want: Key) -> _Sidecar:
        known = [side for side in self._sidecars() if side.key.onnx_sha256 == want.onnx_sha256]
        if not known:
            raise EngineMissing(f'no engine in {self.folder} was built from this network')
        fitting = [side for side in known if not side.key.misfits(want)]
        if not fitting:
            why = '; '.join(', '.join(side.key.misfits(want)) for side in known)
            raise EngineStale(f'no engine in {self.folder} fits: {why}')
        return max(fitting, key=lambda side: (side.key.made_for(want), side.built_ns))

    def build_once(
        self, want: Key, build: Callable[[], tuple[bytes, Mapping[str, Any]]], *, anew: bool
    ) -> Plan:
        """The engine of exactly this key: found, waited for, or made by ``build``.

        Of several builders one builds. ``anew`` replaces an engine that is there when this one
        gets its turn. If the folder cannot be written, the engine is returned but not kept.
        """
        before = self._exact(want)
        with self._locked(want.digest()):
            cached = self._exact(want)
            if cached and not (anew and before and cached.sha256 == before.sha256):
                return cached
            data, facts = build()
            plan = Plan(want, data, hashlib.sha256(data).hexdigest(), facts)
            self._keep(plan)
            return plan

    def write(self, name: str, data: bytes) -> None:
        """Put ``name`` in place whole or not at all. Raises ``OSError``."""
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix='.', suffix='.partial')
        try:
            with os.fdopen(descriptor, 'wb') as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(self.folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)

    def read(self, name: str, *, largest: int = 1 << 40) -> bytes:
        """The bytes of a private file of the folder.

        Raises:
            ModelError: it, or the folder, belongs to or may be written by somebody else.
            OSError: it cannot be read.
        """
        _check_private(self.folder.lstat(), self.folder, is_folder=True)
        path = self.folder / name
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, 'rb') as stream:
            status = os.fstat(stream.fileno())
            _check_private(status, path, is_folder=False)
            if status.st_size > largest:
                raise ModelError(f'{path}: {status.st_size} bytes, expected at most {largest}')
            return stream.read()

    def _exact(self, want: Key) -> Plan | None:
        """The engine of exactly this key if it is there and sound."""
        with suppress(OSError, ModelError, ValueError):
            return self._read(self._sidecar(want.digest()))
        return None

    def _keep(self, plan: Plan) -> None:
        side = {
            'schema': SCHEMA,
            'key': dataclasses.asdict(plan.key),
            'sha256': plan.sha256,
            'built_ns': time.time_ns(),
            'facts': dict(plan.facts),
        }
        before, engine = self._exact(plan.key), self.folder / f'{plan.sha256}.engine'
        try:
            self.write(engine.name, plan.data)
            self.write(f'{plan.key.digest()}.json', json.dumps(side, indent=1).encode())
            if before and before.sha256 != plan.sha256:
                (self.folder / f'{before.sha256}.engine').unlink(missing_ok=True)
        except OSError as error:
            with suppress(OSError):
                engine.unlink()
            _LOG.warning(
                'engine not kept in %s: %s; it is built again next time', self.folder, error
            )

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Exclusive among the builders of one engine, in this process and others."""
        try:
            with suppress(FileExistsError):
                self.folder.mkdir(mode=0o700, parents=True)
            _check_private(self.folder.lstat(), self.folder, is_folder=True)
            stream = (self.folder / f'{name}.lock').open('w')
        except OSError as error:
            _LOG.warning('%s: %s; building without a lock', self.folder, error)
            yield
            return
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _sidecars(self) -> Iterator[_Sidecar]:
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob('*.json')):
            with suppress(OSError, ValueError):
                yield self._sidecar(path.stem)

    def _sidecar(self, name: str) -> _Sidecar:
        facts = json.loads(self.read(f'{name}.json', largest=_LARGEST_SIDECAR_BYTES))
        try:
            if facts['schema'] != SCHEMA:
                raise ValueError(f'schema {facts["schema"]!r}')
            side = _Sidecar(
                Key(**facts['key']),
                str(facts['sha256']),
                int(facts['built_ns']),
                dict(facts['facts']),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f'{name}.json: {error}') from error
        if side.key.digest() != name or not _is_digest(side.sha256):
            raise ValueError(f'{name}.json is not the key it is named for')
        return side

    def _read(self, side: _Sidecar) -> Plan:
        name = f'{side.sha256}.engine'
        try:
            data = self.read(name)
        except OSError as error:
            raise EngineMissing(f'{self.folder / name}: {error.strerror}') from error
        if (actual := hashlib.sha256(data).hexdigest()) != side.sha256:
            raise DigestMismatch(
                f'{self.folder / name} has SHA-256 {actual}; it was damaged or replaced'
            )
        return Plan(side.key, data, side.sha256, side.facts)


@dataclass(frozen=True, slots=True)
class _Sidecar:
    key: Key
    sha256: str
    built_ns: int
    facts: Mapping[str, Any]


def onnx_digest(path: Path) -> str:
    """SHA-256 of the network an engine is built from. Raises ``EngineMissing``."""
    try:
        return digest(path)
    except OSError as error:
        raise EngineMissing(f'{path}: {error.strerror}') from error


def _check_private(status: os.stat_result, path: Path, *, is_folder: bool) -> None:
    """Refuse what somebody else could have written, and what is not a plain file or folder."""
    kind = stat.S_ISDIR if is_folder else stat.S_ISREG
    if not kind(status.st_mode):
        raise ModelError(f'{path} is a link or no plain {"folder" if is_folder else "file"}')
    if status.st_uid not in (os.geteuid(), 0):
        raise ModelError(f'{path} belongs to user {status.st_uid}, not to {os.geteuid()} or root')
    loose = 0o077 if is_folder and status.st_uid == os.geteuid() else 0o022
    if status.st_mode & loose:
        raise ModelError(
            f'{path} has mode {stat.S_IMODE(status.st_mode):o}: others could have written an'
            f' engine there; look at what is in it, then chmod -R go-rwx {path}'
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split('.') if part.isdigit())


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set('0123456789abcdef')


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
