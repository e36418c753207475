"""A detector of ours to train on, from its checkpoint or from its ONNX file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_inference_ros.core.manifest import FILE_NAME, Manifest, load
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.train import deploy, fit
from edge_inference_ros.train.camera import CHECKPOINT
from edge_inference_ros.train.net import WRAPPED, Conv, DetectorNet, NetConfig, shaped


@dataclass(frozen=True)
class Restored:
    """A detector and where it comes from.

    Attributes:
        detector: in evaluation mode.
        path: the file its weights were read from.
        manifest: of the model folder, if there is one.
    """

    detector: DetectorNet
    path: Path
    manifest: Manifest | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names; empty if nothing says them."""
        return tuple(self.manifest.classes) if self.manifest else ()


def restored(model: Path) -> Restored:
    """The detector of a model folder, a checkpoint (``.pt``) or an ONNX file.

    A folder's checkpoint is preferred to its ONNX file: it still has the statistics of the batch
    normalisations apart from the weights.

    Raises:
        ConfigError: no such file, or a network that is not ours.
        ModelError: the folder has no float network, or not the one its manifest promises.
    """
    folder = model if model.is_dir() else model.parent
    manifest = load(folder) if (folder / FILE_NAME).is_file() else None
    if model.is_dir():
        checkpoint = model / CHECKPOINT
        model = checkpoint if checkpoint.is_file() else _folder.source(model).path
    if not model.is_file():
        raise ConfigError(f'{model}: no such file or folder')
    config_and_weights = _from_checkpoint(model) if model.suffix == '.pt' else from_onnx(model)
    return Restored(config_and_weights, model, manifest)


def _from_checkpoint(path: Path) -> DetectorNet:
    try:
        return fit.trained(path)
    except Exception as error:
        # torch raises whatever its unpickler meets in a file that is no checkpoint
        raise ConfigError(f'{path}: not a checkpoint of our detector: {error}') from error


def from_onnx(path: Path) -> DetectorNet:
    """The detector an ONNX file of ours was exported from.

    The file's convolutions have their batch normalisations folded in; here they are followed by
    ones that change nothing. `settle` makes them fit to be trained.

    Raises:
        ConfigError: the network is not ours, is quantised, or does not answer as the file does.
    """
    from edge_inference_ros.optimize.graph import network

    model = network.load(path)
    weights = _weights(model)
    try:
        detector = _unfolded(_config(weights, model), weights)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise ConfigError(
            f'{path}: not a float network that edge_inference train camera made ({error!r});'
            ' only those can be trained further'
        ) from error
    _compare(detector, path)
    return detector


def _weights(model: Any) -> dict[str, Tensor]:
    """Weights and biases by the names of their layers; layers with equal ones share a tensor."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = {}
    for node in model.graph.node:
        named = node.input[1] if node.op_type == 'Conv' else ''
        if named.startswith(WRAPPED):
            layer = named.removeprefix(WRAPPED).removesuffix('.weight')
            for kind, name in zip(('weight', 'bias'), node.input[1:], strict=False):
                array = numpy_helper.to_array(constants[name]).copy()
                weights[f'{layer}.{kind}'] = torch.from_numpy(array)
    return weights


def _config(weights: Mapping[str, Tensor], model: Any) -> NetConfig:
    """What the shapes of the weights say; where a network was pruned they overrule it."""
    blocks: defaultdict[int, int] = defaultdict(int)
    for name in weights:
        kind, stage, block, *_ = (*name.split('.'), '', '')
        if kind == 'stages':
            blocks[int(stage)] = max(blocks[int(stage)], int(block))
    channels = [len(weights[f'stages.{i}.0.0.weight']) for i in range(4)]
    _, high, wide, _ = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    return NetConfig(
        channels=(
            len(weights['stem.0.weight']),
            channels[0],
            channels[1],
            channels[2],
            channels[3],
        ),
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        neck=len(weights['lateral.0.0.weight']),
        classes=len(weights['classify.0.1.weight']),
        width=wide,
        height=high,
    )


def _unfolded(config: NetConfig, weights: Mapping[str, Tensor]) -> DetectorNet:
    """A detector whose batch normalisations add the biases of ``weights`` and do nothing else."""
    state = {}
    for name, value in weights.items():
        layer, _, last = name.rpartition('.')
        norm = layer[:-1] + '1'
        if f'{layer}.bias' not in weights:
            raise KeyError(f'{layer}.bias')
        if _is_predictor(layer):
            state[name] = value
        elif last == 'weight':
            state[name] = value
            state |= _unchanging(norm, weights[f'{layer}.bias'])
    return shaped(config, state)


def _is_predictor(layer: str) -> bool:
    """Whether a convolution is one of the last, which have a bias and no normalisation."""
    return layer.startswith(('classify', 'regress')) and layer.endswith('.1')


def _unchanging(name: str, bias: Tensor) -> dict[str, Tensor]:
    ones = torch.ones_like(bias)
    return {
        f'{name}.weight': (ones + nn.BatchNorm2d(1).eps).sqrt(),
        f'{name}.bias': bias,
        f'{name}.running_mean': torch.zeros_like(bias),
        f'{name}.running_var': ones,
        f'{name}.num_batches_tracked': torch.tensor(0),
    }


def folded(detector: DetectorNet) -> DetectorNet:
    """A copy that answers the same and whose normalisations do nothing but add a bias.

    The size of its weights then tells what a channel contributes.
    """
    weights = {
        name: value
        for name, value in deploy.fused(detector).state_dict().items()
        if value.ndim and not name.endswith(('running_mean', 'running_var'))
    }
    return _unfolded(detector.config, weights)


@torch.no_grad()
def settle(detector: DetectorNet, batches: Iterable[Tensor]) -> None:
    """Give the batch normalisations the statistics of pictures, without changing any answer.

    Training normalises by the batch; the closer a batch is to what is stored, the less the network
    jumps when training begins.

    Args:
        detector: changed in place; left in evaluation mode.
        batches: of pictures (B, 3, H, W) in 0 to 1.
    """
    norms = [m[1] for m in detector.modules() if isinstance(m, Conv)]
    sums = {norm: [0.0, torch.zeros(()), torch.zeros(())] for norm in norms}

    def note(norm: nn.Module, given: tuple[Tensor]) -> None:
        x = given[0].double()
        known = sums[norm]
        known[0] += x.numel() / x.shape[1]
        known[1] = known[1] + x.sum((0, 2, 3))
        known[2] = known[2] + x.square().sum((0, 2, 3))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    detector.eval()
    for pictures in batches:
        detector(pictures)
    for hook in hooks:
        hook.remove()
    for norm, (count, total, squares) in sums.items():
        if count:
            mean = total / count
            _restate(norm, mean, (squares / count - mean.square()).clamp(min=0))


def _restate(norm: nn.Module, mean: Tensor, variance: Tensor) -> None:
    """Store other statistics and correct scale and bias so that the function stays."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() + scale * (mean - norm.running_mean.double())
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(bias)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _compare(detector: DetectorNet, path: Path) -> None:
    config = detector.config
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (1, config.height, config.width, 3), dtype=np.uint8)
    wanted, given = deploy.onnx_predict(path)(picture), deploy.torch_predict(detector)(picture)
    apart = float('inf') if wanted.shape != given.shape else float(np.abs(wanted - given).max())
    if not apart <= deploy.TOLERANCE_PX:
        raise ConfigError(
            f'{path}: read back as our detector it answers {apart:.3g} px apart from ONNX Runtime,'
            f' allowed {deploy.TOLERANCE_PX:g}; its graph is not the one we export'
        )
