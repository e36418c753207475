"""Ground truth of one instant: the boxes a perfect detector would report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim.bodies import CLASSES
from edge_inference_ros.sim.camera import Pose, View
from edge_inference_ros.sim.solids import F32
from edge_inference_ros.sim.world import Body


@dataclass(frozen=True)
class Truth:
    """Every body in range, seen or not; row k is the same body in every array.

    Attributes:
        actor: (K,) the same number for the same thing in every frame.
        class_id: (K,) index into `CLASSES`.
        boxes_px: (K, 4) x1 y1 x2 y2 of the visible pixels; zeros where none is visible.
        pixels: (K,) visible pixels.
        visibility: (K,) visible pixels over those it would cover if nothing hid it, 0 to 1.
        centres_m: (K, 3) box centres in base_link.
        sizes_m: (K, 3) length, width, height.
        yaws_rad: (K,) in base_link.
        velocities_mps: (K, 2) over ground, in base_link axes.
        distance_m: (K,) horizontal, from base_link's origin to the nearest face, at least 0.
        points: (K,) LiDAR points on it.
    """

    actor: NDArray[np.int32]
    class_id: NDArray[np.int32]
    boxes_px: F32
    pixels: NDArray[np.int64]
    visibility: F32
    centres_m: F32
    sizes_m: F32
    yaws_rad: F32
    velocities_mps: F32
    distance_m: F32
    points: NDArray[np.int64]

    def names(self) -> list[str]:
        """The class name of each row."""
        return [CLASSES[i] for i in self.class_id.tolist()]


def truth_of(
    bodies: list[Body], pose: Pose, view: View, hits: NDArray[np.int32] | None = None
) -> Truth:
    """Measure the bodies as seen from a pose.

    Args:
        bodies: as they were rendered.
        pose: of base_link.
        view: what the camera saw.
        hits: index of the body each LiDAR point lies on, -1 for none.
    """
    count = len(bodies)
    boxes, pixels = _visible(view)
    back = pose.turn().T
    centres = _rows([back @ (b.centre_m - pose.shift()) for b in bodies], 3)
    sizes = _rows([b.size_m for b in bodies], 3)
    yaws = np.array([b.yaw_rad - pose.yaw_rad for b in bodies], np.float32)
    hit = np.zeros(count, np.int64)
    if hits is not None:
        hit = np.bincount(hits[hits >= 0], minlength=count)[:count]
    return Truth(
        actor=np.array([b.actor for b in bodies], np.int32),
        class_id=np.array([b.class_id for b in bodies], np.int32),
        boxes_px=boxes,
        pixels=pixels,
        visibility=(pixels / np.maximum(view.whole_count, 1)).astype(np.float32),
        centres_m=centres,
        sizes_m=sizes,
        yaws_rad=np.remainder(yaws + np.pi, 2 * np.pi).astype(np.float32) - np.float32(np.pi),
        velocities_mps=_rows([back[:2, :2] @ b.velocity_mps for b in bodies], 2),
        distance_m=_nearest(centres, sizes, yaws),
        points=hit,
    )


def _visible(view: View) -> tuple[F32, NDArray[np.int64]]:
    boxes = np.zeros_like(view.whole_px)
    pixels = np.zeros(len(boxes), np.int64)
    for k, (x1, y1, x2, y2) in enumerate(view.whole_px.astype(int).tolist()):
        mask = view.body[y1:y2, x1:x2] == k
        pixels[k] = np.count_nonzero(mask)
        if pixels[k]:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes[k] = x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1
    return boxes, pixels


def _nearest(centres: F32, sizes: F32, yaws: F32) -> F32:
    c, s = np.cos(yaws), np.sin(yaws)
    ahead = np.abs(centres[:, 0] * c + centres[:, 1] * s) - sizes[:, 0] / 2
    across = np.abs(centres[:, 1] * c - centres[:, 0] * s) - sizes[:, 1] / 2
    return np.asarray(np.hypot(np.maximum(ahead, 0), np.maximum(across, 0)), np.float32)


def _rows(rows: list[F32], width: int) -> F32:
    return np.array(rows, np.float32).reshape(-1, width)
