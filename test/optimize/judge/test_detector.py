"""What judges a model opens no network that the node would refuse."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip('onnxruntime', reason='the shipped model runs on ONNX Runtime')

from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.errors import SpecMismatch
from edge_inference_ros.optimize.judge import measure
from edge_inference_ros.optimize.judge.detector import OfflineDetector

MODEL = load(Path(__file__).parents[3] / 'models' / 'street_tiny')
OTHER = replace(MODEL, outputs=(replace(MODEL.outputs[0], shape=(1, 8, 99)),))


def judge(manifest, keep):
    return OfflineDetector(manifest, 'ort', 'fp32', keep)


def score(manifest, keep):
    return keep.enter_context(measure.opened({'it': manifest.files[0].path}, manifest))


def node(manifest, keep):
    return open_pipeline(manifest, keep, backend='ort', precision='fp32')


@pytest.mark.parametrize('opening', [node, judge, score])
def test_tensors_that_are_not_promised_are_refused_alike(opening):
    with ExitStack() as keep, pytest.raises(SpecMismatch, match='is not the network'):
        opening(OTHER, keep)


@pytest.mark.parametrize('opening', [node, judge, score])
def test_what_is_promised_opens(opening):
    with ExitStack() as keep:
        assert opening(MODEL, keep)
