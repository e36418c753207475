"""What every head of boxes does the same way; a head adds which rows it chooses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.boxes import from_centres
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.types import Crowding, Detections2D, Image, Tensors
from edge_inference_ros.heads._finish import Finish
from edge_inference_ros.heads._fit import Canvas, Fit


class BoxHead:
    """Prepares pictures, and makes detections of the boxes that a head has chosen.

    Attributes:
        spec: thresholds and limits; replace it as a whole to change them between frames.
        suppresses: overlapping boxes are one object here; False if the network saw to that.
        centred: boxes are centre x, centre y, width, height; else x1 y1 x2 y2.
        unit_px: (4,) pixels of the input in one unit of the network's boxes, or None for pixels.
        crowding: how often a limit was reached.
    """

    suppresses = True
    centred = True
    unit_px: NDArray[np.float32] | None = None

    def __init__(self, manifest: Manifest, *, corner: bool = False) -> None:
        self.spec = manifest.head
        self.crowding = Crowding()
        self._canvas = Canvas(manifest.input, corner=corner)
        self._finish = Finish(self.crowding)

    def prepare(self, sample: Image, inputs: Tensors) -> Fit:
        """Resize ``sample`` into the network's input."""
        return self._canvas.paint(sample, inputs)

    def _corners(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Every box as x1 y1 x2 y2 in pixels of the input. A new array."""
        boxes_px = boxes.copy() if self.unit_px is None else boxes * self.unit_px
        return from_centres(boxes_px) if self.centred else boxes_px

    def _detections(
        self,
        sample: Image,
        fit: Fit,
        *,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        class_ids: NDArray[np.int32],
    ) -> Detections2D:
        """Detections in the pixels of ``sample``, best first, of the boxes that were chosen."""
        if self.unit_px is not None:
            # What overflows is no box, and dropped.
            with np.errstate(over='ignore', invalid='ignore'):
                boxes = boxes * self.unit_px
        return self._finish(
            sample,
            fit,
            self.spec,
            boxes=boxes,
            scores=scores,
            class_ids=class_ids,
            centred=self.centred,
            suppress=self.suppresses,
        )
