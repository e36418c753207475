"""The way most tutorials and packages do it, to measure ours against.

Convert the message with a copy, letterbox and normalise with numpy, look at every box in a Python
loop, suppress in another, build message objects. Written as such code is commonly written, not to
be slow: the resize is OpenCV's.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SIDE = 640


def convert(msg: Any) -> Any:
    """As ``cv_bridge.imgmsg_to_cv2(msg, 'rgb8')``: a view, then a converted copy."""
    picture = np.ndarray((msg.height, msg.width, 3), np.uint8, msg.data, 0, (msg.step, 3, 1))
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def prepare(picture: Any) -> tuple[Any, float, int, int]:
    """Letterboxed float32 [1, 3, 640, 640], and how."""
    height, width = picture.shape[:2]
    scale = min(SIDE / width, SIDE / height)
    wide, high = round(width * scale), round(height * scale)
    left, top = (SIDE - wide) // 2, (SIDE - high) // 2
    canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
    canvas[top : top + high, left : left + wide] = cv2.resize(picture, (wide, high))
    tensor = canvas.astype(np.float32) / 255.0
    tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1))[np.newaxis]
    return tensor, scale, left, top


def decode(output: Any, scale: float, left: int, top: int, *, score: float) -> list[Any]:
    """(x1, y1, x2, y2, score, class) of every box above ``score``, one at a time."""
    found = []
    for row in np.squeeze(output).T:
        scores = row[4:]
        class_id = np.argmax(scores)
        if scores[class_id] >= score:
            x, y, w, h = row[:4]
            found.append(
                (
                    float((x - w / 2 - left) / scale),
                    float((y - h / 2 - top) / scale),
                    float((x + w / 2 - left) / scale),
                    float((y + h / 2 - top) / scale),
                    float(scores[class_id]),
                    int(class_id),
                )
            )
    return found


def overlap(a: Any, b: Any) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def suppress(found: list[Any], *, iou: float) -> list[Any]:
    """The best of every heap of boxes of one class."""
    kept: list[Any] = []
    for row in sorted(found, key=lambda row: -row[4]):
        if all(other[5] != row[5] or overlap(row, other) <= iou for other in kept):
            kept.append(row)
    return kept


def message(kept: list[Any], header: Any, names: list[str]) -> Any:
    """A vision_msgs/Detection2DArray of message objects."""
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    answer = Detection2DArray(header=header)
    for x1, y1, x2, y2, score, class_id in kept:
        detection = Detection2D(header=header)
        detection.bbox.center.position.x = (x1 + x2) / 2
        detection.bbox.center.position.y = (y1 + y2) / 2
        detection.bbox.size_x = x2 - x1
        detection.bbox.size_y = y2 - y1
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = names[class_id]
        hypothesis.hypothesis.score = score
        detection.results.append(hypothesis)
        answer.detections.append(detection)
    return answer
