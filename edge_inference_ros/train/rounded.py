"""An eight-bit graph run in torch, with weights and scales that can be trained.

The graph is the one `_int8.quantised` writes. Its rounding is therefore where the runtime's will
be, and what was trained goes back into the same writer: no second opinion on where Q and DQ nodes
belong exists. Scales are learned as in Esser et al., *Learned Step Size Quantization*, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.train.net import STRIDES, WRAPPED, Levels

QUANTISE, RESTORE = 'QuantizeLinear', 'DequantizeLinear'
_SUFFIX = '_quantized'
_STEPS = 127
"""Of a symmetric activation in eight bits: -127 to 127."""


@dataclass(frozen=True)
class _Step:
    """One node: what it reads, and the one tensor it makes."""

    kind: str
    reads: tuple[str, ...]
    makes: str
    options: Mapping[str, Any]


class _Round(torch.autograd.Function):
    """Rounds to a scale; values inside the range pass their gradient on as if nothing happened."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, limits: tuple[int, int, int]) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.limits = limits
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(x, float(scale), *limits)
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale = ctx.saved_tensors
        zero, low, high = ctx.limits
        steps = x / scale
        kept = steps.round().clamp(low - zero, high - zero)
        inside = (steps - kept).abs() <= 0.5
        slope = torch.where(inside, kept - steps, kept)
        share = 1 / math.sqrt(x.numel() * (high - low) / 2)
        return gradient * inside, (gradient * slope).sum() * share, None


class Rounded(nn.Module):
    """The part of an eight-bit graph of ours from the pictures to the raw outputs."""

    def __init__(self, plain: Any, quantised: Any) -> None:
        """Take over the weights of a float graph and the rounding of an eight-bit one.

        Args:
            plain: the float network.
            quantised: the same with Q and DQ nodes.

        Raises:
            ConfigError: not a network of ours, or an operator that is not known here.
        """
        super().__init__()
        self._constants = _constants(quantised)
        self._weight_steps = _largest(self._constants)
        self._start, self._outputs = _ends(plain, quantised)
        self._steps = _between(quantised, self._start, self._outputs)
        self.weights, self.scales = nn.ParameterDict(), nn.ParameterDict()
        self._biases: dict[str, tuple[str, str]] = {}
        floats = _constants(plain)
        makers = {step.makes: step for step in self._steps}
        for step in self._steps:
            if step.kind == 'Conv':
                self._take(step, makers, floats)
            elif step.kind == QUANTISE:
                scale = math.log(float(self._constants[step.reads[1]]))
                self.scales[_key(step.reads[1])] = nn.Parameter(torch.tensor(scale))

    def _take(self, step: _Step, makers: Mapping[str, _Step], floats: Mapping[str, Any]) -> None:
        """Make parameters of a convolution's weight and bias."""
        names = [makers[read].reads[0] if read in makers else read for read in step.reads[1:]]
        names = [name.removesuffix(_SUFFIX) for name in names]
        for name in names:
            if name not in floats:
                raise ConfigError(f'{name}: layers share it, as before any training')
            self.weights[_key(name)] = nn.Parameter(torch.from_numpy(floats[name]))
        if len(names) > 1 and step.reads[2] in makers:
            rounded = makers[makers[step.reads[0]].reads[0]]
            self._biases[step.reads[2]] = _key(rounded.reads[1]), _key(names[0])

    def forward(self, pictures: Tensor) -> Levels:
        """As the detector's, in float32: bfloat16 is coarser than the rounding to be learned."""
        with torch.autocast(pictures.device.type, enabled=False):
            known = {self._start: pictures.float()}
            for step in self._steps:
                known[step.makes] = self._rounded(step, known)
        return [(known[score], known[box]) for score, box in self._outputs]

    def _rounded(self, step: _Step, known: Mapping[str, Tensor]) -> Tensor:
        if step.kind == QUANTISE:
            scale = self.scales[_key(step.reads[1])].exp()
            rounded: Tensor = _Round.apply(known[step.reads[0]], scale, self._limits(step))
            return rounded
        if step.kind == RESTORE:
            return self._restored(step, known)
        return _KNOWN[step.kind]([self._value(name, known) for name in step.reads], step.options)

    def _restored(self, step: _Step, known: Mapping[str, Tensor]) -> Tensor:
        """What a DQ node answers: an activation as it was rounded, or a constant rounded now."""
        name = step.reads[0]
        if name in known:
            return known[name]
        weight: Tensor = self.weights[_key(name.removesuffix(_SUFFIX))]
        if step.makes in self._biases:
            activation, layer = self._biases[step.makes]
            steps = self._scales(self.weights[layer])
            scale = self.scales[activation].detach().exp() * steps
            return weight + ((weight / scale).round() * scale - weight).detach()
        scale = self._scales(weight)
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        restored: Tensor = torch.fake_quantize_per_channel_affine(
            weight, scale, zeros, 0, -self._weight_steps, self._weight_steps
        )
        return restored

    def _scales(self, weight: Tensor) -> Tensor:
        """One for each channel that a layer makes."""
        largest: Tensor = weight.detach().abs().flatten(1).amax(1)
        return largest.clamp(min=1e-12) / self._weight_steps

    def _value(self, name: str, known: Mapping[str, Tensor]) -> Any:
        if name in known:
            return known[name]
        if _key(name) in self.weights:
            return self.weights[_key(name)]
        return self._constants.get(name)

    def _limits(self, step: _Step) -> tuple[int, int, int]:
        """Zero point, lowest and highest number of a Q node."""
        zero = self._constants[step.reads[2]]
        known = np.iinfo(zero.dtype)
        return int(zero), int(known.min), int(known.max)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges of the tensors that are rounded, from which a writer gets these scales."""
        by_tensor = {}
        for step in self._steps:
            if step.kind == QUANTISE:
                scale = float(self.scales[_key(step.reads[1])].detach().exp())
                zero, low, high = self._limits(step)
                low = max(low, zero - _STEPS) if low < 0 else low
                by_tensor[step.reads[0]] = (low - zero) * scale, (high - zero) * scale
        return by_tensor

    def plain(self, model: Any) -> Any:
        """A copy of a float network with these weights."""
        from onnx import numpy_helper

        bare = type(model).FromString(model.SerializeToString())
        for tensor in bare.graph.initializer:
            if _key(tensor.name) in self.weights:
                value = self.weights[_key(tensor.name)].detach().cpu().contiguous().numpy()
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        return bare


def _largest(constants: Mapping[str, Any]) -> int:
    """The largest number that the weights of a graph take, which says how many bits they have."""
    weights = (w for name, w in constants.items() if name.endswith(_SUFFIX) and w.dtype == np.int8)
    return max((int(np.abs(w.astype(np.int16)).max()) for w in weights), default=_STEPS)


def _key(name: str) -> str:
    """A name torch accepts for a parameter."""
    return name.replace('.', '/')


def _constants(model: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    return {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}


def _ends(plain: Any, quantised: Any) -> tuple[str, list[tuple[str, str]]]:
    """What the first convolution reads, and per stride what is read as scores and as sides."""
    convolutions = [node for node in plain.graph.node if node.op_type == 'Conv']
    by_weight = {node.input[1]: node for node in convolutions}
    readers = {name: node for node in plain.graph.node for name in node.input}
    nodes = {node.name: node for node in quantised.graph.node}

    def read(branch: str, level: int) -> str:
        output = by_weight[f'{WRAPPED}{branch}.{level}.1.weight'].output[0]
        return str(nodes[readers[output].name].input[0])

    try:
        outputs = [(read('classify', i), read('regress', i)) for i in range(len(STRIDES))]
    except KeyError as error:
        raise ConfigError(
            f'the network has no layer {error}: it is not one that edge_inference train camera'
            ' made, and only those can be trained with rounding'
        ) from error
    return str(convolutions[0].input[0]), outputs


def _between(model: Any, start: str, outputs: Sequence[tuple[str, str]]) -> list[_Step]:
    """The nodes that lead from ``start`` to the outputs, in order."""
    from onnx.helper import get_attribute_value

    wanted = {name for pair in outputs for name in pair}
    steps = []
    for node in reversed(model.graph.node):
        if node.output[0] in wanted and node.output[0] != start:
            if node.op_type not in {QUANTISE, RESTORE, *_KNOWN}:
                raise ConfigError(f'{node.name}: {node.op_type} cannot be trained with rounding')
            options = {a.name: get_attribute_value(a) for a in node.attribute}
            steps.append(_Step(node.op_type, tuple(node.input), node.output[0], options))
            wanted |= set(node.input)
    return steps[::-1]


def _convolve(given: Sequence[Tensor], options: Mapping[str, Any]) -> Tensor:
    return functional.conv2d(
        *given, stride=options['strides'], padding=_padding(options),
        dilation=options.get('dilations', [1, 1]), groups=options.get('group', 1),
    )  # fmt: skip


def _pool(given: Sequence[Tensor], options: Mapping[str, Any]) -> Tensor:
    return functional.max_pool2d(
        given[0], options['kernel_shape'], options.get('strides'), _padding(options)
    )


def _padding(options: Mapping[str, Any]) -> list[int]:
    first, last = np.split(np.array(options.get('pads', [0, 0, 0, 0])), 2)
    if (first != last).any():
        raise ConfigError(f'pads = {options["pads"]}: only the same on both sides can be trained')
    return [int(n) for n in first]


def _resize(given: Sequence[Any], options: Mapping[str, Any]) -> Tensor:
    if options.get('mode', b'nearest') != b'nearest':
        raise ConfigError(f'Resize of mode {options["mode"]!r}: only nearest can be trained')
    factors = [float(f) for f in given[2][2:]]
    return functional.interpolate(given[0], scale_factor=factors, mode='nearest')


_KNOWN: Mapping[str, Callable[[Sequence[Any], Mapping[str, Any]], Tensor]] = {
    'Add': lambda given, _: given[0] + given[1],
    'Concat': lambda given, options: torch.cat(list(given), options['axis']),
    'Conv': _convolve,
    'MaxPool': _pool,
    'Relu': lambda given, _: given[0].relu(),
    'Resize': _resize,
}
"""What our networks are made of."""
