"""`edge_inference view`: what was heard is on the time line, and nothing half-written stays."""

import array
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Made

import numpy as np
import pytest
from support.ros import wait_until

rr = pytest.importorskip('rerun', reason='view needs rerun-sdk, which wants Python 3.11')

from edge_inference_ros.core import registry  # noqa: E402
from edge_inference_ros.errors import ConfigError  # noqa: E402
from edge_inference_ros.monitor import view  # noqa: E402
from edge_inference_ros.monitor.scene import Scene, layout  # noqa: E402

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def header(seconds=1.0, frame_id='front'):
    sec, nanosec = divmod(round(seconds * 1e9), 10**9)
    return Made(stamp=Made(sec=sec, nanosec=nanosec), frame_id=frame_id)


def image(seconds=1.0, **changes):
    said = {
        'header': header(seconds),
        'height': 48,
        'width': 64,
        'encoding': 'bgr8',
        'is_bigendian': 0,
        'step': 192,
        'data': array.array('B', bytes(48 * 192)),
    }
    return Made(**(said | changes))


def detections(seconds=1.0):
    centre = Made(position=Made(x=32.0, y=24.0), theta=0.0)
    result = Made(hypothesis=Made(class_id='person', score=0.9))
    found = Made(results=[result], id='7', bbox=Made(center=centre, size_x=10.0, size_y=20.0))
    return Made(header=header(seconds), detections=[found])


def diagnostics(level=0, message='VALID', **values):
    items = [Made(key=key, value=str(value)) for key, value in values.items()]
    row = Made(level=bytes([level]), name='detections', message=message, values=items)
    return Made(header=header(), status=[row])


@pytest.fixture
def drawn(tmp_path):
    """Draws messages into a file and gives back what Rerun's own reader finds there."""

    def draw(*messages):
        stream = rr.RecordingStream('test')
        path = tmp_path / 'run.rrd'
        stream.save(path, default_blueprint=layout())
        scene = Scene(stream)
        for topic, kind, message in messages:
            scene.add(topic, kind, message)
        stream.flush()
        stream.disconnect()
        program = shutil.which('rerun', path=str(Path(sys.executable).parent))
        text = subprocess.run(  # noqa: S603
            [program, 'rrd', 'print', '-vvv', str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return scene, text

    return draw


def test_nothing_is_looked_up_while_pictures_are_drawn(monkeypatch):
    scene = Scene(rr.RecordingStream('test'))
    monkeypatch.setattr(registry, 'load', lambda *_: pytest.fail('looked up'))

    scene.add('/front/image', 'sensor_msgs/msg/Image', image())

    assert (scene.drawn, scene.unreadable) == (1, 0)


def test_boxes_lie_on_the_picture_of_their_frame_with_class_score_and_track(drawn):
    scene, text = drawn(
        ('/front/image', 'sensor_msgs/msg/Image', image()),
        ('/front/detections', 'vision_msgs/msg/Detection2DArray', detections()),
    )

    assert (scene.drawn, scene.unreadable) == (2, 0)
    assert 'cameras/front' in text
    assert 'cameras/front/front_detections' in text
    assert 'person 0.90 #7' in text


def test_age_and_deadline_stages_and_speeds_are_curves(drawn):
    _, text = drawn(
        (
            '/front/freshness',
            'diagnostic_msgs/msg/DiagnosticArray',
            diagnostics(age_ms=40.0, deadline_ms=300.0),
        ),
        (
            '/front/latency',
            'diagnostic_msgs/msg/DiagnosticArray',
            diagnostics(infer=10.0, sensor_to_output=12.0, model='street_tiny'),
        ),
        (
            '/speed_limit',
            'nav2_msgs/msg/SpeedLimit',
            Made(header=header(), percentage=False, speed_limit=1.5),
        ),
    )

    for entity in (
        'age/front/detections/age_ms',
        'age/front/detections/deadline_ms',
        'stages_ms/front/infer',
        'stages_ms/front/sensor_to_output',
        'speed_mps/limit',
    ):
        assert entity in text


def test_a_state_is_said_when_it_changes_and_not_again(drawn):
    def state(word):
        return ('/freshness', 'diagnostic_msgs/msg/DiagnosticArray', diagnostics(message=word))

    _, text = drawn(state('VALID'), state('VALID'), state('STALE'))

    assert text.count('detections: VALID') == 1
    assert text.count('detections: STALE') == 1


def test_a_picture_that_cannot_be_read_is_counted_and_the_next_is_drawn(drawn):
    scene, text = drawn(
        ('/image', 'sensor_msgs/msg/Image', image(encoding='what')),
        ('/image', 'sensor_msgs/msg/Image', image(2.0)),
    )

    assert (scene.drawn, scene.unreadable) == (1, 1)
    assert 'unreadable' in text


def test_recordings_and_rclpy_give_their_levels_differently():
    from edge_inference_ros.monitor.scene import _level

    assert _level(Made(level=b'\x02')) == _level(Made(level=np.uint8(2))) == 2


def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_drawn(tmp_path):
    (tmp_path / 'file').touch()

    with pytest.raises(ConfigError, match=r'run\.rrd cannot be written'):
        view.run(params=view.Params(bag='x', save=str(tmp_path / 'file' / 'run.rrd')))


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / 'run.rrd').write_text('mine')

    with pytest.raises(ConfigError, match='is there already; choose another name'):
        view.run(params=view.Params(bag='x', save=str(tmp_path / 'run.rrd')))

    assert (tmp_path / 'run.rrd').read_text() == 'mine'


def test_a_failure_leaves_no_half_file(tmp_path):
    with pytest.raises(ConfigError):
        view.run(params=view.Params(bag=str(tmp_path / 'no_bag'), save=str(tmp_path / 'run.rrd')))

    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind((view.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=f'{port} is in use'):
            view._check_free(port)


def test_no_display_names_what_works_without(monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)

    with pytest.raises(ConfigError, match='--web'):
        view._viewer(view.Params())


def test_a_topic_that_cannot_be_drawn_is_refused_by_its_type():
    with pytest.raises(ConfigError, match=r'/tf carries tf2_msgs/msg/TFMessage'):
        view._wanted({'/tf': 'tf2_msgs/msg/TFMessage'}, ('sensor_msgs/msg/Image',), ('/tf',))


@pytest.mark.ros
def test_the_running_graph_is_drawn_without_spinning(ros, tmp_path):
    from sensor_msgs.msg import Image

    from edge_inference_ros.ros import qos

    camera = ros.publisher(Image, '/front/image', qos.sensor())
    node = ros.node('edge_inference_view')
    ros.executor.remove_node(node)
    stream = rr.RecordingStream('test')
    stream.save(tmp_path / 'run.rrd')
    scene = Scene(stream)
    now = [0.0]

    def pause(seconds):
        """Publish until something was drawn, then let the time be over."""
        message = Image(height=2, width=2, encoding='bgr8', step=6)
        message.header.frame_id = 'front'
        message.data = array.array('B', bytes(12))
        camera.publish(message)
        ros.executor.spin_once(timeout_sec=0.01)
        now[0] += 10.0 if scene.drawn else 0.001

    view.watch(node, scene, view.Params(seconds=5.0), clock=lambda: now[0], pause=pause)

    assert scene.drawn


@pytest.mark.skipif(CHROMIUM is None, reason='needs chromium: apt-get install chromium')
def test_the_page_opens_in_a_real_browser(tmp_path):
    playwright = pytest.importorskip('playwright.sync_api', reason='pip install playwright')
    stream = rr.RecordingStream('test')
    flags = [
        '--no-sandbox',
        '--use-gl=angle',
        '--use-angle=swiftshader',
        '--enable-unsafe-swiftshader',
        '--ignore-gpu-blocklist',
    ]
    params = view.Params(web=True, port=free_port())
    arguments, url = view._viewer(params)
    with view._child(arguments), playwright.sync_playwright() as tool:
        stream.connect_grpc(
            f'rerun+http://{view.LOOPBACK}:{params.port + 1}/proxy', default_blueprint=layout()
        )
        Scene(stream).add('/front/image', 'sensor_msgs/msg/Image', image())
        stream.flush()
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={'width': 1280, 'height': 800})
        page.goto(url)
        page.wait_for_selector('canvas', timeout=120_000)
        picture = page.screenshot()
        browser.close()

    assert picture.startswith(b'\x89PNG')
    wait_until(lambda: is_free(params.port), what='the viewer to be gone')


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex((view.LOOPBACK, port)) != 0


def free_port():
    with socket.socket() as probe:
        probe.bind((view.LOOPBACK, 0))
        return min(probe.getsockname()[1], 64000)
