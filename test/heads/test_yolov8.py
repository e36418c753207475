import numpy as np
import pytest
from heads import slow

from edge_inference_ros.heads.yolov8 import Head


def answer(rng, *, classes=4, boxes=400, dtype=np.float32):
    """Boxes in clumps, so that suppression has work; no two scores alike."""
    out = np.zeros((1, 4 + classes, boxes), np.float32)
    clumps = rng.uniform(10, 90, (2, 12))[:, rng.integers(0, 12, boxes)]
    out[0, :2] = clumps + rng.normal(0, 4, (2, boxes))
    out[0, 2:4] = rng.uniform(8, 30, (2, boxes))
    out[0, 4:] = rng.permutation(classes * boxes).reshape(classes, boxes) / (classes * boxes)
    return out.astype(dtype)


def slowly(out, spec, fit):
    found = []
    for column in out[0].T.astype(np.float64):
        scores = list(column[4:])
        found.append((max(scores), scores.index(max(scores)), slow.corners(column[:4])))
    return slow.detections(found, spec, fit)


@pytest.mark.parametrize('classes', [1, 4, 80])
@pytest.mark.parametrize('class_agnostic', [False, True])
@pytest.mark.parametrize('candidates', [5, 50, 10_000])
def test_decoding_equals_the_slow_way(classes, class_agnostic, candidates):
    outputs = {'output0': answer(np.random.default_rng(classes), classes=classes)}
    manifest = slow.manifest(
        'yolov8',
        outputs,
        classes=classes,
        class_agnostic=class_agnostic,
        candidates=candidates,
        score_threshold=0.4,
    )
    head, image = Head(manifest, outputs), slow.image()

    fit = head.prepare(image, {'images': np.zeros(manifest.input.shape, np.uint8)})
    found = head.decode(outputs, image, fit)

    assert len(found) > 2
    slow.same(found, slowly(outputs['output0'], manifest.head, fit))


def test_half_floats_are_read_too():
    outputs = {'output0': answer(np.random.default_rng(0), boxes=100, dtype=np.float16)}
    manifest = slow.manifest('yolov8', outputs)
    head, image = Head(manifest, outputs), slow.image()

    fit = head.prepare(image, {'images': np.zeros(manifest.input.shape, np.uint8)})

    slow.same(head.decode(outputs, image, fit), slowly(outputs['output0'], manifest.head, fit))
