"""What a prediction says on the graph besides its detections."""

from __future__ import annotations

import array
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import LabelInfo, VisionClass
from visualization_msgs.msg import ImageMarker

from edge_inference_ros.core.lane import Tally
from edge_inference_ros.core.latency import WHOLE, Timing
from edge_inference_ros.core.types import NS_PER_S, Origin

MS = 1e-6
"""Milliseconds in a nanosecond."""

OK, WARN, ERROR, STALE = range(4)
"""diagnostic_msgs/DiagnosticStatus levels."""


def stamp_ns(header: Any) -> int:
    """A std_msgs/Header's stamp in nanoseconds."""
    return int(header.stamp.sec) * NS_PER_S + int(header.stamp.nanosec)


def stamp_words(header: Any) -> str:
    """A std_msgs/Header's stamp for people: as it came, where it is none that can be."""
    sec, nanosec = header.stamp.sec, header.stamp.nanosec
    return f'{sec}.{nanosec:09d}' if nanosec < NS_PER_S else f'{sec} s and {nanosec} ns'


def header_msg(origin: Origin) -> Header:
    """The header of everything derived from a sample: its own."""
    seconds, nanoseconds = divmod(origin.stamp_ns, NS_PER_S)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=origin.frame_id)


def latency_values(origin: Origin, timing: Timing, tally: Tally) -> dict[str, str]:
    """Where the time between light and message went, and what became of the other samples.

    Stages are milliseconds as decimal strings; they and ``transport`` add up to
    ``sensor_to_output``. A negative ``transport`` is a clock fault and is shown as one.
    """
    total_ns = origin.transport_ns + timing.total_ns
    return {
        WHOLE: f'{total_ns * MS:.3f}',
        'transport': f'{origin.transport_ns * MS:.3f}',
        **{stage: f'{lap_ns * MS:.3f}' for stage, lap_ns in timing.laps_ns},
        'received': str(tally.posted),
        'superseded': str(tally.superseded),
        'rejected': str(tally.rejected),
        'failed': str(tally.failed),
    }


def label_info(classes: Sequence[str], threshold: float) -> LabelInfo:
    """The names behind ``class_id``, for consumers that join late."""
    return LabelInfo(
        class_map=[VisionClass(class_id=i, class_name=name) for i, name in enumerate(classes)],
        threshold=threshold,
    )


def bgr_image(header: Any, pixels: NDArray[np.uint8]) -> ImageMsg:
    """``pixels`` (H, W, 3) bgr as a message with ``header``; one copy, the message owns it."""
    height, width, _ = pixels.shape
    msg = ImageMsg(header=header, height=height, width=width, encoding='bgr8', step=3 * width)
    # rclpy takes an array.array as it is; every other kind is copied byte by byte on some distros.
    msg.data = array.array('B', pixels.tobytes())
    return msg


def box_lines(
    header: Any,
    boxes_px: Sequence[Sequence[float]],
    colours: Sequence[tuple[int, int, int]],
    *,
    wide_px: float,
) -> ImageMarker:
    """Boxes over a picture as one marker that replaces the one before.

    Args:
        header: of the picture.
        boxes_px: x1 y1 x2 y2 of each.
        colours: b, g and r of each, 0 to 255.
        wide_px: of the lines.
    """
    msg = ImageMarker(header=header, ns='detections', type=ImageMarker.LINE_LIST, scale=wide_px)
    for (x1, y1, x2, y2), (blue, green, red) in zip(boxes_px, colours, strict=True):
        corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1))
        for line in pairwise(corners):
            msg.points += [Point(x=float(x), y=float(y)) for x, y in line]
        colour = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=1.0)
        msg.outline_colors += [colour] * 4
    return msg


def miss_ratio(tally: Tally, before: Tally, *, missing: float) -> str:
    """The share of the frames taken since ``before`` that gave no detections; n/a of none.

    A decimal from 0 to 1. Detections that came too late are in it at the watchdog only.

    Args:
        tally: what became of the samples so far.
        before: the same, when it was last asked.
        missing: the share of what was sent that never arrived.
    """
    done = tally.done - before.done
    lost = sum(
        getattr(tally, fate) - getattr(before, fate)
        for fate in ('superseded', 'rejected', 'failed')
    )
    return f'{1.0 - (1.0 - missing) * done / (done + lost):.3f}' if done + lost else 'n/a'


def rollup(quantiles: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Stage name and (p50, p95, p99, max) in milliseconds, as diagnostic values; NaN is n/a."""
    names = ('p50', 'p95', 'p99', 'max')
    return {
        f'{stage}_{name}_ms': 'n/a' if math.isnan(value) else f'{value:.3f}'
        for stage, values in quantiles.items()
        for name, value in zip(names, values, strict=True)
    }
