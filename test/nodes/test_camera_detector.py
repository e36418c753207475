"""On a real graph what goes in comes out with its stamp, or is accounted for."""

import array
import gc
import re
import weakref
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.models import BOX, HEIGHT_PX, WIDTH_PX, scripted_model

pytestmark = pytest.mark.ros

STAGES = ('transport', 'wait', 'view', 'prepare', 'infer', 'decode', 'track', 'publish')


def picture(stamp_ns, *, frame_id='front_camera', **changes):
    from sensor_msgs.msg import Image

    msg = Image(height=HEIGHT_PX, width=WIDTH_PX, encoding='bgr8', step=3 * WIDTH_PX)
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    msg.header.frame_id = frame_id
    msg.data = array.array('B', bytes(HEIGHT_PX * msg.step))
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


class Rig:
    """A camera detector with its neighbours: a camera, and ears on all its outputs."""

    def __init__(self, ros, folder, *, kind=None, **params):
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.parameter import Parameter
        from sensor_msgs.msg import Image
        from vision_msgs.msg import Detection2DArray

        from edge_inference_ros.nodes.camera_detector import CameraDetector

        said = {'model': str(folder), 'backend': 'null', 'tracker': 'none', **params}
        overrides = [Parameter(name, value=value) for name, value in said.items()]
        self.ros = ros
        self.node = ros.add(CameraDetector(context=ros.context, parameter_overrides=overrides))
        self.detections = ros.collect(Detection2DArray, 'detections')
        self.latency = ros.collect(DiagnosticArray, 'latency')
        self.diagnostics = ros.collect(DiagnosticArray, '/diagnostics')
        self.kind = kind if kind is not None else Image
        self.camera = ros.publisher(self.kind, 'image')

    def start(self):
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.ros.until(self.camera.get_subscription_count, what='the camera to be heard')
        self.ros.until(self._heard, what='the outputs to be heard')
        return self

    def _heard(self):
        names = ('detections', 'latency', '/diagnostics')
        return all(self.node.count_subscribers(name) for name in names)

    def send(self, *stamps_ns, **changes):
        for stamp_ns in stamps_ns:
            self.camera.publish(picture(stamp_ns, **changes))

    def exchange(self, stamp_ns, **changes):
        """Send one picture and wait for its detections and latency."""
        before = len(self.latency)
        self.send(stamp_ns, **changes)
        self.ros.until(lambda: len(self.latency) > before, what='a latency message')
        self.ros.until(lambda: len(self.detections) >= len(self.latency), what='detections')
        return self.detections[-1], values(self.latency[-1])

    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    def reports(self, ending):
        """What the diagnostics whose names end so have said."""
        rows = (status for array in self.diagnostics for status in array.status)
        return [status.message for status in rows if status.name.endswith(ending)]

    @property
    def tally(self):
        return self.node._job.tally

    def state(self):
        return self.node._state_machine.current_state[1]


def values(msg):
    return {item.key: item.value for item in msg.status[0].values}


def stamp_ns(msg):
    return msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec


@pytest.fixture
def model(tmp_path):
    return scripted_model(tmp_path / 'scripted')


def test_every_picture_becomes_the_detections_of_that_picture(ros, model):
    rig = Rig(ros, model).start()
    now_ns = rig.node.get_clock().now().nanoseconds

    for taken_ns in (now_ns - 2, now_ns - 1, now_ns):
        found, latency = rig.exchange(taken_ns)

        assert stamp_ns(found) == stamp_ns(rig.latency[-1]) == taken_ns
        assert found.header.frame_id == 'front_camera'
        (detection,) = found.detections
        assert detection.header == found.header
        assert detection.results[0].hypothesis.class_id == 'car'
        assert detection.results[0].hypothesis.score == pytest.approx(0.75)
        x1, y1, x2, y2 = BOX
        assert detection.bbox.center.position.x == pytest.approx((x1 + x2) / 2)
        assert detection.bbox.size_y == pytest.approx(y2 - y1)
        assert latency['backend'] == 'null'
        assert latency['model'] == 'scripted'
    assert (latency['received'], latency['superseded'], latency['rejected']) == ('3', '0', '0')


def test_the_stages_add_up_to_the_latency(ros, model):
    _, latency = Rig(ros, model).start().exchange(1_700_000_000_000_000_000)

    whole = float(latency['sensor_to_output'])
    assert sum(float(latency[stage]) for stage in STAGES) == pytest.approx(whole, abs=0.01)


def test_a_clock_fault_is_shown_and_not_clamped(ros, model):
    rig = Rig(ros, model).start()

    _, latency = rig.exchange(rig.node.get_clock().now().nanoseconds + 60 * 10**9)

    assert float(latency['transport']) < -50_000
    (status,) = rig.latency[-1].status
    assert status.level == status.ERROR
    assert status.message.startswith('CLOCK_FAULT: stamped 59')
    assert 'the driver uses another clock' in status.message


@pytest.mark.parametrize(
    ('taken', 'remedy'),
    [
        (lambda now_ns, up_ns: up_ns, 'since this computer started'),
        (lambda now_ns, up_ns: now_ns - 3600 * 10**9, 'local time'),
        (lambda now_ns, up_ns: 10**9, 'counts from its own start'),
    ],
    ids=['since boot', 'an hour old', 'since 1970'],
)
def test_stamps_of_another_clock_are_an_error_everywhere(ros, model, taken, remedy):
    import time

    rig = Rig(ros, model, diagnostics_period_s=0.1).start()

    for _ in range(2):
        rig.exchange(taken(rig.now_ns(), time.monotonic_ns()))

    (status,) = rig.latency[-1].status
    assert status.level == status.ERROR
    for said in (status.message, wait_for_report(rig, ': input', 'is stamped')):
        assert 'the driver uses another clock' in said
        assert remedy in said


def wait_for_report(rig, ending, words):
    """The first report that holds ``words``."""
    rig.ros.until(lambda: any(words in text for text in rig.reports(ending)), what=words)
    return next(text for text in rig.reports(ending) if words in text)


def test_nothing_found_is_an_empty_array_with_the_pictures_header(ros, tmp_path):
    rig = Rig(ros, scripted_model(tmp_path / 'blind', score=0.1)).start()

    found, _ = rig.exchange(5 * 10**9)

    assert not found.detections
    assert stamp_ns(found) == 5 * 10**9
    assert found.header.frame_id == 'front_camera'


def test_in_overload_the_newest_wins_and_the_counts_add_up(ros, tmp_path):
    rig = Rig(ros, scripted_model(tmp_path / 'slow', durations_ms=[200])).start()

    rig.send(10**9)
    ros.until(lambda: rig.tally.posted == 1, what='the first picture')
    for n in range(2, 12):
        rig.send(n * 10**9)
        ros.until(lambda n=n: rig.tally.posted == n, what='the next picture')
    ros.until(lambda: rig.latency and stamp_ns(rig.latency[-1]) == 11 * 10**9, what='the newest')

    tally = rig.tally
    # Counted when all is done, which is after it was published.
    ros.until(lambda: tally.done + tally.superseded == tally.posted, what='the last count')
    assert tally.superseded > 0
    assert tally.posted == tally.done + tally.superseded == 11
    ros.until(lambda: len(rig.detections) == tally.done, what='all that was done')
    stamps = [stamp_ns(found) for found in rig.detections]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'encoding': 'yuv999'}, 'yuv999'),
        ({'step': 7}, 'step'),
        ({'height': 4_000_000}, 'height'),
        ({'width': 0}, 'width'),
        ({'data': array.array('B', b'short')}, '5'),
    ],
)
def test_a_malformed_picture_is_counted_and_the_next_one_is_seen(ros, model, changes, words):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()

    rig.send(10**9, **changes)
    ros.until(lambda: rig.tally.rejected, what='the rejection')
    found, latency = rig.exchange(2 * 10**9)

    assert stamp_ns(found) == 2 * 10**9
    assert latency['rejected'] == '1'
    ros.until(
        lambda: any('BadImage' in s.message for d in rig.diagnostics for s in d.status),
        what='a diagnostic that names the fault',
    )
    assert words in wait_for_report(rig, ': latency', '1 lost')
    rows = [s for d in rig.diagnostics for s in d.status if '1 lost' in s.message]
    assert {row.level for row in rows} == {b'\x01'}


def test_each_kind_of_loss_is_logged_once_with_its_stamp_and_counted(ros, model, capfd):
    rig = Rig(ros, model, diagnostics_period_s=60.0).start()

    for n in range(1, 4):
        rig.send(n * 10**9, step=7)
        ros.until(lambda n=n: rig.tally.rejected == n, what='the rejection')
    rig.send(0)
    ros.until(lambda: rig.tally.rejected == 4, what='the rejection')
    rig.node._report()
    ros.until(lambda: rig.diagnostics, what='the report')

    said = capfd.readouterr().err
    assert said.count('lost the frame stamped 1.000000000: BadImage: step of 7 bytes') == 1
    assert said.count('lost the frame stamped 0.000000000: BadStamp: header.stamp is zero') == 1
    assert said.count('lost the frame') == 2
    counts = values(rig.diagnostics[-1])
    assert (counts['lost_BadImage'], counts['lost_BadStamp']) == ('3', '1')


def test_a_stamp_with_more_than_a_second_of_nanoseconds_is_said_as_it_came(ros, model, capfd):
    rig = Rig(ros, model).start()
    msg = picture(5 * 10**9)
    msg.header.stamp.nanosec = 4 * 10**9

    rig.camera.publish(msg)
    ros.until(lambda: rig.tally.rejected == 1, what='the rejection')

    assert 'lost the frame stamped 5 s and 4000000000 ns: BadStamp' in capfd.readouterr().err


def test_a_defect_of_ours_is_logged_with_its_traceback_and_named_at_the_end(
    ros, model, capfd, monkeypatch
):
    rig = Rig(ros, model, diagnostics_period_s=60.0).start()

    def defective(tracked):
        raise KeyError('ours')

    monkeypatch.setattr(rig.node, '_write', defective)
    for n in range(1, 11):
        rig.send(n * 10**9)
        ros.until(lambda n=n: rig.tally.failed == n, what='the loss')
    ros.until(lambda: rig.state() == 'unconfigured', what='the end')

    said = capfd.readouterr().err
    assert said.count("lost the frame stamped 1.000000000: KeyError: 'ours'") == 1
    assert said.count("raise KeyError('ours')") == 1
    assert '10 frames in a row were lost: giving up' in said
    ros.until(lambda: rig.diagnostics, what='the last report')
    assert values(rig.diagnostics[-1])['lost_KeyError'] == '10'


def test_what_arrives_without_stamps_is_no_silence(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()

    for n in range(1, 4):
        rig.send(0)
        ros.until(lambda n=n: rig.tally.rejected == n, what='the rejection')

    said = wait_for_report(rig, ': input', 'the last 3 messages')
    assert 'carry no usable stamp and are rejected; the driver must stamp' in said


@pytest.mark.parametrize('stamp', [(0, 0), (-5, 0), (5, 2_000_000_000)])
def test_a_picture_whose_stamp_is_no_time_is_rejected(ros, model, stamp):
    rig = Rig(ros, model).start()
    msg = picture(10**9)
    msg.header.stamp.sec, msg.header.stamp.nanosec = stamp

    rig.camera.publish(msg)
    ros.until(lambda: rig.tally.rejected, what='the rejection')

    assert not rig.detections


def test_the_lifecycle_can_be_gone_through_again_and_again(ros, model):
    rig = Rig(ros, model).start()
    node = rig.node

    for n in range(1, 6):
        rig.exchange(n * 10**9)
        node.trigger_deactivate()
        node.trigger_cleanup()
        assert rig.state() == 'unconfigured'
        node.trigger_configure()
        node.trigger_activate()
        ros.until(rig.camera.get_subscription_count, what='the camera to be heard again')
        ros.until(rig._heard, what='the outputs to be heard again')
    assert rig.state() == 'active'


def test_an_inactive_node_is_silent(ros, model):
    rig = Rig(ros, model).start()
    rig.exchange(10**9)

    rig.node.trigger_deactivate()
    ros.until(lambda: not rig.camera.get_subscription_count(), what='the subscription to end')

    assert rig.state() == 'inactive'


@pytest.mark.parametrize(
    ('params', 'words'),
    [
        ({'model': '/nowhere/at/all'}, 'manifest.yaml'),
        ({'backend': 'abacus'}, 'no backends called'),
        ({'tracker': 'bloodhound'}, 'no trackers called'),
        ({'backend': 'ort'}, 'no file for backend'),
        ({'score_threshold': 7.0}, 'score_threshold'),
        ({'score_threshold': 1}, 'write 1.0'),
        ({'transport': 'pigeon'}, 'auto, raw, compressed'),
        ({'track_least_iou': 0.0}, 'track_least_iou'),
        ({'modle': 'x'}, 'did you mean model?'),
    ],
)
def test_a_configuration_that_cannot_be_honoured_is_refused_in_words(
    ros, model, params, words, capfd
):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = Rig(ros, model, **params)

    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert rig.state() == 'unconfigured'
    assert words in capfd.readouterr().err


def test_opencv_has_as_many_threads_as_the_container_has_cores(ros, model, monkeypatch, capfd):
    from edge_inference_ros.nodes import camera_detector

    before = cv2.getNumThreads()
    cv2.setNumThreads(8)
    monkeypatch.setattr(camera_detector, 'cores', lambda: 3)
    try:
        Rig(ros, model).start()

        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
    assert 'OpenCV works with 3 threads' in capfd.readouterr().err


def test_a_file_that_was_tampered_with_is_refused(ros, model, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    (model / 'script.json').write_text('{}')

    assert Rig(ros, model).node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert 'SHA-256' in capfd.readouterr().err


def test_everything_that_is_not_there_is_named_at_once(ros, tmp_path):
    child = ros.child(
        '-m', 'edge_inference_ros.nodes.camera_detector', '--ros-args', '-p', 'autostart:=true',
        '-p', 'transport:=pigeon', '-p', 'model:=nope', '-p', 'backend:=abacus',
        '-p', 'tracker:=srot',
    )  # fmt: skip

    ros.until(lambda: 'could not configure' in child.said, what='its refusal')
    said = next(line for line in child.said.splitlines() if 'cannot configure' in line)
    for words in ("transport = 'pigeon'", 'models/nope is in none', "'abacus'", "'srot'"):
        assert words in said


def test_a_precision_that_is_not_there_is_named_with_what_else_is_wrong(model):
    from edge_inference_ros.errors import ConfigError
    from edge_inference_ros.nodes.camera_params import model_of

    assert model_of(str(model), 'null', 'none', '').name
    with pytest.raises(ConfigError, match=r"precision = 'fp17': .* fp32.*'srot'"):
        model_of(str(model), 'null', 'srot', 'fp17')


def test_a_wrong_parameter_can_be_corrected_in_place(ros, model):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    rig = Rig(ros, model, backend='abacus', score_threshold=7.0)
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE

    rig.node.set_parameters([Parameter('score_threshold', value=0.4)])
    rig.node.set_parameters([Parameter('backend', value='null')])

    assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_the_score_threshold_changes_while_running_and_the_model_does_not(ros, model):
    from rclpy.parameter import Parameter

    rig = Rig(ros, model).start()
    assert rig.exchange(10**9)[0].detections

    refused, taken = rig.node.set_parameters(
        [Parameter('model', value='other'), Parameter('score_threshold', value=0.9)]
    )

    assert not refused.successful
    assert 'cannot change while configured' in refused.reason
    assert taken.successful
    assert not rig.exchange(2 * 10**9)[0].detections


@pytest.fixture
def twins(tmp_path):
    """A model that finds one car twice, with an IoU of 0.82."""
    rows = [
        [0, row, column, value]
        for column, x in ((5, 20.0), (6, 22.0))
        for row, value in enumerate((x, 24.0, 20.0, 32.0, 0.0, 0.75 if column == 5 else 0.7))
    ]
    return scripted_model(tmp_path / 'twins', outputs={'output0': [rows]})


def test_how_many_boxes_are_kept_is_set_for_one_deployment_and_changes_while_running(ros, twins):
    from rclpy.parameter import Parameter

    rig = Rig(ros, twins, iou_threshold=0.9).start()
    stamps = iter(range(10**9, 10**11, 10**9))

    def kept():
        return len(rig.exchange(next(stamps))[0].detections)

    assert kept() == 2
    rig.node.set_parameters([Parameter('max_detections', value=1)])
    assert kept() == 1
    rig.node.set_parameters([Parameter('max_detections', value=0)])
    assert kept() == 2
    rig.node.set_parameters([Parameter('iou_threshold', value=-1.0)])
    assert kept() == 1  # the manifest's 0.5


def test_a_threshold_that_does_nothing_for_this_head_is_said(ros, tmp_path, capfd):
    from rclpy.parameter import Parameter

    outputs = {'output0': [[[0, 0, 4, 0.75]]]}
    folder = scripted_model(tmp_path / 'end2end', outputs=outputs)
    path = folder / 'manifest.yaml'
    text = path.read_text().replace('name: yolov8', 'name: yolo_end2end')
    path.write_text(re.sub(r'- 6\n(\s+)- 126', r'- 1\n\1- 6', text))
    rig = Rig(ros, folder).start()

    rig.node.set_parameters([Parameter('iou_threshold', value=0.7)])

    assert 'iou_threshold = 0.7 does nothing: head yolo_end2end' in capfd.readouterr().err


def test_a_dead_runtime_takes_the_node_to_unconfigured_and_it_can_come_back(ros, tmp_path):
    model = scripted_model(tmp_path / 'mortal', faults={'1': 'InferenceFailed'})
    rig = Rig(ros, model).start()
    rig.exchange(10**9)

    rig.send(2 * 10**9)
    ros.until(lambda: rig.state() == 'unconfigured', what='error processing')

    ros.until(
        lambda: any('InferenceFailed' in s.message for d in rig.diagnostics for s in d.status),
        what='a diagnostic that names the error',
    )
    rig.start()
    assert stamp_ns(rig.exchange(3 * 10**9)[0]) == 3 * 10**9


def test_running_out_of_memory_loses_a_frame_and_not_the_node(ros, tmp_path):
    model = scripted_model(tmp_path / 'tight', faults={'0': 'OutOfMemory'})
    rig = Rig(ros, model).start()

    rig.send(10**9)
    ros.until(lambda: rig.tally.failed, what='the loss')

    assert rig.exchange(2 * 10**9)[1]['failed'] == '1'


def test_label_info_reaches_whoever_comes_late(ros, model):
    from vision_msgs.msg import LabelInfo

    from edge_inference_ros.ros import qos

    Rig(ros, model).start()
    heard = ros.collect(LabelInfo, 'label_info', qos.latched())
    ros.until(lambda: heard, what='the labels')

    assert [c.class_name for c in heard[0].class_map] == ['person', 'car']
    assert heard[0].threshold == pytest.approx(0.5)


def test_classes_of_one_name_are_told_apart_and_it_is_said(ros, model, capfd):
    from vision_msgs.msg import LabelInfo

    from edge_inference_ros.ros import qos

    path = model / 'manifest.yaml'
    path.write_text(path.read_text().replace('person', 'car'))

    rig = Rig(ros, model).start()
    heard = ros.collect(LabelInfo, 'label_info', qos.latched())
    ros.until(lambda: heard, what='the labels')

    assert [c.class_name for c in heard[0].class_map] == ['car', 'car_2']
    assert rig.exchange(10**9)[0].detections[0].results[0].hypothesis.class_id == 'car_2'
    assert "class 1 is called 'car' like another: it goes by 'car_2'" in capfd.readouterr().err


def test_label_info_follows_the_threshold(ros, model):
    from rclpy.parameter import Parameter
    from vision_msgs.msg import LabelInfo

    from edge_inference_ros.ros import qos

    rig = Rig(ros, model).start()
    heard = ros.collect(LabelInfo, 'label_info', qos.latched())
    ros.until(lambda: heard, what='the labels')

    rig.node.set_parameters([Parameter('score_threshold', value=0.9)])

    ros.until(lambda: heard[-1].threshold == pytest.approx(0.9), what='the new threshold')


def test_no_overlay_is_drawn_when_nobody_looks(ros, model, monkeypatch):
    from edge_inference_ros.core import overlay

    drawn = []
    monkeypatch.setattr(overlay, 'draw', lambda *_, **__: drawn.append(1))
    rig = Rig(ros, model).start()

    for n in (1, 2):  # when the second is out, the first is done with
        rig.exchange(n * 10**9)

    assert not drawn


def test_the_overlay_is_drawn_when_somebody_looks(ros, model):
    from sensor_msgs.msg import Image

    rig = Rig(ros, model).start()
    heard = ros.collect(Image, 'camera_detector/overlay')
    ros.until(lambda: rig.node.count_subscribers('camera_detector/overlay'), what='a viewer')
    rig.exchange(10**9)
    ros.until(lambda: heard, what='the overlay')

    pixels = np.frombuffer(heard[0].data, np.uint8).reshape(HEIGHT_PX, WIDTH_PX, 3)
    x1, _, x2, y2 = (round(v) for v in BOX)
    assert pixels[y2, (x1 + x2) // 2].any()
    assert stamp_ns(heard[0]) == 10**9


def test_a_subscriber_with_other_demands_is_named(ros, model):
    from sensor_msgs.msg import Image

    from edge_inference_ros.ros import qos

    rig = Rig(ros, model, reliability='reliable', diagnostics_period_s=0.1).start()
    ros.publisher(Image, 'image', qos.sensor())

    ros.until(
        lambda: any('reliability' in s.message for d in rig.diagnostics for s in d.status),
        what='a diagnostic that names the policy',
    )


def test_every_output_names_a_reader_with_other_demands(ros, model, capfd):
    from rclpy.duration import Duration

    from edge_inference_ros.ros import qos

    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    ros.until(lambda: '' in rig.reports(': output'), what='a report without complaint')
    impossible = qos.output()
    impossible.deadline = Duration(nanoseconds=1)
    ours = {p.topic_name: p.msg_type for p in rig.node.publishers}
    deaf = {
        topic: kind
        for topic, kind in ours.items()
        if topic not in ('/rosout', '/parameter_events', '/camera_detector/transition_event')
    }
    assert len(deaf) == 8
    for topic, kind in deaf.items():
        ros.collect(kind, topic, impossible)

    for topic in deaf:
        words = f'{topic}: nothing reaches /test_helper, incompatible deadline'
        wait_for_report(rig, ': output', words)
    said = capfd.readouterr().err
    assert all(said.count(f'{topic}: nothing reaches') == 1 for topic in deaf)


def test_what_configure_made_is_let_go_at_cleanup(ros, model):
    rig = Rig(ros, model).start()
    made = [weakref.ref(rig.node._detections), weakref.ref(rig.node._overlay)]

    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    rig.node.trigger_configure()
    gc.collect()

    assert [ref() for ref in made] == [None, None]


def test_a_driver_that_sends_less_than_it_promised_is_not_called_loss(ros, model):
    rig = Rig(ros, model, expected_rate_hz=10.0, diagnostics_period_s=0.1).start()
    start_ns = rig.now_ns() - 5 * 10**9

    for i in range(12):
        rig.exchange(start_ns + i * 2 * 10**8)

    said = wait_for_report(rig, ': input', 'of 10.0 Hz')
    assert 'nothing was lost on the way: the driver sends no faster' in said


EVERY_33_MS, EVERY_66_MS = [33 * i for i in range(40)], [1320 + 66 * i for i in range(40)]


@pytest.mark.parametrize(
    ('stamps_ms', 'words'),
    [
        ([sum((33, 50)[n % 2] for n in range(i)) for i in range(60)], '/image at '),
        (EVERY_33_MS + EVERY_66_MS, 'the rate of /image changed from 30.3 to 15.2 Hz'),
        (EVERY_33_MS + EVERY_33_MS, 'stamps of /image went back by 1.3 s'),
    ],
    ids=['24 fps at 60 Hz', 'a longer exposure', 'a bag that starts over'],
)
def test_what_a_camera_does_is_said_and_nothing_is_missing(ros, model, stamps_ms, words):
    rig = Rig(ros, model, diagnostics_period_s=60.0).start()
    start_ns = rig.now_ns() - 8 * 10**9

    for stamp_ms in stamps_ms:
        rig.exchange(start_ns + stamp_ms * 10**6)
    ros.until(lambda: rig.tally.done == len(stamps_ms), what='the last count')
    rig.node._report()
    ros.until(lambda: rig.diagnostics, what='the report')

    latency, account = rig.diagnostics[-1].status[:2]
    assert account.message.startswith(words)
    assert {v.key: v.value for v in account.values}['missing_percent'] == '0.0'
    assert {v.key: v.value for v in latency.values}['miss_ratio'] == '0.000'


def test_the_report_says_which_share_of_the_frames_gave_nothing(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=60.0).start()
    rig.exchange(10**9)
    rig.send(2 * 10**9, step=7)
    ros.until(lambda: rig.tally.rejected, what='the rejection')
    rig.exchange(3 * 10**9)
    rig.exchange(4 * 10**9)
    ros.until(lambda: rig.tally.done == 3, what='the last count')

    rig.node._report()
    ros.until(lambda: rig.diagnostics, what='the report')
    rig.node._report()
    ros.until(lambda: len(rig.diagnostics) > 1, what='the report after it')

    first, second = (values(said) for said in rig.diagnostics)
    assert (first['done'], first['rejected'], first['miss_ratio']) == ('3', '1', '0.250')
    assert second['miss_ratio'] == 'n/a'
    # Three samples have a greatest, and say nothing yet about how often it is exceeded.
    assert [first[f'infer_{name}_ms'] for name in ('p50', 'p95', 'p99')] == ['n/a'] * 3
    assert float(first['infer_max_ms']) >= 0.0


def test_an_input_nobody_publishes_is_reported(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    ros.helper.destroy_publisher(rig.camera)

    ros.until(lambda: any('nobody publishes' in text for text in rig.reports(': input')))


def jpeg(stamp_s):
    import cv2
    from sensor_msgs.msg import CompressedImage

    _, data = cv2.imencode('.jpg', np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    msg = CompressedImage(format='jpeg', data=data.tobytes())
    msg.header.stamp.sec = stamp_s
    return msg


@pytest.mark.parametrize('transport', ['auto', 'compressed'])
def test_compressed_pictures_are_seen_too(ros, model, transport):
    from sensor_msgs.msg import CompressedImage

    rig = Rig(ros, model, kind=CompressedImage, transport=transport)
    rig.start()
    rig.camera.publish(jpeg(9))
    ros.until(lambda: rig.detections, what='detections')

    assert stamp_ns(rig.detections[0]) == 9 * 10**9


def test_a_camera_that_comes_later_and_compresses_is_seen_without_being_told(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    rig.exchange(7 * 10**9)
    ros.helper.destroy_publisher(rig.camera)
    ros.until(lambda: not rig.node.count_publishers('image'), what='the raw camera to go')

    ros.child('-c', COMPRESSING)

    ros.until(lambda: rig.detections and stamp_ns(rig.detections[-1]) == 9 * 10**9)


def test_the_wrong_transport_is_named_with_the_right_one(ros, model):
    rig = Rig(ros, model, transport='raw', diagnostics_period_s=0.1)
    ros.helper.destroy_publisher(rig.camera)
    ros.child('-c', COMPRESSING)
    ros.until(lambda: rig.node.count_publishers('image') == 1)
    rig.node.trigger_configure()
    rig.node.trigger_activate()

    said = wait_for_report(rig, ': input', 'it carries')
    assert said.endswith('CompressedImage: set the parameter transport to compressed or auto')


COMPRESSING = """
import cv2, numpy, rclpy
from sensor_msgs.msg import CompressedImage
rclpy.init()
node = rclpy.create_node('camera')
camera = node.create_publisher(CompressedImage, 'image', 1)
_, data = cv2.imencode('.jpg', numpy.zeros((%d, %d, 3), numpy.uint8))
msg = CompressedImage(format='jpeg', data=data.tobytes())
msg.header.stamp.sec = 9
node.create_timer(0.05, lambda: camera.publish(msg))
rclpy.spin(node)
""" % (HEIGHT_PX, WIDTH_PX)  # noqa: UP031 - braces would be doubled


def drive(ros, rig, v_mps):
    from nav_msgs.msg import Odometry

    odometer = ros.publisher(Odometry, 'odom', readers=1)
    msg = Odometry()
    msg.twist.twist.linear.x = v_mps
    odometer.publish(b'\0\1\0\0 no odometry')
    odometer.publish(msg)
    ros.until(lambda: rig.node._moving is (v_mps > 0.1), what='odometry')


def textured():
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    grey = (127 + 60 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint8)
    return array.array('B', np.repeat(grey, 3).tobytes())


@pytest.mark.parametrize(
    ('v_mps', 'data', 'words'),
    [
        (1.0, textured(), 'IMAGE_HEALTH FROZEN'),
        (0.0, textured(), ''),
        (0.0, array.array('B', bytes(3 * WIDTH_PX * HEIGHT_PX)), 'IMAGE_HEALTH BLACK'),
    ],
)
def test_pictures_that_can_show_nothing_are_warned_of(ros, model, v_mps, data, words):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    drive(ros, rig, v_mps)

    for _ in range(9):
        rig.exchange(rig.now_ns(), data=data)

    assert rig.latency[-1].status[0].message == words
    assert rig.latency[-1].status[0].level == (b'\x01' if words else b'\x00')
    before = len(rig.diagnostics)
    ros.until(lambda: len(rig.diagnostics) > before + 1, what='a report')
    assert rig.diagnostics[-1].status[0].message == words


def test_a_lost_picture_does_not_hide_that_the_others_show_nothing(ros, model):
    black = array.array('B', bytes(3 * WIDTH_PX * HEIGHT_PX))
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    for _ in range(9):
        rig.exchange(rig.now_ns(), data=black)

    rig.send(rig.now_ns(), step=7)

    def both():
        return any('IMAGE_HEALTH BLACK; 1 lost, the last to BadImage' in s
                   for s in rig.reports(': latency'))  # fmt: skip

    ros.until(both, what='a report of both')


def test_a_camera_that_does_not_suit_the_network_is_told_once(ros, model, capfd):
    rig = Rig(ros, model).start()
    wide = {'width': 4 * HEIGHT_PX, 'height': HEIGHT_PX, 'step': 12 * HEIGHT_PX}
    data = array.array('B', bytes(12 * HEIGHT_PX * HEIGHT_PX))

    for n in range(3):
        rig.exchange((n + 1) * 10**9, data=data, **wide)

    assert capfd.readouterr().err.count("of the network's input of") == 1


def test_the_remedy_for_a_missing_camera_is_not_the_nodes_own_overlay(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=0.1).start()
    ros.helper.destroy_publisher(rig.camera)

    ros.until(
        lambda: any('nobody publishes' in said for said in rig.reports(': input')),
        what='the camera to be missed',
    )

    assert not [said for said in rig.reports(': input') if 'overlay' in said]


def test_odometry_that_nobody_publishes_is_a_warning_of_what_goes_unnoticed(ros, model):
    from nav_msgs.msg import Odometry

    rig = Rig(ros, model, diagnostics_period_s=0.1).start()

    ros.until(lambda: rig.reports(': odom'), what='the row')
    assert 'nobody publishes /odom: a camera that shows one picture' in rig.reports(': odom')[0]

    ros.publisher(Odometry, 'odom')
    ros.until(lambda: not rig.reports(': odom')[-1], what='the odometry to be found')


def test_a_full_list_of_objects_names_the_parameter_that_widens_it(ros, model):
    rig = Rig(ros, model, diagnostics_period_s=0.1, max_detections=1).start()

    rig.exchange(1_000_000_000)
    ros.until(lambda: any('CROWDED' in said for said in rig.reports('latency')), what='the words')

    (said,) = {said for said in rig.reports('latency') if 'CROWDED' in said}
    assert said == (
        'CROWDED, objects may be left out:'
        ' 1 pictures of 1 objects or more: raise the parameter max_detections'
    )


def test_a_crowd_that_reaches_a_limit_is_counted_and_shown(ros, tmp_path):
    two = [[0, row, column, value] for column, x in ((5, 20.0), (6, 70.0))
           for row, value in enumerate((x, 24.0, 10.0, 12.0, 0.9))]  # fmt: skip
    folder = scripted_model(tmp_path / 'crowd', outputs={'output0': [two]})
    path = folder / 'manifest.yaml'
    path.write_text(path.read_text().replace('score_threshold: 0.5', 'candidates: 1'))
    rig = Rig(ros, folder, diagnostics_period_s=0.1).start()

    rig.exchange(1_000_000_000)
    ros.until(lambda: any('CROWDED' in said for said in rig.reports('latency')), what='the words')

    (said,) = {said for said in rig.reports('latency') if 'CROWDED' in said}
    assert '1 pictures of over 1 boxes: raise head.candidates' in said
    assert 'max_detections' not in said
    rows = [status for array in rig.diagnostics for status in array.status]
    last = [row for row in rows if row.name.endswith('latency')][-1]
    assert {v.key: v.value for v in last.values}['candidates_capped'] == '1'


def test_boxes_are_published_as_lines_over_the_picture_when_somebody_looks(ros, model):
    from visualization_msgs.msg import ImageMarker

    rig = Rig(ros, model).start()
    heard = ros.collect(ImageMarker, 'camera_detector/annotations')
    ros.until(lambda: rig.node.count_subscribers('camera_detector/annotations'), what='a viewer')
    rig.exchange(10**9)
    ros.until(lambda: heard, what='the boxes')

    (marker, *_) = heard
    assert stamp_ns(marker) == 10**9
    assert marker.type == ImageMarker.LINE_LIST
    assert len(marker.points) == 2 * len(marker.outline_colors) == 8
    corners = {(point.x, point.y) for point in marker.points}
    x1, y1, x2, y2 = BOX
    assert corners == {(x1, y1), (x2, y1), (x2, y2), (x1, y2)}


def test_what_is_lost_while_the_process_ends_is_not_told():
    from edge_inference_ros.nodes.detector import Detector

    ended = SimpleNamespace(
        context=SimpleNamespace(ok=lambda: False),
        _losses=SimpleNamespace(add=lambda _: True),
        get_logger=lambda: pytest.fail('it was told'),
    )

    Detector._lost(ended, RuntimeError("publisher's context is invalid"), (None, None))
