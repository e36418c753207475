"""Small detectors made on the spot: a convolution over a grid of boxes, in yolov8's layout."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import yaml

onnx = pytest.importorskip('onnx', reason='onnx makes the networks of these tests')

DTYPES = {'uint8': onnx.TensorProto.UINT8, 'float32': onnx.TensorProto.FLOAT}
CELL_PX = 8
CLASSES = ('person', 'car', 'cone')


def detector(
    folder,
    *,
    width=96,
    height=64,
    dtype='uint8',
    layout='nhwc',
    fit='letterbox',
    order='rgb',
    opset=17,
    seed=0,
    head='yolov8',
    scale=1.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    **spec,
):
    """A model folder. Every cell answers one box around itself; its scores follow the colours."""
    helper, kind = onnx.helper, onnx.TensorProto
    node, draw = helper.make_node, np.random.default_rng(seed)
    rows, columns = height // CELL_PX, width // CELL_PX
    cells, channels = rows * columns, 4 + len(CLASSES)
    gain = 1.0 if dtype == 'uint8' else 255.0 * max(scale, 1 / 255)
    weights = draw.normal(0, 0.4 / gain, (channels, 3, CELL_PX, CELL_PX)) / CELL_PX
    weights[:4] *= 0.05
    bias = np.concatenate((np.zeros(2), np.full(2, 24.0), np.full(len(CLASSES), -1.0)))
    down, across = np.mgrid[:rows, :columns] * CELL_PX + CELL_PX / 2
    anchors = np.zeros((1, channels, cells))
    anchors[0, 0], anchors[0, 1] = across.ravel(), down.ravel()
    constants = {
        'weights': weights.astype(np.float32),
        'bias': bias.astype(np.float32),
        'anchors': anchors[:, :4].astype(np.float32),
        'flat': np.array([1, channels, cells]),
    }
    seen = 'images'
    nodes = []
    if dtype != 'float32':
        nodes.append(node('Cast', [seen], ['floats'], to=kind.FLOAT))
        seen = 'floats'
    if layout == 'nhwc':
        nodes.append(node('Transpose', [seen], ['planes'], perm=[0, 3, 1, 2]))
        seen = 'planes'
    constants |= {'0': np.array([0]), '1': np.array([1]), '4': np.array([4])}
    constants['end'] = np.array([channels])
    nodes += [
        node('Conv', [seen, 'weights', 'bias'], ['grid'], strides=[CELL_PX, CELL_PX]),
        node('Reshape', ['grid', 'flat'], ['rows']),
        node('Slice', ['rows', '0', '4', '1'], ['sides']),
        node('Slice', ['rows', '4', 'end', '1'], ['logits']),
        node('Add', ['sides', 'anchors'], ['boxes']),
        node('Sigmoid', ['logits'], ['scores']),
        node('Concat', ['boxes', 'scores'], ['output0'], axis=1),
    ]
    shape = [1, height, width, 3] if layout == 'nhwc' else [1, 3, height, width]
    graph = helper.make_graph(
        nodes,
        'net',
        [
            helper.make_tensor_value_info(
                'images', getattr(kind, dtype.upper().replace('FLOAT32', 'FLOAT')), shape
            )
        ],
        [helper.make_tensor_value_info('output0', kind.FLOAT, [1, channels, cells])],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(exist_ok=True, parents=True)
    onnx.save(model, str(folder / 'net.onnx'))
    said = {
        'schema': 1,
        'name': 'grid',
        'task': 'detect2d',
        'licence': 'Apache-2.0',
        'made_by': 'a test',
        'classes': list(CLASSES),
        'input': {
            'tensor': 'images',
            'shape': shape,
            'dtype': dtype,
            'layout': layout,
            'order': order,
            'fit': fit,
            'scale': scale,
            'mean': list(mean),
            'std': list(std),
        },
        'outputs': [{'tensor': 'output0', 'shape': [1, channels, cells]}],
        'head': {'name': head, 'score_threshold': 0.3, 'iou_threshold': 0.3, **spec},
        'files': [{'path': 'net.onnx', 'sha256': digest(folder / 'net.onnx')}],
    }
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    return folder


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
