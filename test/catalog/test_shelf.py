"""Models are listed, checked and added without an editor."""

import cv2
import numpy as np
import pytest
from support.models import scripted_model

from edge_inference_ros.catalog.shelf import (
    CheckParams,
    ListParams,
    check_model,
    list_models,
)
from edge_inference_ros.errors import DigestMismatch


def test_every_model_has_a_row_and_a_broken_one_says_why(tmp_path):
    scripted_model(tmp_path / 'good')
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'manifest.yaml').write_text('schema: 99\n')

    report = list_models(ListParams(str(tmp_path)))

    rows = {row['model']: row for row in report.rows}
    assert rows['good']['head'] == 'yolov8'
    assert rows['bad']['task'] == 'BROKEN'
    assert 'schema = 99' in rows['bad']['classes']


def test_an_empty_shelf_says_how_to_fill_it(tmp_path):
    assert 'models add' in list_models(ListParams(str(tmp_path))).as_table()


def test_a_sound_model_passes(tmp_path):
    model = scripted_model(tmp_path / 'model')

    report = check_model(CheckParams(str(model), 'null', overlay=str(tmp_path / 'seen.png')))

    assert report.notes[0].startswith('good')
    assert report.rows[0]['file'] == 'script.json'


def test_what_is_found_is_drawn_so_that_one_can_see_whether_it_is_right(tmp_path):
    model = scripted_model(tmp_path / 'model')
    picture = tmp_path / 'grey.png'
    cv2.imwrite(str(picture), np.full((64, 96, 3), 90, np.uint8))

    report = check_model(
        CheckParams(
            str(model), 'null', picture=str(picture), overlay=str(tmp_path / 'new' / 'seen.png')
        )
    )

    drawn = cv2.imread(str(tmp_path / 'new' / 'seen.png'))
    assert report.facts['objects'] == 1
    assert drawn.shape == (64, 96, 3)
    assert (drawn[20:36, 10] != 90).any()  # the left edge of the box


@pytest.mark.parametrize(
    ('outputs', 'words'),
    [
        ([[[0, 4, 5, 0.12], [0, 0, 5, 20], [0, 1, 5, 24], [0, 2, 5, 20], [0, 3, 5, 32]]],
         'finds nothing at the score threshold 0.5; the best score is 0.12'),
        ([[]], 'FINDS NOTHING: there is no box'),
    ],
)  # fmt: skip
def test_a_network_that_finds_nothing_is_named_as_such(tmp_path, outputs, words):
    model = scripted_model(tmp_path / 'model', outputs={'output0': outputs})

    report = check_model(CheckParams(str(model), 'null', overlay=str(tmp_path / 'seen.png')))

    assert report.facts['objects'] == 0
    assert words in report.notes[1]


def test_models_a_person_has_added_are_listed_and_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv('EDGE_INFERENCE_MODELS', str(tmp_path))
    scripted_model(tmp_path / 'mine')

    rows = {row['model'] for row in list_models(ListParams()).rows}

    assert {'mine', 'street_tiny'} <= rows
    assert check_model(CheckParams('mine', 'null', picture='none')).model == str(tmp_path / 'mine')


def test_an_altered_file_is_found(tmp_path):
    model = scripted_model(tmp_path / 'model')
    (model / 'script.json').write_text('{}')

    with pytest.raises(DigestMismatch):
        check_model(CheckParams(str(model), 'null'))
