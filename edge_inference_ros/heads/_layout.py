"""Checks that a network's outputs are what a head reads, before the first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import InputSpec, Manifest, TensorSpec
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import ManifestError, SpecMismatch

ANY = -1
"""A size the head does not care about."""


class Output:
    """One output tensor of a network, checked once and read as float32 ever after."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._floats = Scratch(np.float32)

    def read(self, outputs: Tensors) -> NDArray[np.float32]:
        """The tensor without its batch axis; borrowed, and copied only where it is not float32."""
        tensor: NDArray[Any] = outputs[self.name][0]
        if tensor.dtype == np.float32:
            return tensor
        floats: NDArray[Any] = self._floats(*tensor.shape)
        np.copyto(floats, tensor, casting='unsafe')
        return floats


def output(
    manifest: Manifest, outputs: Tensors, *, index: int, shape: Sequence[int], words: str
) -> Output:
    """The manifest's output number ``index``, which must have this shape.

    Args:
        manifest: of the model.
        outputs: of the network.
        index: which of ``manifest.outputs``.
        shape: expected sizes, ``ANY`` where any will do.
        words: the same for people, such as '[1, 4 + classes, boxes]'.

    Raises:
        SpecMismatch: there is no such output, or it has another shape.
    """
    if index >= len(manifest.outputs):
        raise SpecMismatch(
            f'head {manifest.head.name!r} reads {index + 1} outputs, number {index + 1} being'
            f' {words}; the manifest lists {len(manifest.outputs)}: list the others under outputs'
        )
    spec = manifest.outputs[index]
    if spec.tensor not in outputs:
        raise SpecMismatch(
            f'the network has no output {spec.tensor!r}, only {", ".join(outputs)};'
            f' correct outputs[{index}].tensor in the manifest'
        )
    sizes = _sizes(spec, outputs[spec.tensor].shape)
    if len(sizes) != len(shape) or any(
        ANY not in (want, have) and want != have for want, have in zip(shape, sizes, strict=True)
    ):
        raise SpecMismatch(
            f'head {manifest.head.name!r} reads {words} = {_text(shape)} for the'
            f' {len(manifest.classes)} classes of the manifest; output {spec.tensor!r} is'
            f' {_text(sizes)}: correct classes or head.name in the manifest'
        )
    return Output(spec.tensor)


def options(manifest: Manifest, known: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The head's options, each one of its allowed values, the first being the default.

    Raises:
        ManifestError: an option this head does not know, or a value it does not allow.
    """
    given = manifest.head.options
    for key, value in given.items():
        if key not in known:
            raise ManifestError(
                f'head.options.{key}: unknown to head {manifest.head.name!r},'
                f' which knows {", ".join(known) or "none"}'
            )
        if value not in known[key]:
            raise ManifestError(
                f'head.options.{key} = {value!r}: expected one of'
                f' {", ".join(map(str, known[key]))}'
            )
    return {key: given.get(key, allowed[0]) for key, allowed in known.items()}


def unit_px(seen: InputSpec, unit: str) -> NDArray[np.float32]:
    """(4,) pixels of the input in one unit of x y x y: ``px`` or ``fraction`` of the input."""
    size = (seen.width_px, seen.height_px) if unit == 'fraction' else (1, 1)
    return np.array(size * 2, np.float32)


def _sizes(spec: TensorSpec, shape: Sequence[int]) -> tuple[int, ...]:
    """The tensor's sizes, ``ANY`` where the manifest leaves them to the data."""
    if len(spec.shape) != len(shape):
        return tuple(shape)
    return tuple(
        ANY if promised == ANY else size for promised, size in zip(spec.shape, shape, strict=True)
    )


def _text(shape: Sequence[int]) -> str:
    return '[' + ', '.join('any' if size == ANY else str(size) for size in shape) + ']'
