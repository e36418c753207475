"""What every file of a folder promises: a new one is tested by existing."""

import importlib
import inspect
import re

import numpy as np
import pytest
from heads.layouts import LAYOUTS
from support.models import scripted_model

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.types import Detections2D, MonoNs, Origin, RosNs
from edge_inference_ros.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
    ModelError,
    SampleError,
)

S = 1_000_000_000


def found(count):
    origin = Origin('camera', RosNs(S), MonoNs(0))
    corner = np.arange(count, dtype=np.float32)[:, None] * 50
    boxes_px = np.hstack((corner, corner, corner + 40, corner + 40))
    scores = np.linspace(0.9, 0.5, count, dtype=np.float32)
    return Detections2D(origin, boxes_px, scores, np.zeros(count, np.int32))


@pytest.mark.parametrize('name', registry.names('trackers'))
def test_a_tracker_names_what_was_found_and_changes_nothing_else(name):
    tracker = registry.load('trackers', name).Tracker()

    # Nothing, something, again, the same instant, a gap, and a bag that starts again.
    for count, at_s in ((0, 1.0), (3, 1.1), (3, 1.2), (3, 1.2), (2, 9.0), (4, 0.5)):
        seen = found(count)
        tracked = tracker.update(seen, RosNs(int(at_s * S)))

        assert tracked.found is seen
        assert (tracked.ids.shape, tracked.ids.dtype) == ((count,), np.int32)
        named = tracked.ids[tracked.ids >= 0]
        assert len(set(named.tolist())) == len(named)


def test_every_head_is_among_the_layouts_that_are_tested():
    assert {layout.head for layout in LAYOUTS.values()} == set(registry.names('heads'))


@pytest.mark.parametrize('name', registry.names('backends'))
def test_a_backend_opens_a_file_and_refuses_what_is_no_network_in_words(name, tmp_path):
    file = tmp_path / 'model.onnx'
    file.write_bytes(b'no network')
    manifest = load(scripted_model(tmp_path / 'scripted'))
    try:
        backend = registry.load('backends', name)
    except BackendUnavailable as error:
        pytest.skip(str(error))

    _, _, *settings = inspect.signature(backend.open).parameters.values()
    assert all(s.kind is s.KEYWORD_ONLY and s.default is not s.empty for s in settings)
    with pytest.raises((BackendError, ConfigError, ModelError)) as raised:
        backend.open(manifest, file)
    assert str(file) in str(raised.value) or isinstance(raised.value, BackendUnavailable)


@pytest.mark.ros
@pytest.mark.parametrize('name', registry.names('sensors'))
def test_a_sensor_names_its_message_and_invents_nothing_for_an_empty_one(name):
    sensor = registry.load('sensors', name)
    assert re.fullmatch(r'\w+/msg/\w+', sensor.MESSAGE)
    package, _, kind = sensor.MESSAGE.partition('/msg/')
    message = getattr(importlib.import_module(f'{package}.msg'), kind)()

    try:
        sample = sensor.view(message, Origin('front', RosNs(S), MonoNs(0)))
    except SampleError as error:
        assert re.search(r'\w+', str(error))  # noqa: PT017 - a cloud may answer
    else:  # a cloud of no points says that nothing was seen
        assert len(sample.points) == 0
