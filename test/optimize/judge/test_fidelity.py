"""Scores are judged apart from boxes, so that neither hides the loss of the other."""

import numpy as np
import pytest

from edge_inference_ros.core.types import Candidates2D
from edge_inference_ros.optimize.judge import measure
from edge_inference_ros.optimize.judge.fidelity import NO_NOISE_DB, fidelity


def answers(seed=0, *, count=200, classes=3, aligned=True):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 500, (count, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(20, 100, (count, 2))), axis=1)
    scores = rng.beta(0.2, 2, (count, classes))
    return Candidates2D(boxes.astype('f4'), scores.astype('f4'), aligned=aligned)


def changed(said, *, boxes=0.0, scores=1.0):
    return Candidates2D(said.boxes_px + np.float32(boxes), said.scores * np.float32(scores),
                        aligned=said.aligned)  # fmt: skip


@pytest.mark.parametrize('aligned', [True, False])
def test_equal_answers_have_no_noise(aligned):
    said = answers(aligned=aligned)

    found = fidelity([said], [said])

    assert (found.sqnr_db, found.box_px) == (NO_NOISE_DB, 0)


@pytest.mark.parametrize('aligned', [True, False])
def test_dead_scores_are_seen_however_right_the_boxes_are(aligned):
    said = answers(aligned=aligned)

    found = fidelity([said], [changed(said, scores=0.0)])

    assert found.scores_db == pytest.approx(0, abs=0.1)
    assert found.sqnr_db == found.scores_db


@pytest.mark.parametrize('aligned', [True, False])
def test_an_error_of_scores_is_ten_times_its_logarithm(aligned):
    said = answers(aligned=aligned)

    assert fidelity([said], [changed(said, scores=0.9)]).scores_db == pytest.approx(20, abs=0.1)


def test_boxes_are_judged_in_pixels_and_by_their_own_size():
    said = answers()
    side = np.float32(50)
    same = Candidates2D(
        np.concatenate((said.boxes_px[:, :2], said.boxes_px[:, :2] + side), axis=1), said.scores
    )

    found = fidelity([same], [changed(same, boxes=5.0)])

    assert found.box_px == pytest.approx(5, abs=1e-3)
    assert found.boxes_db == pytest.approx(20, abs=0.1)
    assert found.scores_db == NO_NOISE_DB


def test_answers_in_another_order_are_the_same_answers():
    said = answers(aligned=False)
    order = np.random.default_rng(1).permutation(len(said.scores))
    mixed = Candidates2D(said.boxes_px[order], said.scores[order], aligned=False)

    assert fidelity([said], [mixed]).sqnr_db > 60


def test_something_found_where_nothing_was_is_noise_too():
    said = answers(aligned=False)
    more = answers(7, aligned=False)
    both = Candidates2D(
        np.concatenate((said.boxes_px, more.boxes_px + 1000)),
        np.concatenate((said.scores, more.scores)),
        aligned=False,
    )

    assert fidelity([said], [both]).scores_db < 5


@pytest.mark.parametrize('rows_first', [True, False])
def test_a_bare_file_is_judged_alike_whichever_axis_the_boxes_are_on(rows_first):
    rng = np.random.default_rng(0)
    wanted = np.concatenate((rng.uniform(0, 640, (4, 1, 4, 300)), rng.random((4, 1, 80, 300))), 2)
    given = wanted.copy()
    given[:, :, 4:] = 0
    if rows_first:
        wanted, given = wanted.swapaxes(2, 3), given.swapaxes(2, 3)

    assert measure.channel_db([wanted], [given]) < 1
