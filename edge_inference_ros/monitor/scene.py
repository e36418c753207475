"""Puts what the graph says on one Rerun time line: pictures with boxes, clouds, ages, verdicts.

Messages are duck-typed, so those of rclpy and those of a recording are drawn alike. Whatever
names a sensor's frame hangs below that frame, so boxes lie on the picture they belong to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from edge_inference_ros.core import registry
from edge_inference_ros.core.latency import STAGES, WHOLE
from edge_inference_ros.core.types import NS_PER_S, Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import SampleError

TIMELINE = 'time'
JPEG_QUALITY = 80
_MODELS = {'rgb': 'RGB', 'bgr': 'BGR', 'rgba': 'RGBA', 'bgra': 'BGRA', 'mono': 'L'}
_PALETTE = ((255, 99, 72), (46, 213, 115), (30, 144, 255), (255, 165, 2), (162, 155, 254))
_LOUD = ('INFO', 'WARN', 'ERROR', 'ERROR')


class Scene:
    """Draws messages on ``stream``; ``unreadable`` counts those that could not be drawn."""

    def __init__(self, stream: rr.RecordingStream) -> None:
        self._stream = stream
        # Once: finding them walks over everything that is installed.
        self._image, self._points = (registry.load('sensors', name) for name in ('image', 'cloud'))
        self._first_ns: int | None = None
        self._said: dict[str, str] = {}
        self._draw: dict[str, Callable[[str, Any], None]] = {
            'sensor_msgs/msg/Image': self._picture,
            'sensor_msgs/msg/CompressedImage': self._compressed,
            'sensor_msgs/msg/PointCloud2': self._cloud,
            'vision_msgs/msg/Detection2DArray': self._boxes,
            'vision_msgs/msg/Detection3DArray': self._boxes_3d,
            'diagnostic_msgs/msg/DiagnosticArray': self._diagnostics,
            'nav_msgs/msg/Odometry': self._odometry,
            'nav2_msgs/msg/SpeedLimit': self._limit,
            'std_msgs/msg/Bool': self._lock,
        }
        self.drawn = self.unreadable = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Message types that can be drawn."""
        return tuple(self._draw)

    def add(self, topic: str, kind: str, msg: Any) -> None:
        """Draw one message at the time of its header, or of the one before if it has none."""
        if (header := getattr(msg, 'header', None)) is not None:
            self._at(int(header.stamp.sec) * NS_PER_S + int(header.stamp.nanosec))
        try:
            self._draw[kind](topic, msg)
            self.drawn += 1
        except SampleError as error:
            self.unreadable += 1
            self._say(f'{topic} unreadable', str(error), 2)

    def _at(self, stamp_ns: int) -> None:
        if self._first_ns is None and stamp_ns:
            self._first_ns = stamp_ns
        seconds = (stamp_ns - (self._first_ns or 0)) / NS_PER_S
        self._stream.set_time(TIMELINE, duration=seconds)

    def _picture(self, _topic: str, msg: Any) -> None:
        image: Image = self._image.view(msg, _origin(msg))
        pixels = np.ascontiguousarray(image.pixels)
        drawn = rr.Image(pixels.squeeze(), color_model=_MODELS[image.order])
        entity = f'cameras/{_frame(msg)}'
        self._stream.log(
            entity, drawn.compress(JPEG_QUALITY) if image.order in ('rgb', 'bgr') else drawn
        )

    def _compressed(self, _topic: str, msg: Any) -> None:
        media = 'image/png' if 'png' in msg.format else 'image/jpeg'
        data = np.frombuffer(bytes(msg.data), np.uint8)
        self._stream.log(
            f'cameras/{_frame(msg)}', rr.EncodedImage(contents=data, media_type=media)
        )

    def _boxes(self, topic: str, msg: Any) -> None:
        found = msg.detections
        boxes = [
            (d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x, d.bbox.size_y)
            for d in found
        ]
        self._stream.log(
            f'cameras/{_frame(msg)}/{_leaf(topic)}',
            rr.Boxes2D(
                array=np.array(boxes, np.float32).reshape(-1, 4),
                array_format=rr.Box2DFormat.XCYCWH,
                labels=[_label(d) for d in found],
                colors=[_colour(_label(d)) for d in found],
            ),
        )

    def _boxes_3d(self, topic: str, msg: Any) -> None:
        boxes = [d.bbox for d in msg.detections]
        self._stream.log(
            f'world/{_frame(msg)}/{_leaf(topic)}',
            rr.Boxes3D(
                centers=[_xyz(box.center.position) for box in boxes],
                sizes=[_xyz(box.size) for box in boxes],
                quaternions=[
                    rr.Quaternion(xyzw=[q.x, q.y, q.z, q.w])
                    for q in (box.center.orientation for box in boxes)
                ],
                labels=[_label(d) for d in msg.detections],
            ),
        )

    def _cloud(self, topic: str, msg: Any) -> None:
        points = self._points.xyz(self._points.view(msg, _origin(msg)))
        self._stream.log(f'world/{_frame(msg)}/{_leaf(topic)}', rr.Points3D(points, radii=0.02))

    def _diagnostics(self, topic: str, msg: Any) -> None:
        last = topic.rpartition('/')[2]
        if last == 'latency':
            self._latency(topic, msg)
        elif last == 'freshness':
            self._freshness(topic, msg)
        else:
            for status in msg.status:
                self._say(status.name, status.message, _level(status))

    def _latency(self, topic: str, msg: Any) -> None:
        for status in msg.status:
            values = _numbers(status)
            for stage in (WHOLE, *STAGES):
                if stage in values:
                    self._stream.log(
                        f'stages_ms/{_place(topic)}{stage}', rr.Scalars(values[stage])
                    )
            self._say(status.name, status.message, _level(status))

    def _freshness(self, topic: str, msg: Any) -> None:
        for status in msg.status:
            values = _numbers(status)
            for name in ('age_ms', 'deadline_ms'):
                if name in values:
                    entity = f'age/{_place(topic)}{status.name}/{name}'
                    self._stream.log(entity, rr.Scalars(values[name]))
            if 'v_assumed_mps' in values:
                self._stream.log('speed_mps/assumed', rr.Scalars(values['v_assumed_mps']))
            self._say(f'{_place(topic)}{status.name}', status.message, _level(status))

    def _odometry(self, _topic: str, msg: Any) -> None:
        linear = msg.twist.twist.linear
        self._stream.log('speed_mps/odometry', rr.Scalars(float(np.hypot(linear.x, linear.y))))

    def _limit(self, _topic: str, msg: Any) -> None:
        if not msg.percentage:
            self._stream.log('speed_mps/limit', rr.Scalars(float(msg.speed_limit)))

    def _lock(self, topic: str, msg: Any) -> None:
        if topic.rpartition('/')[2] == 'lock':
            word, level = ('locked', 2) if msg.data else ('unlocked', 0)
            self._say(topic, word, level)

    def _say(self, name: str, words: str, level: int) -> None:
        """A line in the log when the words change; a state that lasts is said once."""
        if words != self._said.get(name, ''):
            self._said[name] = words
            text = f'{name}: {words or "all is well again"}'
            self._stream.log('log', rr.TextLog(text, level=_LOUD[min(level, 3)]))


def layout() -> rrb.Blueprint:
    """Pictures and space above; age against deadline, stages and speed below; the log beside."""
    plots = rrb.Horizontal(
        rrb.TimeSeriesView(origin='age', name='age against deadline, ms'),
        rrb.TimeSeriesView(origin='stages_ms', name='stages, ms'),
        rrb.TimeSeriesView(origin='speed_mps', name='speed and limit, m/s'),
    )
    above = rrb.Horizontal(
        rrb.Spatial2DView(origin='cameras', contents='cameras/**', name='cameras'),
        rrb.Tabs(
            rrb.TextLogView(origin='log', name='what changed'),
            rrb.Spatial3DView(origin='world', name='world'),
        ),
        column_shares=[3, 2],
    )
    return rrb.Blueprint(
        rrb.Vertical(above, plots, row_shares=[3, 2]),
        rrb.SelectionPanel(state='hidden'),
        rrb.BlueprintPanel(state='hidden'),
    )


def _origin(msg: Any) -> Origin:
    return Origin(msg.header.frame_id, RosNs(0), MonoNs(0))


def _frame(msg: Any) -> str:
    return msg.header.frame_id.strip('/') or 'unnamed'


def _leaf(topic: str) -> str:
    return topic.strip('/').replace('/', '_')


def _place(topic: str) -> str:
    """The namespace of a topic as the front of an entity path."""
    namespace = topic.strip('/').rpartition('/')[0]
    return f'{namespace}/' if namespace else ''


def _label(detection: Any) -> str:
    best = max(detection.results, key=lambda r: r.hypothesis.score, default=None)
    if best is None:
        return str(detection.id)
    words = f'{best.hypothesis.class_id} {best.hypothesis.score:.2f}'
    return f'{words} #{detection.id}' if detection.id else words


def _colour(label: str) -> tuple[int, int, int]:
    name = label.partition(' ')[0]
    return _PALETTE[sum(name.encode()) % len(_PALETTE)]


def _xyz(vector: Any) -> tuple[float, float, float]:
    return float(vector.x), float(vector.y), float(vector.z)


def _level(status: Any) -> int:
    level = status.level
    return level[0] if isinstance(level, bytes) else int(level)


def _numbers(status: Any) -> dict[str, float]:
    numbers = {}
    for item in status.values:
        with contextlib.suppress(ValueError):
            numbers[item.key] = float(item.value)
    return numbers
