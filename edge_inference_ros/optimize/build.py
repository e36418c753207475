"""Builds the TensorRT engine of a network for the machine this runs on."""

from __future__ import annotations

from pathlib import Path

from edge_inference_ros.core import manifest, registry
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.report import Report
from edge_inference_ros.errors import EngineMissing
from edge_inference_ros.optimize import _foreign
from edge_inference_ros.terminal.progress import Progress

Params = EngineOptions
BACKEND = 'trt'


def run(model: Path, out: Path | None, params: Params) -> Report:
    """Build an engine, or find the one of the same network, machine and options.

    Args:
        model: an ONNX file, or a model folder whose manifest names one for TensorRT.
        out: folder of the engines; None is where nodes look for them.
        params: how to build.

    Raises:
        ParameterError: this TensorRT or this GPU cannot do what ``params`` ask.
        ModelError: no network, or one TensorRT does not accept.
        BackendError: no driver, device or TensorRT; or they failed.
    """
    path = onnx_file(model)
    show = Phases()
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


class Phases:
    """Shows which phase the builder is in; called from its threads.

    Phases lie within each other: the first is the bar, the rest are what it says.
    """

    def __init__(self) -> None:
        self._outer, self._bar = '', Progress('build', 1)
        self.told = False

    def __call__(self, phase: str, done: int, steps: int) -> bool:
        """Show it. Never cancels: Ctrl-C does, by the exception it raises here."""
        if not self.told:
            self.told, self._outer = True, phase
            self._bar = Progress(phase, steps, unit='steps')
        if phase == self._outer:
            self._bar(done)
        elif not done:
            self._bar.say(phase)
        return True

    def end(self) -> None:
        """Leave the line."""
        self._bar.close()
