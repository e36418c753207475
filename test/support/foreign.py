"""Networks in the layouts that others export: small, untrained, but real convolutions.

One trunk makes 16 numbers for every cell of the strides 8, 16 and 32; a layout arranges them.
"""

from functools import partial

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

WIDE, HIGH, CHANNELS, QUERIES = 128, 96, 8, 20
STRIDES, CELLS = (8, 16, 32), (16 * 12, 8 * 6, 4 * 3)
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


def trunk(graph, rng, planes, *, numbers=16, batch=1):
    """[batch, 252, numbers] of the picture."""

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
        rows.append(
            graph.op(
                'Reshape', conv(value, CHANNELS, numbers, 1, 1), graph.whole(batch, numbers, -1)
            )
        )
    return graph.op('Transpose', graph.op('Concat', *rows, axis=2), perm=[0, 2, 1])


def _cells():
    """(252, 3) centre across, centre down and stride of every cell, in pixels."""
    grids = []
    for stride in STRIDES:
        down, across = np.mgrid[: HIGH // stride, : WIDE // stride].reshape(2, -1)
        centres = np.stack((across, down), 1) * stride + stride / 2
        grids.append(np.column_stack((centres, np.full(len(across), stride))))
    return np.concatenate(grids).astype(np.float32)


def _numbers(graph, value, classes):
    """Raw boxes, boxes in pixels around their cells, objectness, class logits."""
    raw = graph.part(value, 0, 4)
    cells = _cells()
    shift = graph.op(
        'Mul', graph.op('Tanh', graph.part(value, 0, 2)), graph.constant(cells[:, 2:])
    )
    centres = graph.op('Add', shift, graph.constant(cells[:, :2]))
    sides = graph.op('Add', graph.op('Sigmoid', graph.part(value, 2, 4)), graph.constant(0.5))
    sides = graph.op('Mul', sides, graph.constant(2 * cells[:, 2:]))
    boxes = graph.op('Concat', centres, sides, axis=2)
    objectness = graph.op('Sigmoid', graph.part(value, 4, 5))
    return raw, boxes, objectness, graph.part(value, 5, 5 + classes)


def _corners(graph, boxes):
    half = graph.op('Mul', graph.part(boxes, 2, 4), graph.constant(0.5))
    centres = graph.part(boxes, 0, 2)
    low, high = graph.op('Sub', centres, half), graph.op('Add', centres, half)
    return graph.op('Concat', low, high, axis=2)


def _fractions(graph, boxes):
    return graph.op('Div', boxes, graph.constant([WIDE, HIGH, WIDE, HIGH]))


def _some(graph, value):
    """Rows of cells that lie far enough from each other for their boxes not to overlap."""
    rows = [CELLS[0] + CELLS[1] + i for i in range(CELLS[2])]
    rows += [CELLS[0] + 16 * down + across for down in range(3) for across in (0, 3, 6)][:8]
    return graph.op('Gather', value, graph.constant(sorted(rows)[:QUERIES], np.int64), axis=1)


def _yolov8(graph, value, classes, *, logits=False, fraction=False, extra=0):
    _, boxes, _, scores = _numbers(graph, value, classes)
    boxes = _fractions(graph, boxes) if fraction else boxes
    scores = scores if logits else graph.op('Sigmoid', scores)
    more = [graph.op('Mul', boxes, graph.constant(1.0))] * extra
    rows = graph.op('Concat', boxes, scores, *more, axis=2)
    graph.named('output0', graph.op('Transpose', rows, perm=[0, 2, 1]))
    return [('output0', [1, 4 + classes + 4 * extra, sum(CELLS)])]


def _rows_first(graph, value, classes):
    """YOLOv8 whose exporter put the boxes first."""
    _, boxes, _, logits = _numbers(graph, value, classes)
    graph.named('output0', graph.op('Concat', boxes, graph.op('Sigmoid', logits), axis=2))
    return [('output0', [1, sum(CELLS), 4 + classes])]


def _yolov5(graph, value, classes):
    _, boxes, objectness, logits = _numbers(graph, value, classes)
    rows = graph.op('Concat', boxes, objectness, graph.op('Sigmoid', logits), axis=2)
    graph.named('output0', graph.op('Concat', rows, rows, rows, axis=1))
    return [('output0', [1, 3 * sum(CELLS), 5 + classes])]


def _yolox(graph, value, classes, *, decoded=False, sure=False):
    raw, boxes, objectness, logits = _numbers(graph, value, classes)
    if sure:
        zero = graph.op('Mul', objectness, graph.constant(0.0))
        objectness = graph.op('Add', zero, graph.constant(1.0))
    given = boxes if decoded else graph.op('Tanh', raw)
    rows = graph.op('Concat', given, objectness, graph.op('Sigmoid', logits), axis=2)
    graph.named('output', rows)
    return [('output', [1, sum(CELLS), 5 + classes])]


def _chosen(graph, value, classes, every=False):
    """Corners, score and class: of some rows, or of every one."""
    _, boxes, objectness, logits = _numbers(graph, value, classes)
    best = graph.op('ArgMax', logits, axis=2, keepdims=1)
    made = _corners(graph, boxes), objectness, best
    return made if every else tuple(_some(graph, part) for part in made)


def _end2end(graph, value, classes, *, fraction=False, every=False, empty=False):
    corners, score, best = _chosen(graph, value, classes, every)
    corners = _fractions(graph, corners) if fraction else corners
    number = graph.op('Cast', best, to=TensorProto.FLOAT)
    rows = graph.op('Concat', corners, score, number, axis=2)
    if empty:  # what suppression in the network leaves free is zeros
        rows = graph.op('Mul', rows, graph.constant((np.arange(QUERIES) < 5)[:, None]))
    graph.named('output0', rows)
    return [('output0', [1, sum(CELLS) if every else QUERIES, 6])]


def _efficient_nms(graph, value, classes, *, fraction=False):
    corners, score, best = _chosen(graph, value, classes)
    corners = _fractions(graph, corners) if fraction else corners
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


def _detr(graph, value, classes, *, probability=False, pixels=False):
    some = graph.part(value, 0, QUERIES, 1)
    boxes, logits = graph.op('Sigmoid', graph.part(some, 0, 4)), graph.part(some, 5, 5 + classes)
    size = graph.constant([WIDE, HIGH, WIDE, HIGH])
    graph.named('pred_boxes', graph.op('Mul', boxes, size) if pixels else boxes)
    graph.named('logits', graph.op('Sigmoid', logits) if probability else logits)
    return [('pred_boxes', [1, QUERIES, 4]), ('logits', [1, QUERIES, classes])]


def _chosen_queries(graph, value, classes):
    """Ultralytics' RT-DETR since 8.4: centres and sides in fractions, a score and a class."""
    _, boxes, objectness, logits = _numbers(graph, value, classes)
    best = graph.op('ArgMax', logits, axis=2, keepdims=1)
    number = graph.op('Cast', best, to=TensorProto.FLOAT)
    rows = graph.op('Concat', _fractions(graph, boxes), objectness, number, axis=2)
    graph.named('output0', _some(graph, rows))
    return [('output0', [1, QUERIES, 6])]


def _queries(graph, value, classes):
    """Ultralytics' RT-DETR: fractions and probabilities in one tensor."""
    _, boxes, _, logits = _numbers(graph, value, classes)
    boxes, logits = _fractions(graph, _some(graph, boxes)), _some(graph, logits)
    graph.named('output0', graph.op('Concat', boxes, graph.op('Sigmoid', logits), axis=2))
    return [('output0', [1, QUERIES, 4 + classes])]


LAYOUTS = {
    'yolov8': _yolov8,
    'yolov8 logits': partial(_yolov8, logits=True),
    'yolov8 fractions': partial(_yolov8, fraction=True),
    'yolov8 keypoints': partial(_yolov8, extra=2),
    'yolov8 rows': _rows_first,
    'yolov5': _yolov5,
    'yolox': _yolox,
    'yolox decoded': partial(_yolox, decoded=True),
    'yolov6': partial(_yolox, decoded=True, sure=True),
    'yolo_end2end': _end2end,
    'end2end fractions': partial(_end2end, fraction=True),
    'end2end nms': partial(_end2end, empty=True),
    'deepstream': partial(_end2end, every=True),
    'efficient_nms': _efficient_nms,
    'efficient_nms fractions': partial(_efficient_nms, fraction=True),
    'detr': _detr,
    'detr probability': partial(_detr, probability=True),
    'detr pixels': partial(_detr, pixels=True),
    'rtdetr chosen': _chosen_queries,
    'rtdetr ultralytics': _queries,
}


def network(  # noqa: D417
    path, layout, *, classes=3, metadata=None, layout_in='nchw', open_axes=False, batch=1, seed=0
):
    """Write a network that takes float pictures of 128x96.

    Args:
        layout: one of LAYOUTS.
        metadata: what the exporter says beside it.
        layout_in: of the pictures.
        open_axes: leave batch, height and width of the input open.
    """
    graph, rng = Graph(), np.random.default_rng(seed)
    planes = 'images'
    if layout_in == 'nhwc':
        planes = graph.op('Transpose', planes, perm=[0, 3, 1, 2])
    outputs = LAYOUTS[layout](
        graph, trunk(graph, rng, planes, numbers=max(16, 5 + classes), batch=batch), classes
    )
    shape = [batch, 3, HIGH, WIDE] if layout_in == 'nchw' else [1, HIGH, WIDE, 3]
    given = ['batch', 3, 'height', 'width'] if open_axes else shape
    made = [
        helper.make_tensor_value_info(name, *(kind or [TensorProto.FLOAT]), [batch, *sizes[1:]])
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
