"""The bytes we write are the message rclpy reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from edge_inference_ros.core.types import Detections2D, Origin, Tracked
from edge_inference_ros.ros.wire import Detections2DWriter, diagnostics

pytestmark = pytest.mark.ros

names = st.text(
    st.characters(codec='utf-8', exclude_characters='\0', exclude_categories=['Cs']), max_size=12
)
boxes = st.lists(st.floats(0, 4000, width=32), min_size=4, max_size=4)
rows = st.lists(
    st.tuples(boxes, st.floats(0, 1, width=32), st.integers(0, 2), st.integers(-1, 2**31 - 1)),
    max_size=12,
)


def tracked(rows, frame_id='camera', stamp_ns=5_000_000_007):
    origin = Origin(frame_id, stamp_ns, 0)
    return Tracked(
        Detections2D(
            origin,
            np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.int32),
        ),
        np.array([row[3] for row in rows], np.int32),
    )


def read(data, kind):
    from rclpy.serialization import deserialize_message

    return deserialize_message(data, kind)


@settings(max_examples=300, deadline=None)
@given(rows, st.lists(names, min_size=3, max_size=3), names, st.integers(0, 2**31 * 10**9 - 1))
def test_every_detection_array_reads_back_as_it_was(rows, classes, frame_id, stamp_ns):
    from vision_msgs.msg import Detection2DArray

    msg = read(Detections2DWriter(classes)(tracked(rows, frame_id, stamp_ns)), Detection2DArray)

    assert msg.header.frame_id == frame_id
    assert msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec == stamp_ns
    assert len(msg.detections) == len(rows)
    for detection, (box, score, class_id, track_id) in zip(msg.detections, rows, strict=True):
        (result,) = detection.results
        center, x1y1, x2y2 = detection.bbox.center, np.array(box[:2]), np.array(box[2:])
        assert detection.header == msg.header
        assert result.hypothesis.class_id == classes[class_id]
        assert result.hypothesis.score == score
        assert result.pose.pose.orientation.w == 1.0
        assert not result.pose.covariance.any()
        assert detection.id == ('' if track_id < 0 else str(track_id))
        assert_allclose([center.position.x, center.position.y], (x1y1 + x2y2) / 2, atol=1e-9)
        assert_allclose([detection.bbox.size_x, detection.bbox.size_y], x2y2 - x1y1, atol=1e-9)
        assert center.theta == 0.0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), names, names, names, st.dictionaries(names, names)),
        max_size=4,
    ),
    names,
)
def test_every_diagnostic_array_reads_back_as_it_was(rows, frame_id):
    from diagnostic_msgs.msg import DiagnosticArray

    msg = read(diagnostics(7_000_000_001, frame_id, rows), DiagnosticArray)

    assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == (7, 1)
    assert msg.header.frame_id == frame_id
    assert [
        (s.level[0], s.name, s.message, s.hardware_id, {v.key: v.value for v in s.values})
        for s in msg.status
    ] == rows
