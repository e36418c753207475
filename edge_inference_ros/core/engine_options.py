"""How an engine is built from a network, declared once for builder, cache and command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ParameterError

Profile: TypeAlias = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Input tensor → its smallest, most likely and largest shape."""


@dataclass(frozen=True)
class EngineOptions:
    """What may be chosen when an engine is built; all of it is part of the engine's key."""

    precision: str = param(
        'graph',
        'number formats of the engine: as the graph is typed, or by builder flags (TensorRT'
        ' 10 and older)',
        choices=('graph', 'fp16', 'int8', 'int8_fp16'),
    )
    shapes: str = param(
        '', 'min/opt/max of dynamic inputs: images=1x3x320x320/1x3x640x640/1x3x1280x1280;…'
    )
    workspace_mib: int = param(
        1024, 'device memory a layer may use for itself', low=16, high=1 << 20
    )
    optimization_level: int = param(
        3, 'builder effort: 0 builds fastest, 5 tries the most kernels', low=0, high=5
    )
    tf32: bool = param(True, 'float32 layers may multiply in TF32')
    sparse: bool = param(False, 'use sparse kernels where weights are 2:4 sparse')
    dla_core: int = param(-1, 'deep learning accelerator of an Orin; -1: the GPU', low=-1, high=1)
    version_compatible: bool = param(
        False,
        'the engine may be loaded by later TensorRT versions',
    )
    hardware_compatible: str = param(
        'none',
        'other GPUs that the engine may run on',
        choices=('none', 'ampere_plus', 'same_compute_capability'),
    )


def profile(shapes: str) -> Profile:
    """Read ``EngineOptions.shapes``.

    Raises:
        ParameterError: not ``tensor=MIN/OPT/MAX`` of equal rank with MIN ≤ OPT ≤ MAX.
    """
    return dict(_entry(entry.strip()) for entry in shapes.split(';') if entry.strip())


def _entry(
    given: str,
) -> tuple[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    tensor, _, sizes = given.rpartition('=')
    try:
        low, likely, high = (tuple(map(int, s.split('x'))) for s in sizes.split('/'))
    except ValueError:
        low = likely = high = ()
    ranks = {len(low), len(likely), len(high)}
    rising = all(0 <= a <= b <= c for a, b, c in zip(low, likely, high, strict=False))
    if not tensor or not low or len(ranks) > 1 or not rising:
        raise ParameterError(
            f'shapes = {given!r}: expected TENSOR=MIN/OPT/MAX with MIN ≤ OPT ≤ MAX,'
            ' such as images=1x3x320x320/1x3x640x640/1x3x1280x1280'
        )
    return tensor, (low, likely, high)
