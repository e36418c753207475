"""From candidate boxes to detections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.boxes import Suppression, from_centres
from edge_inference_ros.core.manifest import HeadSpec
from edge_inference_ros.core.types import Crowding, Detections2D, Image
from edge_inference_ros.heads._fit import Fit

FURTHEST_PX = 1e6
"""A coordinate beyond this is not a box but a broken network; nothing in range overflows."""


class Finish:
    """Drops what is not a box in the picture, suppresses, sorts and maps back what is.

    Pictures in which ``max_detections`` was reached are counted in ``crowding``.
    """

    def __init__(self, crowding: Crowding | None = None) -> None:
        self.crowding = crowding or Crowding()
        self._suppression = Suppression()

    def __call__(
        self,
        image: Image,
        fit: Fit,
        spec: HeadSpec,
        *,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        class_ids: NDArray[np.int32],
        centred: bool = False,
        suppress: bool = True,
    ) -> Detections2D:
        """Make detections of candidates, at most ``spec.max_detections``.

        Args:
            image: the picture they were found in.
            fit: how it was shown to the network.
            spec: which boxes to keep.
            boxes: (N, 4) x1 y1 x2 y2 in the network's input; any values at all.
            scores: (N,) finite; above 1 counts as 1.
            class_ids: (N,) indices of classes.
            centred: the boxes are centre x, centre y, width, height instead.
            suppress: overlapping boxes are one object; not so if the network saw to that.
        """
        # One test refuses NaN, infinities and numbers large enough to overflow below.
        sane = np.flatnonzero((np.abs(boxes) <= FURTHEST_PX).all(axis=1))
        order = sane[np.argsort(-scores[sane], kind='stable')]
        boxes = boxes[order]
        if centred:
            boxes = from_centres(boxes)
        boxes_px = fit.undo(boxes)
        seen = np.flatnonzero((boxes_px[:, 2:] > boxes_px[:, :2]).all(axis=1))
        if suppress:
            ids = None if spec.class_agnostic else class_ids[order[seen]]
            seen = seen[
                self._suppression(
                    boxes[seen], ids, iou_threshold=spec.iou_threshold, limit=spec.max_detections
                )
            ]
        seen = seen[: spec.max_detections]
        self.crowding.detections += len(seen) == spec.max_detections
        chosen = order[seen]
        return Detections2D(
            image.origin, boxes_px[seen], np.minimum(scores[chosen], 1), class_ids[chosen]
        )
