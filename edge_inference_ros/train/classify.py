"""Training of a classifier on labelled examples, with a teacher's soft labels or without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.train.fit import Report, Schedule
from edge_inference_ros.train.targets import Loss
from edge_inference_ros.train.teacher import soft_label_loss

_TOGETHER = 256


@dataclass(frozen=True)
class Examples:
    """Inputs (N, …) as the network takes them, and the number of each one's class (N,)."""

    inputs: Tensor
    labels: Tensor

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
        """The examples of a step; a function of its arguments alone."""
        per_epoch = max(1, len(self.labels) // size)
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((seed, 1, epoch)).permutation(len(self.labels))
        chosen = torch.from_numpy(order[place * size : (place + 1) * size])
        return self.inputs[chosen], self.labels[chosen]


@dataclass(frozen=True)
class Told:
    """A teacher, how much it counts, and the temperature of its labels."""

    teacher: nn.Module
    weight: float
    temperature: float


def read(path: Path) -> Examples:
    """The examples of an ``.npz`` file with arrays ``inputs`` and ``labels``.

    Raises:
        ConfigError: it has not these, or not one label for each input.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            inputs, labels = stored['inputs'], stored['labels']
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f'{path}: needs arrays inputs and labels ({error})') from error
    if labels.shape != (len(inputs),) or not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f'{path}: labels is {labels.dtype} {labels.shape}, expected whole numbers'
            f' ({len(inputs)},), one for each input'
        )
    return Examples(torch.from_numpy(inputs), torch.from_numpy(labels.astype(np.int64)))


def fit(
    student: nn.Module,
    examples: Examples,
    schedule: Schedule,
    told: Told | None,
    *,
    checkpoint: Path,
    every: int,
    on_step: Callable[[Report], None],
) -> None:
    """Train in place, from the checkpoint if there is one; interruptions change nothing."""
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=schedule.decay)
    first = 0
    if checkpoint.is_file():
        stored = torch.load(checkpoint, map_location='cpu', weights_only=True)
        student.load_state_dict(stored['model'])
        optimiser.load_state_dict(stored['optimiser'])
        first = int(stored['step'])
    student.train()
    for step in range(first, schedule.steps):
        torch.manual_seed(schedule.seed * 1_000_003 + step)  # of a dropout, for instance
        for group in optimiser.param_groups:
            group['lr'] = schedule.rate_at(step)
        own, extra = _losses(student, *examples.batch(step, schedule.batch, schedule.seed), told)
        optimiser.zero_grad(set_to_none=True)
        (own + extra).backward()
        optimiser.step()
        loss = Loss(own.detach(), own.detach(), torch.zeros(()))
        report = Report(step + 1, schedule.steps, loss, float(extra.detach()))
        on_step(report)
        if report.step % every == 0 or report.step == schedule.steps:
            _save(student, optimiser, report.step, checkpoint)
    student.eval()


def _losses(
    student: nn.Module, inputs: Tensor, labels: Tensor, told: Told | None
) -> tuple[Tensor, Tensor]:
    """The labels' loss, and the teacher's."""
    logits = student(inputs)
    own = functional.cross_entropy(logits, labels)
    if told is None:
        return own, torch.zeros(())
    with torch.no_grad():
        wanted = told.teacher(inputs)
    return own, told.weight * soft_label_loss(logits, wanted, told.temperature)


def _save(student: nn.Module, optimiser: torch.optim.Optimizer, step: int, path: Path) -> None:
    part = path.with_suffix('.part')
    stored = {'model': student.state_dict(), 'optimiser': optimiser.state_dict(), 'step': step}
    torch.save(stored, part)
    part.replace(path)


@torch.no_grad()
def accuracy(model: nn.Module, examples: Examples) -> float:
    """Share of the examples whose class scores highest."""
    model.eval()
    right = sum(
        int((model(x).argmax(1) == y).sum())
        for x, y in zip(
            examples.inputs.split(_TOGETHER), examples.labels.split(_TOGETHER), strict=True
        )
    )
    return right / max(1, len(examples.labels))
