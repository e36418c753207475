"""Nodes in front of a network: the camera's own bytes in, the network's input out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_inference_ros.core.manifest import InputSpec
from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.graph.nodes import GraphEditor, inputs, rename

TENSOR = 'camera'
PADDING = 114.0
"""The grey around a letterboxed picture; the same as on the host (``heads/_fit.py``)."""
_FROM_NHWC, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where in the network's input the camera's picture lies, in pixels."""

    left: int
    top: int
    wide: int
    high: int

    def growth(self, camera: tuple[int, int]) -> tuple[float, float]:
        """Camera pixels per network pixel, across and down."""
        height, width = camera
        return width / self.wide, height / self.high


def placement(spec: InputSpec, camera: tuple[int, int], *, corner: bool = False) -> Placement:
    """The same place as on the host: all of it if stretched, else the middle or the corner."""
    if spec.fit == 'stretch':
        return Placement(0, 0, spec.width_px, spec.height_px)
    height, width = camera
    scale = min(spec.width_px / width, spec.height_px / height)
    whole = int if spec.rounding == 'down' else round
    wide, high = max(1, whole(width * scale)), max(1, whole(height * scale))
    if corner:
        return Placement(0, 0, wide, high)
    return Placement((spec.width_px - wide) // 2, (spec.height_px - high) // 2, wide, high)


def picture(
    graph: GraphEditor,
    spec: InputSpec,
    camera: tuple[int, int],
    order: str,
    *,
    corner: bool = False,
) -> str:
    """Levels 0 … 255 as float32 [1, 3, H, W] of the network's size; returns the tensor's name.

    Half-pixel bilinear without smoothing, then rounded: what OpenCV's INTER_LINEAR does to bytes,
    up to one level where its fixed-point weights round the other way.
    """
    place = placement(spec, camera, corner=corner)
    name = graph.put('Transpose', graph.cast(TENSOR, 'FLOAT'), perm=_FROM_NHWC)
    if order != spec.order:
        name = graph.put('Gather', name, np.array([2, 1, 0]), axis=1)
    if (place.high, place.wide) != camera:
        size = np.array([1, 3, place.high, place.wide])
        name = graph.put(
            'Resize', name, '', '', size, mode='linear',
            coordinate_transformation_mode='half_pixel',
        )  # fmt: skip
        name = graph.put('Round', name)
    bottom = spec.height_px - place.top - place.high
    right = spec.width_px - place.left - place.wide
    if place.top or place.left or bottom or right:
        pads = np.array([0, 0, place.top, place.left, 0, 0, bottom, right])
        name = graph.put('Pad', name, pads, np.array(PADDING, np.float32))
    return name


def put_in_front(
    model: Any, spec: InputSpec, camera: tuple[int, int], order: str, *, corner: bool = False
) -> None:
    """Replace the input ``spec`` of ``model`` by camera bytes, ``uint8 [1, H, W, 3]``.

    TensorRT casts bytes only at the network's edge, so a network that took bytes gets the same
    numbers as floats; its own cast then does nothing.

    Raises:
        ModelError: the graph has no such input.
    """
    from onnx import TensorProto, helper

    if spec.tensor not in {value.name for value in inputs(model)}:
        raise ModelError(f'the network has no input {spec.tensor!r}')
    graph = GraphEditor(model, 'front')
    name = _normalised(graph, picture(graph, spec, camera, order, corner=corner), spec)
    if spec.layout == 'nhwc':
        name = graph.put('Transpose', name, perm=_TO_NHWC)
    rename(model, spec.tensor, name)
    old = next(i for i, value in enumerate(model.graph.input) if value.name == spec.tensor)
    del model.graph.input[old]
    shape = [1, *camera, 3]
    seen = helper.make_tensor_value_info(TENSOR, TensorProto.UINT8, shape)
    model.graph.input.insert(old, seen)
    nodes = [*graph.nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _normalised(graph: GraphEditor, name: str, spec: InputSpec) -> str:
    if spec.dtype == 'uint8':
        return name
    each = (1, 3, 1, 1)
    if spec.scale != 1.0:
        name = graph.put('Mul', name, np.array(spec.scale, np.float32))
    if any(spec.mean):
        name = graph.put('Sub', name, np.array(spec.mean, np.float32).reshape(each))
    if any(value != 1.0 for value in spec.std):
        name = graph.put('Div', name, np.array(spec.std, np.float32).reshape(each))
    return graph.cast(name, 'FLOAT16') if spec.dtype == 'float16' else name
