"""What the heads do, written so that one can see it is right."""

import math
from pathlib import Path

import numpy as np

from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, TensorSpec
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs


def manifest(head, outputs, *, classes=4, seen=None, **spec):
    return Manifest(
        folder=Path('models/none'),
        name='none',
        task='detect2d',
        licence='Apache-2.0',
        made_by='a test',
        classes=tuple(f'class{i}' for i in range(classes)),
        input=seen or InputSpec('images', (1, 96, 128, 3)),
        outputs=tuple(
            TensorSpec(name, array.shape, array.dtype.name) for name, array in outputs.items()
        ),
        head=HeadSpec(head, **spec),
        files=(),
    )


def image(width=200, height=100, order='bgr', seed=0):
    channels = {'mono': 1, 'rgba': 4, 'bgra': 4}.get(order, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image(Origin('camera', RosNs(7), MonoNs(0)), pixels, order)


def overlap(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def corners(box):
    x, y, wide, high = (float(v) for v in box)
    return [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]


def camera_box(box, fit):
    across = fit.width_px / fit.seen_width_px
    down = fit.height_px / fit.seen_height_px
    x1, y1, x2, y2 = box
    return [
        min(max((x1 - fit.left_px) * across, 0), fit.width_px),
        min(max((y1 - fit.top_px) * down, 0), fit.height_px),
        min(max((x2 - fit.left_px) * across, 0), fit.width_px),
        min(max((y2 - fit.top_px) * down, 0), fit.height_px),
    ]


def detections(found, spec, fit, *, suppress=True):
    """From (score, class, [x1 y1 x2 y2] in the input) to what a head must answer, best first."""
    found = [row for row in found if spec.score_threshold <= row[0] < math.inf]
    found = sorted(found, key=lambda row: -row[0])[: spec.candidates]
    found = [row for row in found if all(abs(v) <= 1e6 for v in row[2])]
    found = [(s, c, box, camera_box(box, fit)) for s, c, box in found]
    found = [row for row in found if row[3][2] > row[3][0] and row[3][3] > row[3][1]]
    kept = []
    for row in found:
        if suppress and any(
            overlap(row[2], other[2]) > spec.iou_threshold
            and (spec.class_agnostic or row[1] == other[1])
            for other in kept
        ):
            continue
        kept.append(row)
    return [(min(s, 1.0), c, seen) for s, c, _, seen in kept[: spec.max_detections]]


def same(answer, expected):
    scores, class_ids, boxes = zip(*expected, strict=True) if expected else ((), (), ())
    np.testing.assert_allclose(answer.scores, scores, rtol=1e-5)
    np.testing.assert_array_equal(answer.class_ids, class_ids)
    np.testing.assert_allclose(answer.boxes_px, np.reshape(boxes, (-1, 4)), atol=1e-2)
