"""Detectors whose layers are narrower or fewer than their configuration says.

The weights themselves tell how wide each layer is and which residual blocks are left, so a pruned
network needs no further description: its checkpoint is like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edge_inference_ros.train.net import Detector, NetConfig, Residual

WRAPPED = 'detector.'
"""Before the names of a detector's weights where it is part of something larger."""


def shaped(config: NetConfig, weights: Mapping[str, Tensor]) -> Detector:
    """A detector, in evaluation mode, into which ``weights`` fit, with them.

    Args:
        config: what it was built with; the picture's size and the number of classes still hold.
        weights: its state, or that of a module whose attribute ``detector`` it is.

    Raises:
        KeyError, RuntimeError: the weights are no detector's.
    """
    weights = unwrapped(weights)
    detector = Detector(config)
    for name, module in list(detector.named_modules()):
        if isinstance(module, Residual) and f'{name}.expand.0.weight' not in weights:
            detector.set_submodule(name, nn.Identity())
    for name, module in list(detector.named_modules()):
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
            detector.set_submodule(name, _sized(module, weights[f'{name}.weight']))
    detector.load_state_dict(weights)
    detector.eval()
    return detector


def unwrapped(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state of the detector alone."""
    inner = {
        name.removeprefix(WRAPPED): value
        for name, value in weights.items()
        if name.startswith(WRAPPED)
    }
    return inner or weights


def _sized(module: nn.Module, weight: Tensor) -> nn.Module:
    """The module, or one of its kind with as many channels as ``weight`` has."""
    if weight.shape == module.weight.shape:
        return module
    if isinstance(module, nn.BatchNorm2d):
        return nn.BatchNorm2d(len(weight), eps=module.eps, momentum=module.momentum)
    made, given = weight.shape[:2]
    return nn.Conv2d(
        given, made, module.kernel_size, module.stride, module.padding,
        bias=module.bias is not None,
    )  # fmt: skip
