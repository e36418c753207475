"""From a trained detector to a model folder: one ONNX graph, and its manifest."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_inference_ros.core.manifest import FILE_NAME, SCHEMA, digest
from edge_inference_ros.errors import SpecMismatch
from edge_inference_ros.train.data import F32, Picture
from edge_inference_ros.train.net import Deployed, DetectorNet
from edge_inference_ros.train.score import Predict

INPUT, OUTPUT, FILE = 'images', 'output0', 'model.onnx'
OPSET = 18
TOLERANCE_PX = 0.05


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep torch's exporter from talking about other packages and its own deprecations."""
    exporter = logging.getLogger('torch.onnx')
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        exporter.setLevel(level)


def fused(detector: nn.Module) -> nn.Module:
    """A copy whose batch normalisations are folded into the convolutions before them."""
    network = copy.deepcopy(detector).eval()
    for parent in list(network.modules()):
        if isinstance(parent, nn.Sequential) and len(parent) >= 2:
            conv, norm = parent[0], parent[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent[0], parent[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def export(detector: nn.Module, path: Path, *, width: int, height: int) -> None:
    """Write the deployed graph with static shapes.

    Raises:
        SpecMismatch: ONNX Runtime's output differs from torch's by more than `TOLERANCE_PX`.
    """
    deployed = Deployed(fused(detector)).to(memory_format=torch.contiguous_format).eval()
    picture = torch.from_numpy(_noise(width, height))
    path.parent.mkdir(parents=True, exist_ok=True)
    with hushed():
        torch.onnx.export(
            deployed, (picture,), str(path), input_names=[INPUT], output_names=[OUTPUT],
            opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    _strip(path)
    with torch.no_grad():
        wanted = deployed(picture).numpy()
    given = onnx_predict(path)(picture.numpy())
    if (worst := float(np.abs(wanted - given).max())) > TOLERANCE_PX:
        raise SpecMismatch(f'{path}: differs from torch by {worst:.3g}; do not ship it')


def _strip(path: Path) -> None:
    """Drop the exporter's notes (source lines, inferred shapes): a twelfth of the file."""
    import onnx

    model = onnx.load(str(path))
    for node in model.graph.node:
        node.ClearField('metadata_props')
        node.ClearField('doc_string')
    model.ClearField('metadata_props')
    model.graph.ClearField('metadata_props')
    model.graph.ClearField('value_info')
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _noise(width: int, height: int) -> Picture:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (1, height, width, 3), dtype=np.uint8)


def onnx_predict(path: Path, *, threads: int = 1) -> Predict:
    """A `Predict` that runs an exported file with ONNX Runtime, picture by picture."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    name = session.get_inputs()[0].name

    def predict(pictures: Picture) -> F32:
        outputs = [session.run(None, {name: picture[None]})[0] for picture in pictures]
        return np.concatenate(outputs)

    return predict


def torch_predict(detector: nn.Module, device: torch.device | None = None) -> Predict:
    """A `Predict` that runs a detector in torch."""
    device = device or torch.device('cpu')
    deployed = Deployed(fused(detector)).to(device).eval()

    def predict(pictures: Picture) -> F32:
        with torch.no_grad():
            output: F32 = deployed(torch.tensor(pictures, device=device)).cpu().numpy()
        return output

    return predict


@dataclass(frozen=True)
class Card:
    """What a manifest says beside the tensors."""

    name: str
    classes: Sequence[str]
    made_by: str
    score_threshold: float = 0.3
    accuracy: Mapping[str, Any] = field(default_factory=dict)


def write_folder(detector: DetectorNet, folder: Path, card: Card) -> Path:
    """Export a detector into a model folder with its manifest.

    Returns:
        The path of the ONNX file.
    """
    config = detector.config
    path = folder / FILE
    export(detector, path, width=config.width, height=config.height)
    count = sum((config.width // s) * (config.height // s) for s in (8, 16, 32))
    manifest = {
        'schema': SCHEMA,
        'name': card.name,
        'task': 'detect2d',
        'licence': 'Apache-2.0',
        'made_by': card.made_by,
        'classes': list(card.classes),
        'input': {
            'tensor': INPUT,
            'shape': [1, config.height, config.width, 3],
            'dtype': 'uint8',
            'layout': 'nhwc',
            'order': 'bgr',
            'fit': 'letterbox',
        },
        'outputs': [
            {'tensor': OUTPUT, 'shape': [1, 4 + len(card.classes), count], 'dtype': 'float32'}
        ],
        'head': {'name': 'yolov8', 'score_threshold': card.score_threshold},
        'files': [{'path': FILE, 'precision': 'fp32', 'sha256': digest(path)}],
        'accuracy': dict(card.accuracy),
    }
    text = yaml.safe_dump(manifest, sort_keys=False, default_flow_style=None, width=99)
    (folder / FILE_NAME).write_text(text, encoding='utf-8')
    return path
