"""How fast and how good networks are, side by side: everything is measured in turn, in one run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.pipeline import open_engine
from edge_inference_ros.core.protocols import Engine
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.judge import labelled, score
from edge_inference_ros.optimize.judge.fidelity import NO_NOISE_DB, fidelity

WARM_UP = 5
_NOWHERE = Origin('', RosNs(0), MonoNs(0))

Inputs = NDArray[np.generic]


@dataclasses.dataclass(frozen=True)
class Latency:
    """Medians over runs that took turns.

    Attributes:
        ms: median of one run.
        quiet_ms: tenth percentile, which other work on the machine disturbs least.
        speedup: median over the turns of the first network's time by this one's.
    """

    ms: float
    quiet_ms: float
    speedup: float


def latencies(
    engines: Mapping[str, Engine],
    *,
    runs: int,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Latency]:
    """Run every engine once a turn; the first is what the others are compared with."""
    took: dict[str, list[int]] = {name: [] for name in engines}
    for turn in range(-WARM_UP, runs):
        for name, engine in engines.items():
            start = clock()
            engine.run()
            if turn >= 0:
                took[name].append(clock() - start)
    times = {name: np.array(all_) / 1e6 for name, all_ in took.items()}
    first = next(iter(times.values()))
    return {
        name: Latency(
            float(np.median(ms)), float(np.percentile(ms, 10)), float(np.median(first / ms))
        )
        for name, ms in times.items()
    }


@contextmanager
def opened(files: Mapping[str, Path], manifest: Manifest | None, *, backend: str = 'ort') -> Any:
    """Engines of several files, closed on leaving."""
    with ExitStack() as keep:
        engines: dict[str, Engine] = {}
        for name, path in files.items():
            if manifest is None:
                engines[name] = _Alone(path)
                keep.callback(engines[name].close)
            else:
                engines[name] = open_engine(manifest, path, keep, backend=backend)
        yield engines


class _Alone:
    """A network without a manifest on ONNX Runtime, one thread; open axes are one long.

    Its outputs are new arrays after every run.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), settings, ['CPUExecutionProvider']
            )
        except Exception as error:
            # the runtime's own errors share no base
            raise ModelError(f'{path}: ONNX Runtime cannot load it: {error}') from error
        self.inputs = {
            node.name: np.zeros([n if isinstance(n, int) else 1 for n in node.shape], _kind(node))
            for node in self._session.get_inputs()
        }
        self._names = [node.name for node in self._session.get_outputs()]
        self.outputs: dict[str, NDArray[Any]] = {}

    def run(self) -> None:
        """Infer."""
        answers = self._session.run(self._names, self.inputs)
        self.outputs = dict(zip(self._names, answers, strict=True))

    def close(self) -> None:
        """Let the session go."""
        del self._session


def _kind(node: Any) -> str:
    name = str(node.type).removeprefix('tensor(').removesuffix(')')
    return {'float': 'float32', 'double': 'float64'}.get(name, name)


def outputs(engine: Engine, tensor: str, inputs: Inputs) -> list[NDArray[np.float64]]:
    """Every output over all ``inputs``, stacked."""
    answers: list[list[NDArray[Any]]] = []
    for tensors in inputs:
        np.copyto(engine.inputs[tensor], tensors[None])
        engine.run()
        answers.append([np.array(value, np.float64) for value in engine.outputs.values()])
    return [np.stack(column) for column in zip(*answers, strict=True)]


class Reference:
    """The answers of one network to some inputs, which those of others are held against.

    A model is judged as its head reads it (``fidelity``); a bare file, or one whose head does not
    show its candidates, by ``channel_db``.
    """

    def __init__(
        self, engine: Engine, manifest: Manifest | None, tensor: str, inputs: Inputs
    ) -> None:
        self._tensor, self._inputs = tensor, inputs
        self._head = _head(engine, manifest)
        self._wanted = self._answers(engine)

    def quality(self, engine: Engine) -> dict[str, float]:
        """What is left of the answers: ``sqnr_db`` and its parts, or ``channel_db``."""
        given = self._answers(engine)
        if self._head is None:
            return {'channel_db': channel_db(self._wanted, given)}
        return fidelity(self._wanted, given).facts()

    def decibels(self, engine: Engine) -> float:
        """The one number of ``quality`` that networks are ranked by."""
        quality = self.quality(engine)
        return quality.get('sqnr_db', quality.get('channel_db', 0.0))

    def _answers(self, engine: Engine) -> list[Any]:
        if self._head is None:
            return outputs(engine, self._tensor, self._inputs)
        answers = []
        for tensors in self._inputs:
            np.copyto(engine.inputs[self._tensor], tensors[None])
            engine.run()
            answers.append(self._head.candidates(engine.outputs))
        return answers


def _head(engine: Engine, manifest: Manifest | None) -> Any:
    if manifest is None:
        return None
    head = registry.load('heads', manifest.head.name).Head(manifest, engine.outputs)
    return head if hasattr(head, 'candidates') else None


def channel_db(wanted: Sequence[NDArray[Any]], given: Sequence[NDArray[Any]]) -> float:
    """Signal to noise of outputs nobody explains: by channel, each by its own spread, averaged.

    Args:
        wanted: outputs, (N, 1, …) each; the shorter of the two axes that follow is the channels,
            whatever their order.
        given: the same of another network.
    """
    shares = [_noise(a, b) for a, b in zip(wanted, given, strict=True)]
    noise = float(np.mean(np.concatenate(shares)))
    return min(NO_NOISE_DB, -10 * float(np.log10(max(noise, 1e-20))))


def _noise(wanted: NDArray[Any], given: NDArray[Any]) -> NDArray[Any]:
    """(channels,) power of the error by that of the channel's changes."""
    axis = 2 + int(np.argmin(wanted.shape[2:4])) if wanted.ndim > 3 else wanted.ndim - 1
    a, b = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (wanted, given))
    return np.asarray(((a - b) ** 2).mean(1) / np.maximum(a.var(1), 1e-12))


def accuracy(
    engines: Mapping[str, Engine], manifest: Manifest, folder: Path, *, count: int
) -> dict[str, dict[str, Any]]:
    """COCO average precision of each engine on the first ``count`` pictures of a labelled split.

    Raises:
        ConfigError: the folder is no labelled split.
        BackendUnavailable: pycocotools is missing; `make train-env` installs it.
    """
    split = labelled.Split(folder)
    if tuple(split.classes) != tuple(manifest.classes):
        split = labelled.Split(folder, only=manifest.classes)
    count = min(count or len(split), len(split))
    accuracies = {}
    for name, engine in engines.items():
        detections = _detections(engine, manifest, (split.images[i] for i in range(count)))
        judged = score.accuracy(detections, split, score_threshold=manifest.head.score_threshold)
        accuracies[name] = dict(judged.facts())
    return accuracies


def _detections(
    engine: Engine, manifest: Manifest, pictures: Iterable[NDArray[np.uint8]]
) -> list[score.Found]:
    """What an engine finds in pictures, down to the faintest; the model's own head reads it."""
    spec = score.faint(manifest.head)
    lowered = dataclasses.replace(manifest, head=spec)
    head = registry.load('heads', spec.name).Head(lowered, engine.outputs)
    detections = []
    for pixels in pictures:
        image = Image(_NOWHERE, np.ascontiguousarray(pixels), 'bgr')
        fit = head.prepare(image, engine.inputs)
        engine.run()
        detections.append(score.found_in(head.decode(engine.outputs, image, fit)))
    return detections
