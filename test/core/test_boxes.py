import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core import boxes
from edge_inference_ros.core.boxes import Suppression, nms


def overlap(a, b):
    """Intersection over union, written so that one can see it is right."""
    wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    high = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    size = [max(c[2] - c[0], 0) * max(c[3] - c[1], 0) for c in (a, b)]
    union = sum(size) - wide * high
    return wide * high / union if union > 0 else 0.0


def greedy(rows, class_ids, iou_threshold):
    """What suppression must answer for rows that come best first."""
    kept = []
    for i, row in enumerate(rows):
        rivals = [j for j in kept if class_ids is None or class_ids[j] == class_ids[i]]
        if all(overlap(rows[j], row) <= iou_threshold for j in rivals):
            kept.append(i)
    return kept


@st.composite
def clutter(draw, most=300):
    """Boxes on a coarse grid: many touch, coincide or are empty; overlaps are exact fractions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = rng.integers(0, draw(st.sampled_from([4, 16, 64])), (draw(st.integers(0, most)), 2))
    size = rng.integers(0, 12, corner.shape)
    class_ids = rng.integers(0, draw(st.sampled_from([1, 3, 80])), len(corner))
    return np.hstack((corner, corner + size)).astype(np.float32), class_ids


@settings(max_examples=150, deadline=None)
@given(some=clutter(60), others=clutter(60))
def test_iou_equals_the_slow_way(some, others):
    expected = [[overlap(a, b) for b in others[0].tolist()] for a in some[0].tolist()]

    found = boxes.iou(some[0], others[0])

    np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-6)


@settings(max_examples=150, deadline=None)
@given(clutter=clutter(), iou_threshold=st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]))
@pytest.mark.parametrize('by_class', [True, False])
def test_suppression_equals_the_slow_way(by_class, clutter, iou_threshold):
    rows, class_ids = clutter[0], clutter[1] if by_class else None

    kept = Suppression()(rows, class_ids, iou_threshold=iou_threshold, limit=1000)

    assert kept.tolist() == greedy(rows.tolist(), class_ids, iou_threshold)


def test_suppression_stops_at_its_limit():
    rows = np.arange(2000, dtype=np.float32)[:, None] * 10 + np.array([0, 0, 5, 5], np.float32)

    kept = Suppression()(rows, None, iou_threshold=0.5, limit=150)

    assert kept.tolist() == list(range(150))


def test_one_suppression_serves_frames_of_any_size():
    suppression = Suppression()
    rng = np.random.default_rng(0)

    for count in (3, 200, 0, 7):
        corner = rng.uniform(0, 50, (count, 2))
        rows = np.hstack((corner, corner + 20)).astype(np.float32)
        kept = suppression(rows, None, iou_threshold=0.4, limit=1000)
        assert kept.tolist() == greedy(rows.tolist(), None, 0.4)


def test_nms_answers_best_first():
    rows = np.array([[0, 0, 9, 9], [50, 0, 60, 9], [1, 0, 10, 9]], np.float32)
    scores = np.array([0.2, 0.5, 0.9], np.float32)

    assert nms(rows, scores, iou_threshold=0.5).tolist() == [2, 1]
    assert nms(rows, scores, np.array([0, 0, 1]), iou_threshold=0.5).tolist() == [2, 1, 0]


def test_centres_become_corners():
    rows = np.array([[10, 20, 4, 6], [0, 0, 0, 0]], np.float32)

    np.testing.assert_array_equal(boxes.from_centres(rows), [[8, 17, 12, 23], [0, 0, 0, 0]])


def test_clipping_is_in_place():
    rows = np.array([[-5, -1, 700, 20], [30, 500, 640, 481]], np.float32)

    assert boxes.clip(rows, width=640, height=480) is rows
    np.testing.assert_array_equal(rows, [[0, 0, 640, 20], [30, 480, 640, 480]])
