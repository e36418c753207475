"""How much of a network's input a camera leaves empty, and what to do about it."""

from __future__ import annotations

import math

from edge_inference_ros.core.manifest import InputSpec

WORTH = 0.15
"""Less padding than this is not worth an export."""

STRIDE_PX = 32
"""Sides of networks with strides 8, 16 and 32 are multiples of it."""


def share(spec: InputSpec, *, width_px: int, height_px: int) -> float:
    """The part of the input, 0 to 1, that is padding around a picture of this size."""
    if spec.fit != 'letterbox':
        return 0.0
    wide, high = spec.width_px / width_px, spec.height_px / height_px
    return 1.0 - min(wide, high) / max(wide, high)


def advice(spec: InputSpec, *, width_px: int, height_px: int) -> str:
    """What the padding costs, and the export that needs none; empty while that is little."""
    part = share(spec, width_px=width_px, height_px=height_px)
    if part < WORTH:
        return ''
    scale = min(spec.width_px / width_px, spec.height_px / height_px)
    wide, high = (
        min(limit, math.ceil(round(side * scale, 3) / STRIDE_PX) * STRIDE_PX)
        for side, limit in ((width_px, spec.width_px), (height_px, spec.height_px))
    )
    words = (
        f"{part:.0%} of the network's input of {spec.width_px}x{spec.height_px} is padding around"
        f' pictures of {width_px}x{height_px}'
    )
    saved = 1.0 - wide * high / (spec.width_px * spec.height_px)
    if saved < WORTH:
        return ''
    return f'{words}: an export of {wide}x{high} sees the same and does {saved:.0%} less work'
