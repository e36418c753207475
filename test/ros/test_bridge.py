"""What ROS's own tools do beside the hot path, our own path does in the same bytes."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from edge_inference_ros.core.types import Origin
from edge_inference_ros.errors import BadImage
from edge_inference_ros.sensors import cloud
from edge_inference_ros.sensors import image as sensor

pytestmark = pytest.mark.ros
ORIGIN = Origin('camera', 1, 0)
READ_BY_BOTH = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', '8UC1', '8UC3', '8UC4')


@pytest.fixture
def bridge():
    from edge_inference_ros.ros import bridge

    bridge.load.cache_clear()
    yield bridge
    bridge.load.cache_clear()


@pytest.fixture
def without(bridge, monkeypatch):
    monkeypatch.setattr(bridge, 'load', lambda name: (None, ''))
    return bridge


def header():
    from std_msgs.msg import Header

    return Header(frame_id='camera')


def message(encoding, samples, *, height=4, width=6, padding=0):
    step = width * samples + padding
    data = np.random.default_rng(0).integers(0, 256, height * step, np.uint8).tobytes()
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=0, data=data
    )


def played(monkeypatch, name, **what):
    module = ModuleType(name)
    vars(module).update(what)
    monkeypatch.setitem(sys.modules, name, module)


def broken_numpy():
    raise AttributeError('_ARRAY_API not found')


def test_what_cannot_be_loaded_is_a_warning_and_not_an_end(bridge, monkeypatch, tmp_path):
    (tmp_path / 'cv_bridge.py').write_text('raise AttributeError("_ARRAY_API not found")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)

    tools, why = bridge.load('cv_bridge')

    assert tools is None
    assert '_ARRAY_API not found' in why
    assert any('_ARRAY_API' in said and 'without it' in said for said in bridge.warnings())
    assert bridge.bgr_image(header(), np.zeros((2, 3, 3), np.uint8)).encoding == 'bgr8'


def test_what_is_not_installed_is_no_word_worth(bridge):
    assert bridge.load('no_such_tool_of_ros') == (None, '')


def test_an_encoding_we_do_not_read_comes_in_through_cv_bridge_with_a_word(bridge, monkeypatch):
    class CvBridge:
        def imgmsg_to_cv2(self, msg, desired_encoding):
            assert (msg.encoding, desired_encoding) == ('8UC2', 'bgr8')
            return np.full((msg.height, msg.width, 3), 7, np.uint8)

    played(monkeypatch, 'cv_bridge', CvBridge=CvBridge)
    said = []
    view = bridge.AnyImage(sensor, said.append)

    for _ in range(2):
        seen = view(message('8UC2', 2), ORIGIN)

    assert (seen.order, seen.pixels.shape, seen.origin) == ('bgr', (4, 6, 3), ORIGIN)
    assert len(said) == 1
    assert '48 bytes for each frame' in said[0]


def test_what_we_read_never_goes_through_cv_bridge(bridge, monkeypatch):
    played(monkeypatch, 'cv_bridge', CvBridge=broken_numpy)
    msg = message('bgr8', 3)

    seen = bridge.AnyImage(sensor, pytest.fail)(msg, ORIGIN)

    assert np.shares_memory(seen.pixels, np.frombuffer(msg.data, np.uint8))


def test_distances_are_no_picture_with_cv_bridge_either(bridge, monkeypatch):
    played(monkeypatch, 'cv_bridge', CvBridge=broken_numpy)

    with pytest.raises(BadImage, match='distances'):
        bridge.AnyImage(sensor, pytest.fail)(message('32FC1', 4), ORIGIN)


def test_what_neither_reads_is_refused(bridge, monkeypatch):
    played(monkeypatch, 'cv_bridge', CvBridge=broken_numpy)
    with pytest.raises(BadImage, match='cv_bridge: _ARRAY_API'):
        bridge.AnyImage(sensor, pytest.fail)(message('8UC2', 2), ORIGIN)

    monkeypatch.setattr(bridge, 'load', lambda name: (None, ''))
    with pytest.raises(BadImage, match='we read'):
        bridge.AnyImage(sensor, pytest.fail)(message('8UC2', 2), ORIGIN)


def test_a_cloud_of_ours_holds_the_points(without):
    points = np.arange(12, dtype=np.float32).reshape(4, 3)

    msg = without.xyz_cloud(header(), points)

    assert [field.name for field in msg.fields] == ['x', 'y', 'z']
    assert (msg.width, msg.height, msg.point_step, msg.row_step) == (4, 1, 12, 48)
    np.testing.assert_array_equal(np.frombuffer(msg.data, '<f4').reshape(4, 3), points)


@pytest.mark.contract
def test_clouds_are_those_sensor_msgs_py_builds(bridge, monkeypatch):
    pytest.importorskip('sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not installed')
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

    theirs = bridge.xyz_cloud(header(), points)
    monkeypatch.setattr(bridge, 'load', lambda name: (None, ''))

    assert bridge.xyz_cloud(header(), points) == theirs


@pytest.mark.contract
def test_overlays_are_those_cv_bridge_builds(bridge, monkeypatch):
    pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)

    theirs = bridge.bgr_image(header(), pixels)
    monkeypatch.setattr(bridge, 'load', lambda name: (None, ''))

    assert bridge.bgr_image(header(), pixels) == theirs


@pytest.mark.contract
# cv_bridge takes rows for whole pixels: other padding shears its picture.
@pytest.mark.parametrize('padding', [0, 12])
@pytest.mark.parametrize('encoding', READ_BY_BOTH)
def test_our_reader_sees_what_cv_bridge_sees(encoding, padding):
    tools = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    msg = message(encoding, sensor.LAYOUTS[encoding].samples, padding=padding)

    ours = sensor.view(msg, ORIGIN).pixels
    theirs = tools.CvBridge().imgmsg_to_cv2(msg, 'passthrough')

    np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


@pytest.mark.contract
@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize('padding', [0, 7])
@pytest.mark.parametrize('height', [1, 3])
@pytest.mark.parametrize('datatype', range(1, 9))
def test_our_reader_sees_the_points_that_sensor_msgs_py_sees(
    datatype, height, padding, is_bigendian
):
    tools = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not installed'
    )
    from sensor_msgs.msg import PointCloud2, PointField

    step = 45 + padding
    fields = [
        ('z', 1, datatype, 1),
        ('y', 11, 7, 1),
        ('x', 16, 8, 1),
        ('n', 24, 7, 3),
        ('r', 38, 4, 1),
    ]
    msg = PointCloud2(
        height=height, width=5, point_step=step, row_step=5 * step, is_bigendian=is_bigendian
    )
    msg.fields = [PointField(name=n, offset=o, datatype=d, count=c) for n, o, d, c in fields]
    data = np.random.default_rng(datatype).integers(0, 256, height * msg.row_step, np.uint8)
    msg.data.frombytes(data.tobytes())

    ours = cloud.view(msg, ORIGIN).points.copy()  # theirs swaps the bytes of the message itself
    theirs = tools.read_points(msg)

    for name, _, _, count in fields:
        parts = [name] if count == 1 else [f'{name}_{part}' for part in range(count)]
        seen = ours[name].reshape(len(ours), -1)
        for part, of_theirs in enumerate(parts):
            np.testing.assert_array_equal(seen[:, part], theirs[of_theirs].ravel())
