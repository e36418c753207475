"""Making a camera's picture fit a network's input, and boxes fit the picture again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import boxes as boxes_
from edge_inference_ros.core.manifest import InputSpec
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import CHANNELS, Image, Tensors
from edge_inference_ros.errors import BadImage

PADDING = 114
"""The grey around a letterboxed picture: what YOLOX and Ultralytics networks are trained on."""

_CONVERSIONS = {
    ('bgr', 'rgb'): cv2.COLOR_BGR2RGB,
    ('rgb', 'bgr'): cv2.COLOR_RGB2BGR,
    ('bgra', 'rgb'): cv2.COLOR_BGRA2RGB,
    ('bgra', 'bgr'): cv2.COLOR_BGRA2BGR,
    ('rgba', 'rgb'): cv2.COLOR_RGBA2RGB,
    ('rgba', 'bgr'): cv2.COLOR_RGBA2BGR,
    ('mono', 'rgb'): cv2.COLOR_GRAY2RGB,
    ('mono', 'bgr'): cv2.COLOR_GRAY2BGR,
}


@dataclass(frozen=True, slots=True)
class Fit:
    """Where in the network's input a picture lies.

    Attributes:
        width_px, height_px: the camera's picture.
        left_px, top_px: its corner in the input.
        seen_width_px, seen_height_px: its size in the input.
    """

    width_px: int
    height_px: int
    left_px: int
    top_px: int
    seen_width_px: int
    seen_height_px: int

    def undo(self, boxes_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from the network's input back to the camera's picture.

        Args:
            boxes_px: (N, 4) x1 y1 x2 y2, pixels of the network's input.

        Returns:
            (N, 4) x1 y1 x2 y2, camera pixels, clipped to the picture. A new array.
        """
        corner = np.array((self.left_px, self.top_px) * 2, np.float32)
        growth = np.array(
            (self.width_px / self.seen_width_px, self.height_px / self.seen_height_px) * 2,
            np.float32,
        )
        seen = boxes_px - corner
        seen *= growth
        return boxes_.clip(seen, width=self.width_px, height=self.height_px)


def fit(spec: InputSpec, *, width_px: int, height_px: int, corner: bool = False) -> Fit:
    """Where ``spec`` wants a picture of this size.

    Args:
        spec: the network's input.
        width_px: of the camera's picture.
        height_px: of the camera's picture.
        corner: a letterboxed picture lies in the top left corner instead of the middle.

    Raises:
        BadImage: the picture has no pixels.
    """
    if width_px < 1 or height_px < 1:
        raise BadImage(f'a picture of {width_px}x{height_px} pixels; expected at least 1x1')
    if spec.fit == 'stretch':
        return Fit(width_px, height_px, 0, 0, spec.width_px, spec.height_px)
    scale = min(spec.width_px / width_px, spec.height_px / height_px)
    whole = int if spec.rounding == 'down' else round
    wide, high = max(1, whole(width_px * scale)), max(1, whole(height_px * scale))
    left, top = (0, 0) if corner else ((spec.width_px - wide) // 2, (spec.height_px - high) // 2)
    return Fit(width_px, height_px, left, top, wide, high)


class Canvas:
    """A network's input that pictures are painted on.

    Pictures are resized bilinearly. INTER_AREA, which would smooth more when shrinking, costs
    five times as much; networks trained on bilinear pictures lose nothing.
    The grey around a letterboxed picture is written when the geometry changes, not every frame.
    An odd whole factor, such as 1080p to 640 wide, takes single pixels: the same bytes, faster.
    Only the small picture's colours are converted. Nothing is allocated while sizes stay.
    """

    def __init__(self, spec: InputSpec, *, corner: bool = False) -> None:
        self._spec = spec
        self._corner = corner
        self._tables = None if spec.dtype == 'uint8' else _tables(spec)
        self._planes = (
            []
            if self._tables is None
            else [table.copy() for table in np.moveaxis(self._tables, 2, 0)]
        )
        self._resized = Scratch(np.uint8)
        self._coloured = Scratch(np.uint8)
        self._fit: Fit | None = None
        self._target: NDArray[np.generic] | None = None
        self._window: NDArray[Any] = np.empty(0)

    def paint(self, image: Image, inputs: Tensors) -> Fit:
        """Write ``image`` into the input tensor; return where it lies there."""
        height_px, width_px = image.pixels.shape[:2]
        target = inputs[self._spec.tensor]
        fit_ = self._fit
        if (
            fit_ is None
            or target is not self._target
            or (fit_.width_px, fit_.height_px) != (width_px, height_px)
        ):
            fit_ = self._lay_out(target, width_px=width_px, height_px=height_px)
        pixels = image.pixels if CHANNELS[image.order] > 1 else image.pixels[:, :, 0]
        if self._spec.layout == 'nchw':
            self._paint_planes(self._resize(pixels), image.order)
        elif self._tables is not None:
            coloured = self._coloured(*self._window.shape)
            self._paint_colours(pixels, image.order, coloured)
            cv2.LUT(coloured, self._tables, dst=self._window)
        else:
            self._paint_colours(pixels, image.order, self._window)
        return fit_

    def _lay_out(self, target: NDArray[np.generic], *, width_px: int, height_px: int) -> Fit:
        spec = self._spec
        placement = fit(spec, width_px=width_px, height_px=height_px, corner=self._corner)
        rows = slice(placement.top_px, placement.top_px + placement.seen_height_px)
        columns = slice(placement.left_px, placement.left_px + placement.seen_width_px)
        canvas: NDArray[Any] = target[0]
        if self._tables is not None and spec.dtype == 'float16':
            canvas = canvas.view(np.uint16)  # OpenCV's tables know 16 bits, not half floats
        grey = PADDING if self._tables is None else self._tables[0, PADDING]
        if spec.layout == 'nhwc':
            canvas[:], self._window = grey, canvas[rows, columns]
        else:
            canvas[:], self._window = np.reshape(grey, (-1, 1, 1)), canvas[:, rows, columns]
        self._fit, self._target = placement, target
        return placement

    def _resize(self, pixels: NDArray[Any], into: NDArray[Any] | None = None) -> NDArray[Any]:
        assert self._fit is not None  # noqa: S101 - _lay_out() ran before
        high, wide = self._fit.seen_height_px, self._fit.seen_width_px
        if pixels.shape[:2] == (high, wide):
            return pixels
        small = self._resized(high, wide, *pixels.shape[2:]) if into is None else into
        if every := _odd_factor(self._fit):
            middle = pixels[every // 2 :, every // 2 :]
            part = 1 / every
            cv2.resize(middle, None, dst=small, fx=part, fy=part, interpolation=cv2.INTER_NEAREST)
        else:
            cv2.resize(pixels, (wide, high), dst=small, interpolation=cv2.INTER_LINEAR)
        return small

    def _paint_colours(self, pixels: NDArray[Any], order: str, into: NDArray[Any]) -> None:
        if order != self._spec.order:
            # Not in place: OpenCV does not promise that, and two buffers measured no slower.
            cv2.cvtColor(self._resize(pixels), _CONVERSIONS[order, self._spec.order], dst=into)
        elif (small := self._resize(pixels, into)) is not into:
            np.copyto(into, small)

    def _paint_planes(self, small: NDArray[Any], order: str) -> None:
        for channel, colour in enumerate(self._spec.order):
            plane, window = small, self._window[channel]
            if order != 'mono':
                spare = window if self._tables is None else self._coloured(*window.shape)
                plane = cv2.extractChannel(small, order.index(colour), dst=spare)
            if self._tables is not None:
                cv2.LUT(plane, self._planes[channel], dst=window)
            elif order == 'mono':
                np.copyto(window, plane)


def _odd_factor(fit_: Fit) -> int:
    """By how much the picture shrinks if that is the same odd number both ways, otherwise 0.

    The middle of such a block of pixels is a pixel, to which bilinear interpolation gives all the
    weight: taking it gives the same bytes. 1080p for an input 640 wide is such a case.
    """
    factor, rest = divmod(fit_.width_px, fit_.seen_width_px)
    same = fit_.height_px == factor * fit_.seen_height_px
    return factor if same and not rest and factor % 2 else 0


def _tables(spec: InputSpec) -> NDArray[Any]:
    """(1, 256, 3) what each byte becomes in each channel; half floats as their bits."""
    pixel = np.arange(256, dtype=np.float64)[:, None]
    values = (pixel * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    table: NDArray[Any] = values.astype(spec.dtype)[None]
    return table.view(np.uint16) if spec.dtype == 'float16' else table
