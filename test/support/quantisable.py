"""Small networks of every kind the quantisers treat differently, made without torch."""

import numpy as np
import yaml
from onnx import TensorProto, checker, helper, numpy_helper, save

from edge_inference_ros.core.manifest import digest

HIGH_PX, WIDE_PX, CELLS = 32, 48, 24
LAYERS = ('stem', 'squeeze', 'expand', 'classify', 'regress')


def detector(path, *, opset=18, seed=0):
    """A detector of two classes: bytes in, two residual layers, and decoding behind them.

    The sum adds what ``expand`` makes to what ``stem`` made.
    """
    rng = np.random.default_rng(seed)
    constants, nodes = {}, []

    def conv(name, given, made, read, *, size=3, stride=1, relu=True):
        constants[f'{name}.weight'] = rng.normal(0, 0.4, (made, given, size, size))
        constants[f'{name}.bias'] = rng.normal(0, 0.1, made)
        out = f'{name}_conv' if relu else name
        nodes.append(
            helper.make_node(
                'Conv', [read, f'{name}.weight', f'{name}.bias'], [out], name=name,
                kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4,
            )
        )  # fmt: skip
        if relu:
            nodes.append(helper.make_node('Relu', [out], [name], name=f'{name}_relu'))

    def op(kind, reads, out, **options):
        nodes.append(helper.make_node(kind, reads, [out], name=out, **options))

    op('Cast', ['images'], 'numbers', to=TensorProto.FLOAT)
    op('Transpose', ['numbers'], 'planes', perm=[0, 3, 1, 2])
    constants['byte'] = np.array(1 / 255)
    op('Mul', ['planes', 'byte'], 'scaled')
    conv('stem', 3, 8, 'scaled', stride=4)
    conv('squeeze', 8, 4, 'stem')
    conv('expand', 4, 8, 'squeeze')
    op('Add', ['stem', 'expand'], 'sum')
    op('MaxPool', ['sum'], 'pooled', kernel_shape=[2, 2], strides=[2, 2])
    conv('classify', 8, 2, 'pooled', size=1, relu=False)
    conv('regress', 8, 4, 'pooled', size=1, relu=False)
    for name, rows in (('classify', 2), ('regress', 4)):
        constants[f'{name}.shape'] = np.array([1, rows, CELLS], np.int64)
        op('Reshape', [name, f'{name}.shape'], f'{name}_flat')
    op('Sigmoid', ['classify_flat'], 'scores')
    op('Softplus', ['regress_flat'], 'sides')
    constants['stride'] = np.array(8.0)
    op('Mul', ['sides', 'stride'], 'boxes')
    op('Concat', ['boxes', 'scores'], 'output0', axis=1)
    return _saved(
        path, nodes, constants, opset,
        given=('images', TensorProto.UINT8, [1, HIGH_PX, WIDE_PX, 3]),
        made=('output0', TensorProto.FLOAT, [1, 6, CELLS]),
    )  # fmt: skip


def products(path, *, width=64, opset=18):
    """Two matrix products and a nonlinearity: what a transformer is made of."""
    rng = np.random.default_rng(0)
    constants = {
        'one': rng.normal(0, 0.2, (width, 2 * width)),
        'two': rng.normal(0, 0.2, (2 * width, width)),
    }
    nodes = [
        helper.make_node('MatMul', ['x', 'one'], ['wide'], name='first'),
        helper.make_node('Relu', ['wide'], ['bent'], name='bend'),
        helper.make_node('MatMul', ['bent', 'two'], ['y'], name='second'),
    ]
    return _saved(
        path, nodes, constants, opset,
        given=('x', TensorProto.FLOAT, [1, 4, width]),
        made=('y', TensorProto.FLOAT, [1, 4, width]),
    )  # fmt: skip


def _saved(path, nodes, constants, opset, *, given, made):
    tensors = [
        numpy_helper.from_array(
            np.asarray(v, v.dtype if v.dtype == np.int64 else np.float32), name
        )
        for name, v in constants.items()
    ]
    graph = helper.make_graph(
        nodes, 'small', [helper.make_tensor_value_info(*given)],
        [helper.make_tensor_value_info(*made)], tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path


def model_folder(folder, **options):
    """A model folder that holds the small detector."""
    folder.mkdir(parents=True, exist_ok=True)
    path = detector(folder / 'model.onnx', **options)
    said = {
        'schema': 1,
        'name': folder.name,
        'task': 'detect2d',
        'licence': 'Apache-2.0',
        'made_by': 'a test',
        'classes': ['person', 'car'],
        'input': {'tensor': 'images', 'shape': [1, HIGH_PX, WIDE_PX, 3], 'order': 'bgr'},
        'outputs': [{'tensor': 'output0', 'shape': [1, 6, CELLS]}],
        'head': {'name': 'yolov8', 'score_threshold': 0.3},
        'files': [{'path': 'model.onnx', 'sha256': digest(path)}],
    }
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    return folder


def pictures(count=12, *, size=(48, 64)):
    """(count, H, W, 3) uint8: blocks of colour, different each time."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (count, size[0] // 8, size[1] // 8, 3), np.uint8)
    return small.repeat(8, 1).repeat(8, 2)


def picture_folder(folder, images):
    """The pictures as files whose names keep their order."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for place, image in enumerate(images):
        cv2.imwrite(str(folder / f'{place:06d}.png'), image)
    return folder
