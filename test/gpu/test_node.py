"""A picture on a real graph becomes detections by way of the GPU."""

from __future__ import annotations

import array

import numpy as np
import pytest
from optimize.networks import detector

from edge_inference_ros.backends import trt
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.engine_options import EngineOptions

pytestmark = [pytest.mark.gpu, pytest.mark.ros]


def picture(stamp_s, pixels):
    from sensor_msgs.msg import Image

    height, width, _ = pixels.shape
    msg = Image(height=height, width=width, encoding='bgr8', step=3 * width)
    msg.header.stamp.sec = stamp_s
    msg.header.frame_id = 'front_camera'
    msg.data = array.array('B', pixels.tobytes())
    return msg


def started(ros, folder, backend):
    """A camera detector that is active, its camera, and what it answers."""
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import Image
    from vision_msgs.msg import Detection2DArray

    from edge_inference_ros.nodes.camera_detector import CameraDetector

    said = {'model': str(folder), 'backend': backend, 'tracker': 'none'}
    overrides = [Parameter(name, value=value) for name, value in said.items()]
    node = ros.add(CameraDetector(context=ros.context, parameter_overrides=overrides))
    heard = ros.collect(Detection2DArray, 'detections')
    camera = ros.publisher(Image, 'image')
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    ros.until(camera.get_subscription_count, what='the camera to be heard')
    ros.until(lambda: node.count_subscribers('detections'), what='the detections to be heard')
    return node, camera, heard


def rows(msg):
    """Class, score and box of each detection, best first."""
    return [
        (
            d.results[0].hypothesis.class_id,
            d.results[0].hypothesis.score,
            d.bbox.center.position.x,
            d.bbox.center.position.y,
            d.bbox.size_x,
            d.bbox.size_y,
        )
        for d in msg.detections
    ]


@pytest.mark.parametrize('times', [1, 3])
def test_the_camera_node_finds_on_the_gpu_what_it_finds_on_the_cpu(
    ros, tmp_path, monkeypatch, times
):
    monkeypatch.setenv('EDGE_INFERENCE_ENGINES', str(tmp_path / 'engines'))
    # No two scores, classes of a box or overlaps and their threshold lie closer than 1e-4 here, so
    # rounding decides nothing: a picture that saturates the scores makes ties of most of them.
    folder = detector(tmp_path / 'model', dtype='float32', layout='nchw', scale=1 / 255)
    trt.build(manifests.load(folder).files[0].path, EngineOptions(tf32=False))
    small = np.random.default_rng(126).integers(1, 255, (8, 12, 3)).astype(np.uint8)
    pixels = small.repeat(16, 0).repeat(16, 1)
    found = {}
    for backend in ('trt', 'ort'):
        node, camera, heard = started(ros, folder, backend)
        for n in range(times):
            camera.publish(picture(n + 1, pixels))
            ros.until(lambda n=n, heard=heard: len(heard) > n, what='detections')
        assert heard[-1].header.stamp.sec == times
        found[backend] = rows(heard[-1])
        node.trigger_deactivate()
        node.trigger_cleanup()
        node.trigger_shutdown()
        ros.helper.destroy_publisher(camera)

    found_classes, wanted_classes = ([row[0] for row in found[name]] for name in ('trt', 'ort'))
    assert len(wanted_classes) > 20
    assert found_classes == wanted_classes
    figures, expected = ([row[1:] for row in found[name]] for name in ('trt', 'ort'))
    np.testing.assert_allclose(figures, expected, atol=0.01)


def test_configure_without_an_engine_fails_and_prints_the_command(
    ros, tmp_path, monkeypatch, capfd
):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    from edge_inference_ros.nodes.camera_detector import CameraDetector

    monkeypatch.setenv('EDGE_INFERENCE_ENGINES', str(tmp_path / 'none'))
    folder = detector(tmp_path / 'model')
    values = {'model': str(folder), 'backend': 'trt', 'tracker': 'none'}
    said = [Parameter(name, value=value) for name, value in values.items()]
    node = ros.add(CameraDetector(context=ros.context, parameter_overrides=said))

    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert f'edge_inference optimize build {folder}' in capfd.readouterr().err
