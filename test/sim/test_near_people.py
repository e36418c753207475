"""Scenes with somebody near are those of the split, and only those."""

from itertools import islice

import numpy as np

from edge_inference_ros.sim.bodies import CLASSES
from edge_inference_ros.sim.dataset import FIRST_SEED, HELD_OUT, Split, example, with_people

SPLIT = Split(HELD_OUT, 0, first=3, width=96, height=72)
WITHIN_M = 4.0


def nearest(made):
    theirs = (made.truth.class_id == CLASSES.index('person')) & ~made.ignored
    return min(made.truth.distance_m[theirs], default=np.inf)


def test_every_scene_with_somebody_near_is_given_in_order_and_no_other():
    given = [made.picture for made in islice(with_people(SPLIT, within_m=WITHIN_M), 4)]

    seeds = range(FIRST_SEED[HELD_OUT] + SPLIT.first, FIRST_SEED[HELD_OUT] + 80)
    all_ = (example(seed, SPLIT) for seed in seeds)
    wanted = [made.picture for made in islice((m for m in all_ if nearest(m) < WITHIN_M), 4)]
    assert len(given) == len(wanted) == 4
    for one, other in zip(given, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
