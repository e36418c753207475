"""Broken cameras are told from working ones."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from edge_inference_ros.core.image_health import LONG, PATIENCE, Fault, ImageHealth
from edge_inference_ros.core.types import Level
from edge_inference_ros.sim.dataset import TRAIN, Split, example

HEIGHT, WIDTH = 180, 240
RNG = np.random.default_rng(5)


@functools.cache
def scene(seed=1):
    return example(seed, Split(TRAIN, 1, width=WIDTH, height=HEIGHT)).picture


def uniform(value):
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def saturated():
    return np.clip(scene().astype(int) * 4, 0, 255).astype(np.uint8)


def noise():
    return RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def banded():
    stripes = np.where(np.arange(HEIGHT) // 4 % 2, 60, -60)[:, None, None]
    return np.clip(scene().astype(int) + stripes, 0, 255).astype(np.uint8)


def half_lost(value=0):
    picture = scene().copy()
    picture[HEIGHT // 2 :] = value
    return picture


BROKEN = {
    'black': (lambda: uniform(0), Fault.BLACK),
    'nearly black': (lambda: RNG.integers(0, 12, (HEIGHT, WIDTH, 3), np.uint8), Fault.BLACK),
    'white': (lambda: uniform(255), Fault.WHITE),
    'grey': (lambda: uniform(128), Fault.FLAT),
    'saturated': (saturated, Fault.SATURATED),
    'noise': (noise, Fault.NOISE),
    'banding': (banded, Fault.BANDING),
    'half lost, black': (half_lost, Fault.HALF_LOST),
    'half lost, grey': (lambda: half_lost(128), Fault.HALF_LOST),
}


def looked_at(pictures, *, moving=False):
    health = ImageHealth()
    for picture in pictures:
        health.look(picture, moving=moving)
    return health


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_camera_is_named_from_the_fifth_picture_on(name):
    make, fault = BROKEN[name]

    assert looked_at([make()] * (PATIENCE - 1)).fault is None
    health = looked_at([make()] * PATIENCE)
    assert (health.fault, health.level) == (fault, Level.WARN)


@pytest.mark.parametrize('seed', range(1, 13))
def test_no_scene_is_taken_for_a_broken_camera(seed):
    assert looked_at([scene(seed)] * LONG).fault is None


def test_a_dim_scene_is_a_scene():
    assert looked_at([(scene() // 4)] * LONG).fault is None


def test_a_noisy_scene_is_a_scene():
    grain = RNG.normal(0, 10, (HEIGHT, WIDTH, 3))
    assert looked_at([np.clip(scene() + grain, 0, 255).astype(np.uint8)] * LONG).fault is None


def test_the_same_picture_while_moving_is_frozen_and_at_last_an_error():
    assert looked_at([scene()] * PATIENCE, moving=True).fault is None  # the first is news
    health = looked_at([scene()] * (PATIENCE + 1), moving=True)
    assert (health.fault, health.level) == (Fault.FROZEN, Level.WARN)

    assert looked_at([scene()] * (LONG + 1), moving=True).level is Level.ERROR


def test_a_picture_that_changes_is_not_frozen():
    pictures = [np.roll(scene(), n, axis=1) for n in range(LONG)]

    assert looked_at(pictures, moving=True).fault is None


def test_the_first_good_picture_ends_it():
    health = looked_at([uniform(0)] * LONG)

    health.look(scene(), moving=False)

    assert (health.fault, health.level) == (None, Level.OK)


@pytest.mark.parametrize('shape', [(1, 1, 1), (1, 1, 3), (2, 1, 3), (1, 2, 3), (7, 5, 4)])
def test_tiny_pictures_are_looked_at_too(shape):
    looked_at([np.zeros(shape, np.uint8)] * LONG, moving=True)
