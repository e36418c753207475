"""Splits on disk hold what was rendered, and are made only once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_inference_ros.sim import dataset
from edge_inference_ros.sim.dataset import (
    FIRST_SEED,
    FOREIGN,
    HELD_OUT,
    STREET,
    TRAIN,
    Split,
    example,
    write_recipe,
    write_split,
)


@pytest.mark.parametrize('processes', [1, 2])
def test_a_split_holds_its_pictures_and_labels(tmp_path, processes):
    split = Split(HELD_OUT, 3, first=4, width=96, height=72)
    told = []

    write_split(tmp_path, split, processes=processes, progress=lambda *n: told.append(n))

    images = np.load(tmp_path / 'images.npy')
    labels = np.load(tmp_path / 'labels.npz')
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(labels['offsets']) == 4
    for i in range(3):
        made = example(FIRST_SEED[HELD_OUT] + 4 + i, split)
        mine = slice(*labels['offsets'][i : i + 2])
        seen = made.truth.pixels > 0
        np.testing.assert_array_equal(images[i], made.picture)
        np.testing.assert_array_equal(labels['boxes_px'][mine], made.truth.boxes_px[seen])
        np.testing.assert_array_equal(labels['ignored'][mine], made.ignored[seen])


@pytest.mark.parametrize('name', [TRAIN, FOREIGN])
def test_street_pictures_are_made_from_their_seed_as_well(name):
    split = Split(name, 1, scenes=STREET, width=96, height=72)

    first, again = (example(FIRST_SEED[name] + 3, split) for _ in range(2))

    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.truth.pixels.any()


def test_a_recipe_is_made_once_and_made_again_when_it_changed(tmp_path, monkeypatch):
    small = Split(TRAIN, 4, width=64, height=48)
    monkeypatch.setattr(dataset, 'RECIPE', {'train': small, 'foreign': Split(FOREIGN, 4)})
    told = []

    for share in (0.5, 0.5, 0.25):
        write_recipe(tmp_path, share=share, progress=lambda *n: told.append(n))
        told.append(share)

    assert told == [
        ('train', 1, 2), ('train', 2, 2), ('foreign', 1, 2), ('foreign', 2, 2), 0.5,
        0.5,
        ('train', 1, 1), ('foreign', 1, 1), 0.25,
    ]  # fmt: skip
    assert json.loads((tmp_path / 'train/split.json').read_text())['count'] == 1


def test_the_recipe_trains_on_nothing_it_is_scored_on():
    seeds = {
        name: {FIRST_SEED[s.name] + s.first + i for i in range(s.count)}
        for name, s in dataset.RECIPE.items()
    }

    names = list(seeds)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not seeds[a] & seeds[b]
