"""What the steps that train have in common: data, schedule, claims on a folder, what is written.

The modules below `train` need torch and are imported inside the functions.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_inference_ros.core.manifest import digest, load
from edge_inference_ros.core.params import param
from edge_inference_ros.core.report import Value
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize._folder import FloatNetwork, Made
from edge_inference_ros.optimize.judge import measure
from edge_inference_ros.train import camera as train_camera

if TYPE_CHECKING:
    from edge_inference_ros.train.data import Joined
    from edge_inference_ros.train.deploy import Card
    from edge_inference_ros.train.fit import Hooks, Schedule, State
    from edge_inference_ros.train.net import DetectorNet
    from edge_inference_ros.train.restore import Restored

log = logging.getLogger(__name__)

CHECKPOINT = train_camera.CHECKPOINT
RUN = '.run.json'
"""In place of a checkpoint's suffix: the file that says which run it belongs to."""

_SAMPLED = 64


@dataclass(frozen=True)
class Tuning:
    """The parameters of every step that trains; each step adds its own."""

    data: str = param('', 'folder with the labelled splits to train on, named train*')
    steps: int = param(1_000, 'batches to train on', low=0, high=10_000_000)
    cooldown: int = param(1_000, 'batches at the end with a falling rate', low=0, high=1_000_000)
    whole: int = param(
        200, 'batches at the end that show whole pictures instead of parts', low=0, high=1_000_000
    )
    batch: int = param(16, 'pictures in a batch', low=1, high=1024)
    rate: float = param(1e-3, 'highest learning rate', low=1e-6, high=1.0)
    warmup: int = param(100, 'batches at the start with a rising rate', low=0, high=100_000)
    seed: int = param(
        0, 'seed of the first weights, the order of the pictures and their variation', low=0
    )
    threads: int = param(2, 'CPU threads to use', low=1, high=256)
    every: int = param(200, 'batches between checkpoints', low=1)
    device: str = param('cpu', 'device to train on', choices=('cpu', 'cuda'))
    name: str = param('', 'name of the model; empty: made from the name it started from')
    labelled: str = param('', 'labelled split to score before and after; empty: not scored')
    pictures: int = param(300, 'labelled pictures to score; 0: all', low=0, high=1_000_000)
    runs: int = param(50, 'runs to measure latency', low=1, high=100_000)


def prepare(params: Tuning) -> None:
    """Set the number of threads.

    Raises:
        BackendUnavailable: torch is not installed, or has no such device.
    """
    train_camera.torch_for(params.device).set_num_threads(params.threads)


def schedule(params: Tuning) -> Schedule:
    """How long and how fast."""
    from edge_inference_ros.train import fit

    return fit.Schedule(
        params.steps, params.batch, params.rate, warmup=params.warmup, cooldown=params.cooldown,
        whole=params.whole, seed=params.seed,
    )  # fmt: skip


def splits(params: Tuning, classes: Sequence[str]) -> Joined:
    """The pictures to train on, labelled with these classes, or with all if none are named.

    Raises:
        ConfigError: no folder of splits, or other classes.
    """
    if not params.data:
        raise ConfigError('data: training needs a folder with labelled splits train*')
    return train_camera.training_set(Path(params.data), classes)


def digest_of(data: Joined) -> str:
    """SHA-256 of what describes the splits, their labels, and 64 pictures of each."""
    sha = hashlib.sha256()
    for split in data.splits:
        sha.update(f'{split.name} {split.images.shape} {split.classes}\n'.encode())
        for known in map(split.known, range(len(split))):
            for part in (known.class_id, known.boxes_px, known.ignored):
                sha.update(np.ascontiguousarray(part).tobytes())
        for index in np.linspace(0, len(split) - 1, _SAMPLED).astype(int).tolist():
            sha.update(np.ascontiguousarray(split.images[index]).tobytes())
    return sha.hexdigest()


def fit(
    state: State, data: Joined, params: Tuning, checkpoint: Path, extra_loss: Any = None
) -> State:
    """Train to the end of the schedule and leave the checkpoint there."""
    from edge_inference_ros.train import fit as training

    if state.step:
        log.info('going on from step %d of %s', state.step, checkpoint)
    hooks = training.Hooks(
        extra_loss=extra_loss, on_step=train_camera.Progress(), checkpoint=checkpoint,
        every=params.every, device=_device(params),
    )  # fmt: skip
    return _finished(training.fit(state, data, schedule(params), hooks), hooks)


def _device(params: Tuning) -> Any:
    import torch

    return torch.device(params.device)


def _finished(state: State, hooks: Hooks) -> State:
    from edge_inference_ros.train import fit as training

    if hooks.checkpoint is not None and not hooks.checkpoint.is_file():
        training.save(state, hooks.checkpoint)
    return state


def claim(checkpoint: Path, facts: Mapping[str, Any], *, model: Path | None = None) -> None:
    """Note beside a checkpoint which run it belongs to, before anything is trained.

    Args:
        checkpoint: where it is or will be.
        facts: all that decides what the run makes.
        model: what the run starts from, if it must not be in the same folder.

    Raises:
        ConfigError: it belongs to another run, or nobody knows to which; the two must not mix.
    """
    out, path = checkpoint.parent, checkpoint.with_suffix(RUN)
    if model and out.resolve() == (model if model.is_dir() else model.parent).resolve():
        raise ConfigError(f'out = {out}: is where {model} is; choose another folder')
    if not path.is_file():
        if checkpoint.is_file():
            raise ConfigError(f'{checkpoint} is of another run; choose another folder')
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_folder.plain(facts), indent=1) + '\n', encoding='utf-8')
        return
    state = json.loads(path.read_text(encoding='utf-8'))
    known = json.loads(json.dumps(_folder.plain(facts)))
    if differing := sorted(k for k in {*state, *known} if state.get(k) != known.get(k)):
        names = ', '.join(f'{k} = {state.get(k)!r}, now {known.get(k)!r}' for k in differing)
        raise ConfigError(f'{out} holds a run with {names}; choose another folder for this one')


def shaping(params: Tuning) -> dict[str, Any]:
    """The parameters that shape the weights, and not merely what is measured of them."""
    elsewhere = {'data', 'threads', 'every', 'device', 'labelled', 'pictures', 'runs', 'name'}
    elsewhere |= {'student', 'weights'}  # files, known by their digests
    return {name: value for name, value in vars(params).items() if name not in elsewhere}


def provenance(path: Path, step: str, made_by: str, **facts: Any) -> dict[str, Any]:
    """As `_folder.provenance`, and with which torch."""
    import torch

    known = _folder.provenance(FloatNetwork(path), step, made_by, **facts)
    known['tools'] = {**known['tools'], 'torch': str(torch.__version__)}
    return known


def card(
    source: Restored, classes: Sequence[str], suffix: str, params: Tuning, made_by: str
) -> Card:
    """What the manifest of a network made from another says."""
    from edge_inference_ros.train.deploy import Card

    manifest = source.manifest
    name = manifest.name if manifest else source.path.stem
    threshold = manifest.head.score_threshold if manifest else Card.score_threshold
    made_by = made_by or 'edge_inference optimize'
    return Card(params.name or f'{name}_{suffix}', classes, made_by, threshold)


def register(folder: Path, file_name: str, facts: Mapping[str, Any]) -> None:
    """Write into the folder's manifest what its float network was made from."""
    source = FloatNetwork(folder / file_name, load(folder))
    _folder.register(source, source.path, Made(file_name, 'fp32', (), facts))


@contextmanager
def exported(detector: DetectorNet, path: Path) -> Iterator[Path]:
    """An ONNX file of the detector: ``path`` if that is one, else a temporary one."""
    from edge_inference_ros.train import deploy

    if path.suffix == '.onnx':
        yield path
        return
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        onnx_path = Path(folder) / 'before.onnx'
        deploy.export(
            detector, onnx_path, width=detector.config.width, height=detector.config.height
        )
        yield onnx_path


def facts_of(detector: DetectorNet, path: Path) -> dict[str, Any]:
    """Size of a network."""
    return {
        'bytes': path.stat().st_size,
        'sha256': digest(path),
        'parameters': sum(p.numel() for p in detector.parameters()),
    }


def scored(
    path: Path, params: Tuning, classes: Sequence[str], *, columns: Sequence[int] = ()
) -> dict[str, Any]:
    """Accuracy of an ONNX file of ours on the labelled split; nothing if there is none.

    Args:
        path: the file.
        params: which split, and how much of it.
        classes: to score.
        columns: for each class the network's; empty if they are the same.

    Raises:
        ConfigError: the pictures are not of the network's size.
    """
    if not params.labelled:
        return {}
    from edge_inference_ros.train import deploy, score
    from edge_inference_ros.train.data import Split

    split = Split(Path(params.labelled), only=classes)
    predict = deploy.onnx_predict(path)
    wanted = [0, 1, 2, 3, *(4 + c for c in columns or range(len(classes)))]
    try:
        detections = score.find(lambda p: predict(p)[:, wanted], split, count=params.pictures)
    except Exception as error:
        # the runtime's own errors share no base
        raise ConfigError(
            f'labelled = {params.labelled}: {split.images.shape[1:]} pictures do not suit'
            f' {path.name}: {error}'
        ) from error
    return {'accuracy': {'split': split.name, **score.accuracy(detections, split).facts()}}


def latencies(files: Mapping[str, Path], runs: int) -> dict[str, dict[str, float]]:
    """Median times on ONNX Runtime, one thread, in turn; the first is what others are held to."""
    with measure.opened(files, None) as engines:
        latencies_ms = measure.latencies(engines, runs=runs)
    first = next(iter(latencies_ms))
    return {
        name: {'ort_ms': t.ms, **({} if name == first else {'ort_ratio': 1 / t.speedup})}
        for name, t in latencies_ms.items()
    }


def row(name: str, facts: Mapping[str, Any]) -> dict[str, Value]:
    """A line of a report's table."""
    kept = {k: facts[k] for k in ('parameters', 'bytes', 'ort_ms', 'ort_ratio') if k in facts}
    scores = facts.get('accuracy') or {}
    return {'network': name, **kept, **{k: scores[k] for k in ('ap50', 'ap50_95') if k in scores}}
