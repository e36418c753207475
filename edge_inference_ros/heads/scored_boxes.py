"""Reads ``[1, boxes, 4 + classes]``: boxes in rows, each followed by a score for every class.

Ultralytics' RT-DETR writes centre x, centre y, width and height as fractions of a stretched
picture, and answers each object once. A YOLOv8 whose exporter put the boxes first writes pixels
and overlapping boxes. Scores are probabilities. Options: ``unit`` of the boxes, ``px`` of the
input or ``fraction`` of it; ``box``, its ``centre`` and sides or its ``corners`` x1 y1 x2 y2;
``suppression``, ``needed`` or ``done`` in the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Candidates2D, Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._boxes import BoxHead
from edge_inference_ros.heads._choose import Choice, best_classes, small_buffers
from edge_inference_ros.heads._fit import Fit

OPTIONS = {
    'unit': ('px', 'fraction'),
    'box': ('centre', 'corners'),
    'suppression': ('needed', 'done'),
}

BOXES = BoxPlace(output=0, axis=2)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        options = _layout.options(manifest, OPTIONS)
        super().__init__(manifest)
        self.centred = options['box'] == 'centre'
        self.suppresses = options['suppression'] == 'needed'
        self.unit_px = _layout.unit_px(manifest.input, options['unit'])
        self._output = _layout.output(
            manifest,
            outputs,
            index=0,
            shape=(1, _layout.ANY, 4 + len(manifest.classes)),
            words='[1, boxes, 4 + classes]',
        )
        self._best = Scratch(np.float32)
        self._choose = Choice(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        boxes_px = self._corners(rows[:, :4])
        return Candidates2D(boxes_px, rows[:, 4:].copy(), aligned=self.suppresses)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        rows = self._output.read(outputs)
        scores = rows[:, 4:]
        best: Any = self._best(len(rows))
        with small_buffers():
            np.max(scores, axis=1, out=best)
        chosen = self._choose(best, at_least=spec.score_threshold, count=spec.candidates)
        return self._detections(
            sample,
            fit,
            boxes=rows[chosen, :4],
            scores=best[chosen],
            class_ids=best_classes(scores.T, chosen),
        )
