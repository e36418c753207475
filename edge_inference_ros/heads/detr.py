"""Reads logits and boxes of DETR and its descendants, in that order of the manifest's outputs.

Boxes are ``[1, queries, 4]`` centre x, centre y, width and height as fractions of the input. Every
query is at most one object, of its likeliest class, and no box suppresses another: these networks
are trained to answer each object once. Options: ``scores``, ``sigmoid`` for logits
``[1, queries, classes]`` (RT-DETR, D-FINE, Deformable DETR), ``probability`` for the same of a
network that ends with the sigmoid, or ``softmax`` for ``[1, queries, classes + 1]``, the last
being 'no object' (DETR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.core.scratch import Scratch
from edge_inference_ros.core.types import Candidates2D, Detections2D, Image, Tensors
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._boxes import BoxHead
from edge_inference_ros.heads._choose import Choice, best_classes, small_buffers
from edge_inference_ros.heads._fit import Fit

_EVERY: Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
    'sigmoid': lambda logits: 1 / (1 + np.exp(-logits)),
    'softmax': lambda logits: _softmax(logits)[:, :-1],
    'probability': np.copy,
}
"""(Q, C) probabilities of all classes, by the option ``scores``."""

BOXES = BoxPlace(output=1, axis=2, fraction=True)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    suppresses = False

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        super().__init__(manifest)
        options = _layout.options(manifest, {'scores': ('sigmoid', 'softmax', 'probability')})
        self._reading = options['scores']
        self._best = {
            'sigmoid': self._sigmoids,
            'softmax': self._softmaxes,
            'probability': self._probabilities,
        }[self._reading]
        self._classes = len(manifest.classes)
        queries, logits = _layout.ANY, self._classes + (self._reading == 'softmax')
        words = 'classes + 1' if self._reading == 'softmax' else 'classes'
        self._logits = _layout.output(
            manifest, outputs, index=0, shape=(1, queries, logits), words=f'[1, queries, {words}]'
        )
        self._boxes = _layout.output(
            manifest, outputs, index=1, shape=(1, queries, 4), words='[1, queries, 4]'
        )
        self.unit_px = _layout.unit_px(manifest.input, 'fraction')
        self._scores, self._powers = Scratch(np.float32), Scratch(np.float32)
        self._choose = Choice(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        logits, boxes = self._logits.read(outputs), self._boxes.read(outputs)
        with np.errstate(all='ignore'):
            scores = _EVERY[self._reading](logits)
        return Candidates2D(self._corners(boxes), scores, aligned=False)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        spec = self.spec
        logits, boxes = self._logits.read(outputs), self._boxes.read(outputs)
        # Infinities make infinities or NaN here, never a probability, and are dropped later.
        with np.errstate(all='ignore'):
            scores = self._best(logits)
            chosen = self._choose(scores, at_least=spec.score_threshold, count=spec.candidates)
        return self._detections(
            sample,
            fit,
            boxes=boxes[chosen],
            scores=scores[chosen],
            class_ids=best_classes(logits[:, : self._classes].T, chosen),
        )

    def _sigmoids(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(Q,) probability of the likeliest class. Borrowed."""
        best: NDArray[Any] = self._scores(len(logits))
        with small_buffers():
            np.max(logits, axis=1, out=best)
        best += best * 0  # an infinity becomes NaN, lest it count as certainty
        np.exp(np.negative(best, out=best), out=best)
        best += 1
        np.reciprocal(best, out=best)
        return best

    def _probabilities(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(Q,) probability of the likeliest class, as the network writes it. Borrowed."""
        best: NDArray[Any] = self._scores(len(scores))
        np.max(scores, axis=1, out=best)
        return best

    def _softmaxes(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(Q,) probability of the likeliest class, 'no object' aside. Borrowed."""
        best: NDArray[Any] = self._scores(len(logits))
        powers: NDArray[Any] = self._powers(*logits.shape)
        with small_buffers():
            np.max(logits, axis=1, out=best)
            np.subtract(logits, best[:, None], out=powers)
            np.exp(powers, out=powers)
            np.max(powers[:, :-1], axis=1, out=best)
            best /= powers.sum(axis=1)
        return best


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
