"""Boxes as rows of numbers: overlap, suppression, conversion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.scratch import Scratch

_BLOCK = 128


def from_centres(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (N, 4) centre x, centre y, width, height into x1 y1 x2 y2. A new array."""
    corners = np.empty((len(boxes), 4), np.float32)
    half = boxes[:, 2:] * np.float32(0.5)
    np.subtract(boxes[:, :2], half, out=corners[:, :2])
    np.add(boxes[:, :2], half, out=corners[:, 2:])
    return corners


def clip(boxes: NDArray[np.float32], *, width: float, height: float) -> NDArray[np.float32]:
    """Cut (N, 4) x1 y1 x2 y2 to the rectangle from (0, 0) to (width, height), in place."""
    np.maximum(boxes, 0, out=boxes)
    return np.minimum(boxes, np.array((width, height) * 2, boxes.dtype), out=boxes)


def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) areas of (N, 4) x1 y1 x2 y2; zero where a box is inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def iou(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) intersection over union of (N, 4) and (M, 4) x1 y1 x2 y2; 0 where both are empty."""
    corner = np.minimum(some[:, None, 2:], others[None, :, 2:])
    corner -= np.maximum(some[:, None, :2], others[None, :, :2])
    np.maximum(corner, 0, out=corner)
    shared = corner[..., 0] * corner[..., 1]
    union = areas(some)[:, None] + areas(others) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


class Suppression:
    """Greedy non-maximum suppression: of two boxes that overlap too much, the first one stays.

    Works down the boxes in blocks. The overlaps of a block with itself, and with what stayed of
    the blocks before, are computed at once in memory kept between calls; the greedy pass itself is
    then one integer operation a box, rows of the overlap matrix being long integers. The answer
    is exact, and time and memory are bounded for any number of boxes.
    """

    def __init__(self) -> None:
        self._floats = Scratch(np.float32)
        self._bits = Scratch(np.bool_)

    def __call__(
        self,
        boxes: NDArray[np.float32],
        class_ids: NDArray[np.integer] | None,
        *,
        iou_threshold: float,
        limit: int,
    ) -> NDArray[np.intp]:
        """Choose which boxes stay.

        Args:
            boxes: (N, 4) x1 y1 x2 y2, finite, best first.
            class_ids: (N,); only boxes of one class suppress each other. None: all do.
            iou_threshold: boxes that overlap more than this are one object.
            limit: stop when so many stay.

        Returns:
            (K,) ascending indices of what stays, K <= limit.
        """
        table = np.empty((6, len(boxes)), np.float32)  # x1, y1, x2, y2, area, class
        table[:4] = boxes.T
        table[4] = areas(boxes)
        table[5] = 0 if class_ids is None else class_ids
        kept: list[int] = []
        for start in range(0, len(boxes), _BLOCK):
            block = range(start, min(start + _BLOCK, len(boxes)))
            rivals = table[:, [*kept, *block]]
            hit = self._hits(rivals, table[:, block.start : block.stop], iou_threshold)
            kept += [start + row for row in _first_come(hit, standing=len(kept))]
            if len(kept) >= limit:
                break
        return np.array(kept[:limit], np.intp)

    def _hits(
        self, some: NDArray[np.float32], others: NDArray[np.float32], iou_threshold: float
    ) -> NDArray[np.bool_]:
        """(S, O) whether each of ``some`` would suppress each of ``others``. Borrowed."""
        sides, spread, across = self._floats(3, 2, some.shape[1], others.shape[1])
        # Spread first: numpy's own broadcasting is no faster and allocates 64 kB a time.
        np.copyto(sides, some[2:4, :, None])
        np.copyto(across, others[2:4, None])
        np.minimum(sides, across, out=sides)
        np.copyto(spread, some[0:2, :, None])
        np.copyto(across, others[0:2, None])
        sides -= np.maximum(spread, across, out=spread)
        np.maximum(sides, 0, out=sides)
        shared, union = sides
        shared *= sides[1]
        np.copyto(spread, some[4:6, :, None])
        np.copyto(across, others[4:6, None])
        np.add(spread[0], across[0], out=union)
        union -= shared
        union *= np.float32(iou_threshold)
        hit: NDArray[np.bool_]
        hit, alike = self._bits(2, some.shape[1], others.shape[1])
        np.greater(shared, union, out=hit)
        hit &= np.equal(spread[1], across[1], out=alike)
        return hit


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.integer] | None = None,
    *,
    iou_threshold: float,
    limit: int = 1000,
) -> NDArray[np.intp]:
    """Indices of the (N, 4) x1 y1 x2 y2 boxes that stay, best first; see ``Suppression``."""
    order = np.argsort(-scores, kind='stable')
    ids = None if class_ids is None else class_ids[order]
    return order[Suppression()(boxes[order], ids, iou_threshold=iou_threshold, limit=limit)]


def _first_come(hit: NDArray[np.bool_], *, standing: int) -> list[int]:
    """Which columns of ``hit`` stay standing, each striking those it hits when its row comes.

    The first ``standing`` rows are boxes that stayed before; then comes a row for every column.
    """
    packed = np.packbits(hit, axis=1, bitorder='little')
    width, raw = packed.shape[1], packed.tobytes()
    stay: list[int] = []
    struck = int.from_bytes(np.bitwise_or.reduce(packed[:standing], axis=0).tobytes(), 'little')
    for column in range(hit.shape[1]):
        if not struck >> column & 1:
            stay.append(column)
            at = (standing + column) * width
            struck |= int.from_bytes(raw[at : at + width], 'little')
    return stay
