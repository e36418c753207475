"""Trains the camera detector on a labelled set and leaves a model folder that can be shipped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.params import check, param
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.terminal import progress

if TYPE_CHECKING:
    from edge_inference_ros.train.data import Joined
    from edge_inference_ros.train.fit import Hooks, Report, Schedule, State

log = logging.getLogger(__name__)

CHECKPOINT = 'checkpoint.pt'
EVALUATED = ('held_out', 'foreign', 'street')


@dataclass(frozen=True)
class Params:
    """What to train and for how long."""

    name: str = param('street_tiny', 'name of the new model')
    size: str = param('tiny', 'size of the network', choices=('nano', 'small', 'tiny'))
    classes: tuple[str, ...] = param((), 'classes to learn; empty learns all of the set')
    steps: int = param(17_500, 'batches to train on', low=1, high=10_000_000)
    cooldown: int = param(7_000, 'batches at the end with a falling rate', low=0, high=1_000_000)
    whole: int = param(
        1_500,
        'batches at the end that show whole pictures instead of parts',
        low=0,
        high=1_000_000,
    )
    batch: int = param(16, 'pictures in a batch', low=1, high=1024)
    rate: float = param(2e-3, 'highest learning rate', low=1e-6, high=1.0)
    seed: int = param(
        0, 'seed of the first weights, the order of the pictures and their variation', low=0
    )
    threads: int = param(2, 'CPU threads to use', low=1, high=256)
    every: int = param(500, 'batches between checkpoints', low=1)
    score_threshold: float = param(0.3, 'threshold the manifest proposes', low=0.0, high=1.0)
    device: str = param('cpu', 'device to train on', choices=('cpu', 'cuda'))


def run(data: Path, out: Path, params: Params, *, made_by: str = '') -> dict[str, Any]:
    """Train, evaluate and export; continues from a checkpoint in `out` if there is one.

    Args:
        data: folder with splits `train*`, and those of `EVALUATED` that shall be scored.
        out: the model folder to write; also holds the checkpoint.
        params: what to train.
        made_by: the command, for the manifest.

    Returns:
        The accuracy written into the manifest.

    Raises:
        ConfigError: a split is missing or unlike the others.
        BackendUnavailable: torch is not installed, or has no such device.
    """
    check(params)
    torch = torch_for(params.device)
    torch.set_num_threads(params.threads)
    from edge_inference_ros.train import deploy, fit

    joined = training_set(data, params.classes)
    schedule = fit.Schedule(
        params.steps, params.batch, params.rate, cooldown=params.cooldown,
        whole=params.whole, seed=params.seed,
    )  # fmt: skip
    checkpoint = out / CHECKPOINT
    state = _state(checkpoint, joined, params, schedule)
    hooks = fit.Hooks(
        on_step=Progress(), checkpoint=checkpoint, every=params.every,
        device=torch.device(params.device),
    )  # fmt: skip
    _fit(state, joined, schedule, hooks)
    detector = fit.trained(checkpoint)
    accuracy = {'steps': params.steps, 'seed': params.seed} | scored(
        detector, data, classes=params.classes, score_threshold=params.score_threshold
    )
    made_by = made_by or f'edge_inference train camera --name {params.name}'
    card = deploy.Card(params.name, joined.classes, made_by, params.score_threshold, accuracy)
    deploy.write_folder(detector, out, card)
    return accuracy


class Progress:
    """Tells how far training is, with the mean losses of every so many steps."""

    def __init__(self, *, every: int = 50) -> None:
        self._every = every
        self._sums = [0.0, 0.0, 0.0]
        self._bar: progress.Progress | None = None
        self._words = ''

    def __call__(self, report: Report) -> None:
        """Take one step's report."""
        self._bar = self._bar or progress.Progress('train', report.steps, unit='steps')
        news = (float(report.loss.score), float(report.loss.box), report.extra)
        self._sums = [a + b / self._every for a, b in zip(self._sums, news, strict=True)]
        if report.step % self._every == 0:
            self._words = 'score {:.3f}, box {:.3f}, extra {:.3f}'.format(*self._sums)
            self._sums = [0.0, 0.0, 0.0]
        self._bar(report.step, self._words)


def scored(
    detector: Any, data: Path, *, classes: Sequence[str], score_threshold: float
) -> dict[str, Any]:
    """Accuracy on the splits that are there, as the manifest states it."""
    from edge_inference_ros.train import deploy, score
    from edge_inference_ros.train.data import Split

    facts: dict[str, Any] = {}
    predict = deploy.torch_predict(detector)
    for name in EVALUATED:
        if (data / name).is_dir():
            split = Split(data / name, only=classes)
            detections = score.find(predict, split)
            facts[name] = score.accuracy(
                detections, split, score_threshold=score_threshold
            ).facts()
    return facts


def torch_for(device: str) -> Any:
    """Torch, if it is installed and has the device."""
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailable(
            'training needs torch, which is not installed; pip install torch'
        ) from error
    if device == 'cuda' and not torch.cuda.is_available():
        raise BackendUnavailable('torch finds no CUDA device; train with --device cpu')
    return torch


def training_set(data: Path, classes: Sequence[str]) -> Joined:
    """Everything below ``data`` that is called ``train*``."""
    from edge_inference_ros.train.data import Joined, Split

    folders = sorted(p for p in data.glob('train*') if p.is_dir())
    if not folders:
        raise ConfigError(
            f'{data} holds no folder train*; render one: edge_inference sim dataset --out {data}'
        )
    return Joined([Split(folder, only=classes) for folder in folders])


def _state(checkpoint: Path, data: Joined, params: Params, schedule: Schedule) -> State:
    from edge_inference_ros.train import fit, net

    if checkpoint.is_file():
        state = fit.resume(checkpoint, schedule)
        log.info('going on from step %d of %s', state.step, checkpoint)
        return state
    config = replace(net.CONFIGS[params.size], classes=len(data.classes))
    return fit.start(net.build(config, seed=params.seed), schedule)


def _fit(state: State, data: Joined, schedule: Schedule, hooks: Hooks) -> None:
    from edge_inference_ros.train import fit

    fit.fit(state, data, schedule, hooks)
    if hooks.checkpoint is not None and not hooks.checkpoint.is_file():
        fit.save(state, hooks.checkpoint)
