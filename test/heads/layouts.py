"""For every head: random answers of a network, and the slow way to read them.

An entry makes the outputs of a network with a number of classes, and reads such outputs into
(score, class, [x1 y1 x2 y2]) rows, one a box, in the pixels of a 128×96 input.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from heads import slow

WIDTH, HEIGHT = 128, 96


@dataclass
class Layout:
    make: Any
    read: Any
    suppress: bool
    options: dict = field(default_factory=dict)
    head: str = ''


def clumps(rng, count):
    """(4, count) centre boxes in clumps, so that suppression has work."""
    centres = np.stack((rng.uniform(5, 123, 12), rng.uniform(5, 91, 12)))
    centres = centres[:, rng.integers(0, 12, count)] + rng.normal(0, 4, (2, count))
    return np.concatenate((centres, rng.uniform(8, 30, (2, count)))).astype(np.float32)


def probabilities(rng, *shape):
    """No two alike, so that the order is certain."""
    count = math.prod(shape)
    return (rng.permutation(count).reshape(shape) / count).astype(np.float32)


def best(scores):
    scores = [float(score) for score in scores]
    return max(scores), scores.index(max(scores))


def make_yolov8(rng, classes):
    return {'o': np.concatenate((clumps(rng, 300), probabilities(rng, classes, 300)))[None]}


def read_yolov8(outputs):
    return [(*best(row[4:]), slow.corners(row[:4])) for row in outputs['o'][0].T]


def make_yolov5(rng, classes):
    objectness = rng.choice((0.01, 0.5, 1.0), (1, 300)).astype(np.float32)
    scores = probabilities(rng, classes, 300)
    return {'o': np.concatenate((clumps(rng, 300), objectness, scores)).T[None].copy()}


def read_yolov5(outputs):
    found = []
    for row in outputs['o'][0]:
        score, class_id = best(row[5:])
        found.append((float(np.float32(score) * row[4]), class_id, slow.corners(row[:4])))
    return found


def cells():
    return [
        (left, top, size)
        for size in (8, 16, 32)
        for top in range(HEIGHT // size)
        for left in range(WIDTH // size)
    ]


def make_yolox(rng, classes):
    count = len(cells())
    boxes = np.concatenate((rng.normal(0.5, 0.5, (2, count)), rng.normal(0.2, 0.4, (2, count))))
    scores = probabilities(rng, 1 + classes, count)
    return {'o': np.concatenate((boxes, scores)).T[None].astype(np.float32, order='C')}


def read_yolox(outputs):
    found = []
    for row, (left, top, size) in zip(outputs['o'][0], cells(), strict=True):
        score, class_id = best(row[5:])
        x, y = (float(row[0]) + left) * size, (float(row[1]) + top) * size
        box = [x, y, math.exp(row[2]) * size, math.exp(row[3]) * size]
        found.append((float(np.float32(score) * row[4]), class_id, slow.corners(box)))
    return found


def make_yolox_px(rng, classes):
    count = len(cells())
    scores = probabilities(rng, 1 + classes, count)
    return {'o': np.concatenate((clumps(rng, count), scores)).T[None].copy()}


def make_rows(rng, classes, unit=(1, 1), corners=False):
    boxes = clumps(rng, 300).T
    if corners:
        boxes = np.array([slow.corners(box) for box in boxes])
    scores = probabilities(rng, 300, classes)
    return {'o': np.concatenate((boxes / (unit * 2), scores), 1)[None].astype(np.float32)}


def read_rows(outputs, unit=(1, 1), corners=False):
    found = []
    for row in outputs['o'][0]:
        box = [float(v) * size for v, size in zip(row[:4], unit * 2, strict=True)]
        found.append((*best(row[4:]), box if corners else slow.corners(box)))
    return found


def make_end2end(rng, classes, unit=(1, 1)):
    boxes = np.array([slow.corners(box) for box in clumps(rng, 300).T]) / (unit * 2)
    class_ids = rng.integers(0, classes, 300)
    rows = np.column_stack((boxes, probabilities(rng, 300), class_ids))
    return {'o': rows[None].astype(np.float32)}


def read_end2end(outputs, unit=(1, 1), centred=False):
    found = []
    for row in outputs['o'][0]:
        box = [float(v) * size for v, size in zip(row[:4], unit * 2, strict=True)]
        found.append((float(row[4]), int(row[5]), slow.corners(box) if centred else box))
    return found


def make_efficient(rng, classes, unit=(1, 1)):
    boxes = np.array([slow.corners(box) for box in clumps(rng, 300).T]) / (unit * 2)
    return {
        'count': np.array([[250]], np.int32),
        'boxes': boxes[None].astype(np.float32),
        'scores': probabilities(rng, 1, 300),
        'class_ids': rng.integers(0, classes, (1, 300), np.int32),
    }


def read_efficient(outputs, unit=(1, 1)):
    return [
        (
            float(outputs['scores'][0, i]),
            int(outputs['class_ids'][0, i]),
            [float(v) * size for v, size in zip(outputs['boxes'][0, i], unit * 2, strict=True)],
        )
        for i in range(outputs['count'][0, 0])
    ]


def make_detr(rng, classes):
    return {
        'logits': rng.normal(-1, 2, (1, 300, classes)).astype(np.float32),
        'boxes': (clumps(rng, 300).T / (WIDTH, HEIGHT, WIDTH, HEIGHT))[None].astype(np.float32),
    }


def detr_box(box):
    return slow.corners([v * size for v, size in zip(box, (WIDTH, HEIGHT) * 2, strict=True)])


def read_rtdetr(outputs):
    found = []
    for logits, box in zip(outputs['logits'][0], outputs['boxes'][0], strict=True):
        score, class_id = best(1 / (1 + math.exp(-logit)) for logit in logits)
        found.append((score, class_id, detr_box(box)))
    return found


def make_detr_sure(rng, classes):
    outputs = make_detr(rng, classes)
    return {**outputs, 'logits': probabilities(rng, 1, 300, classes)}


def read_detr_sure(outputs):
    rows = zip(outputs['logits'][0], outputs['boxes'][0], strict=True)
    return [(*best(scores), detr_box(box)) for scores, box in rows]


def read_detr(outputs):
    found = []
    for logits, box in zip(outputs['logits'][0], outputs['boxes'][0], strict=True):
        powers = [math.exp(logit) for logit in logits]
        score, class_id = best(power / sum(powers) for power in powers[:-1])
        found.append((score, class_id, detr_box(box)))
    return found


LAYOUTS = {
    'yolov8': Layout(make_yolov8, read_yolov8, suppress=True),
    'yolov5': Layout(make_yolov5, read_yolov5, suppress=True),
    'yolox': Layout(make_yolox, read_yolox, suppress=True),
    'yolox, px': Layout(make_yolox_px, read_yolov5, suppress=True, options={'boxes': 'px'}),
    'scored_boxes': Layout(make_rows, read_rows, suppress=True),
    'scored_boxes, fractions': Layout(
        lambda rng, classes: make_rows(rng, classes, (WIDTH, HEIGHT)),
        lambda outputs: read_rows(outputs, (WIDTH, HEIGHT)),
        suppress=False,
        options={'unit': 'fraction', 'suppression': 'done'},
    ),
    'scored_boxes, corners': Layout(
        lambda rng, classes: make_rows(rng, classes, corners=True),
        lambda outputs: read_rows(outputs, corners=True),
        suppress=True,
        options={'box': 'corners'},
    ),
    'yolo_end2end': Layout(make_end2end, read_end2end, suppress=False),
    'yolo_end2end, fractions': Layout(
        lambda rng, classes: make_end2end(rng, classes, (WIDTH, HEIGHT)),
        lambda outputs: read_end2end(outputs, (WIDTH, HEIGHT)),
        suppress=True,
        options={'unit': 'fraction', 'suppression': 'needed'},
    ),
    'yolo_end2end, centres': Layout(
        lambda rng, classes: {
            'o': np.column_stack(
                (clumps(rng, 300).T, probabilities(rng, 300), rng.integers(0, classes, 300))
            )[None].astype(np.float32)
        },
        lambda outputs: read_end2end(outputs, centred=True),
        suppress=False,
        options={'box': 'centre'},
    ),
    'efficient_nms': Layout(make_efficient, read_efficient, suppress=False),
    'efficient_nms, fractions': Layout(
        lambda rng, classes: make_efficient(rng, classes, (WIDTH, HEIGHT)),
        lambda outputs: read_efficient(outputs, (WIDTH, HEIGHT)),
        suppress=False,
        options={'unit': 'fraction'},
    ),
    'detr': Layout(make_detr, read_rtdetr, suppress=False),
    'detr, probability': Layout(
        make_detr_sure, read_detr_sure, suppress=False, options={'scores': 'probability'}
    ),
    'detr, softmax': Layout(
        lambda rng, classes: make_detr(rng, classes + 1),
        read_detr,
        suppress=False,
        options={'scores': 'softmax'},
    ),
}
for name, layout in LAYOUTS.items():
    layout.head = name.split(',', maxsplit=1)[0]
