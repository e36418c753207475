"""Boxes as rows of numbers: overlap, suppression, conversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.scratch import Scratch

_BLOCK = 128


def from_centres(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (N, 4) centre x, centre y, width, height into x1 y1 x2 y2. A new array."""
    half = boxes[:, 2:] * np.float32(0.5)
    corners: NDArray[np.float32] = np.hstack((boxes[:, :2] - half, boxes[:, :2] + half))
    return corners


def clip(boxes: NDArray[np.float32], *, width: float, height: float) -> NDArray[np.float32]:
    """Cut (N, 4) x1 y1 x2 y2 to the rectangle from (0, 0) to (width, height), in place."""
    np.clip(boxes, 0, np.array((width, height, width, height), boxes.dtype), out=boxes)
    return boxes


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

    The overlaps of all pairs are computed at once in memory kept between calls; the greedy pass
    itself then is one integer operation a box, rows of the overlap matrix being long integers.
    For 300 boxes that beats a numpy pass over rows and OpenCV's NMSBoxes, and it is exact.
    More than ``_BLOCK`` boxes go block by block, so memory and time stay bounded.
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
        kept = np.empty(0, np.intp)
        for start in range(0, len(boxes), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(boxes)))
            if len(kept):
                hit = self._overlaps(boxes, class_ids, kept, rows, iou_threshold)
                rows = rows[~hit.any(axis=0)]
            hit = self._overlaps(boxes, class_ids, rows, rows, iou_threshold)
            kept = np.concatenate((kept, rows[_first_come(hit)]))
            if len(kept) >= limit:
                break
        return kept[:limit]

    def _overlaps(
        self,
        boxes: NDArray[np.float32],
        class_ids: NDArray[np.integer] | None,
        some: NDArray[np.intp],
        others: NDArray[np.intp],
        iou_threshold: float,
    ) -> NDArray[np.bool_]:
        """(S, O) whether ``some`` overlap ``others`` too much. Borrowed until the next call."""
        one, other = boxes[some], boxes[others]
        shared, union, *spare = self._floats(4, len(some), len(others))
        _shared_length(one[:, 0], one[:, 2], other[:, 0], other[:, 2], out=shared, spare=spare)
        _shared_length(one[:, 1], one[:, 3], other[:, 1], other[:, 3], out=union, spare=spare)
        shared *= union
        _every_pair(areas(one), areas(other), out=spare)
        np.add(spare[0], spare[1], out=union)
        union -= shared
        union *= np.float32(iou_threshold)
        hit: NDArray[np.bool_]
        hit, same = self._bits(2, len(some), len(others))
        np.greater(shared, union, out=hit)
        if class_ids is not None:
            _every_pair(class_ids[some], class_ids[others], out=spare)
            hit &= np.equal(spare[0], spare[1], out=same)
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


def _every_pair(some: NDArray[Any], others: NDArray[Any], *, out: Sequence[NDArray[Any]]) -> None:
    """Spread both over a matrix. Numpy's own broadcasting is no faster and allocates 64 kB."""
    np.copyto(out[0], some[:, None])
    np.copyto(out[1], others)


def _shared_length(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    others_low: NDArray[np.float32],
    others_high: NDArray[np.float32],
    *,
    out: NDArray[np.float32],
    spare: Sequence[NDArray[np.float32]],
) -> None:
    """Write into ``out`` the length every interval shares with every other."""
    one, other = spare
    _every_pair(high, others_high, out=spare)
    np.minimum(one, other, out=out)
    _every_pair(low, others_low, out=spare)
    out -= np.maximum(one, other, out=one)
    np.maximum(out, 0, out=out)


def _first_come(hit: NDArray[np.bool_]) -> list[int]:
    """Go down the rows of the square ``hit``: one that still stands strikes out those it hits."""
    packed = np.packbits(hit, axis=1, bitorder='little')
    width, raw = packed.shape[1], packed.tobytes()
    standing: list[int] = []
    struck = 0
    for row in range(len(hit)):
        if not struck >> row & 1:
            standing.append(row)
            struck |= int.from_bytes(raw[row * width : (row + 1) * width], 'little')
    return standing
