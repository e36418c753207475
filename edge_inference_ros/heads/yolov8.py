"""Reads ``[1, 4 + classes, boxes]``: YOLOv8, v9, v11 and our own small detectors.

A box is centre x, centre y, width and height in pixels of the input; a score is a probability.
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
from edge_inference_ros.heads._choose import Choice, best_classes
from edge_inference_ros.heads._fit import Fit

BOXES = BoxPlace(output=0, axis=1)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        super().__init__(manifest)
        _layout.options(manifest, {})
        self._output = _layout.output(
            manifest,
            outputs,
            index=0,
            shape=(1, 4 + len(manifest.classes), _layout.ANY),
            words='[1, 4 + classes, boxes]',
        )
        self._best = Scratch(np.float32)
        self._choose = Choice(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        return Candidates2D(self._corners(rows[:4].T), rows[4:].T.copy())

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        rows = self._output.read(outputs)
        scores = rows[4:]
        best: Any = self._best(rows.shape[1])
        np.max(scores, axis=0, out=best)
        chosen = self._choose(best, at_least=spec.score_threshold, count=spec.candidates)
        return self._detections(
            sample,
            fit,
            boxes=rows[:4, chosen].T,
            scores=best[chosen],
            class_ids=best_classes(scores, chosen),
        )
