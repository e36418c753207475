"""Measurements compare what took turns, and weigh every row of an output alike."""

import itertools

import numpy as np
import pytest
from support.quantisable import model_folder

from bench import _zoo, models
from edge_inference_ros.core.manifest import load
from edge_inference_ros.optimize.judge import measure


class Spends:
    """An engine whose runs take so many nanoseconds of a clock that only it moves."""

    def __init__(self, clock, ns):
        self.clock, self.ns = clock, itertools.cycle(ns)

    def run(self):
        self.clock.now += next(self.ns)


class Clock:
    now = 0

    def __call__(self):
        return self.now


def test_networks_take_turns_and_are_compared_turn_by_turn():
    clock = Clock()
    engines = {'slow': Spends(clock, [4_000_000]), 'fast': Spends(clock, [1_000_000, 2_000_000])}

    found = measure.latencies(engines, runs=11, clock=clock)

    assert found['slow'].ms == 4.0
    assert found['slow'].speedup == 1.0
    assert found['fast'].ms in (1.0, 2.0)
    assert found['fast'].speedup == 4.0 / found['fast'].ms


def test_small_numbers_count_as_much_as_large_ones():
    rng = np.random.default_rng(0)
    wanted = rng.random((4, 1, 2, 50)) * np.array([300.0, 1.0])[:, None]
    noisy = wanted.copy()
    noisy[:, :, 1] = rng.random((4, 1, 50))

    assert measure.channel_db([wanted], [wanted]) == measure.NO_NOISE_DB
    assert measure.channel_db([wanted], [noisy]) < 5


def test_noise_of_a_hundredth_is_forty_decibels():
    rng = np.random.default_rng(0)
    wanted = rng.normal(0, 1, (8, 1, 3, 400))
    given = wanted + rng.normal(0, 0.01, wanted.shape)

    assert measure.channel_db([wanted], [given]) == pytest.approx(40, abs=0.5)


def test_the_table_has_a_row_for_every_file_and_backend(tmp_path):
    manifest = load(model_folder(tmp_path / 'small'))

    rows = models.measure(manifest, 2)

    assert {row.file for row in rows} == {'model.onnx'}
    assert rows[0].backend == 'ort'
    assert rows[0].speedup == 1.0
    assert '| small | model.onnx |' in _zoo.files(rows)
