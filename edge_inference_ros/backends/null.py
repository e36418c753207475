"""Computes nothing: plays durations, outputs and faults from a script, to test what is around it.

The script is a JSON file in the model's folder, named in its manifest like a network::

    {
      "durations_ms": [5, 5, 40],
      "outputs": {"output0": [[[0, 0, 7, 120.0], [0, 4, 7, 0.9]], []]},
      "faults": {"12": "InferenceFailed"}
    }

Everything is optional. The n-th run takes ``durations_ms[n]``, and shows frame n of every output:
zeros but for the listed elements, each ``[index, …, value]``; both start again at their end.
A fault is ``InferenceFailed``, ``OutOfMemory``, or ``hang`` for a run that takes an hour; it
happens in the run of that number, the first being 0. Tensors are those the manifest promises, a
size that data decides being 0 there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import Manifest, TensorSpec
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import BackendError, InferenceFailed, ModelError, OutOfMemory

HANG = 'hang'
HANG_S = 3600.0
_FAULTS: dict[str, type[BackendError]] = {
    'InferenceFailed': InferenceFailed,
    'OutOfMemory': OutOfMemory,
}


@dataclass(frozen=True, slots=True)
class Script:
    """What every run does; see the module."""

    durations_s: tuple[float, ...] = ()
    frames: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)


class Engine:
    """Plays a script."""

    def __init__(
        self, manifest: Manifest, script: Script, *, sleep: Callable[[float], None]
    ) -> None:
        seen = manifest.input
        self._script = script
        self._sleep = sleep
        self._runs = 0
        self._inputs = {seen.tensor: np.zeros(seen.shape, seen.dtype)}
        self._outputs = {spec.tensor: _zeros(spec) for spec in manifest.outputs}

    @property
    def inputs(self) -> Tensors:
        """Arrays to fill, by tensor name."""
        return self._inputs

    @property
    def outputs(self) -> Tensors:
        """Arrays to read, by tensor name."""
        return self._outputs

    def run(self) -> None:
        """Take as long and fail as scripted, then show the frame's outputs."""
        script, run = self._script, self._runs
        self._runs += 1
        if script.durations_s:
            self._sleep(script.durations_s[run % len(script.durations_s)])
        if fault := script.faults.get(run):
            self._break(fault, run)
        for name, frames in script.frames.items():
            np.copyto(self._outputs[name], frames[run % len(frames)])

    def close(self) -> None:
        """Nothing to release."""

    def _break(self, fault: str, run: int) -> None:
        if fault == HANG:
            self._sleep(HANG_S)
        else:
            raise _FAULTS[fault](f'run {run} of the null backend, as its script says')


def open(  # noqa: A001
    manifest: Manifest, path: Path, *, sleep: Callable[[float], None] = time.sleep
) -> Engine:
    """Read the script ``path``.

    Args:
        manifest: promises the tensors.
        path: the script.
        sleep: how to spend seconds. ``time.sleep`` leaves the interpreter to other threads, as a
            real runtime does; something that counts instead of waiting makes tests instant.

    Raises:
        ModelError: no script, or one that does not fit the manifest.
    """
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}; restore the file') from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f'{path}: not a JSON script for the null backend: {error}') from error
    try:
        script = _script(manifest, raw)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ModelError(
            f'{path}: {error}; see backends/null.py for what a script says'
        ) from error
    return Engine(manifest, script, sleep=sleep)


def _script(manifest: Manifest, raw: Any) -> Script:
    if unknown := set(raw) - {'durations_ms', 'outputs', 'faults'}:
        raise ValueError(f'unknown key {min(unknown)!r}')
    durations = tuple(float(value) / 1e3 for value in raw.get('durations_ms', ()))
    if not all(0 <= value < HANG_S for value in durations):
        raise ValueError(f'durations_ms = {raw["durations_ms"]}: each 0 … {HANG_S * 1e3:.0f}')
    faults = {int(run): fault for run, fault in raw.get('faults', {}).items()}
    if unknown := set(faults.values()) - {HANG, *_FAULTS}:
        raise ValueError(f'fault {min(unknown)!r}: expected {HANG}, {", ".join(_FAULTS)}')
    return Script(durations, _frames(manifest, raw.get('outputs', {})), faults)


def _frames(manifest: Manifest, raw: Any) -> dict[str, list[NDArray[Any]]]:
    specs = {spec.tensor: spec for spec in manifest.outputs}
    if unknown := set(raw) - set(specs):
        raise ValueError(f'output {min(unknown)!r}: the manifest has {", ".join(specs)}')
    return {
        name: [_frame(specs[name], elements) for elements in frames]
        for name, frames in raw.items()
        if frames
    }


def _frame(spec: TensorSpec, elements: Any) -> NDArray[Any]:
    frame = _zeros(spec)
    for *index, value in elements:
        if len(index) != frame.ndim:
            raise ValueError(f'{spec.tensor}: {[*index, value]} has not {frame.ndim} indices')
        frame[tuple(index)] = value
    return frame


def _zeros(spec: TensorSpec) -> NDArray[Any]:
    return np.zeros([max(size, 0) for size in spec.shape], spec.dtype)
