"""Layers are ranked by what they lose, and the fewest that are needed stay float."""

import json

import pytest
from support.quantisable import LAYERS, model_folder, picture_folder, pictures

from edge_inference_ros.core.manifest import load, verify
from edge_inference_ros.core.params import build
from edge_inference_ros.optimize import calibrate
from edge_inference_ros.optimize import quantize_mixed as mixed
from edge_inference_ros.optimize.quantize_mixed import Point


@pytest.fixture
def ready(tmp_path):
    model = model_folder(tmp_path / 'small')
    images = picture_folder(tmp_path / 'images', pictures(6))
    calibrate.run(model, tmp_path / 'ranges', build(calibrate.Params, {'source': str(images)}))
    return model, tmp_path / 'ranges'


def points(*qualities):
    made = [
        Point(kept, quality, 1.0 + kept, 2.0, 100 + kept)
        for kept, quality in zip((0, 1, 2, 4), qualities, strict=False)
    ]
    return [*made, Point(-1, 0.9, 10.0, 1.0, 400)]


def test_the_fewest_float_layers_that_suffice_are_chosen():
    params = build(mixed.Params, {'calibration': 'x', 'labelled': 'y', 'allowed_loss': 0.01})

    chosen, why = mixed.choose(points(0.85, 0.88, 0.893, 0.899), params)

    assert chosen.kept == 2
    assert '2 layers stay float' in why


def test_if_no_mixture_suffices_the_best_is_taken_and_said_to_be_too_little():
    params = build(mixed.Params, {'calibration': 'x', 'labelled': 'y', 'allowed_loss': 0.001})

    chosen, why = mixed.choose(points(0.85, 0.88), params)

    assert chosen.kept == 1
    assert 'optimize qat' in why


def test_a_point_that_another_beats_in_all_is_not_on_the_frontier():
    better, worse = Point(0, 0.9, 1.0, 2.0, 100), Point(1, 0.8, 1.5, 1.5, 120)

    assert [p.best for p in mixed.frontier([better, worse])] == [True, False]
    assert [p.best for p in mixed.frontier(points(0.7, 0.8))] == [True, True, True]


def test_every_layer_is_ranked_and_the_result_can_be_run(ready, tmp_path):
    model, ranges = ready
    asked = {'calibration': str(ranges), 'runs': 2, 'inputs': 4, 'least_sqnr_db': 10.0}

    report = mixed.run(model, tmp_path / 'out', build(mixed.Params, asked))

    said = json.loads((tmp_path / 'out/mixed.json').read_text())
    assert sorted(row['layer'] for row in said['layers']) == sorted(LAYERS)
    assert [row['sqnr_db'] for row in said['layers']] == sorted(
        row['sqnr_db'] for row in said['layers']
    )
    assert said['why'] in report.notes
    assert (tmp_path / 'out/mixed.png').read_bytes().startswith(b'\x89PNG')
    file = load(tmp_path / 'out').file('ort', 'mixed')
    verify(file)
    assert file.provenance['params']['keep'] == [
        row['layer'] for row in said['layers'][: report.facts['kept']]
    ]


def test_leaving_layers_in_float_comes_nearer_to_float(ready, tmp_path):
    model, ranges = ready
    asked = {'calibration': str(ranges), 'runs': 2, 'inputs': 4}

    mixed.run(model, tmp_path / 'out', build(mixed.Params, asked))

    found = json.loads((tmp_path / 'out/mixed.json').read_text())['points']
    by_kept = {point['kept']: point['quality'] for point in found}
    assert by_kept[4] > by_kept[0]
    assert by_kept[-1] == max(by_kept.values())
