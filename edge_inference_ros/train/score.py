"""What a network in training finds: decoded here as its head will, and scored as the gate does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.optimize.judge.labels import F32, Picture
from edge_inference_ros.optimize.judge.score import (
    FLOOR,
    MOST,
    NMS_IOU,
    Found,
    accuracy,
    near_people,
    overlaps,
)
from edge_inference_ros.train.data import Split

__all__ = ['Found', 'Predict', 'accuracy', 'find', 'keep', 'near_people']

Predict = Callable[[Picture], F32]
"""Pictures (B, H, W, 3) uint8 BGR to (B, 4 + C, N): centre, size, scores; any runtime."""


def find(predict: Predict, split: Split, *, count: int = 0, batch: int = 16) -> list[Found]:
    """Run a detector over the first `count` pictures of a split, or all of them."""
    count = min(count or len(split), len(split))
    detections = []
    for first in range(0, count, batch):
        pictures = np.ascontiguousarray(split.images[first : min(first + batch, count)])
        detections += [keep(output) for output in predict(pictures)]
    return detections


def keep(output: F32, *, floor: float = FLOOR, iou: float = NMS_IOU) -> Found:
    """Decode one output (4 + C, N): best class of each cell, then suppression within classes."""
    scores, class_id = output[4:].max(0), output[4:].argmax(0)
    best = np.argsort(-scores, kind='stable')[:300]
    best = best[scores[best] >= floor]
    centre, size = output[:2, best].T, output[2:4, best].T
    boxes = np.concatenate((centre - size / 2, centre + size / 2), 1).astype(np.float32)
    kept = _suppress(boxes, class_id[best], iou)[:MOST]
    return Found(boxes[kept], scores[best][kept], class_id[best][kept])


def _suppress(boxes: F32, class_id: NDArray[np.int64], iou: float) -> NDArray[np.intp]:
    close = overlaps(boxes, boxes) * (class_id[:, None] == class_id[None])
    alive = np.ones(len(boxes), bool)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= close[i, i + 1 :] < iou
    return np.flatnonzero(alive)
