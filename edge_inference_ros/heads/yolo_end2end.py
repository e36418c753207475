"""Reads ``[1, boxes, 6]`` rows of a box, a probability and a class.

YOLOv10, YOLO26 and exports that hold their own suppression answer each object once, so no box
suppresses another here. Options: ``unit`` of the boxes, ``px`` of the input or ``fraction`` of
it; ``box``, its ``corners`` x1 y1 x2 y2 or its ``centre`` and sides, as Ultralytics writes those
of RT-DETR; ``suppression``, ``needed`` where the network leaves overlapping boxes of one object to
whoever reads it, as exports for DeepStream do.
"""

from __future__ import annotations

import numpy as np

from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.core.types import Candidates2D, Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._boxes import BoxHead
from edge_inference_ros.heads._choose import Choice, valid_classes
from edge_inference_ros.heads._fit import Fit

BOXES = BoxPlace(output=0, axis=2, centred=False)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        options = _layout.options(
            manifest,
            {
                'unit': ('px', 'fraction'),
                'box': ('corners', 'centre'),
                'suppression': ('done', 'needed'),
            },
        )
        super().__init__(manifest)
        self.centred = options['box'] == 'centre'
        self.suppresses = options['suppression'] == 'needed'
        self.unit_px = _layout.unit_px(manifest.input, options['unit'])
        self._classes = len(manifest.classes)
        self._output = _layout.output(
            manifest, outputs, index=0, shape=(1, _layout.ANY, 6), words='[1, boxes, 6]'
        )
        self._choose = Choice(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        boxes_px = self._corners(rows[:, :4])
        return Candidates2D(boxes_px, rows[:, 4:5].copy(), rows[:, 5].copy(), aligned=False)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        rows = self._output.read(outputs)
        chosen = self._choose(rows[:, 4], at_least=spec.score_threshold, count=spec.candidates)
        chosen = chosen[valid_classes(rows[chosen, 5], self._classes)]
        return self._detections(
            sample,
            fit,
            boxes=rows[chosen, :4],
            scores=rows[chosen, 4],
            class_ids=rows[chosen, 5].astype(np.int32),
        )
