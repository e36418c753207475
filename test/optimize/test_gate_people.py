"""Recall by distance and its bounds, against slow and obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_inference_ros.optimize.judge import people as near_people
from edge_inference_ros.optimize.judge.labels import Known
from edge_inference_ros.optimize.judge.people import PeopleLimits, Seen, loss_bound, wilson
from edge_inference_ros.optimize.judge.score import Found

CLASSES = ('car', 'person')
EDGES = (0.0, 2.0, 4.0, 8.0, 20.0)


class World:
    classes = CLASSES

    def __init__(self, labels):
        self._labels = labels

    def known(self, index):
        return self._labels[index]


def boxes(rng, count):
    corner = rng.integers(0, 40, (count, 2))
    return np.concatenate((corner, corner + rng.integers(8, 24, (count, 2))), 1).astype(np.float32)


def any_world(seed):
    """Labels of some pictures, and what two detectors found there: near the truth, or anywhere."""
    rng = np.random.default_rng(seed)
    labels, found = [], ([], [])
    for _ in range(int(rng.integers(1, 5))):
        count = int(rng.integers(0, 7))
        known = Known(
            rng.integers(0, 2, count).astype(np.int32), boxes(rng, count),
            rng.random(count) < 0.25, rng.choice([0.5, 1.9, 2.0, 3.0, 7.9, 25.0, np.nan], count),
        )  # fmt: skip
        labels.append(known)
        for said in found:
            near = known.boxes_px + rng.integers(-3, 4, known.boxes_px.shape)
            near = near[rng.random(count) < 0.8]
            at = np.concatenate((near, boxes(rng, 2))).astype(np.float32)
            scores = np.sort(rng.random(len(at)).astype(np.float32))[::-1]
            said.append(Found(at, scores, rng.integers(0, 2, len(at))))
    return World(labels), *found


def overlap(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared, shared / (area[0] + area[1] - shared), shared / area[0]


def slowly(found, world):
    """Per person asked for: distance, and whether it was found; and false people in all."""
    people, false = [], 0
    for i, said in enumerate(found):
        known = world.known(i)
        rows = [k for k in range(len(known.class_id)) if known.class_id[k] == 1]
        asked = [k for k in rows if not known.ignored[k]]
        met = set()
        for box, class_id in zip(said.boxes_px, said.class_id, strict=True):
            if class_id != 1:
                continue
            free = [(overlap(box, known.boxes_px[k])[1], -k) for k in asked if k not in met]
            best = max(free, default=(0, 0))
            if best[0] >= 0.5:
                met.add(-best[1])
                continue
            excused = [overlap(box, known.boxes_px[k])[2] for k in rows if known.ignored[k]]
            false += max(excused, default=0) < 0.5
        people += [(float(known.distance_m[k]), k in met) for k in asked]
    return people, false


@pytest.mark.parametrize('seed', range(60))
def test_people_are_counted_as_one_would_by_hand(seed):
    world, one, other = any_world(seed)

    seen = near_people.seen(one, other, world, person='person')
    rows = near_people.by_distance(seen, EDGES, confidence=0.95)

    people_one, false_one = slowly(one, world)
    people_other, false_other = slowly(other, world)
    assert seen.false_reference == pytest.approx(false_one / len(one))
    assert seen.false_candidate == pytest.approx(false_other / len(one))
    for row in rows:
        for name, people in (('reference', people_one), ('candidate', people_other)):
            inside = [hit for d, hit in people if row['from_m'] <= d < row['to_m']]
            assert row['people'] == len(inside)
            assert row.get(name) == (sum(inside) / len(inside) if inside else None)
    pairs = [(a, b) for (d, a), (_, b) in zip(people_one, people_other, strict=True) if d < 3]
    judged = near_people.judge(seen, PeopleLimits(), robot='r', within_m=3.0)
    assert (judged.people, judged.lost, judged.gained) == (
        len(pairs), sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs),
    )  # fmt: skip


def test_random_worlds_have_people_found_and_not_found():
    hits = [hit for seed in range(60) for _, hit in slowly(*any_world(seed)[1::-1])[0]]

    assert 50 < sum(hits) < len(hits) - 50


@pytest.mark.parametrize(
    ('hits', 'n', 'interval'),
    [  # Newcombe, Statistics in Medicine 17, 857 (1998), table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_intervals_are_the_published_ones(hits, n, interval):
    assert wilson(hits, n, confidence=0.95) == pytest.approx(interval, abs=5e-5)


def test_of_nobody_everything_is_possible():
    assert wilson(0, 0, confidence=0.95) == (0.0, 1.0)
    assert loss_bound(0, 0, 0, confidence=0.95) == 1.0


@pytest.mark.parametrize('n', [1, 10, 268, 5000])
def test_without_any_loss_the_bound_is_closed(n):
    z2 = 1.6448536**2

    assert loss_bound(0, 0, n, confidence=0.95) == pytest.approx(z2 / (n + z2))


@pytest.mark.parametrize(
    ('lost', 'gained', 'n'), [(3, 0, 50), (5, 2, 300), (2, 9, 120), (0, 4, 40), (20, 20, 100)]
)
def test_the_bound_is_where_the_score_test_begins_to_reject(lost, gained, n):
    bound = loss_bound(lost, gained, n, confidence=0.95)

    assert score_test(lost, gained, n, bound - 1e-4) > -1.6448536
    assert score_test(lost, gained, n, bound + 1e-4) < -1.6448536


def score_test(lost, gained, n, d):
    """Tango's statistic, the nuisance share found by trying every one."""
    q = np.linspace(max(0.0, -d), (1 - d) / 2, 400_001)[1:-1]
    likely = lost * np.log(q + d) + gained * np.log(q) if lost + gained else 0 * q
    likely = likely + (n - lost - gained) * np.log(1 - 2 * q - d)
    best = q[np.argmax(likely)]
    return (lost - gained - n * d) / math.sqrt(n * (2 * best + d - d * d))


def test_the_bound_covers_what_it_says():
    rng = np.random.default_rng(0)
    n, lost, gained = 200, 0.04, 0.02
    draws = rng.multinomial(n, (lost, gained, 1 - lost - gained), 2000)

    covered = [loss_bound(int(a), int(b), n, confidence=0.95) >= 0.02 for a, b, _ in draws]

    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def seen(lost, gained, both, neither):
    one = [True] * (lost + both) + [False] * (gained + neither)
    other = [False] * lost + [True] * (both + gained) + [False] * neither
    return Seen(np.ones(len(one), np.float32), np.array(one), np.array(other), 0.0, 0.0)


@pytest.mark.parametrize(
    ('counts', 'limits', 'verdict'),
    [
        ((0, 0, 268, 0), PeopleLimits(), 'passed'),
        ((0, 0, 267, 0), PeopleLimits(), 'INCONCLUSIVE'),
        ((0, 0, 200, 68), PeopleLimits(), 'passed'),
        ((4, 0, 264, 0), PeopleLimits(), 'REFUSED'),
        ((2, 0, 266, 0), PeopleLimits(), 'INCONCLUSIVE'),
        ((30, 30, 300, 0), PeopleLimits(), 'INCONCLUSIVE'),
        ((10, 30, 300, 0), PeopleLimits(), 'passed'),
        ((4, 0, 264, 0), PeopleLimits(recall_loss=0.05), 'passed'),
        ((0, 0, 250, 50), PeopleLimits(least_recall=0.9), 'REFUSED'),
        ((0, 0, 273, 27), PeopleLimits(least_recall=0.9), 'INCONCLUSIVE'),
        ((0, 0, 290, 10), PeopleLimits(least_recall=0.9), 'passed'),
    ],
)
def test_the_verdict_follows_measurement_and_bound(counts, limits, verdict):
    judged = near_people.judge(seen(*counts), limits, robot='r', within_m=2.0)

    assert judged.verdict == verdict
    assert bool(judged.why) == (verdict != 'passed')


def test_a_person_at_the_distance_is_beyond_it():
    assert near_people.judge(seen(0, 0, 5, 0), PeopleLimits(), robot='r', within_m=1.0).people == 0
