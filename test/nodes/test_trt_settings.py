"""What TensorRT's options may be is settable from the node, by the same names and in one range."""

import dataclasses

import pytest

from edge_inference_ros.backends import trt
from edge_inference_ros.core.params import specs
from edge_inference_ros.errors import EngineMissing
from edge_inference_ros.nodes.camera_params import CameraDetectorParams

OWN_NAMES = {'build_engine': 'build_engine'}  # the parameter that users know


def test_every_option_is_a_parameter_with_the_same_default_and_range():
    node = {
        name: (default, kind, spec) for name, default, kind, spec in specs(CameraDetectorParams)
    }

    for name, default, kind, spec in specs(trt.Options):
        told = node[OWN_NAMES.get(name, f'trt_{name}')]
        assert told[:2] == (default, kind), name
        assert (told[2].low, told[2].high, told[2].choices) == (spec.low, spec.high, spec.choices)


def test_they_reach_the_options():
    said = {
        'trt_memory': 'mapped',
        'trt_priority': -2,
        'trt_cache': '/engines',
        'trt_wait': 'spin',
    }

    options = trt.Options(**CameraDetectorParams(build_engine='if_missing', **said).trt_options())

    assert options == dataclasses.replace(
        trt.Options(), build_engine='if_missing', memory='mapped', priority=-2, cache='/engines',
        wait='spin',
    )  # fmt: skip


@pytest.mark.ros
def test_a_node_opens_the_backend_with_them(ros, tmp_path, monkeypatch):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter
    from support.models import scripted_model

    from edge_inference_ros.nodes.camera_detector import CameraDetector

    heard = []

    def hear(manifest, path, *, options, checkpoint):
        heard.append(options)
        raise EngineMissing('heard')

    monkeypatch.setattr(trt, 'open', hear)
    folder = scripted_model(tmp_path / 'model')
    manifest = folder / 'manifest.yaml'
    manifest.write_text(manifest.read_text().replace("- 'null'", '- trt'))
    said = {'model': str(folder), 'backend': 'trt', 'trt_memory': 'paired', 'trt_priority': -1}
    overrides = [Parameter(name, value=value) for name, value in said.items()]
    node = ros.add(CameraDetector(context=ros.context, parameter_overrides=overrides))

    assert node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    assert [(options.memory, options.priority) for options in heard] == [('paired', -1)]
