import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core.protocols import TrackSettings
from edge_inference_ros.core.types import Detections2D, MonoNs, Origin, RosNs
from edge_inference_ros.trackers import sort
from edge_inference_ros.trackers.sort import Tracker

S = 1_000_000_000
FRAME_NS = S // 20


def found(boxes, class_ids=None):
    boxes = np.reshape(np.array(boxes, np.float32), (-1, 4))
    count = len(boxes)
    return Detections2D(
        Origin('camera', RosNs(0), MonoNs(0)),
        boxes,
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.array(class_ids if class_ids is not None else [0] * count, np.int32),
    )


def box(x, y, size=40):
    return [x, y, x + size, y + size]


def seen(tracker, frames, *, start_ns=S, step_ns=FRAME_NS):
    """The ids of every frame."""
    return [
        tracker.update(found(*frame), RosNs(start_ns + i * step_ns)).ids.tolist()
        for i, frame in enumerate(frames)
    ]


def test_an_object_has_a_name_from_the_second_time_on():
    assert seen(Tracker(), [([box(10, 10)],)] * 3) == [[-1], [0], [0]]


def test_two_objects_that_change_places_in_the_list_keep_their_names():
    a, b = box(10, 10), box(200, 10)

    assert seen(Tracker(), [([a, b],), ([a, b],), ([b, a],)]) == [[-1, -1], [0, 1], [1, 0]]


def test_two_objects_that_cross_keep_their_names_because_they_keep_their_velocity():
    frames = [([box(10 + 12 * i, 10), box(250 - 12 * i, 30)],) for i in range(21)]

    assert seen(Tracker(), frames)[2:] == [[0, 1]] * 19


def test_a_fast_object_is_followed_through_frames_that_were_dropped():
    tracker = Tracker()
    speed_pxps = 300  # two and a half times its own width in the gap below

    for i in range(10):
        tracker.update(found([box(speed_pxps * i / 20, 0)]), RosNs(i * FRAME_NS))
    ids = tracker.update(found([box(speed_pxps * 0.8, 0)]), RosNs(8 * S // 10)).ids

    assert ids.tolist() == [0]


def test_an_object_of_another_class_is_another_object():
    frames = [([box(10, 10)], [0]), ([box(10, 10)], [0]), ([box(10, 10)], [1])]

    assert seen(Tracker(), frames) == [[-1], [0], [-1]]


def test_an_object_missed_for_a_while_keeps_its_name_and_then_loses_it():
    here, nothing = ([box(10, 10)],), ([],)
    frames = [here, here, *[nothing] * 9, here, *[nothing] * 11, here, here]

    ids = seen(Tracker(TrackSettings(track_coast_s=0.5)), frames)

    assert ids[11] == [0]
    assert ids[-2:] == [[-1], [1]]


def test_something_seen_once_is_forgotten_at_once():
    here, nothing = ([box(10, 10)],), ([],)

    assert seen(Tracker(), [here, nothing, here, nothing, here])[::2] == [[-1]] * 3


def test_time_that_goes_back_forgets_objects_and_does_not_reuse_names():
    tracker = Tracker()
    frames = [([box(10, 10)],)] * 3

    assert seen(tracker, frames, start_ns=100 * S) == [[-1], [0], [0]]
    assert seen(tracker, frames, start_ns=5 * S) == [[-1], [1], [1]]


@pytest.mark.parametrize('order', [[0, 1, 3, 2, 4, 5], [0, 1, 2, 5, 4, 3, 6, 7]])
def test_frames_that_come_in_the_wrong_order_cost_no_names(order):
    tracker = Tracker()
    frames = [found([box(10 + 60 * n + 3 * i, 10) for n in range(7)]) for i in range(8)]

    ids = [tracker.update(frames[i], RosNs(S + i * FRAME_NS)).ids.tolist() for i in order]

    assert ids[0] == [-1] * 7
    assert ids[1:] == [list(range(7))] * (len(order) - 1)


def test_a_late_frame_teaches_nothing():
    tracker, twin = Tracker(), Tracker()
    for i in (0, 1, 2, 4):
        frame = found([box(10 + 5 * i, 10)])
        tracker.update(frame, RosNs(S + i * FRAME_NS))
        twin.update(frame, RosNs(S + i * FRAME_NS))

    tracker.update(found([box(25, 10), box(400, 10)]), RosNs(S + 3 * FRAME_NS))

    np.testing.assert_array_equal(tracker._tracks.motion, twin._tracks.motion)


def test_a_frame_from_before_the_tolerated_lateness_is_another_time():
    tracker = Tracker(TrackSettings(track_late_frames=3))
    frame = found([box(10, 10)])
    for i in range(10):
        tracker.update(frame, RosNs(S + i * FRAME_NS))

    assert tracker.update(frame, RosNs(S + 6 * FRAME_NS)).ids.tolist() == [0]
    assert tracker.update(frame, RosNs(S + 5 * FRAME_NS)).ids.tolist() == [-1]


@pytest.mark.parametrize('hz', [0.25, 0.5, 1, 1.9, 5, 60])
def test_the_rate_decides_how_long_a_name_is_kept(hz):
    step_ns = round(S / hz)
    here, nothing = ([box(10, 10)],), ([],)
    settings = TrackSettings(track_coast_s=0.0, track_coast_frames=3)
    frames = [here, here, here, nothing, nothing, here, nothing, nothing, nothing, here]

    ids = seen(Tracker(settings), frames, step_ns=step_ns)

    assert ids == [[-1], [0], [0], [], [], [0], [], [], [], [-1]]


def test_a_pause_does_not_make_the_names_of_a_fast_camera_last_longer():
    tracker = Tracker()
    frame = found([box(10, 10)])
    for i in range(20):
        tracker.update(frame, RosNs(S + i * FRAME_NS))

    assert tracker.update(frame, RosNs(40 * S)).ids.tolist() == [-1]


def test_how_often_an_object_must_be_found_is_a_setting():
    settings = TrackSettings(track_confirmed_after=4)

    assert seen(Tracker(settings), [([box(10, 10)],)] * 5) == [[-1], [-1], [-1], [0], [0]]


def test_how_alike_boxes_must_be_is_a_setting():
    frames = [([box(10, 10)],), ([box(10, 10)],), ([box(20, 10)],)]

    assert seen(Tracker(TrackSettings(track_least_iou=0.9)), frames)[-1] == [-1]
    assert seen(Tracker(TrackSettings(track_least_iou=0.1)), frames)[-1] == [0]


def test_the_same_stamp_twice_moves_nothing():
    assert seen(Tracker(), [([box(10, 10)],)] * 3, step_ns=0) == [[-1], [0], [0]]


def test_only_so_many_objects_are_followed_and_the_best_ones_first():
    boxes = [box(50 * (i % 20), 50 * (i // 20)) for i in range(400)]
    tracker = Tracker()

    _, ids = seen(tracker, [(boxes,), (boxes,)])

    assert ids == [*range(sort.MOST_TRACKS), *[-1] * (400 - sort.MOST_TRACKS)]


def test_a_steady_velocity_is_learned():
    tracker = Tracker()
    for i in range(40):
        tracker.update(found([box(5 * i, 10)]), RosNs(i * FRAME_NS))

    (motion,) = tracker._tracks.motion
    assert motion[0, sort._VELOCITY] == pytest.approx(100, rel=0.02)
    assert motion[1:, sort._VELOCITY] == pytest.approx(0, abs=1)


def test_the_filter_equals_the_textbook_matrices():
    rng = np.random.default_rng(0)
    tracks = sort._Tracks.born(np.array([[50.0, 60, 40, 40]]), np.zeros(1, np.int32), 0)
    mean, covariance = np.array([50.0, 0]), np.diag([(0.05 * 40) ** 2, (2.0 * 40) ** 2])

    for step_s in (0.05, 0.1, 0.033):
        size = np.sqrt(np.prod(tracks.motion[0, 2:, 0]))
        move = np.array([[1, step_s], [0, 1]])
        unrest = (2.0 * size) ** 2 * np.array(
            [[step_s**3 / 3, step_s**2 / 2], [step_s**2 / 2, step_s]]
        )
        mean, covariance = move @ mean, move @ covariance @ move.T + unrest
        tracks.predict(step_s)
        x = 50 + rng.normal(0, 2)
        gain = covariance[:, 0] / (covariance[0, 0] + (0.05 * 40) ** 2)
        mean = mean + gain * (x - mean[0])
        covariance = covariance - np.outer(gain, covariance[0])
        tracks.correct(np.array([0]), np.array([[x, 60, 40, 40]]), 0)

        expected = [*mean, covariance[0, 0], covariance[0, 1], covariance[1, 1]]
        np.testing.assert_allclose(tracks.motion[0, 0], expected, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_names_are_unique_in_a_frame_and_tracks_are_bounded(seed):
    rng = np.random.default_rng(seed)
    tracker, now_ns = Tracker(), S

    for _ in range(12):
        corner = rng.uniform(0, 300, (rng.integers(0, 120), 2))
        boxes = np.hstack((corner, corner + rng.uniform(0.01, 80, corner.shape)))
        now_ns += int(rng.choice([0, FRAME_NS, 3 * S, -S // 2, -60 * S]))
        tracked = tracker.update(found(boxes, rng.integers(0, 3, len(boxes))), RosNs(now_ns))

        named = tracked.ids[tracked.ids >= 0]
        assert len(set(named.tolist())) == len(named)
        assert len(tracker._tracks.ids) <= sort.MOST_TRACKS
        assert np.isfinite(tracker._tracks.motion).all()
