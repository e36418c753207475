"""Puts letterbox, colour order, scaling and layout in front of a network, as nodes of its graph.

The engine then takes the camera's own bytes, ``uint8 [1, H, W, 3]``, and answers in the camera's
own pixels: on a GPU nothing is left for the host but one copy. What leaves the network can be cut
down too: to the best boxes, or to those suppression leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import InputSpec, Manifest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError, ModelError
from edge_inference_ros.optimize.graph import front, nodes
from edge_inference_ros.optimize.graph.tail import (
    NMS_TENSOR,
    keep_best,
    layout,
    suppress,
    to_camera,
)

FURTHEST_LEVELS = 1.0
"""How far a pixel may be from the host's: one of 255 levels, where two roundings differ."""
FILE = 'model.onnx'


@dataclass(frozen=True)
class Params:
    """The camera, and what shall leave the network."""

    width: int = param(1920, 'width of the camera picture, pixels', low=16, high=8192)
    height: int = param(1080, 'height of the camera picture, pixels', low=16, high=8192)
    order: str = param('bgr', 'order of the colours that the camera sends', choices=('bgr', 'rgb'))
    tail: str = param(
        'none',
        'boxes that leave: all, the best candidates, or what suppression leaves (costs the CUDA'
        ' graph); the last two for head yolov8',
        choices=('none', 'best', 'nms'),
    )
    backend: str = param('ort', 'take the file meant for this backend')
    precision: str = param('', 'take the file of this precision; empty: the first')


def run(model: Path, out: Path, params: Params) -> Report:
    """Write the model folder ``out`` from the model folder ``model``, and verify it.

    Raises:
        ConfigError: ``params`` or a manifest is wrong.
        ModelError: the network or its head cannot be changed so, or the pictures differ by more
            than ``FURTHEST_LEVELS``.
    """
    check(params)
    if out.resolve() == model.resolve():
        raise ConfigError(f'{out}: the new model needs a folder of its own')
    manifest = manifests.load(model)
    file = manifest.file(params.backend, params.precision)
    manifests.verify(file)
    camera = (params.height, params.width)
    levels = compare_pictures(manifest, params)
    if (furthest := max(float(diff.max()) for diff in levels)) > FURTHEST_LEVELS:
        raise ModelError(f'the graph paints {furthest} levels from the host: not written')
    network, corner = nodes.load(file.path), layout(manifest.head).corner
    place = front.placement(manifest.input, camera, corner=corner)
    front.put_in_front(network, manifest.input, camera, params.order, corner=corner)
    to_camera(manifest, network, place, camera)
    rows = _cut(manifest, network, camera, params.tail)
    nodes.save(network, out / FILE)
    _write_manifest(manifest, out, _changed(manifest, network, params))
    facts: dict[str, str | int | float] = {
        'camera': f'{params.width}x{params.height} {params.order}',
        'network': f'{manifest.input.width_px}x{manifest.input.height_px} {manifest.input.fit}',
        'furthest_levels': furthest,
        'equal_share': float(np.mean([np.mean(diff == 0) for diff in levels])),
        'nodes_in_front': sum(n.name.startswith('front') for n in network.graph.node),
        'boxes_out': rows or 'as before',
    }
    return Report('preprocess', str(model), str(out), facts, notes=_notes(params))


def compare_pictures(manifest: Manifest, params: Params) -> list[NDArray[np.float32]]:
    """Differences, in levels, between the picture of the graph and what the head paints.

    Painted from noise, from edges of every width and from a slow ramp.
    """
    camera, corner = (params.height, params.width), layout(manifest.head).corner
    paint = _painter(manifest.input, camera, params.order, corner=corner)
    return [
        np.abs(paint(pixels) - _on_host(manifest, pixels, params.order))
        for pixels in _pictures(*camera)
    ]


def _painter(spec: InputSpec, camera: tuple[int, int], order: str, *, corner: bool) -> Any:
    """What the nodes alone make of a picture, run by ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper

    seen = helper.make_tensor_value_info(front.TENSOR, TensorProto.UINT8, [1, *camera, 3])
    empty = helper.make_graph([], 'front', [seen], [])
    model = helper.make_model(empty, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    graph = nodes.GraphEditor(model, 'front')
    name = front.picture(graph, spec, camera, order, corner=corner)
    model.graph.node.extend(graph.nodes)
    shape = [1, 3, spec.height_px, spec.width_px]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return lambda pixels: session.run([name], {front.TENSOR: pixels[None]})[0][0]


def _on_host(manifest: Manifest, pixels: NDArray[np.uint8], order: str) -> NDArray[np.float32]:
    """The picture as the head paints it, (3, H, W) levels before any scaling."""
    spec = manifest.input
    shape = (1, spec.height_px, spec.width_px, 3)
    plain = InputSpec('x', shape, order=spec.order, fit=spec.fit, rounding=spec.rounding)
    answer = {
        output.tensor: np.zeros([max(size, 1) for size in output.shape], output.dtype)
        for output in manifest.outputs
    }
    blank = np.zeros(shape, np.uint8)
    head = registry.load('heads', manifest.head.name).Head(replace(manifest, input=plain), answer)
    head.prepare(Image(Origin('', RosNs(0), MonoNs(0)), pixels, order), {'x': blank})
    painted: NDArray[np.float32] = np.moveaxis(blank[0], 2, 0).astype(np.float32)
    return painted


def _pictures(height: int, width: int) -> list[NDArray[np.uint8]]:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (height, width, 3), np.uint8)
    down, across = np.mgrid[:height, :width]
    edges = ((across * across // 97 + down // 3) % 2 * 255).astype(np.uint8)
    ramp = (across * 255 // max(width - 1, 1)).astype(np.uint8)
    small = draw.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    smooth = small.repeat(8, 0).repeat(8, 1)[:height, :width]
    return [noise, *(np.repeat(p[:, :, None], 3, 2) for p in (edges, ramp)), smooth]


def _cut(manifest: Manifest, network: Any, camera: tuple[int, int], tail: str) -> int:
    if tail == 'best':
        return keep_best(manifest, network)
    return suppress(manifest, network, camera) if tail == 'nms' else 0


def _changed(manifest: Manifest, network: Any, params: Params) -> dict[str, Any]:
    """What the new manifest says otherwise."""
    precision = manifest.file(params.backend, params.precision).precision
    head: dict[str, Any] = {'name': 'yolo_end2end'} if params.tail == 'nms' else {}
    if manifest.head.name == 'yolox':  # what is left has no grid: rows of YOLOv5
        head = {'name': 'yolov5', 'options': {}}
    return {
        'name': f'{manifest.name}_{params.width}x{params.height}',
        'made_by': f'{manifest.made_by}; {command(params)}',
        'input': {
            'tensor': front.TENSOR,
            'shape': [1, params.height, params.width, 3],
            'order': params.order,
        },
        'outputs': _outputs(manifest, network, params.tail),
        'head': head,
        'files': [{'path': FILE, 'precision': precision}],
    }


def _outputs(manifest: Manifest, network: Any, tail: str) -> list[dict[str, Any]]:
    from onnx import helper

    values = {value.name: value.type.tensor_type for value in network.graph.output}
    names = [NMS_TENSOR] if tail == 'nms' else [spec.tensor for spec in manifest.outputs]
    return [
        {
            'tensor': name,
            'shape': [dim.dim_value or -1 for dim in values[name].shape.dim],
            'dtype': str(helper.tensor_dtype_to_np_dtype(values[name].elem_type)),
        }
        for name in names
    ]


def command(params: Params) -> str:
    """The command line that makes the same again."""
    words = f'edge_inference optimize preprocess --width {params.width} --height {params.height}'
    return f'{words} --order {params.order} --tail {params.tail}'


def _write_manifest(manifest: Manifest, out: Path, changed: Mapping[str, Any]) -> None:
    import yaml

    path = out / FILE
    old = yaml.safe_load((manifest.folder / manifests.FILE_NAME).read_text(encoding='utf-8'))
    head = {**old['head'], **changed['head']}
    files = [{**file, 'sha256': _digest(path)} for file in changed['files']]
    new = {**old, **changed, 'head': head, 'files': files}
    (out / manifests.FILE_NAME).write_text(yaml.safe_dump(new, sort_keys=False), encoding='utf-8')
    manifests.load(out)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _notes(params: Params) -> tuple[str, ...]:
    if params.tail != 'nms':
        return ()
    note = 'Suppression decides its own size: TensorRT runs this network without a CUDA graph.'
    return (note,)
