"""In the graph or on the host: the same picture, the same boxes."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimize.networks import detector, digest, onnx

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, TensorSpec, load
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError, ModelError, ParameterError
from edge_inference_ros.optimize import preprocess
from edge_inference_ros.optimize.graph import front
from edge_inference_ros.optimize.graph.nodes import GraphEditor
from edge_inference_ros.optimize.graph.tail import _affine, layout
from edge_inference_ros.optimize.judge import agreement
from edge_inference_ros.optimize.preprocess import Params

pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the networks of these tests')
ORIGIN = Origin('camera', RosNs(0), MonoNs(0))


class Detector:
    """A model folder, opened as the node opens it."""

    def __init__(self, folder):
        self.manifest = manifests.load(folder)
        file = self.manifest.file('ort')
        manifests.verify(file)
        self.engine = registry.load('backends', 'ort').open(self.manifest, file.path)
        head = registry.load('heads', self.manifest.head.name)
        self.head = head.Head(self.manifest, self.engine.outputs)

    def __call__(self, pixels, order='bgr'):
        sample = Image(ORIGIN, pixels, order)
        fit = self.head.prepare(sample, self.engine.inputs)
        self.engine.run()
        return self.head.decode(self.engine.outputs, sample, fit)


def pictures(height, width, count=6):
    draw = np.random.default_rng(7)
    for _ in range(count):
        small = draw.integers(0, 256, (height // 7 + 1, width // 7 + 1, 3), np.uint8)
        yield np.ascontiguousarray(small.repeat(7, 0).repeat(7, 1)[:height, :width])


def same(one, other, *, px, score):
    assert one.class_ids.tolist() == other.class_ids.tolist()
    np.testing.assert_allclose(one.scores, other.scores, atol=score)
    np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=px)


def made(tmp_path, params, **network):
    before = detector(tmp_path / 'before', **network)
    report = preprocess.run(before, tmp_path / 'after', params)
    return Detector(before), Detector(tmp_path / 'after'), report


# ---- the picture


def seen_by(spec):
    return Manifest(
        None, '', 'detect2d', '', '', ('one',), spec, (TensorSpec('y', (1, 5, 1)),),
        HeadSpec('yolov8'), (),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(16, 200),
    height=st.integers(16, 200),
    fit=st.sampled_from(['letterbox', 'stretch']),
    orders=st.tuples(st.sampled_from(['rgb', 'bgr']), st.sampled_from(['rgb', 'bgr'])),
)
def test_every_pixel_is_within_one_level_of_the_hosts(width, height, fit, orders):
    spec = InputSpec('x', (1, 64, 96, 3), fit=fit, order=orders[0])
    params = Params(width=width, height=height, order=orders[1])

    for difference in preprocess.compare_pictures(seen_by(spec), params):
        assert difference.max() <= preprocess.FURTHEST_LEVELS


@pytest.mark.parametrize(('width', 'height'), [(1920, 1080), (1280, 720), (640, 480)])
def test_camera_pictures_are_equal_but_for_roundings(width, height):
    spec = InputSpec('x', (1, 256, 320, 3))

    for difference in preprocess.compare_pictures(
        seen_by(spec), Params(width=width, height=height)
    ):
        assert difference.max() <= 1
        assert difference.mean() < 0.2


def test_a_picture_that_needs_no_resize_is_equal_to_the_last_bit():
    spec = InputSpec('x', (1, 64, 96, 3))

    for difference in preprocess.compare_pictures(seen_by(spec), Params(width=96, height=40)):
        assert not difference.any()


@pytest.mark.parametrize('fit', ['letterbox', 'stretch'])
@pytest.mark.parametrize('camera', [(1080, 1920), (37, 501), (501, 37), (64, 96), (16, 16)])
def test_the_place_is_the_one_the_host_chooses(camera, fit):
    spec = InputSpec('x', (1, 64, 96, 3), fit=fit)
    head = registry.load('heads', 'yolov8').Head(seen_by(spec), {'y': np.zeros((1, 5, 1))})
    sample = Image(ORIGIN, np.zeros((*camera, 3), np.uint8), 'rgb')

    seen = head.prepare(sample, {'x': np.zeros((1, 64, 96, 3), np.uint8)})

    place = front.placement(spec, camera)
    assert (place.left, place.top) == (seen.left_px, seen.top_px)
    assert (place.wide, place.high) == (seen.seen_width_px, seen.seen_height_px)


# ---- the boxes

NORMALISED = {
    'dtype': 'float32',
    'layout': 'nchw',
    'scale': 1 / 255,
    'mean': (0.4, 0.5, 0.3),
    'std': (0.2, 0.25, 0.3),
}


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
@pytest.mark.parametrize('order', ['rgb', 'bgr'])
@pytest.mark.parametrize('network', [{}, {'dtype': 'float32', 'layout': 'nchw'}, NORMALISED])
def test_without_a_resize_the_detections_are_equal(tmp_path, network, order, tail):
    params = Params(width=96, height=40, order='bgr', tail=tail)
    before, after, _ = made(tmp_path, params, order=order, **network)

    found = 0
    for pixels in pictures(40, 96):
        one, other = before(pixels), after(pixels)
        same(one, other, px=1e-3, score=1e-5)
        found += len(one)
    assert found > 20


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
@pytest.mark.parametrize('fit', ['letterbox', 'stretch'])
def test_with_a_resize_they_differ_by_the_roundings(tmp_path, fit, tail):
    params = Params(width=201, height=155, tail=tail)
    before, after, _ = made(tmp_path, params, fit=fit, seed=3)

    found = agreement.Agreement()
    for pixels in pictures(155, 201):
        agreement.add(found, before(pixels), after(pixels), iou_threshold=0.9)

    assert found.found > 20
    assert found.f1 > 0.97
    assert found.score_p95() < 0.01


@pytest.mark.parametrize('agnostic', [False, True])
@pytest.mark.parametrize('candidates', [5, 40, 300])
@pytest.mark.parametrize('most', [1, 7, 100])
def test_suppression_in_the_graph_chooses_what_the_head_chooses(
    tmp_path, agnostic, candidates, most
):
    params = Params(width=96, height=64, tail='nms')
    chosen = {'class_agnostic': agnostic, 'candidates': candidates, 'max_detections': most}
    before, after, report = made(tmp_path, params, **chosen)

    for pixels in pictures(64, 96):
        same(before(pixels), after(pixels), px=1e-3, score=1e-5)
    assert report.facts['boxes_out'] == min(most, candidates, 96)
    assert 'without a CUDA graph' in report.notes[0]


MOVED_INTO_INPUTS = {'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'Split', 'Pad', 'Resize'}
"""Operators that TensorRT 8.6 takes for older ones: an input or attribute of opset 18 is lost."""


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
@pytest.mark.parametrize('opset', [17, 18, 20])
def test_what_follows_the_network_is_read_the_same_by_every_parser(tmp_path, tail, opset):
    params = Params(width=96, height=64, tail=tail)
    before, after, _ = made(tmp_path, params, opset=opset)

    model = onnx.load(str(tmp_path / 'after' / preprocess.FILE))
    behind = [node for node in model.graph.node if node.name.startswith('tail')]
    assert behind
    assert not MOVED_INTO_INPUTS & {node.op_type for node in behind}
    for pixels in pictures(64, 96):
        same(before(pixels), after(pixels), px=1e-3, score=1e-5)


@pytest.mark.parametrize('tail', ['none', 'best', 'nms'])
def test_no_constant_is_double_whichever_numpy_made_it(tmp_path, tail):
    made(tmp_path, Params(width=201, height=155, tail=tail))

    model = onnx.load(str(tmp_path / 'after' / preprocess.FILE))
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.DOUBLE not in kinds


def test_a_double_becomes_a_float_on_its_way_into_a_graph():
    graph = GraphEditor(onnx.ModelProto(), 'x')  # numpy 1 makes a double of float32 / 2

    graph.put('Add', 'a', np.array(0.5))

    assert graph.model.graph.initializer[0].data_type == onnx.TensorProto.FLOAT


def test_rows_left_over_are_nobody(tmp_path):
    _, after, _ = made(tmp_path, Params(width=96, height=64, tail='nms'), score_threshold=0.999)

    found = after(np.zeros((64, 96, 3), np.uint8))

    rows = after.engine.outputs['detections'][0]
    assert len(found) == 0
    assert (rows[:, 4] == 0).all()
    assert (rows[:, 5] == -1).all()


def test_a_threshold_of_zero_does_not_let_nobody_in(tmp_path):
    params = Params(width=96, height=64, tail='nms')
    before, after, _ = made(tmp_path, params, score_threshold=0.0)

    for pixels in pictures(64, 96):
        same(before(pixels), after(pixels), px=1e-3, score=1e-5)


def test_the_output_is_fixed_in_size_so_nothing_is_allocated_in_a_run(tmp_path):
    for tail in ('none', 'best', 'nms'):
        _, after, _ = made(tmp_path / tail, Params(width=96, height=64, tail=tail))
        assert all(-1 not in spec.shape for spec in after.manifest.outputs)


# ---- the other layouts a box can have


@pytest.mark.parametrize('name', registry.names('heads'))
@pytest.mark.parametrize('unit', ['px', 'fraction'])
def test_boxes_of_every_layout_move_as_the_host_moves_them(name, unit):
    spec = InputSpec('x', (1, 64, 96, 3))
    options = {'unit': unit} if name == 'efficient_nms' else {}
    where = layout(HeadSpec(name, options=options))
    camera = (90, 160)
    place = front.placement(spec, camera)
    factor, shift = _affine(where, spec, place, camera)
    box = np.array([30.0, 20.0, 50.0, 44.0])
    size = np.array([96, 64, 96, 64]) if where.fraction else np.ones(4)
    camera_size = np.array([160, 90, 160, 90]) if where.fraction else np.ones(4)

    moved = (as_said(box, where) / size * factor + shift) * camera_size

    corner = np.array([place.left, place.top] * 2)
    growth = np.array([160 / place.wide, 90 / place.high] * 2)
    np.testing.assert_allclose(moved, as_said((box - corner) * growth, where), rtol=1e-6)


def as_said(box, where):
    x1, y1, x2, y2 = box
    return (
        np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        if where.centred
        else np.array(box)
    )


# ---- what is written and what is refused


def test_the_new_manifest_describes_the_new_network(tmp_path):
    _, after, report = made(tmp_path, Params(width=128, height=72, order='bgr'))

    said = after.manifest
    assert said.input.shape == (1, 72, 128, 3)
    assert (said.input.dtype, said.input.order, said.input.layout) == ('uint8', 'bgr', 'nhwc')
    assert said.name == 'grid_128x72'
    assert said.made_by.endswith('--width 128 --height 72 --order bgr --tail none')
    assert said.classes == ('person', 'car', 'cone')
    assert report.facts['furthest_levels'] <= 1


@pytest.mark.parametrize('opset', [13, 17, 18, 20])
def test_opsets_that_tensorrt_parses_are_accepted(tmp_path, opset):
    made(tmp_path, Params(width=128, height=72, tail='nms'), opset=opset)


def test_a_graph_that_computes_with_bytes_is_refused(tmp_path):
    folder = detector(tmp_path / 'before')
    path = folder / 'net.onnx'
    model = onnx.load(str(path))
    # BitShift takes unsigned integers only.
    one = onnx.numpy_helper.from_array(np.array(1, np.uint8), 'one')
    model.graph.initializer.append(one)
    shift = onnx.helper.make_node('BitShift', ['images', 'one'], ['dark'], direction='RIGHT')
    model.graph.node.insert(0, shift)
    model.graph.node[1].input[0] = 'dark'
    onnx.save(model, str(path))
    rewrite_digest(folder)

    with pytest.raises(ModelError, match='does not take the new nodes'):
        preprocess.run(folder, tmp_path / 'after', Params(width=128, height=72))


def rewrite_digest(folder):
    path = folder / 'manifest.yaml'
    old = manifests.load(folder).files[0].sha256
    path.write_text(path.read_text().replace(old, digest(folder / 'net.onnx')))


def test_the_model_is_never_overwritten(tmp_path):
    folder = detector(tmp_path / 'before')

    with pytest.raises(ConfigError, match='folder of its own'):
        preprocess.run(folder, folder, Params())


def test_a_camera_of_no_size_is_refused(tmp_path):
    with pytest.raises(ParameterError, match='width'):
        preprocess.run(detector(tmp_path / 'before'), tmp_path / 'after', Params(width=0))


def test_nodes_in_front_are_a_few_and_the_network_is_untouched(tmp_path):
    _, _, report = made(tmp_path, Params(width=128, height=72))

    assert report.facts['nodes_in_front'] <= 8


@pytest.mark.parametrize(
    ('layout', 'head'),
    [
        ('yolox', 'yolov5'),
        ('yolox decoded', 'yolov5'),
        ('yolov8 rows', 'scored_boxes'),
        ('rtdetr ultralytics', 'scored_boxes'),
        ('rtdetr chosen', 'yolo_end2end'),
        ('end2end fractions', 'yolo_end2end'),
    ],
)
def test_every_other_layout_answers_in_the_cameras_pixels_too(tmp_path, layout, head):
    from support import foreign

    from edge_inference_ros.catalog.add import AddParams, add_model

    names = {'names': "{0: 'person', 1: 'car', 2: 'dog'}"}
    network = foreign.network(tmp_path / 'net.onnx', layout, metadata=names)
    add_model(network, AddParams(folder=str(tmp_path)))
    preprocess.run(tmp_path / 'net', tmp_path / 'after', Params(width=203, height=117))
    image = Image(Origin('', RosNs(0), MonoNs(0)), pictures_of(203, 117), 'bgr')

    with ExitStack() as keep:
        before, after = (
            open_pipeline(load(tmp_path / name), keep, backend='ort')(image).tracked.found
            for name in ('net', 'after')
        )

    assert load(tmp_path / 'after').head.name == head
    assert len(before) > 3
    # Untrained scores hang on single levels, where the two pictures round differently.
    pairs = agreement.matches(before, after, iou_threshold=0.9)
    assert len(pairs) >= 0.85 * len(before)
    one, other = zip(*pairs, strict=True)
    difference = np.abs(before.boxes_px[list(one)] - after.boxes_px[list(other)])
    assert np.median(difference) < 0.1


def pictures_of(width, height):
    down, across = np.mgrid[:height, :width]
    smooth = np.stack((down, across, down + across), axis=2) * 255 // (width + height)
    return smooth.astype(np.uint8)
