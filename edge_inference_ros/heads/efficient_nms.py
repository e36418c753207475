"""Reads the four outputs of TensorRT's EfficientNMS plug-in, in the order of the manifest.

How many boxes ``[1, 1]``, boxes ``[1, most, 4]`` x1 y1 x2 y2, scores ``[1, most]`` and classes
``[1, most]``. Suppression has happened in the network. Options: ``unit`` of the boxes, ``px`` of
the input or ``fraction`` of it.
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

BOXES = BoxPlace(output=1, axis=2, centred=False)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    suppresses = False
    centred = False

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        super().__init__(manifest)
        options = _layout.options(manifest, {'unit': ('px', 'fraction')})
        self.unit_px = _layout.unit_px(manifest.input, options['unit'])
        self._classes = len(manifest.classes)
        most = _layout.ANY
        self._count, self._boxes, self._scores, self._class_ids = (
            _layout.output(manifest, outputs, index=index, shape=shape, words=words)
            for index, (shape, words) in enumerate(
                (
                    ((1, 1), '[1, 1], how many boxes'),
                    ((1, most, 4), '[1, most, 4], boxes'),
                    ((1, most), '[1, most], scores'),
                    ((1, most), '[1, most], classes'),
                )
            )
        )
        self._choose = Choice(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        count = self._rows(outputs)
        boxes, scores = self._boxes.read(outputs), self._scores.read(outputs)
        return Candidates2D(
            self._corners(boxes[:count]),
            scores[:count, None].copy(),
            self._class_ids.read(outputs)[:count].copy(),
            aligned=False,
        )

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        boxes, scores = self._boxes.read(outputs), self._scores.read(outputs)
        class_ids = self._class_ids.read(outputs)
        chosen = self._choose(
            scores[: self._rows(outputs)], at_least=spec.score_threshold, count=spec.candidates
        )
        chosen = chosen[valid_classes(class_ids[chosen], self._classes)]
        return self._detections(
            sample,
            fit,
            boxes=boxes[chosen],
            scores=scores[chosen],
            class_ids=class_ids[chosen].astype(np.int32),
        )

    def _rows(self, outputs: Tensors) -> int:
        """How many rows hold a box."""
        most = len(self._scores.read(outputs))
        return int(np.nan_to_num(np.clip(self._count.read(outputs)[0], 0, most)))
