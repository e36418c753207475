"""Builds the TensorRT engine of a network for the machine this runs on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from edge_inference_ros.core import manifest, registry
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.report import Report
from edge_inference_ros.errors import EngineMissing
from edge_inference_ros.optimize import _foreign

Params = EngineOptions
BACKEND = 'trt'


def run(model: Path, out: Path | None, params: Params, *, stream: TextIO = sys.stderr) -> Report:
    """Build an engine, or find the one of the same network, machine and options.

    Args:
        model: an ONNX file, or a model folder whose manifest names one for TensorRT.
        out: folder of the engines; None is where nodes look for them.
        params: how to build.
        stream: where progress is shown.

    Raises:
        ParameterError: this TensorRT or this GPU cannot do what ``params`` ask.
        ModelError: no network, or one TensorRT does not accept.
        BackendError: no driver, device or TensorRT; or they failed.
    """
    path = onnx_file(model)
    show = Progress(stream)
    built, notes = registry.load('backends', BACKEND).build(
        path, params, cache=str(out or ''), progress=show
    )
    show.end()
    facts = {
        'gpu': built.key.gpu,
        'compute_capability': built.key.capability,
        'cuda_driver': built.key.driver,
        'onnx_sha256': built.key.onnx_sha256,
        'engine_sha256': built.sha256,
        'key': built.key.digest(),
        **built.facts,
    }
    if not show.told:
        notes = (*notes, 'Found: the same engine had been built before.')
    return Report('build', str(path), str(out or ''), facts, notes=notes)


def onnx_file(model: Path) -> Path:
    """The network to build from: ``model`` itself, or what its manifest names for TensorRT.

    Raises:
        ManifestError: the folder's manifest cannot be read.
        ModelError: the file is missing, harmful, not the promised one, or an engine already.
    """
    if not model.is_dir():
        return _foreign.admit(model)
    described = manifest.load(model)
    file = described.file(BACKEND)
    if file.path.suffix != '.onnx':
        raise EngineMissing(f'{model}: its file for TensorRT is {file.path.name}, not a network')
    manifest.verify(file)
    return file.path


class Progress:
    """One line that says which phase the builder is in; called from its threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ''
        self._live = stream.isatty()
        self.told = False

    def __call__(self, phase: str, done: int, steps: int) -> bool:
        """Show it. Never cancels: Ctrl-C does, by the exception it raises here."""
        self.told = True
        if self._live:
            self._show(f'{phase}: {done}/{steps}')
        elif not done:
            self._stream.write(f'{phase}\n')
        return True

    def end(self) -> None:
        """Leave the line."""
        if self._line:
            self._stream.write('\n')

    def _show(self, line: str) -> None:
        self._stream.write('\r' + line.ljust(len(self._line)))
        self._stream.flush()
        self._line = line
