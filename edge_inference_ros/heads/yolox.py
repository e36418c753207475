"""Reads ``[1, cells, 5 + classes]`` of YOLOX, whose boxes are relative to the cells of a grid.

The cells of the finest grid come first, row by row (Ge et al., YOLOX, 2021; yolox/models/
yolo_head.py, decode_outputs). A box is its centre's offset in cells and the logarithms of its
sides in cells; objectness and class scores are probabilities. YOLOX letterboxes into the top left
corner. Options: ``strides``, the cell sizes in pixels; ``boxes``, ``cells`` as above, or ``px``
where the export undid its grid itself (``--decode_in_inference``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.manifest import InputSpec, Manifest
from edge_inference_ros.core.protocols import BoxPlace
from edge_inference_ros.core.types import Candidates2D, Detections2D, Image, Tensors
from edge_inference_ros.errors import SpecMismatch
from edge_inference_ros.heads import _layout
from edge_inference_ros.heads._boxes import BoxHead
from edge_inference_ros.heads._fit import Fit
from edge_inference_ros.heads._objectness import ScoredRows

OPTIONS = {
    'strides': ('8-16-32', '8-16-32-64', '4-8-16-32', '16-32'),
    'boxes': ('cells', 'px'),
}
_LONGEST_LOG = 20.0

BOXES = BoxPlace(output=0, axis=2, corner=True)


class Head(BoxHead):
    """Prepares and decodes; replace ``spec`` as a whole to change thresholds between frames."""

    def __init__(self, manifest: Manifest, outputs: Tensors) -> None:
        super().__init__(manifest, corner=True)
        options = _layout.options(manifest, OPTIONS)
        self._output = _layout.output(
            manifest,
            outputs,
            index=0,
            shape=(1, _layout.ANY, 5 + len(manifest.classes)),
            words='[1, cells, 5 + classes]',
        )
        self._cells = _cells(manifest.input, [int(size) for size in options['strides'].split('-')])
        self._relative = options['boxes'] == 'cells'
        if len(self._cells) != (count := outputs[self._output.name].shape[1]):
            raise SpecMismatch(
                f'strides {options["strides"]} make {len(self._cells)} cells of an input of'
                f' {manifest.input.width_px}x{manifest.input.height_px}; output'
                f' {self._output.name!r} has {count}: correct head.options.strides or input.shape'
                ' in the manifest, or use head yolov5 if it is no YOLOX'
            )
        self._choose = ScoredRows(self.crowding)

    def candidates(self, outputs: Tensors) -> Candidates2D:
        """Every box the network answers, and what it scores. New arrays."""
        rows = self._output.read(outputs)
        boxes_px = self._in_pixels(rows[:, :4].copy(), self._cells)
        scores, objectness = rows[:, 5:] * rows[:, 4:5], rows[:, 4].copy()
        return Candidates2D(self._corners(boxes_px), scores, objectness=objectness)

    def decode(self, outputs: Tensors, sample: Image, fit: Fit) -> Detections2D:
        """Read boxes in the pixels of ``sample``, best first."""
        rows = self._output.read(outputs)
        chosen, scores, class_ids = self._choose(rows, self.spec)
        return self._detections(
            sample,
            fit,
            boxes=self._in_pixels(rows[chosen, :4], self._cells[chosen]),
            scores=scores,
            class_ids=class_ids,
        )

    def _in_pixels(
        self, boxes: NDArray[np.float32], cells: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, 4) centres and sides in pixels of what stands in these cells; may be in place."""
        return _leave_grid(boxes, cells) if self._relative else boxes


def _cells(seen: InputSpec, strides: list[int]) -> NDArray[np.float32]:
    """(N, 3) left and top in cells, and size in pixels, of every cell."""
    grids = []
    for stride in strides:
        high, wide = seen.height_px // stride, seen.width_px // stride
        top, left = np.divmod(np.arange(high * wide), wide)
        grids.append(np.stack((left, top, np.full(high * wide, stride)), axis=1))
    return np.concatenate(grids).astype(np.float32)


def _leave_grid(boxes: NDArray[np.float32], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (N, 4) boxes relative to their cells into centres and sides in pixels, in place."""
    with np.errstate(over='ignore', invalid='ignore'):  # what overflows is no box, and dropped
        boxes[:, :2] += cells[:, :2]
        np.exp(np.minimum(boxes[:, 2:], _LONGEST_LOG), out=boxes[:, 2:])
        boxes *= cells[:, 2:]
    return boxes
