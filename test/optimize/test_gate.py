"""The gate lets a model through that is no more dangerous, and no other."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from optimize import blocks

from edge_inference_ros import cli
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError, DigestMismatch, ParameterError
from edge_inference_ros.optimize import validate
from edge_inference_ros.optimize.judge.detector import OfflineDetector
from edge_inference_ros.optimize.judge.score import METRICS, accuracy
from edge_inference_ros.optimize.validate import Params

pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the networks of these tests')
pytest.importorskip('pycocotools', reason='scoring needs pycocotools')

RUINED = {'bias': -18.0}
"""Dim blocks fall below the head's threshold; the order of all scores stays."""


@pytest.fixture
def good(tmp_path):
    return blocks.model(tmp_path / 'good')


@pytest.fixture
def near_people(tmp_path):
    """320 people at 1 m, dimmer than the 240 at 10 m."""
    return blocks.split(tmp_path / 'near', *blocks.scenes(80, dim_near=True))


def judged(reference, candidate, labelled, *, out=None, **asked):
    said = {'robots': ('indoor_amr',), 'other_backend': 'ort', **asked}
    params = Params(other=str(candidate), labelled=(str(labelled),), **said)
    return validate.run(reference, out, params)


def people(report):
    (row,) = report.tables['People within stopping distance']
    return row


# ---- what passes, what does not


def test_an_identical_model_passes(good, near_people):
    report = judged(good, good, near_people)

    assert not report.refused
    assert people(report)['verdict'] == 'passed'
    assert (people(report)['people'], people(report)['lost']) == (320, 0)
    assert report.facts['ap50_candidate'] == pytest.approx(1)
    assert report.facts['false_people_per_picture_candidate'] == 0


def test_a_model_blind_to_near_people_is_refused_although_its_precision_stays(
    good, near_people, tmp_path
):
    report = judged(good, blocks.model(tmp_path / 'ruined', **RUINED), near_people)

    assert report.facts['ap50_loss'] == pytest.approx(0, abs=1e-9)
    assert people(report)['recall_candidate'] == 0
    assert people(report)['lost'] == 320
    assert report.refused == (
        'indoor_amr: of 320 people within 2.10 m 1.0000 are lost, allowed 0.01'
    )


def test_a_raised_threshold_is_refused(good, near_people, tmp_path):
    raised = blocks.model(tmp_path / 'raised', threshold=0.9)

    report = judged(good, raised, near_people)

    assert report.facts['ap50_loss'] == 0
    assert 'are lost' in report.refused


def test_weights_that_were_perturbed_are_refused(good, near_people, tmp_path):
    report = judged(good, blocks.model(tmp_path / 'damaged', noise=3.0), near_people)

    assert 'AP@0.5 falls by' in report.refused
    assert 'are lost' in report.refused


def test_a_file_that_was_changed_behind_its_manifest_is_not_even_opened(
    good, near_people, tmp_path
):
    bad = blocks.model(tmp_path / 'bad')
    with (bad / 'net.onnx').open('ab') as file:
        file.write(b'\0')

    with pytest.raises(DigestMismatch):
        judged(good, bad, near_people)


def test_blindness_beyond_the_stopping_distance_is_no_matter_of_the_people_gate(good, tmp_path):
    images, labels = blocks.scenes(90, dim_near=True)
    swapped = [[(*row[:3], 11.0 - row[3]) for row in rows] for rows in labels]
    far = blocks.split(tmp_path / 'far', images, swapped)

    report = judged(good, blocks.model(tmp_path / 'ruined', **RUINED), far)

    assert not report.refused
    assert people(report)['people'] == 270


def test_too_few_people_are_inconclusive_and_pass_only_where_that_is_allowed(good, tmp_path):
    few = blocks.split(tmp_path / 'few', *blocks.scenes(10))

    report = judged(good, good, few)
    allowed = judged(good, good, few, allow_inconclusive=True)

    assert people(report)['verdict'] == people(allowed)['verdict'] == 'INCONCLUSIVE'
    assert 'of 40 people' in report.refused
    assert 'INCONCLUSIVE' in report.refused
    assert not allowed.refused
    assert any('INCONCLUSIVE' in note for note in allowed.notes)


def test_nobody_within_the_distance_is_inconclusive_too(good, tmp_path):
    nobody = blocks.split(tmp_path / 'nobody', *blocks.scenes(4, near=0))

    assert 'of 0 people' in judged(good, good, nobody).refused


def test_what_was_lost_is_refused_even_if_inconclusive_is_allowed(good, tmp_path):
    few = blocks.split(tmp_path / 'few', *blocks.scenes(10, dim_near=True))
    ruined = blocks.model(tmp_path / 'ruined', **RUINED)

    assert 'are lost' in judged(good, ruined, few, allow_inconclusive=True).refused


def test_least_precision_and_least_recall_are_asked_of_the_candidate_alone(near_people, tmp_path):
    ruined = blocks.model(tmp_path / 'ruined', **RUINED)

    report = judged(ruined, ruined, near_people, least_recall=0.9)

    assert report.refused == 'indoor_amr: of 320 people within 2.10 m 0.0000 are found, wanted 0.9'
    blind = blocks.model(tmp_path / 'blind', bias=-40.0)
    assert 'AP@0.5 is 0.0000' in judged(blind, blind, near_people, least_ap=0.5).refused


def test_every_robot_is_judged_at_its_own_distance(good, near_people):
    robots = ('indoor_amr', 'outdoor_delivery', 'humanoid')

    rows = judged(good, good, near_people, robots=robots).tables['People within stopping distance']

    # v (T + D + tau_x) + v²/2b + m, D the deadline at v_cap
    wanted = [
        1.5 * (0.1 + 0.2 + 0.15) + 1.5**2 / 2 + 0.3,
        2 * (0.1 + 0.2 + 0.2) + 2**2 / 3 + 0.5,
        1.2 * (0.067 + 0.2 / 1.2 + 0.6) + 1.2**2 / 1.5 + 0.4,
    ]
    assert [row['within_m'] for row in rows] == pytest.approx(wanted)


def test_a_person_model_is_compared_on_people_alone(good, near_people, tmp_path):
    nano = blocks.model(tmp_path / 'nano', classes=('person',))

    report = judged(good, nano, near_people, images=str(near_people), count=5)

    assert not report.refused
    assert report.facts['agreement_f1'] == 1
    assert [row['class'] for row in report.tables['AP@0.5 by class']] == ['person']
    with pytest.raises(ConfigError, match='has no class car'):
        judged(nano, good, near_people)


# ---- the same numbers as elsewhere


def test_average_precision_is_that_of_pycocotools_called_by_hand(tmp_path):
    images, labels = blocks.scenes(6, near=3, far=3, dim_near=True)
    for rows in labels[:3]:
        rows[0] = (rows[0][0], (0, 40, 12, 60), *rows[0][2:])  # somewhere else
        rows[1] = (*rows[1][:2], True, rows[1][3])
    labelled = blocks.coco(tmp_path / 'coco', images, labels)
    folder = blocks.model(tmp_path / 'm', noise=0.5)

    report = judged(folder, folder, labelled, robots=())

    wanted = by_hand(folder, labelled, images)
    assert 0.2 < wanted[1] < 0.99
    assert report.facts['ap50_candidate'] == pytest.approx(wanted[1])
    assert report.facts['ap50_95_candidate'] == pytest.approx(wanted[0])


def by_hand(folder, labelled, images):
    """COCOeval.stats of what the model's own head finds."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    said = []
    with ExitStack() as keep:
        detector = OfflineDetector(manifests.load(folder), 'ort', '', keep)
        for i, image in enumerate(images):
            found = detector.both(Image(Origin('', RosNs(0), MonoNs(0)), image, 'bgr'))[1]
            for (x1, y1, x2, y2), score, class_id in zip(
                found.boxes_px.tolist(), found.scores.tolist(), found.class_ids.tolist(),
                strict=True,
            ):  # fmt: skip
                box = [x1, y1, x2 - x1, y2 - y1]
                said.append(
                    {'image_id': i, 'category_id': class_id + 1, 'bbox': box, 'score': score}
                )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labelled))
        judge = COCOeval(truth, truth.loadRes(said), 'bbox')
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


def test_labels_as_a_split_and_as_coco_give_the_same_judgement(good, tmp_path):
    made = blocks.scenes(6, dim_near=True)
    ruined = blocks.model(tmp_path / 'ruined', **RUINED)

    one = judged(good, ruined, blocks.split(tmp_path / 'split', *made))
    other = judged(good, ruined, blocks.coco(tmp_path / 'coco', *made))

    assert {**one.facts, 'labelled': ''} == {**other.facts, 'labelled': ''}
    assert one.tables == other.tables
    assert one.refused == other.refused


def test_the_small_world_gives_scenes_with_somebody_near(tmp_path):
    nano = blocks.model(tmp_path / 'nano', classes=('person',))

    report = judged(nano, nano, 'world', labelled_count=3)

    assert report.facts['labelled_pictures'] == 3
    assert people(report)['people'] >= 3
    with pytest.raises(ConfigError, match='has no car, only person'):
        judged(blocks.model(tmp_path / 'both'), blocks.model(tmp_path / 'other'), 'world')


def test_several_labelled_sets_count_as_one(good, tmp_path):
    a = blocks.split(tmp_path / 'a', *blocks.scenes(3))
    b = blocks.coco(tmp_path / 'b', *blocks.scenes(4, seed=1))
    params = Params(other_backend='ort', labelled=(str(a), '', str(b)))

    assert validate.run(good, None, params).facts['labelled_pictures'] == 7


@pytest.mark.parametrize('count', [4, 50])
def test_a_recording_and_a_folder_of_its_frames_agree_alike(good, tmp_path, count):
    images, labels = blocks.scenes(6, dim_near=True)
    blocks.coco(tmp_path / 'folder', images, labels)
    blocks.bag(tmp_path / 'bag', images)
    ruined = blocks.model(tmp_path / 'ruined', **RUINED)

    one, other = (
        validate.run(
            good,
            None,
            Params(other=str(ruined), other_backend='ort', images=str(source), count=count),
        )
        for source in (tmp_path / 'folder', tmp_path / 'bag')
    )

    assert one.facts == other.facts
    assert one.facts['pictures'] == min(count, 6)
    assert 0 < one.facts['agreement_f1'] < 1
    assert one.rows == other.rows
    assert one.refused == other.refused != ''


# ---- bad input


def spoil(tmp_path, change):
    made = blocks.scenes(1, near=1, far=0)
    path = blocks.coco(tmp_path / 'coco', *made)
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    return path


def setting(name, key, value):
    def change(said):
        said[name][0][key] = value

    return change


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (setting('images', 'file_name', 'gone.png'), r"images\[0\]\.file_name = 'gone\.png'"),
        (setting('images', 'width', 0), 'width = 0'),
        (setting('images', 'id', None), r'images\[0\]: expected id'),
        (setting('annotations', 'category_id', 9), r'category_id = 9: unknown; .* are 1, 2'),
        (setting('annotations', 'category_id', []), r'category_id = \[\]'),
        (setting('annotations', 'image_id', 7), 'image_id = 7: there is no such image'),
        (setting('annotations', 'bbox', [90, 0, 20, 10]), r'expected a box inside 96x64'),
        (setting('annotations', 'bbox', [-5, 0, 20, 10]), r'expected a box inside 96x64'),
        (setting('annotations', 'bbox', [1, 1, 0, 10]), r'expected a box inside 96x64'),
        (setting('annotations', 'bbox', [1, 1, 'x', 10]), 'expected x, y, width and height'),
        (setting('annotations', 'bbox', [1, 1, 5]), 'expected x, y, width and height'),
        (setting('annotations', 'distance_m', -1), r'distance_m = -1'),
        (setting('categories', 'name', None), r'categories\[0\]'),
        (lambda said: said.pop('annotations'), 'expected the lists'),
        (lambda said: said.update(images=[]), 'images is empty'),
        (lambda said: said['images'].append(said['images'][0]), 'an id twice'),
        (
            lambda said: [row.update(name='tree') for row in said['categories']],
            'none of its categories',
        ),
    ],
)
def test_labels_that_are_wrong_are_named(good, tmp_path, change, words):
    path = spoil(tmp_path, change)

    with pytest.raises(ConfigError, match=words) as caught:
        judged(good, good, path)
    assert str(path) in str(caught.value)


def test_a_box_a_rounding_error_outside_is_cut(good, tmp_path):
    path = spoil(tmp_path, setting('annotations', 'bbox', [-0.5, 1, 20, 63.5]))

    assert judged(good, good, path, robots=()).facts['people'] == 1


def test_a_picture_of_another_size_than_its_labels_is_refused(good, tmp_path):
    cv2 = pytest.importorskip('cv2')
    path = blocks.coco(tmp_path / 'coco', *blocks.scenes(1))
    cv2.imwrite(str(path.parent / '000.png'), np.zeros((10, 10, 3), np.uint8))

    with pytest.raises(ConfigError, match='10x10, but its labels are for 96x64'):
        judged(good, good, path)


@pytest.mark.parametrize(
    ('asked', 'words'),
    [
        ({'robots': ('hovercraft',)}, 'hovercraft'),
        ({'within_m': 1.0}, 'must see people within 2.10 m'),
        ({'person': 'pedestrian'}, "'pedestrian'"),
        ({'bins_m': (0.0, 4.0, 2.0)}, 'bins_m'),
    ],
)
def test_questions_that_cannot_be_judged_are_refused(good, near_people, asked, words):
    with pytest.raises(ConfigError, match=words):
        judged(good, good, near_people, **asked)


@pytest.mark.parametrize(
    ('asked', 'words'),
    [
        ({'robots': ('indoor_amr',)}, 'nothing is labelled'),
        ({'least_ap': 0.5}, 'nothing is labelled'),
        ({'least_recall': 0.9, 'labelled': ('x',)}, 'no robots'),
        ({'within_m': 4.0, 'labelled': ('x',)}, 'no robots'),
        ({'robots': ('a/amr.yaml', 'b/amr.yaml'), 'labelled': ('x',)}, 'two of one name'),
    ],
)
def test_a_threshold_that_would_not_be_judged_is_refused(good, asked, words):
    with pytest.raises(ParameterError, match=words):
        validate.run(good, None, Params(**asked))


def test_a_task_that_nothing_scores_is_refused_unless_somebody_adds_its_metric(
    good, near_people, monkeypatch
):
    path = good / 'manifest.yaml'
    path.write_text(path.read_text().replace('detect2d', 'detect3d'))

    with pytest.raises(ConfigError, match="task = 'detect3d': nothing scores it"):
        judged(good, good, near_people)
    monkeypatch.setitem(METRICS, 'detect3d', accuracy)
    assert not judged(good, good, near_people).refused


def test_labels_without_a_single_object_let_nothing_pass(good, tmp_path):
    empty = blocks.split(tmp_path / 'empty', blocks.scenes(2)[0], [[], []])

    report = judged(good, good, empty, robots=(), out=tmp_path / 'out')

    assert 'AP@0.5' in report.refused
    assert 'NaN' not in (tmp_path / 'out' / 'validate.json').read_text()


@pytest.mark.parametrize('source', ['nowhere', 'labels.json', 'text.txt'])
def test_labels_that_are_not_there_are_named(good, tmp_path, source):
    with pytest.raises(ConfigError, match=source):
        judged(good, good, tmp_path / source)


def test_distances_nobody_measured_are_counted_aloud(good, tmp_path):
    path = spoil(tmp_path, lambda said: said['annotations'][0].pop('distance_m'))

    report = judged(good, good, path)

    assert '1 people have no distance_m in the labels.' in report.notes
    assert 'of 0 people' in report.refused


# ---- what it leaves behind


def test_the_command_answers_with_table_json_plot_and_exit_code(
    good, near_people, tmp_path, capsys
):
    ruined = blocks.model(tmp_path / 'ruined', **RUINED)
    said = ['optimize', 'validate', str(good), '--other-backend', 'ort', '--robots', 'indoor_amr']
    said += ['--labelled', str(near_people), '--out', str(tmp_path / 'out')]

    assert cli.main(said) == 0
    passed = json.loads((tmp_path / 'out' / 'validate.json').read_text())
    assert cli.main([*said, '--other', str(ruined)]) == 1
    refused = json.loads((tmp_path / 'out' / 'validate.json').read_text())
    assert cli.main([*said, '--robots', 'hovercraft']) == 2

    assert passed['refused'] == ''
    assert refused['tables']['People within stopping distance'][0]['verdict'] == 'REFUSED'
    assert (tmp_path / 'out' / 'validate.png').read_bytes()[:4] == b'\x89PNG'
    assert 'Recall of people by distance' in capsys.readouterr().out


def test_people_are_not_judged_silently(good, near_people):
    report = judged(good, good, near_people, robots=())

    assert any('not judged' in note for note in report.notes)


def test_the_gate_needs_no_torch(good, near_people, tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        'from edge_inference_ros import cli\n'
        'sys.exit(cli.main(sys.argv[1:]))'
    )
    said = ['optimize', 'validate', str(good), '--other-backend', 'ort']
    said += ['--labelled', str(near_people), '--robots', 'indoor_amr']

    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, '-c', program, *said],
        check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
