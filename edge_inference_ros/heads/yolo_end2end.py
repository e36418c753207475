"""Reads ``[1, boxes, 6]`` of networks that choose their boxes themselves: YOLOv10, YOLO26.

A row is x1 y1 x2 y2 in pixels of the input, a probability and a class. These networks answer each
object once, so no box suppresses another here.
"""

from __future__ import annotations

import numpy as np

from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.types import Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._choose import Choice, valid_classes
from edge_inference_ros.heads._finish import Finish
from edge_inference_ros.heads._fit import Canvas, Fit


class Head:
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        _layout.options(manifest, {})
        self.spec = manifest.head
        self._classes = len(manifest.classes)
        self._output = _layout.output(
            manifest, outputs, index=0, shape=(1, _layout.ANY, 6), words='[1, boxes, 6]'
        )
        self._canvas = Canvas(manifest.input)
        self._choose, self._finish = Choice(), Finish()

    def prepare(self, sample: Image, inputs: Tensors) -> Fit:
        """Resize ``sample`` into the network's input."""
        return self._canvas.paint(sample, inputs)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        rows = self._output.read(outputs)
        chosen = self._choose(rows[:, 4], at_least=spec.score_threshold, count=spec.candidates)
        chosen = chosen[valid_classes(rows[chosen, 5], self._classes)]
        return self._finish(
            sample,
            fit,
            spec,
            boxes=rows[chosen, :4],
            scores=rows[chosen, 4],
            class_ids=rows[chosen, 5].astype(np.int32),
            suppress=False,
        )
