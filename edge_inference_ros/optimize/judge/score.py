"""How good a detector is: COCO average precision, and how many people near the robot it finds.

What is measured for a task stands in ``METRICS``; a metric for boxes in space is one more entry.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import HeadSpec
from edge_inference_ros.core.types import Detections2D
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.optimize.judge.labels import F32, Truth

FLOOR, MOST, NMS_IOU, MATCH_IOU = 0.01, 100, 0.6, 0.5
NEAR_M = 8.0
PERSON = 'person'


@dataclass(frozen=True)
class Found:
    """What was found in one picture, best first.

    Attributes:
        boxes_px: (K, 4) x1 y1 x2 y2.
        scores: (K,).
        class_id: (K,).
    """

    boxes_px: F32
    scores: F32
    class_id: NDArray[np.int64]


@dataclass(frozen=True)
class NearPeople:
    """People within reach, at one score threshold.

    Attributes:
        recall: share of the people nearer than `within_m` that were found (IoU at least 0.5).
        people: how many there were.
        false_per_picture: reported people that are none, at any distance.
    """

    within_m: float
    score_threshold: float
    recall: float
    people: int
    false_per_picture: float


@dataclass(frozen=True)
class Accuracy:
    """Average precision on a split: at IoU 0.5, at 0.5 to 0.95, and per class at 0.5."""

    pictures: int
    ap50: float
    ap50_95: float
    per_class: dict[str, float]
    near_people: NearPeople | None = None

    def facts(self) -> dict[str, Any]:
        """Numbers rounded for a manifest; of a class without labels there is none."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


class Metric(Protocol):
    """Scores what was found in the first pictures of a labelled set."""

    def __call__(
        self, detections: Sequence[Found], split: Truth, *, score_threshold: float = 0.3
    ) -> Accuracy:
        """The score; ``score_threshold`` is the model's own, for what needs one."""
        ...


def metric_of(task: str) -> Metric:
    """What scores models of a task.

    Raises:
        ConfigError: nothing does.
    """
    if task not in METRICS:
        raise ConfigError(f'task = {task!r}: nothing scores it; we score {", ".join(METRICS)}')
    return METRICS[task]


def faint(spec: HeadSpec) -> HeadSpec:
    """Keeps all that average precision looks at, down to the faintest."""
    return replace(
        spec,
        score_threshold=FLOOR,
        iou_threshold=NMS_IOU,
        candidates=1000,
        max_detections=MOST,
    )


def found_in(seen: Detections2D) -> Found:
    """What a head found, for scoring."""
    return Found(seen.boxes_px, seen.scores, seen.class_ids.astype(np.int64))


def overlaps(a: F32, b: F32, *, of_first: bool = False) -> F32:
    """(A, B) IoU of boxes; or the share of each of the first that lies in each of the second."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    whole = area_a[:, None] if of_first else area_a[:, None] + area_b[None] - shared
    return np.asarray(shared / np.maximum(whole, 1e-9), np.float32)


def accuracy(
    detections: Sequence[Found], split: Truth, *, score_threshold: float = 0.3
) -> Accuracy:
    """Score what was found in the first `len(detections)` pictures by COCO's rules.

    Ignored labels are `iscrowd`: a detection inside one of the same class does not count.

    Raises:
        BackendUnavailable: pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise BackendUnavailable(
            f'scoring needs {error.name}: pip install pycocotools, or make train-env'
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truth(split, len(detections))
        truth.createIndex()
        results = truth.loadRes(_coco_results(detections) or _nothing())
        judge = COCOeval(truth, results, 'bbox')
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval['precision'][:, :, :, 0, 2]
    per_class = {name: _mean(precision[0, :, i]) for i, name in enumerate(split.classes)}
    near = None
    if PERSON in split.classes:
        near = near_people(detections, split, score_threshold=score_threshold)
    return Accuracy(len(detections), _mean(precision[0]), _mean(precision), per_class, near)


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float('nan')


def _nothing() -> list[dict[str, Any]]:
    return [{'image_id': 0, 'category_id': 0, 'bbox': [0, 0, 1, 1], 'score': 0.0}]


def _truth(split: Truth, count: int) -> dict[str, Any]:
    notes: list[dict[str, Any]] = []
    for i in range(count):
        known = split.known(i)
        rows = zip(
            known.class_id.tolist(), known.boxes_px.tolist(), known.ignored.tolist(), strict=True
        )
        for class_id, (x1, y1, x2, y2), ignored in rows:
            w, h = x2 - x1, y2 - y1
            notes.append({
                'id': len(notes) + 1, 'image_id': i, 'category_id': class_id,
                'bbox': [x1, y1, w, h], 'area': w * h, 'iscrowd': int(ignored),
            })  # fmt: skip
    return {
        'info': {},
        'images': [{'id': i} for i in range(count)],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(split.classes)],
        'annotations': notes,
    }


def _coco_results(detections: Sequence[Found]) -> list[dict[str, Any]]:
    results = []
    for i, f in enumerate(detections):
        size = f.boxes_px[:, 2:] - f.boxes_px[:, :2]
        boxes = np.concatenate((f.boxes_px[:, :2], size), 1).tolist()
        rows = zip(f.class_id.tolist(), boxes, f.scores.tolist(), strict=True)
        results += [
            {'image_id': i, 'category_id': c, 'bbox': box, 'score': score}
            for c, box, score in rows
        ]
    return results


def near_people(
    detections: Sequence[Found], split: Truth, *, within_m: float = NEAR_M, score_threshold: float
) -> NearPeople:
    """Recall of people nearer than `within_m`, and false people, at a score threshold."""
    hit = people = false = 0
    for matched, distances, wrong in people_matches(detections, split, score_threshold):
        near = distances < within_m
        hit, people = hit + int(matched[near].sum()), people + int(near.sum())
        false += wrong
    pictures = max(1, len(detections))
    return NearPeople(within_m, score_threshold, hit / max(1, people), people, false / pictures)


def people_matches(
    detections: Sequence[Found], split: Truth, score_threshold: float, *, person: str = PERSON
) -> Iterator[tuple[NDArray[np.bool_], F32, int]]:
    """Per picture: which people asked for were found, their distances, and how many were false."""
    number = split.classes.index(person)
    for i, f in enumerate(detections):
        known = split.known(i)
        theirs = known.class_id == number
        asked = theirs & ~known.ignored
        boxes_px = f.boxes_px[(f.class_id == number) & (f.scores >= score_threshold)]
        matched, used = _match(boxes_px, known.boxes_px[asked])
        rest = boxes_px[~used]
        excused = overlaps(rest, known.boxes_px[theirs & known.ignored], of_first=True)
        wrong = len(rest) - int((excused >= MATCH_IOU).any(1).sum())
        yield matched, known.distance_m[asked], wrong


def _match(boxes: F32, truth: F32) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Greedy in the order said: which truths were met, and which boxes met one."""
    met, used = np.zeros(len(truth), bool), np.zeros(len(boxes), bool)
    if not len(truth):
        return met, used
    for i, row in enumerate(overlaps(boxes, truth)):
        free = np.where(met, -1, row)
        best = int(free.argmax())
        if free[best] >= MATCH_IOU:
            met[best] = used[i] = True
    return met, used


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 4)
    return value


METRICS: dict[str, Metric] = {'detect2d': accuracy}
"""By the manifest's ``task``."""
