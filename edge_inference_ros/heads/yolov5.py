"""Reads ``[1, boxes, 5 + classes]``: YOLOv5 and v7, decoded as they export themselves.

A box is centre x, centre y, width and height in pixels of the input, followed by its objectness
and the class scores given an object; all of them probabilities.
"""

from __future__ import annotations

from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.core.types import Candidates2D, Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._boxes import BoxHead
from edge_inference_ros.heads._fit import Fit
from edge_inference_ros.heads._objectness import ScoredRows

BOXES = BoxPlace(output=0, axis=2)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        super().__init__(manifest)
        _layout.options(manifest, {})
        self._output = _layout.output(
            manifest,
            outputs,
            index=0,
            shape=(1, _layout.ANY, 5 + len(manifest.classes)),
            words='[1, boxes, 5 + classes]',
        )
        self._choose = ScoredRows(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        scores, objectness = rows[:, 5:] * rows[:, 4:5], rows[:, 4].copy()
        return Candidates2D(self._corners(rows[:, :4]), scores, objectness=objectness)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        rows = self._output.read(outputs)
        chosen, scores, class_ids = self._choose(rows, self.spec)
        return self._detections(
            sample, fit, boxes=rows[chosen, :4], scores=scores, class_ids=class_ids
        )
