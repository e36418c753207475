"""What holds for every file in heads/, whatever it reads."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from heads import slow
from heads.layouts import LAYOUTS
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core import registry
from edge_inference_ros.core.types import Detections2D
from edge_inference_ros.errors import ManifestError, SpecMismatch

every_layout = pytest.mark.parametrize('name', LAYOUTS)


def made(name, outputs=None, *, classes=4, **spec):
    """A head, its outputs, a picture that was prepared, and the fit."""
    layout = LAYOUTS[name]
    if outputs is None:
        outputs = layout.make(np.random.default_rng(0), classes)
    manifest = slow.manifest(
        layout.head, outputs, classes=classes, **{'options': layout.options, **spec}
    )
    head = registry.load('heads', layout.head).Head(manifest, outputs)
    image = slow.image()
    fit = head.prepare(image, {'images': np.zeros(manifest.input.shape, np.uint8)})
    return head, outputs, image, fit


def assert_sound(found, image, spec):
    assert isinstance(found, Detections2D)
    assert found.origin is image.origin
    assert found.boxes_px.dtype == found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int32
    assert len(found) <= spec.max_detections
    assert np.isfinite(found.boxes_px).all()
    assert (found.scores >= np.float32(spec.score_threshold)).all()
    assert (found.scores <= 1).all()
    assert (np.diff(found.scores) <= 0).all()
    assert (found.class_ids >= 0).all()
    assert (found.boxes_px[:, :2] >= 0).all()
    assert (found.boxes_px[:, 2:] > found.boxes_px[:, :2]).all()
    height, width, _ = image.pixels.shape
    assert (found.boxes_px[:, 2:] <= (width, height)).all()


@every_layout
def test_a_head_says_whether_it_suppresses(name):
    head, *_ = made(name)

    assert getattr(head, 'suppresses', True) == LAYOUTS[name].suppress


def test_every_head_is_here():
    known = {layout.head for layout in LAYOUTS.values()}

    assert known == set(registry.names('heads'))


@every_layout
@pytest.mark.parametrize('classes', [1, 4, 80])
@pytest.mark.parametrize('class_agnostic', [False, True])
@pytest.mark.parametrize('candidates', [5, 50, 10_000])
def test_decoding_equals_the_slow_way(name, classes, class_agnostic, candidates):
    head, outputs, image, fit = made(
        name,
        classes=classes,
        class_agnostic=class_agnostic,
        candidates=candidates,
        score_threshold=0.2 if 'softmax' not in name else 0.01,
    )

    found = head.decode(outputs, image, fit)

    assert_sound(found, image, head.spec)
    layout = LAYOUTS[name]
    expected = slow.detections(layout.read(outputs), head.spec, fit, suppress=layout.suppress)
    assert len(expected) > 2
    slow.same(found, expected)


@every_layout
def test_every_candidate_is_shown_to_tools_as_the_head_reads_it(name):
    head, outputs, _, _ = made(name)
    expected = LAYOUTS[name].read(outputs)

    shown = head.candidates(outputs)

    scores, class_ids, boxes = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_allclose(shown.boxes_px, boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(shown.scores.max(axis=1), scores, rtol=1e-5)
    named = shown.scores.argmax(axis=1) if shown.class_ids is None else shown.class_ids
    likely = scores > 0  # a row of zeros names no class
    np.testing.assert_array_equal(named[likely], class_ids[likely])


@every_layout
def test_what_a_limit_leaves_out_is_counted(name):
    head, outputs, image, fit = made(name, score_threshold=0.01)

    head.decode(outputs, image, fit)
    assert (head.crowding.candidates, head.crowding.detections) == (0, 0)
    head.spec = dataclasses.replace(head.spec, candidates=20)
    head.decode(outputs, image, fit)
    head.decode(outputs, image, fit)
    head.spec = dataclasses.replace(head.spec, candidates=1000, max_detections=2)
    head.decode(outputs, image, fit)

    assert (head.crowding.candidates, head.crowding.detections) == (2, 1)


@every_layout
def test_half_floats_are_read_too(name):
    outputs = LAYOUTS[name].make(np.random.default_rng(0), 4)
    half = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in outputs.items()}
    head, _, image, fit = made(name, half)

    found = head.decode(half, image, fit)

    full = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in half.items()}
    again = head.decode(full, image, fit)
    assert len(found) > 2
    np.testing.assert_array_equal(found.boxes_px, again.boxes_px)
    np.testing.assert_array_equal(found.scores, again.scores)


@every_layout
def test_an_answer_without_boxes_is_no_detections(name):
    head, outputs, image, fit = made(name)
    silent = {
        key: np.full_like(value, -9 if key == 'logits' else 0) for key, value in outputs.items()
    }
    if name == 'detr, probability':
        silent['logits'][:] = 0
    if name == 'detr, softmax':
        silent['logits'][:, :, -1] = 9

    found = head.decode(silent, image, fit)

    assert_sound(found, image, head.spec)
    assert len(found) == 0


@every_layout
def test_a_threshold_changes_between_two_frames(name):
    head, outputs, image, fit = made(name, score_threshold=0.01, max_detections=1000)
    before = head.decode(outputs, image, fit)

    head.spec = dataclasses.replace(head.spec, score_threshold=float(before.scores[1]))
    after = head.decode(outputs, image, fit)

    np.testing.assert_array_equal(after.scores, before.scores[:2])


@every_layout
def test_only_so_many_detections_leave_and_they_are_the_best(name):
    head, outputs, image, fit = made(name)
    every = head.decode(outputs, image, fit)

    head.spec = dataclasses.replace(head.spec, max_detections=3)
    found = head.decode(outputs, image, fit)

    np.testing.assert_array_equal(found.boxes_px, every.boxes_px[:3])


@every_layout
def test_detections_outlive_the_outputs_they_were_read_from(name):
    head, outputs, image, fit = made(name)
    found = head.decode(outputs, image, fit)
    boxes, scores = found.boxes_px.copy(), found.scores.copy()

    for value in outputs.values():
        value[:] = 0
    head.decode(outputs, image, fit)

    np.testing.assert_array_equal(found.boxes_px, boxes)
    np.testing.assert_array_equal(found.scores, scores)


HOSTILE = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 1e7, 2.0, -1.0, 1e-45]


@every_layout
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.001, 0.05, 0.5, 1.0]))
def test_no_number_a_network_may_write_gets_past(name, seed, share):
    rng = np.random.default_rng(seed)
    head, outputs, image, fit = made(name, LAYOUTS[name].make(rng, 4), score_threshold=0.0)
    for value in outputs.values():
        struck = rng.random(value.shape) < share
        odd = rng.choice(
            HOSTILE if value.dtype == np.float32 else [-(2**31), -1, 2**31 - 1], struck.sum()
        )
        value[struck] = odd

    assert_sound(head.decode(outputs, image, fit), image, head.spec)


@every_layout
@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf, 3e38])
def test_an_answer_of_nothing_but_nonsense_is_no_detections(name, odd):
    head, outputs, image, fit = made(name)
    for value in outputs.values():
        if value.dtype == np.float32:
            value[:] = odd

    assert len(head.decode(outputs, image, fit)) == 0


@every_layout
def test_a_frame_allocates_no_large_array(name):
    outputs = LAYOUTS[name].make(np.random.default_rng(0), 80)
    head, _, image, _ = made(name, outputs, classes=80, score_threshold=0.1, max_detections=100)
    inputs = {'images': np.zeros((1, 96, 128, 3), np.uint8)}

    def frame():
        head.decode(outputs, image, head.prepare(image, inputs))

    for _ in range(3):
        frame()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    frame()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak - before < 64_000


@pytest.mark.parametrize('name', ['yolov8', 'yolov5', 'yolox', 'detr', 'detr, softmax'])
def test_a_wrong_number_of_classes_is_refused_with_both_numbers(name):
    layout = LAYOUTS[name]
    outputs = layout.make(np.random.default_rng(0), 80)
    manifest = slow.manifest(layout.head, outputs, classes=4, options=layout.options)

    with pytest.raises(SpecMismatch, match=r'the 4 classes of the manifest.*8[0-9].*correct'):
        registry.load('heads', layout.head).Head(manifest, outputs)


@every_layout
def test_another_networks_outputs_are_refused(name):
    layout = LAYOUTS[name]
    outputs = {'feature': np.zeros((1, 7, 5, 3), np.float32)}
    manifest = slow.manifest(layout.head, outputs, options=layout.options)

    with pytest.raises(SpecMismatch, match=r"'feature'.*\[1, 7, 5, 3\]"):
        registry.load('heads', layout.head).Head(manifest, outputs)


@every_layout
def test_an_output_the_network_lacks_is_refused_by_name(name):
    layout = LAYOUTS[name]
    outputs = layout.make(np.random.default_rng(0), 4)
    manifest = slow.manifest(layout.head, outputs, options=layout.options)

    with pytest.raises(SpecMismatch, match='other'):
        registry.load('heads', layout.head).Head(manifest, {'other': np.zeros(1, np.float32)})


@every_layout
def test_an_unknown_option_is_refused(name):
    layout = LAYOUTS[name]
    outputs = layout.make(np.random.default_rng(0), 4)
    manifest = slow.manifest(layout.head, outputs, options={**layout.options, 'colour': 'red'})

    with pytest.raises(ManifestError, match=r'head\.options\.colour'):
        registry.load('heads', layout.head).Head(manifest, outputs)


@pytest.mark.parametrize('name', ['yolox', 'detr', 'efficient_nms'])
def test_an_option_with_an_unknown_value_is_refused(name):
    layout = LAYOUTS[name]
    outputs = layout.make(np.random.default_rng(0), 4)
    option = {'yolox': 'strides', 'detr': 'scores', 'efficient_nms': 'unit'}[name]
    manifest = slow.manifest(layout.head, outputs, options={option: ['x']})

    with pytest.raises(ManifestError, match=rf"head\.options\.{option} = \['x'\]: expected"):
        registry.load('heads', layout.head).Head(manifest, outputs)


def test_an_output_sized_by_the_data_may_change_its_size():
    head, outputs, image, fit = made('yolo_end2end')
    rows = outputs['o']

    for count in (0, 5, 300):
        some = {'o': np.concatenate((rows, rows), axis=1)[:, : 2 * count]}
        assert_sound(head.decode(some, image, fit), image, head.spec)


def test_a_million_boxes_are_no_more_work_than_the_best_of_them():
    rng = np.random.default_rng(0)
    outputs = {'o': rng.random((1, 5, 1_000_000), np.float32) * 90}
    outputs['o'][0, 4] /= 90
    head, _, image, fit = made('yolov8', outputs, classes=1, score_threshold=0.0)

    found = head.decode(outputs, image, fit)

    assert_sound(found, image, head.spec)
    assert found.scores[0] == outputs['o'][0, 4].max()


def test_yolox_refuses_strides_that_do_not_make_its_cells():
    layout = LAYOUTS['yolox']
    outputs = layout.make(np.random.default_rng(0), 4)
    manifest = slow.manifest('yolox', outputs, options={'strides': '8-16-32-64'})

    with pytest.raises(SpecMismatch, match=r'254.*252.*head\.options\.strides'):
        registry.load('heads', 'yolox').Head(manifest, outputs)


def test_yolox_sees_the_picture_in_the_top_left_corner():
    _, _, _, fit = made('yolox')

    assert (fit.left_px, fit.top_px) == (0, 0)


@pytest.mark.parametrize('name', ['detr', 'detr, softmax'])
@pytest.mark.parametrize('odd', [np.inf, np.nan])
def test_an_infinite_logit_is_no_certainty(name, odd):
    head, outputs, image, fit = made(name, max_detections=1)
    outputs['logits'][0, 5, 2] = odd
    outputs['boxes'][0, 5] = (0.5, 0.5, 0.3, 0.3)

    assert head.decode(outputs, image, fit).scores[0] < 1


def test_efficient_nms_ignores_rows_beyond_its_count():
    head, outputs, image, fit = made('efficient_nms', score_threshold=0.0, max_detections=1000)

    for count, expected in ((0, 0), (3, 3), (-5, 0)):
        outputs['count'][:] = count
        assert len(head.decode(outputs, image, fit)) == expected
