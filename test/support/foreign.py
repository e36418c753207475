"""Networks in the layouts that others export: small, untrained, but real convolutions.

One trunk makes 16 numbers for every cell of the strides 8, 16 and 32; a layout arranges them.
"""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

WIDE, HIGH, CHANNELS, QUERIES = 128, 96, 8, 20
CELLS = (16 * 12, 8 * 6, 4 * 3)
INT32 = TensorProto.INT32


class Graph:
    """Nodes and constants as they come; every method returns the name of what it makes."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def op(self, kind, *given, **options):
        name = f'{kind.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(given), [name], name=name, **options))
        return name

    def named(self, name, value):
        self.nodes.append(helper.make_node('Identity', [value], [name], name=name))

    def constant(self, value, dtype=np.float32):
        name = f'constant_{len(self.constants)}'
        self.constants[name] = np.asarray(value, dtype)
        return name

    def whole(self, *value):
        return self.constant(value, np.int64)

    def part(self, value, start, end, axis=2):
        return self.op('Slice', value, self.whole(start), self.whole(end), self.whole(axis))


def trunk(graph, rng, planes):
    """[1, 252, 16] of the picture."""

    def conv(value, given, made, size, stride):
        weights = graph.constant(rng.normal(0, 0.5, (made, given, size, size)) / size)
        bias = graph.constant(rng.normal(0, 0.3, made))
        return graph.op(
            'Conv', value, weights, bias, kernel_shape=[size, size], strides=[stride, stride]
        )

    value = graph.op('Relu', conv(planes, 3, CHANNELS, 8, 8))
    rows = []
    for level in range(len(CELLS)):
        if level:
            value = graph.op('MaxPool', value, kernel_shape=[2, 2], strides=[2, 2])
        rows.append(graph.op('Reshape', conv(value, CHANNELS, 16, 1, 1), graph.whole(1, 16, -1)))
    return graph.op('Transpose', graph.op('Concat', *rows, axis=2), perm=[0, 2, 1])


def _numbers(graph, value, classes):
    """Raw boxes, boxes in pixels, objectness, class logits."""
    raw = graph.part(value, 0, 4)
    size = graph.constant([WIDE, HIGH, WIDE / 2, HIGH / 2])
    boxes = graph.op('Mul', graph.op('Sigmoid', raw), size)
    objectness = graph.op('Sigmoid', graph.part(value, 4, 5))
    return raw, boxes, objectness, graph.part(value, 5, 5 + classes)


def _yolov8(graph, value, classes):
    _, boxes, _, logits = _numbers(graph, value, classes)
    rows = graph.op('Concat', boxes, graph.op('Sigmoid', logits), axis=2)
    graph.named('output0', graph.op('Transpose', rows, perm=[0, 2, 1]))
    return [('output0', [1, 4 + classes, sum(CELLS)])]


def _yolov5(graph, value, classes):
    _, boxes, objectness, logits = _numbers(graph, value, classes)
    rows = graph.op('Concat', boxes, objectness, graph.op('Sigmoid', logits), axis=2)
    graph.named('output0', graph.op('Concat', rows, rows, rows, axis=1))
    return [('output0', [1, 3 * sum(CELLS), 5 + classes])]


def _yolox(graph, value, classes):
    raw, _, objectness, logits = _numbers(graph, value, classes)
    graph.named('output', graph.op('Concat', raw, objectness, graph.op('Sigmoid', logits), axis=2))
    return [('output', [1, sum(CELLS), 5 + classes])]


def _chosen(graph, value, classes):
    """Corners, score and class of the first queries."""
    _, boxes, objectness, logits = _numbers(graph, graph.part(value, 0, QUERIES, 1), classes)
    low = graph.op('Mul', boxes, graph.constant(0.5))
    corners = graph.op('Concat', graph.part(low, 0, 2), graph.part(boxes, 0, 2), axis=2)
    best = graph.op('ArgMax', logits, axis=2, keepdims=1)
    return corners, objectness, best


def _end2end(graph, value, classes):
    corners, score, best = _chosen(graph, value, classes)
    number = graph.op('Cast', best, to=TensorProto.FLOAT)
    graph.named('output0', graph.op('Concat', corners, score, number, axis=2))
    return [('output0', [1, QUERIES, 6])]


def _efficient_nms(graph, value, classes):
    corners, score, best = _chosen(graph, value, classes)
    flat = graph.whole(1, QUERIES)
    graph.named('det_scores', graph.op('Reshape', score, flat))
    number = graph.op('Cast', graph.op('Reshape', best, flat), to=INT32)
    graph.named('det_classes', number)
    graph.named('det_boxes', corners)
    first = graph.op('Mul', graph.part(number, 0, 1, 1), graph.constant([[0]], np.int32))
    graph.named('num_dets', graph.op('Add', first, graph.constant([[QUERIES]], np.int32)))
    return [
        ('det_boxes', [1, QUERIES, 4]), ('num_dets', [1, 1], INT32),
        ('det_classes', [1, QUERIES], INT32), ('det_scores', [1, QUERIES]),
    ]  # fmt: skip


def _detr(graph, value, classes):
    some = graph.part(value, 0, QUERIES, 1)
    raw, _, _, logits = _numbers(graph, some, classes)
    graph.named('pred_boxes', graph.op('Sigmoid', raw))
    graph.named('logits', logits)
    return [('pred_boxes', [1, QUERIES, 4]), ('logits', [1, QUERIES, classes])]


LAYOUTS = {
    'yolov8': _yolov8, 'yolov5': _yolov5, 'yolox': _yolox, 'yolo_end2end': _end2end,
    'detr': _detr, 'efficient_nms': _efficient_nms,
}  # fmt: skip


def network(path, layout, *, classes=3, metadata=None, layout_in='nchw', open_axes=False, seed=0):  # noqa: D417
    """Write a network that takes float pictures of 128x96.

    Args:
        layout: a head.
        metadata: what the exporter says beside it.
        layout_in: of the pictures.
        open_axes: leave batch, height and width of the input open.
    """
    graph, rng = Graph(), np.random.default_rng(seed)
    planes = 'images'
    if layout_in == 'nhwc':
        planes = graph.op('Transpose', planes, perm=[0, 3, 1, 2])
    outputs = LAYOUTS[layout](graph, trunk(graph, rng, planes), classes)
    shape = [1, 3, HIGH, WIDE] if layout_in == 'nchw' else [1, HIGH, WIDE, 3]
    given = ['batch', 3, 'height', 'width'] if open_axes else shape
    made = [
        helper.make_tensor_value_info(name, *(kind or [TensorProto.FLOAT]), sizes)
        for name, sizes, *kind in outputs
    ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, 'foreign',
            [helper.make_tensor_value_info('images', TensorProto.FLOAT, given)], made,
            [numpy_helper.from_array(v, k) for k, v in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid('', 17)], ir_version=8,
    )  # fmt: skip
    helper.set_model_props(model, metadata or {})
    checker.check_model(model)
    save(model, str(path))
    return path
