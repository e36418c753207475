"""Nodes behind a network: boxes in camera pixels, the few best of them, suppression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.graph.front import Placement
from edge_inference_ros.optimize.graph.nodes import GraphEditor, rename

NMS_TENSOR = 'detections'
_NOBODY = np.float32(-1)
_STRIDES, _LONGEST_LOG = '8-16-32', 20.0  # as heads/yolox.py has them
_SOMEBODY = np.float32(-0.5)  # a score above this is a box's


def layout(head: HeadSpec) -> BoxPlace:
    """Where the boxes of ``head`` are, as its module and its options say.

    Raises:
        ModelError: it does not say.
    """
    known = getattr(registry.load('heads', head.name), 'BOXES', None)
    if not isinstance(known, BoxPlace):
        raise ModelError(
            f'head {head.name!r} does not say where its boxes are: give its module BOXES, as in'
            ' docs/extending.md'
        )
    options = head.options
    return replace(
        known,
        centred={'centre': True, 'corners': False}.get(options.get('box', ''), known.centred),
        fraction=known.fraction or options.get('unit') == 'fraction',
    )


def to_camera(manifest: Manifest, model: Any, place: Placement, camera: tuple[int, int]) -> None:
    """Move the boxes from the network's picture to the camera's, as the host's ``undo`` does."""
    where = layout(manifest.head)
    name = manifest.outputs[where.output].tensor
    graph, raw = _behind(model, name)
    if manifest.head.name == 'yolox' and manifest.head.options.get('boxes') != 'px':
        raw = _leave_grid(graph, raw, manifest)
    rank, length = len(manifest.outputs[where.output].shape), _length(model, name, where.axis)
    factor, shift = _affine(where, manifest.input, place, camera)
    shape = [1] * rank
    shape[where.axis] = length
    scale, offset = np.ones(length, np.float32), np.zeros(length, np.float32)
    box = slice(where.first, where.first + 4)
    scale[box], offset[box] = factor, shift
    grown = graph.put('Mul', graph.cast(raw, 'FLOAT'), scale.reshape(shape))
    graph.put('Add', grown, offset.reshape(shape), out=name)
    _finish(model, graph, name)


def _leave_grid(graph: GraphEditor, raw: str, manifest: Manifest) -> str:
    """YOLOX's boxes relative to their cells become centres and sides in pixels of the input."""
    seen, grids = manifest.input, []
    for stride in map(int, manifest.head.options.get('strides', _STRIDES).split('-')):
        high, wide = seen.height_px // stride, seen.width_px // stride
        down, across = np.mgrid[:high, :wide].reshape(2, -1)
        grids.append(np.stack((across, down, np.full(high * wide, stride)), axis=1))
    cells = np.concatenate(grids).astype(np.float32)[None]
    floats = graph.cast(raw, 'FLOAT')
    centres = graph.put('Add', graph.part(floats, 2, 0, 2), cells[..., :2].copy())
    logs = graph.put('Min', graph.part(floats, 2, 2, 4), np.array(_LONGEST_LOG, np.float32))
    boxes = graph.put('Concat', centres, graph.put('Exp', logs), axis=2)
    boxes = graph.put('Mul', boxes, cells[..., 2:].copy())
    return graph.put('Concat', boxes, graph.part(floats, 2, 4, 1 << 30), axis=2)


def keep_best(manifest: Manifest, model: Any) -> int:
    """Leave only the head's ``candidates`` best boxes of a yolov8 output, best first.

    The head then finds what it would have found, in a tensor of a fraction of the size.
    Returns how many there are.
    """
    name = _yolov8_output(manifest)
    graph, raw = _behind(model, name)
    count = min(manifest.head.candidates, _length(model, name, 2))
    _, index = _best(graph, raw, _length(model, name, 1) - 4, count)
    graph.put('Gather', raw, index, axis=2, out=name)
    _finish(model, graph, name, {2: count})
    return count


def suppress(manifest: Manifest, model: Any, camera: tuple[int, int]) -> int:
    """Choose and suppress as the yolov8 head does; rows of x1 y1 x2 y2 score class, best first.

    The number of rows is fixed; those left over have score 0 and class -1. Inside, the number of
    survivors is decided by the data: TensorRT cannot capture that in a CUDA graph.
    Returns how many rows there are.
    """
    name = _yolov8_output(manifest)
    graph, raw = _behind(model, name)
    head = manifest.head
    count = min(head.candidates, _length(model, name, 2))
    most = min(head.max_detections, count)
    best, index = _best(graph, raw, _length(model, name, 1) - 4, count)
    columns = graph.put('Gather', raw, index, axis=2)
    boxes = _corners(graph, columns)
    clipped = _clipped(graph, boxes, camera)
    class_ids = graph.put('ArgMax', graph.part(columns, 1, 4, 1 << 30), axis=1, keepdims=1)
    scores = _sane_scores(graph, best, clipped, head.score_threshold)
    offered = scores if head.class_agnostic else _by_class(graph, scores, class_ids, manifest)
    kept = _survivors(graph, boxes, offered, head, count)
    rest = np.full((1, 1, count), _NOBODY)
    standing = graph.put('Where', kept, scores, rest)
    top, order = graph.put_many(
        'TopK', standing, np.array([most]), outs=('', ''), axis=2, largest=1, sorted=1
    )
    order = graph.put('Squeeze', order, np.array([0, 1]))
    rows = graph.put('Gather', clipped, order, axis=1)
    alive = graph.put('Greater', top, np.array(_SOMEBODY))
    picked = graph.cast(graph.put('Gather', class_ids, order, axis=2), 'FLOAT')
    picked = graph.put('Where', alive, picked, np.array(_NOBODY))
    score = graph.put('Max', top, np.array(0, np.float32))
    sides = [graph.put('Transpose', column, perm=(0, 2, 1)) for column in (score, picked)]
    graph.put('Concat', rows, *sides, axis=2, out=NMS_TENSOR)
    _finish(model, graph, name, shape=(1, most, 6), new_name=NMS_TENSOR)
    return most


def _yolov8_output(manifest: Manifest) -> str:
    if manifest.head.name != 'yolov8':
        raise ModelError(
            f'head {manifest.head.name!r}: boxes can be chosen in the graph for yolov8 only'
        )
    return manifest.outputs[0].tensor


def _best(graph: GraphEditor, raw: str, classes: int, count: int) -> tuple[str, str]:
    """Scores [1, 1, count] of the likeliest class, descending; indices [count] of the boxes."""
    best = graph.largest(graph.part(raw, 1, 4, 1 << 30), classes)
    scores, index = graph.put_many(
        'TopK', best, np.array([count]), outs=('', ''), axis=2, largest=1, sorted=1
    )
    return graph.cast(scores, 'FLOAT'), graph.put('Squeeze', index, np.array([0, 1]))


def _corners(graph: GraphEditor, columns: str) -> str:
    """[1, count, 4] x1 y1 x2 y2."""
    boxes = graph.cast(graph.part(columns, 1, 0, 4), 'FLOAT')
    boxes = graph.put('Transpose', boxes, perm=(0, 2, 1))
    centres, sizes = graph.part(boxes, 2, 0, 2), graph.part(boxes, 2, 2, 4)
    half = graph.put('Mul', sizes, np.array(0.5, np.float32))
    low, high = graph.put('Sub', centres, half), graph.put('Add', centres, half)
    return graph.put('Concat', low, high, axis=2)


def _clipped(graph: GraphEditor, boxes: str, camera: tuple[int, int]) -> str:
    height, width = camera
    limit = np.array([width, height, width, height], np.float32)
    return graph.put('Min', graph.put('Max', boxes, np.zeros(4, np.float32)), limit)


def _sane_scores(graph: GraphEditor, best: str, boxes: str, threshold: float) -> str:
    """[1, 1, count]; -1 where the head would drop the box before suppression."""
    sides = graph.put('Sub', graph.part(boxes, 2, 2, 4), graph.part(boxes, 2, 0, 2))
    zero = np.array(0, np.float32)
    wide = graph.put('Greater', graph.part(sides, 2, 0, 1), zero)
    high = graph.put('Greater', graph.part(sides, 2, 1, 2), zero)
    seen = graph.put('Transpose', graph.put('And', wide, high), perm=(0, 2, 1))
    sure = graph.put(
        'Not', graph.put('Less', best, np.array(threshold, np.float32))
    )  # opset 13 has no GreaterOrEqual for all types TensorRT parses
    return graph.put('Where', graph.put('And', seen, sure), best, np.array(_NOBODY))


def _by_class(graph: GraphEditor, scores: str, class_ids: str, manifest: Manifest) -> str:
    """[1, classes, count]: each box offered in its own class only."""
    numbers = np.arange(len(manifest.classes)).reshape(1, -1, 1)
    own = graph.put('Equal', class_ids, numbers)
    return graph.put('Where', own, scores, np.array(_NOBODY))


def _survivors(graph: GraphEditor, boxes: str, offered: str, head: HeadSpec, count: int) -> str:
    """[1, 1, count] whether suppression leaves a box."""
    chosen = graph.put(
        'NonMaxSuppression',
        boxes,
        offered,
        np.array([count]),
        np.array([head.iou_threshold], np.float32),
        np.array([_SOMEBODY]),
    )
    place = graph.part(chosen, 1, 2, 3)  # [n, 1] indices of boxes
    ones = graph.put('Add', graph.put('Mul', place, np.array([0])), np.array([1]))
    ones = graph.put('Squeeze', ones, np.array([1]))
    marks = graph.put('ScatterND', np.zeros(count, np.int64), place, ones)
    marks = graph.put('Reshape', marks, np.array([1, 1, count]))
    return graph.put('Greater', marks, np.array(0))


def _affine(
    where: BoxPlace, spec: InputSpec, place: Placement, camera: tuple[int, int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Factor and shift of the four numbers of a box."""
    growth = np.array(place.growth(camera))
    corner = np.array([place.left, place.top])
    factor, shift = growth, -corner * growth
    if where.fraction:
        size = np.array(camera[::-1])
        factor, shift = growth * (spec.width_px, spec.height_px) / size, shift / size
    if where.centred:
        return np.concatenate((factor, factor)), np.concatenate((shift, (0, 0)))
    return np.concatenate((factor, factor)), np.concatenate((shift, shift))


def _behind(model: Any, name: str) -> tuple[GraphEditor, str]:
    """A graph to append to, and the new name of the output it starts from."""
    graph = GraphEditor(model, f'tail{sum(n.name.startswith("tail") for n in model.graph.node)}')
    raw = f'{name}/raw{len(model.graph.node)}'
    rename(model, name, raw)
    return graph, raw


def _finish(
    model: Any,
    graph: GraphEditor,
    name: str,
    sizes: dict[int, int] | None = None,
    *,
    shape: tuple[int, ...] = (),
    new_name: str = '',
) -> None:
    """Append the nodes and correct what the graph says of its output."""
    from onnx import TensorProto, helper

    model.graph.node.extend(graph.nodes)
    index = next(i for i, value in enumerate(model.graph.output) if value.name == name)
    was = model.graph.output[index].type.tensor_type
    dims = list(shape) or [dim.dim_value for dim in was.shape.dim]
    for axis, size in (sizes or {}).items():
        dims[axis] = size
    kind = was.elem_type if sizes else TensorProto.FLOAT
    del model.graph.output[index]
    model.graph.output.insert(index, helper.make_tensor_value_info(new_name or name, kind, dims))


def _length(model: Any, name: str, axis: int) -> int:
    value = next(v for v in model.graph.output if v.name == name)
    size = int(value.type.tensor_type.shape.dim[axis].dim_value)
    if size < 1:
        raise ModelError(f'output {name!r}: size {axis} is not fixed; export with fixed sizes')
    return size
