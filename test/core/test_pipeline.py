"""A pipeline says what is set in vain."""

from contextlib import ExitStack

import pytest
import yaml
from support.models import scripted_model

from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.pipeline import open_pipeline

ROWS = {'output0': [[[0, 0, 4, 0.75]]]}


def caution(folder, name, **head):
    """What a pipeline says whose network answers one row, or yolov8's columns."""
    script = {'outputs': ROWS} if name == 'yolo_end2end' else {}
    scripted_model(folder, **script)
    path = folder / 'manifest.yaml'
    manifest = yaml.safe_load(path.read_text())
    manifest['head'] = {'name': name, 'score_threshold': 0.5, **head}
    if script:
        manifest['outputs'][0]['shape'] = [1, 1, 6]
    path.write_text(yaml.safe_dump(manifest))
    with ExitStack() as keep:
        return open_pipeline(load(folder), keep, backend='null').caution


@pytest.mark.parametrize('head', [{'iou_threshold': 0.3}, {'class_agnostic': True}])
def test_what_a_head_without_suppression_ignores_is_said(tmp_path, head):
    said = caution(tmp_path / 'model', 'yolo_end2end', **head)

    assert f'{next(iter(head))} = ' in said
    assert 'yolo_end2end suppresses no boxes' in said


def test_a_head_that_suppresses_and_a_manifest_that_is_silent_need_no_word(tmp_path):
    assert caution(tmp_path / 'one', 'yolov8', iou_threshold=0.3) == ''
    assert caution(tmp_path / 'two', 'yolo_end2end') == ''
    needed = {'options': {'suppression': 'needed'}, 'iou_threshold': 0.3}
    assert caution(tmp_path / 'three', 'yolo_end2end', **needed) == ''
