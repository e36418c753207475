"""Small networks made on the spot."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, ModelFile, TensorSpec

onnx = pytest.importorskip('onnx', reason='onnx makes the networks of these tests')


def save(path: Path, nodes, inputs, outputs, constants=None, **options) -> Path:
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        'net',
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [onnx.numpy_helper.from_array(v, k) for k, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, str(path), **options)
    return path


def mean_colour(path: Path, **options) -> Path:
    """uint8 [1, 4, 6, 3] → the mean of every channel, times a stored weight of 2."""
    node = onnx.helper.make_node
    return save(
        path,
        [
            node('Cast', ['images'], ['pixels'], to=onnx.TensorProto.FLOAT),
            node('ReduceMean', ['pixels'], ['mean'], axes=[1, 2], keepdims=0),
            node('Mul', ['mean', 'two'], ['twice']),
        ],
        {'images': (onnx.TensorProto.UINT8, [1, 4, 6, 3])},
        {'twice': (onnx.TensorProto.FLOAT, [1, 3])},
        {'two': np.full(3, 2, np.float32)},
        **options,
    )


def bright_pixels(path: Path) -> Path:
    """uint8 [1, 4, 6, 3] → int64 [4, N] indices of what is not 0: the data decide N."""
    node = onnx.helper.make_node
    return save(
        path,
        [
            node('Cast', ['images'], ['pixels'], to=onnx.TensorProto.FLOAT),
            node('NonZero', ['pixels'], ['where']),
        ],
        {'images': (onnx.TensorProto.UINT8, [1, 4, 6, 3])},
        {'where': (onnx.TensorProto.INT64, [4, 'n'])},
    )


def bright_sum(path: Path, weight: int) -> Path:
    """uint8 [1, 4, 6, 3] → float [1, 8, 4, 6]: each pixel's sum times ``weight``, in int8.

    Weights as large as 127 overflow the 16 bits in which processors without VNNI add pairs.
    """
    node = onnx.helper.make_node
    zero, byte = np.array(0, np.uint8), np.array(0, np.int8)
    constants = {
        'one': np.array(1, np.float32), 'zero': zero, 'byte': byte,
        'wide': np.array(2.0**16 / 200, np.float32),
        'weight': np.full((8, 3, 1, 1), weight, np.int8),
    }  # fmt: skip
    inner = [
        node('Cast', ['images'], ['numbers'], to=onnx.TensorProto.FLOAT),
        node('Transpose', ['numbers'], ['planes'], perm=[0, 3, 1, 2]),
        node('QuantizeLinear', ['planes', 'one', 'zero'], ['bytes']),
        node('QLinearConv', ['bytes', 'one', 'zero', 'weight', 'one', 'byte', 'wide', 'zero'],
             ['sums']),
        node('DequantizeLinear', ['sums', 'wide', 'zero'], ['sum']),
    ]  # fmt: skip
    return save(
        path,
        inner,
        {'images': (onnx.TensorProto.UINT8, [1, 4, 6, 3])},
        {'sum': (onnx.TensorProto.FLOAT, [1, 8, 4, 6])},
        constants,
    )


def manifest(path: Path, outputs=(('twice', (1, 3), 'float32'),)) -> Manifest:
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ''
    return Manifest(
        folder=path.parent,
        name='net',
        task='detect2d',
        licence='Apache-2.0',
        made_by='a test',
        classes=('one',),
        input=InputSpec('images', (1, 4, 6, 3)),
        outputs=tuple(TensorSpec(*output) for output in outputs),
        head=HeadSpec('yolov8'),
        files=(ModelFile(path, digest),),
    )
