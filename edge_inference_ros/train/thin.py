"""Ways to take something out of a detector: channels, blocks, or single weights.

All of them judge convolutions with their normalisations folded in (`restore.folded`): only then
does the size of a weight say what it contributes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.train.net import DetectorNet, Residual
from edge_inference_ros.train.targets import Labels, detection_loss

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Labels]
"""Pictures (B, 3, H, W) in 0 to 1, and their labels."""

_GROUP, _KEPT = 4, 2
_MOST_OF_A_LAYER = 0.8


def maskable(detector: DetectorNet) -> dict[str, nn.Conv2d]:
    """Convolutions whose single weights may go: not the first one, nor those that predict."""
    return {
        name: module
        for name, module in detector.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is None and not name.startswith('stem')
    }


def predictors(detector: DetectorNet) -> list[nn.Module]:
    """The last convolutions, one channel a class or side."""
    return [branch[1] for branch in [*detector.classify, *detector.regress]]


@torch.no_grad()
def drop_weights(detector: DetectorNet, share: float) -> None:
    """Set the smallest weights of all `maskable` layers together to zero."""
    layers = maskable(detector).values()
    sizes = torch.cat([layer.weight.abs().flatten() for layer in layers])
    if count := int(share * len(sizes)):
        limit = sizes.kthvalue(count).values
        for layer in layers:
            layer.weight[layer.weight.abs() <= limit] = 0.0


@torch.no_grad()
def drop_two_of_four(detector: DetectorNet) -> None:
    """Zero the two smallest of every four weights that follow each other along the input channels.

    What sparse tensor cores skip. Layers whose number of input channels is no multiple of four
    stay dense.
    """
    for layer in maskable(detector).values():
        if layer.in_channels % _GROUP == 0:
            layer.weight.mul_(_two_of_four(layer.weight))


def _two_of_four(weight: Tensor) -> Tensor:
    outputs, given, high, wide = weight.shape
    groups = weight.permute(0, 2, 3, 1).reshape(-1, _GROUP)
    kept = groups.abs().topk(_KEPT, 1).indices
    mask = torch.zeros_like(groups).scatter_(1, kept, 1.0)
    return mask.reshape(outputs, high, wide, given).permute(0, 3, 1, 2)


def keep_zeros(detector: DetectorNet) -> None:
    """Let no gradient reach the weights that are zero now, so that training leaves them there."""
    for layer in maskable(detector).values():
        mask = layer.weight.detach() != 0
        layer.weight.register_hook(lambda gradient, mask=mask: gradient * mask.to(gradient.device))


def narrow(
    detector: DetectorNet,
    share: float,
    *,
    importance: str,
    ranking: str,
    round_to: int,
    batches: Sequence[Batch] = (),
) -> None:
    """Take channels out, and with each all that depends on it.

    Args:
        detector: changed in place.
        share: of the channels that may go.
        importance: ``l2``, the size of weights, or ``taylor``, what the loss loses by first order.
        ranking: ``uniform``, the same share of every layer, or ``global``.
        round_to: what is left of a layer is a multiple of it.
        batches: to differentiate the loss on; ``taylor`` needs them.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise BackendUnavailable(
            'structured pruning needs torch_pruning, which is not installed; make train-env'
        ) from error
    if importance == 'taylor':
        _differentiate(detector, batches)
    kinds: dict[str, Callable[..., Any]] = {
        'l2': torch_pruning.importance.GroupMagnitudeImportance,
        'taylor': torch_pruning.importance.GroupTaylorImportance,
    }
    config = detector.config
    pruner = torch_pruning.pruner.BasePruner(
        detector,
        torch.zeros(1, 3, config.height, config.width),
        importance=kinds[importance](),
        pruning_ratio=share,
        max_pruning_ratio=_MOST_OF_A_LAYER,
        global_pruning=ranking == 'global',
        ignored_layers=predictors(detector),
        round_to=round_to,
    )
    pruner.step()
    detector.zero_grad(set_to_none=True)


def _differentiate(detector: DetectorNet, batches: Sequence[Batch]) -> None:
    if not batches:
        raise ConfigError('importance = taylor: needs data to differentiate the loss on')
    detector.requires_grad_(requires_grad=True).eval()
    for pictures, labels in batches:
        (detection_loss(detector(pictures), labels).total / len(batches)).backward()


@torch.no_grad()
def shorten(detector: DetectorNet, share: float, batches: Sequence[Batch]) -> list[str]:
    """Take residual blocks out, one after the other the one whose absence costs least.

    Args:
        detector: changed in place.
        share: of its blocks.
        batches: whose loss is the measure.

    Returns:
        The names of the blocks, in the order they went.
    """
    if not batches:
        raise ConfigError('method = layers: needs data to measure the loss on')
    detector.eval()
    residuals = {name: m for name, m in detector.named_modules() if isinstance(m, Residual)}
    gone: list[str] = []
    for _ in range(round(share * len(residuals))):
        losses = {name: _without(detector, name, batches) for name in residuals}
        least = min(losses, key=lambda name: losses[name])
        log.info('without %s the loss is %.3f', least, losses[least])
        detector.set_submodule(least, nn.Identity())
        del residuals[least]
        gone.append(least)
    return gone


def _without(detector: DetectorNet, name: str, batches: Sequence[Batch]) -> float:
    block = detector.get_submodule(name)
    detector.set_submodule(name, nn.Identity())
    losses = [float(detection_loss(detector(shown), labels).total) for shown, labels in batches]
    detector.set_submodule(name, block)
    return sum(losses) / len(losses)


def channels(detector: DetectorNet) -> int:
    """How many channels the convolutions make, but for those that predict."""
    last = predictors(detector)
    return sum(
        m.out_channels for m in detector.modules() if isinstance(m, nn.Conv2d) and m not in last
    )


def zeros(detector: DetectorNet) -> float:
    """Share of the convolutions' weights that are exactly zero."""
    weights = [m.weight for m in detector.modules() if isinstance(m, nn.Conv2d)]
    none = sum(int((w == 0).sum()) for w in weights)
    return none / sum(int(w.numel()) for w in weights)


def multiplications(detector: DetectorNet) -> int:
    """Multiplications of the convolutions for one picture; masked weights count."""
    counted = 0

    def note(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        del given
        nonlocal counted
        counted += layer.weight.numel() * made.shape[-1] * made.shape[-2]

    hooks = [m.register_forward_hook(note) for m in detector.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        detector.eval()(torch.zeros(1, 3, detector.config.height, detector.config.width))
    for hook in hooks:
        hook.remove()
    return counted
