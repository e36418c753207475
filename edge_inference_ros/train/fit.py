"""The training loop: reproducible, resumable, and open to further loss terms."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_inference_ros.train.data import Joined, Picture, batch_of
from edge_inference_ros.train.net import (
    DetectorNet,
    Levels,
    NetConfig,
    from_dict,
    shaped,
    to_dict,
)
from edge_inference_ros.train.targets import Labels, Loss, detection_loss

ExtraLoss = Callable[[Tensor, Levels, Labels], Tensor]
"""A further loss term of the pictures (B, 3, H, W), the raw outputs and the labels."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    The rate rises during `warmup` steps, stays, and falls to a fiftieth during the last
    `cooldown` steps; so a run can be lengthened, or cooled down early, from any checkpoint
    before.

    Attributes:
        window: width and height cut out of the pictures at first: most of a picture is empty,
            and a window around a label costs less than half.
        whole: number of steps at the end that see whole pictures.
        average: share of the old weights kept at each step by the averaged model.
        seed: of the order and the variation of the pictures.
    """

    steps: int
    batch: int = 16
    rate: float = 2e-3
    warmup: int = 200
    cooldown: int = 1000
    decay: float = 0.03
    window: tuple[int, int] = (256, 192)
    whole: int = 2000
    average: float = 0.998
    seed: int = 0

    def window_at(self, step: int) -> tuple[int, int] | None:
        """What to cut out at a step; nothing near the end."""
        return None if step >= self.steps - self.whole else self.window

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1, self.cooldown)
        falling = 0.02 + 0.98 * 0.5 * (1 - math.cos(math.pi * min(1.0, left)))
        return self.rate * rising * falling


@dataclass
class State:
    """All that changes during training, and so all that a checkpoint holds.

    Attributes:
        model: being trained.
        averaged: exponential average of its weights: the one to evaluate and to ship.
        step: the next step to take.
    """

    model: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0


@dataclass(frozen=True)
class Report:
    """What happened in one step."""

    step: int
    steps: int
    loss: Loss
    extra: float = 0.0


@dataclass(frozen=True)
class Hooks:
    """What else a run does.

    Attributes:
        extra_loss: added to the detection loss, for instance a teacher's.
        on_step: called after each step.
        checkpoint: written every `every` steps and at the end.
    """

    extra_loss: ExtraLoss | None = None
    on_step: Callable[[Report], None] | None = None
    checkpoint: Path | None = None
    every: int = 500
    device: torch.device = field(default_factory=lambda: torch.device('cpu'))


def start(model: nn.Module, schedule: Schedule) -> State:
    """A fresh state around any model with the detector's raw outputs."""
    model = model.to(memory_format=torch.channels_last)
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {'params': weights, 'weight_decay': schedule.decay},
            {'params': biases, 'weight_decay': 0.0},
        ],
        lr=schedule.rate,
        fused=True,
    )
    return State(model, copy.deepcopy(model).eval(), optimiser)


def fit(state: State, data: Joined, schedule: Schedule, hooks: Hooks | None = None) -> State:
    """Train from `state.step` to `schedule.steps`; `state` is changed in place and returned.

    A run that was interrupted and resumed gives the same weights as one that was not, on the
    same machine with the same number of threads.
    """
    hooks = hooks or Hooks()
    _move(state, hooks.device)
    state.model.train()
    for pictures, labels in _batches(data, schedule, state.step):
        report = _step(state, pictures, labels, schedule, hooks)
        if hooks.on_step is not None:
            hooks.on_step(report)
        if hooks.checkpoint is not None and _due(state.step, schedule.steps, hooks.every):
            save(state, hooks.checkpoint)
    return state


def _due(step: int, steps: int, every: int) -> bool:
    return step % every == 0 or step == steps


def _batches(data: Joined, schedule: Schedule, first: int) -> Iterator[tuple[Picture, Labels]]:
    """Batches in order, made ahead by one thread; each depends on its step alone."""
    with ThreadPoolExecutor(1) as pool:

        def order(step: int) -> Future[tuple[Picture, Labels]]:
            window = schedule.window_at(step)
            return pool.submit(batch_of, data, step, schedule.batch, schedule.seed, window=window)

        ahead = [order(step) for step in range(first, min(first + 2, schedule.steps))]
        for step in range(first, schedule.steps):
            ready = ahead.pop(0).result()
            if step + 2 < schedule.steps:
                ahead.append(order(step + 2))
            yield ready


def _step(
    state: State, pictures: Picture, labels: Labels, schedule: Schedule, hooks: Hooks
) -> Report:
    for group in state.optimiser.param_groups:
        group['lr'] = schedule.rate_at(state.step)
    shown = torch.from_numpy(pictures).to(hooks.device).permute(0, 3, 1, 2).float() / 255
    labels = labels.to(hooks.device)
    with torch.autocast(hooks.device.type, torch.bfloat16):
        levels = state.model(shown)
    loss = detection_loss(levels, labels)
    total, extra = loss.total, torch.zeros(())
    if hooks.extra_loss is not None:
        extra = hooks.extra_loss(shown, levels, labels)
        total = total + extra
    state.optimiser.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(state.model.parameters(), 10.0)
    state.optimiser.step()
    state.step += 1
    _blend(state, schedule.average)
    return Report(state.step, schedule.steps, loss, float(extra.detach()))


@torch.no_grad()
def _blend(state: State, average: float) -> None:
    # Young averages follow quickly, or the random start would stay in them for long.
    keep = average * (1 - math.exp(-state.step / 300))
    pairs = zip(
        state.averaged.state_dict().values(), state.model.state_dict().values(), strict=True
    )
    for old, new in pairs:
        if old.dtype.is_floating_point:
            old.lerp_(new.to(old.dtype), 1 - keep)
        else:
            old.copy_(new)


def _move(state: State, device: torch.device) -> None:
    state.model.to(device)
    state.averaged.to(device)
    for values in state.optimiser.state.values():
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device)


def save(state: State, path: Path) -> None:
    """Write a checkpoint; one that is cut short leaves the previous one whole."""
    stored: dict[str, Any] = {
        'step': state.step,
        'model': state.model.state_dict(),
        'averaged': state.averaged.state_dict(),
        'optimiser': state.optimiser.state_dict(),
    }
    if isinstance(config := getattr(state.model, 'config', None), NetConfig):
        stored['config'] = to_dict(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix('.part')
    torch.save(stored, half)
    half.replace(path)


def resume(path: Path, schedule: Schedule, *, model: nn.Module | None = None) -> State:
    """The state a checkpoint holds; `model` gives the structure if it is not a plain detector."""
    stored = torch.load(path, map_location='cpu', weights_only=True)
    state = start(model or shaped(from_dict(stored['config']), stored['model']), schedule)
    state.model.load_state_dict(stored['model'])
    state.averaged.load_state_dict(stored['averaged'])
    state.optimiser.load_state_dict(stored['optimiser'])
    state.step = int(stored['step'])
    return state


def trained(path: Path) -> DetectorNet:
    """The averaged detector of a checkpoint, ready to evaluate, fine-tune or export."""
    stored = torch.load(path, map_location='cpu', weights_only=True)
    return shaped(from_dict(stored['config']), stored['averaged'])
