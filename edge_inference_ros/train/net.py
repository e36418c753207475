"""The camera detector: anchor-free, one stage, plain convolutions and ReLU.

Nothing in it is hard to quantise or to fuse, and the deployed form has one uint8 input and one
output, so that what runs on the robot is one graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
Levels = list[tuple[Tensor, Tensor]]
"""Per stride: class logits (B, C, h, w) and raw distances to the four sides (B, 4, h, w)."""

WRAPPED = 'detector.'
"""Before the names of a detector's weights where it is part of something larger."""


@dataclass(frozen=True)
class NetConfig:
    """Sizes of the network.

    Attributes:
        channels: of the stem and of strides 4, 8, 16 and 32.
        blocks: residual blocks at strides 4, 8, 16 and 32.
        neck: channels of the neck and the heads.
        classes: how many.
        width: pixels of the picture it is deployed for, a multiple of 32; so is height.
    """

    channels: tuple[int, int, int, int, int] = (16, 24, 48, 80, 112)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    neck: int = 48
    classes: int = 4
    width: int = 384
    height: int = 288


CONFIGS: Mapping[str, NetConfig] = {
    'tiny': NetConfig(),
    'nano': NetConfig((8, 16, 32, 48, 64), (1, 1, 1, 1), 32),
    'small': NetConfig((24, 40, 72, 128, 176), (1, 2, 2, 1), 72),
}
"""`tiny` is shipped, `nano` is for the smallest robots, `small` is a teacher."""


class Conv(nn.Sequential):
    """Convolution, batch normalisation, ReLU; the picture keeps its size over the stride."""

    def __init__(self, given: int, made: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(given, made, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two convolutions through half the channels, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = Conv(channels, channels // 2)
        self.expand = Conv(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        added: Tensor = x + self.expand(self.squeeze(x))
        return added


class Pyramid(nn.Module):
    """Three pooled copies beside the original, so that one cell sees most of the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = Conv(channels, channels // 2, 1)
        self.merge = Conv(channels * 2, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        copies = [self.squeeze(x)]
        for _ in range(3):
            copies.append(self.pool(copies[-1]))
        merged: Tensor = self.merge(torch.cat(copies, 1))
        return merged


class DetectorNet(nn.Module):
    """Backbone, a top-down and bottom-up neck, and a head of two branches per stride."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        stem, *stages = config.channels
        self.stem = Conv(3, stem, 3, 2)
        self.stages = nn.ModuleList()
        for given, made, count in zip([stem, *stages], stages, config.blocks, strict=False):
            blocks = (Residual(made) for _ in range(count))
            self.stages.append(nn.Sequential(Conv(given, made, 3, 2), *blocks))
        self.context = Pyramid(stages[-1])
        neck = config.neck
        self.lateral = nn.ModuleList(Conv(c, neck, 1) for c in stages[1:])
        self.refine = nn.ModuleList(Residual(neck) for _ in STRIDES)
        self.down = nn.ModuleList(Conv(neck, neck, 3, 2) for _ in STRIDES[1:])
        self.classify = nn.ModuleList(self._branch(config.classes, -4.0) for _ in STRIDES)
        self.regress = nn.ModuleList(self._branch(4, 1.0) for _ in STRIDES)

    def _branch(self, outputs: int, bias: float) -> nn.Sequential:
        last = nn.Conv2d(self.config.neck, outputs, 1)
        nn.init.constant_(last.bias, bias)
        return nn.Sequential(Conv(self.config.neck, self.config.neck), last)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """The neck's maps at strides 8, 16 and 32, each (B, neck, h, w)."""
        x, seen = self.stem(pictures), []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        seen[-1] = self.context(seen[-1])
        fine, middle, coarse = (side(s) for side, s in zip(self.lateral, seen[1:], strict=True))
        middle = self.refine[1](middle + _double(coarse))
        fine = self.refine[0](fine + _double(middle))
        middle = middle + self.down[0](fine)
        coarse = self.refine[2](coarse + self.down[1](middle))
        return [fine, middle, coarse]

    def forward(self, pictures: Tensor) -> Levels:
        """Pictures (B, 3, H, W), BGR in 0 to 1, to the raw outputs of the three strides."""
        return self.answers(self.features(pictures))

    def answers(self, maps: list[Tensor]) -> Levels:
        """The raw outputs for the neck's maps."""
        return [
            (classify(m), regress(m))
            for m, classify, regress in zip(maps, self.classify, self.regress, strict=True)
        ]


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode='nearest')


def flat(levels: Levels) -> tuple[Tensor, Tensor]:
    """Join strides: class logits (B, N, C) and raw distances (B, N, 4), both float32."""
    logits = torch.cat([c.flatten(2) for c, _ in levels], 2).transpose(1, 2)
    raw = torch.cat([r.flatten(2) for _, r in levels], 2).transpose(1, 2)
    return logits.float(), raw.float()


def cells(levels: Levels) -> tuple[Tensor, Tensor]:
    """Centres (N, 2) in pixels and strides (N, 1) of every output cell."""
    points, strides = [], []
    for (logits, _), stride in zip(levels, STRIDES, strict=True):
        high, wide = logits.shape[-2:]
        y = (torch.arange(high, device=logits.device) + 0.5) * stride
        x = (torch.arange(wide, device=logits.device) + 0.5) * stride
        rows, columns = torch.meshgrid(y, x, indexing='ij')
        points.append(torch.stack((columns, rows), -1).reshape(-1, 2))
        strides.append(torch.full((high * wide, 1), float(stride), device=logits.device))
    return torch.cat(points), torch.cat(strides)


def corners(raw: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """(B, N, 4) boxes x1 y1 x2 y2 in pixels from raw distances."""
    sides = functional.softplus(raw) * strides
    return torch.cat((points - sides[..., :2], points + sides[..., 2:]), -1)


class Deployed(nn.Module):
    """The detector as it is shipped: bytes in, boxes and scores out.

    Input (1, H, W, 3) uint8 BGR; output (1, 4 + C, N) float32: centre x, centre y, width and
    height in input pixels, then one score per class, the layout the `yolov8` head reads.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        # Numbers first: TensorRT lets nothing but a cast read bytes.
        pictures = images.float().permute(0, 3, 1, 2) / 255.0
        levels = self.detector(pictures)
        points, strides = (values.T for values in cells(levels))
        scores = torch.cat([c.flatten(2) for c, _ in levels], 2).float().sigmoid()
        raw = torch.cat([r.flatten(2) for _, r in levels], 2).float()
        sides = functional.softplus(raw) * strides
        before, after = sides[:, :2], sides[:, 2:]
        centre = points + (after - before) * 0.5
        return torch.cat((centre, before + after, scores), 1)


def build(config: NetConfig, *, seed: int = 0) -> DetectorNet:
    """A detector with random weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return DetectorNet(config)


def to_dict(config: NetConfig) -> dict[str, Any]:
    """What a checkpoint stores of a configuration."""
    return asdict(config)


def from_dict(stored: Mapping[str, Any]) -> NetConfig:
    """The configuration a checkpoint stored."""
    plain: dict[str, Any] = {
        k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in stored.items()
    }
    return NetConfig(**plain)


def shaped(config: NetConfig, weights: Mapping[str, Tensor]) -> DetectorNet:
    """A detector, in evaluation mode, into which ``weights`` fit, with them.

    The weights tell how wide each layer is and which residual blocks are left, so the checkpoint
    of a pruned network needs no further description.

    Args:
        config: what it was built with; the picture's size and the number of classes still hold.
        weights: its state, or that of a module whose attribute ``detector`` it is.

    Raises:
        KeyError, RuntimeError: the weights are no detector's.
    """
    weights = unwrapped(weights)
    detector = DetectorNet(config)
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
    outputs, given = weight.shape[:2]
    return nn.Conv2d(
        given, outputs, module.kernel_size, module.stride, module.padding,
        bias=module.bias is not None,
    )  # fmt: skip
