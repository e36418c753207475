"""Every model that ships is what its manifest says, sees, and allocates nothing big to do so."""

import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edge_inference_ros.core.manifest import load, verify
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.optimize.graph.network import bytes_read_by

pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the shipped models')

MODELS = sorted(path.parent for path in Path(__file__).parents[1].glob('models/*/manifest.yaml'))
LARGEST_BYTES = int(2.8 * 2**20)
ALL_TOGETHER_BYTES = 8 * 2**20
ALLOCATION_BYTES = 64 * 1024

each_model = pytest.mark.parametrize('folder', MODELS, ids=lambda path: path.name)


@pytest.fixture
def keep():
    with ExitStack() as stack:
        yield stack


def runnable(folder):
    manifest = load(folder)
    return manifest, [f for f in manifest.files if 'ort' in (f.backends or ('ort',))]


def sample(order='bgr', size=(480, 640)):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (*size, 3), np.uint8)
    return Image(Origin('camera', 1, 0), pixels, order)


def test_there_is_a_model_to_start_with():
    assert MODELS


@each_model
def test_its_files_are_the_promised_ones_and_small(folder):
    manifest = load(folder)

    for file in manifest.files:
        verify(file)
        assert file.path.stat().st_size <= LARGEST_BYTES
    assert manifest.name == folder.name
    assert manifest.licence == 'Apache-2.0'


def test_all_together_are_small():
    files = [path for folder in MODELS for path in folder.iterdir()]

    assert sum(path.stat().st_size for path in files) <= ALL_TOGETHER_BYTES


@each_model
def test_nothing_but_a_cast_reads_its_bytes_where_tensorrt_may_run_it(folder):
    onnx = pytest.importorskip('onnx', reason='onnx reads the graph')

    for file in load(folder).files:
        if 'trt' in (file.backends or ('trt',)):
            assert bytes_read_by(onnx.load(file.path)) == []


@each_model
def test_it_answers_any_picture_with_sane_detections(folder, keep):
    manifest, files = runnable(folder)

    for file in files:
        pipeline = open_pipeline(manifest, keep, backend='ort', precision=file.precision)
        for size in ((480, 640), (1080, 1920), (33, 47)):
            found = pipeline(sample(size=size)).tracked.found
            assert np.isfinite(found.boxes_px).all()
            assert (found.boxes_px >= 0).all()
            assert (found.boxes_px <= [size[1], size[0], size[1], size[0]]).all()
            assert (found.class_ids < len(manifest.classes)).all()
            assert (np.diff(found.scores) <= 0).all()


@each_model
def test_after_warming_up_nothing_big_is_allocated_for_a_frame(folder, keep):
    manifest, files = runnable(folder)
    pipeline = open_pipeline(manifest, keep, backend='ort', precision=files[0].precision)
    picture = sample(size=(1080, 1920))
    for _ in range(3):
        pipeline(picture)

    tracemalloc.start()
    keep.callback(tracemalloc.stop)
    for _ in range(5):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        pipeline(picture)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < ALLOCATION_BYTES


@each_model
def test_what_an_old_tensorrt_is_given_lowered_answers_the_same(folder):
    """The remedy that ``optimize build`` names where a parser knows opset 17 only."""
    onnx = pytest.importorskip('onnx', reason='onnx lowers the networks')
    import onnxruntime

    pixels = np.random.default_rng(0).integers(0, 256, load(folder).input.shape, np.uint8)
    files = [file for file in load(folder).files if 'trt' in (file.backends or ('trt',))]
    for file in files:
        model = onnx.load(str(file.path))
        lowered = onnx.version_converter.convert_version(model, 17)
        said = [
            onnxruntime.InferenceSession(
                each.SerializeToString(), providers=['CPUExecutionProvider']
            ).run(None, {load(folder).input.tensor: pixels})[0]
            for each in (model, lowered)
        ]
        np.testing.assert_array_equal(*said)
    assert files
