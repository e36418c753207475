"""Reads ``[1, 4 + classes, boxes]``: YOLOv8, v9, v11 and our own small detectors.

A box is centre x, centre y, width and height in pixels of the input; a score is a probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_inference_ros.core.boxes import from_centres
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Candidates2D, Crowding, Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._choose import Choice, best_classes
from edge_inference_ros.heads._finish import Finish
from edge_inference_ros.heads._fit import Canvas, Fit


class Head:
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        _layout.options(manifest, {})
        self.spec = manifest.head
        self._output = _layout.output(
            manifest,
            outputs,
            index=0,
            shape=(1, 4 + len(manifest.classes), _layout.ANY),
            words='[1, 4 + classes, boxes]',
        )
        self._canvas = Canvas(manifest.input)
        self._best = Scratch(np.float32)
        self.crowding = Crowding()
        self._choose, self._finish = Choice(self.crowding), Finish(self.crowding)

    def prepare(self, sample: Image, inputs: Tensors) -> Fit:
        """Resize ``sample`` into the network's input."""
        return self._canvas.paint(sample, inputs)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        return Candidates2D(from_centres(rows[:4].T), rows[4:].T.copy())

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        rows = self._output.read(outputs)
        scores = rows[4:]
        best: Any = self._best(rows.shape[1])
        np.max(scores, axis=0, out=best)
        chosen = self._choose(best, at_least=spec.score_threshold, count=spec.candidates)
        return self._finish(
            sample,
            fit,
            spec,
            boxes=rows[:4, chosen].T,
            scores=best[chosen],
            class_ids=best_classes(scores, chosen),
            centred=True,
        )
