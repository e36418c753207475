"""Small recordings, made on the spot."""

from __future__ import annotations

import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from edge_inference_ros.replay import definitions

IMAGE = 'sensor_msgs/msg/Image'
DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
RELIABLE = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    QosTime(0, 0),
    QosTime(0, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(0, 0),
    avoid_ros_namespace_conventions=False,
)
SECOND_NS = 1_000_000_000
FIRST_NS = 1_700_000_000 * SECOND_NS


def make(kind, *values):
    """A message of ``kind`` for the bag library."""
    return definitions.typestore().types[kind](*values)


def header(stamp_ns, frame_id='camera'):
    """A std_msgs/Header."""
    stamp = make('builtin_interfaces/msg/Time', *divmod(stamp_ns, SECOND_NS))
    return make('std_msgs/msg/Header', stamp, frame_id)


def image(stamp_ns, *, height=4, width=6, value=0):
    """A serialised bgr8 picture of one grey."""
    pixels = np.full(height * width * 3, value, np.uint8)
    msg = make(IMAGE, header(stamp_ns), height, width, 'bgr8', 0, 3 * width, pixels)
    return definitions.encode(IMAGE, msg)


def diagnostics(stamp_ns, rows):
    """A serialised DiagnosticArray; ``rows`` map a status' name to its values."""
    status = [
        make(
            'diagnostic_msgs/msg/DiagnosticStatus', 0, name, '', '',
            [make('diagnostic_msgs/msg/KeyValue', k, str(v)) for k, v in values.items()],
        )
        for name, values in rows.items()
    ]  # fmt: skip
    return definitions.encode(DIAGNOSTICS, make(DIAGNOSTICS, header(stamp_ns), status))


def detections(stamp_ns, boxes):
    """A serialised Detection2DArray; ``boxes`` are (x1, y1, x2, y2, class, score)."""
    rows = []
    for x1, y1, x2, y2, name, score in boxes:
        centre = make('vision_msgs/msg/Point2D', (x1 + x2) / 2, (y1 + y2) / 2)
        pose = make('vision_msgs/msg/Pose2D', centre, 0.0)
        box = make('vision_msgs/msg/BoundingBox2D', pose, x2 - x1, y2 - y1)
        said = make('vision_msgs/msg/ObjectHypothesis', name, score)
        where = make(
            'geometry_msgs/msg/PoseWithCovariance',
            make(
                'geometry_msgs/msg/Pose',
                make('geometry_msgs/msg/Point', 0.0, 0.0, 0.0),
                make('geometry_msgs/msg/Quaternion', 0.0, 0.0, 0.0, 1.0),
            ),
            np.zeros(36),
        )
        result = make('vision_msgs/msg/ObjectHypothesisWithPose', said, where)
        rows.append(make('vision_msgs/msg/Detection2D', header(stamp_ns), [result], box, '7'))
    return definitions.encode(DETECTIONS, make(DETECTIONS, header(stamp_ns), rows))


def write(folder, messages, *, storage='mcap', compression=None, reliable=False):  # noqa: D417
    """Write ``(topic, msgtype, time_ns, bytes)`` rows as a bag at ``folder``.

    Args:
        messages: a topic without messages is written by a row whose bytes are None.
        compression: None, 'file', 'message' or 'storage'.
        reliable: say that the topics were published reliably.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    writer = Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    connections = {}
    with writer:
        for topic, msgtype, time_ns, data in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic,
                    msgtype,
                    typestore=definitions.typestore(),
                    offered_qos_profiles=[RELIABLE] if reliable else [],
                )
            if data is not None:
                writer.write(connections[topic], time_ns, data)
    return folder


def pictures(folder, count=5, *, period_ns=SECOND_NS // 10, topic='/image', **options):
    """A bag of ``count`` pictures, recorded 2 ms after they were taken."""
    stamps = [FIRST_NS + i * period_ns for i in range(count)]
    rows = [
        (topic, IMAGE, ns + 2_000_000, image(ns, value=i % 256)) for i, ns in enumerate(stamps)
    ]
    return write(folder, rows, **options)
