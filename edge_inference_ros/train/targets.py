"""Which cell answers for which label, and the loss that follows.

Task-aligned assignment (Feng et al., TOOD, 2021): a label goes to the cells whose score and box
agree with it best, and the score asked of a cell is how well its box already fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edge_inference_ros.train.net import Levels, cells, corners, flat

CANDIDATES = 10
SCORE_POWER, FIT_POWER = 0.5, 6.0
SMALLEST_REACH_PX = 6.5
"""Cells this near to the middle of a small label may answer for it."""

BOX_WEIGHT = 2.0


@dataclass(frozen=True)
class Labels:
    """Labels of a batch, padded to the picture with most.

    Attributes:
        class_id: (B, M) int64.
        boxes_px: (B, M, 4) x1 y1 x2 y2.
        real: (B, M) bool, false for padding.
        ignored_px: (B, K, 4) regions where finding something is neither right nor wrong.
    """

    class_id: Tensor
    boxes_px: Tensor
    real: Tensor
    ignored_px: Tensor

    def to(self, device: torch.device) -> Labels:
        """The same labels on a device."""
        return Labels(
            self.class_id.to(device), self.boxes_px.to(device),
            self.real.to(device), self.ignored_px.to(device),
        )  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """The terms of a loss; `total` is what is minimised."""

    total: Tensor
    score: Tensor
    box: Tensor


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes (..., 4) pairwise along broadcast axes."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - shared + 1e-7
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    around = hull.prod(-1) + 1e-7
    iou = shared / union
    return iou, iou - (around - union) / around


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, points: Tensor, labels: Labels
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the cells that answer for each label.

    Args:
        scores: (B, N, C) the network's, 0 to 1.
        boxes: (B, N, 4) the network's, pixels.
        points: (N, 2) cell centres.
        labels: of the batch.

    Returns:
        Wanted scores (B, N, C), wanted boxes (B, N, 4), and which cells answer (B, N).
    """
    inside, distance = _reach(points, labels)
    fit = overlap(boxes[:, None], labels.boxes_px[:, :, None])[0] * inside
    picked = labels.class_id[:, None].expand(-1, scores.shape[1], -1)
    own = scores.gather(2, picked).transpose(1, 2)
    merit = own.clamp(min=1e-6) ** SCORE_POWER * fit**FIT_POWER * inside
    # Before the network knows anything, the cells nearest to the middle answer.
    rank = merit + 1e-9 * (2 - distance).clamp(min=0) * inside
    best, which = rank.topk(min(CANDIDATES, rank.shape[-1]), -1)
    chosen = torch.zeros_like(inside).scatter_(2, which, best > 0) & inside
    chosen = _one_each(chosen, fit)
    answers = chosen.any(1)
    label = chosen.float().argmax(1)
    wanted_boxes = labels.boxes_px.gather(1, label[..., None].expand(-1, -1, 4))
    merit = merit * chosen
    top_fit = (fit * chosen).amax(-1, keepdim=True).clamp(min=0.1)
    quality = (merit / (merit.amax(-1, keepdim=True) + 1e-9) * top_fit).amax(1)
    wanted = torch.zeros_like(scores)
    wanted.scatter_(2, labels.class_id.gather(1, label)[..., None], (quality * answers)[..., None])
    return wanted, wanted_boxes, answers


def _reach(points: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
    """Whether each cell may answer for each label (B, M, N), and its distance from the middle."""
    box = labels.boxes_px
    middle = (box[..., :2] + box[..., 2:]) / 2
    half = ((box[..., 2:] - box[..., :2]) / 2).clamp(min=SMALLEST_REACH_PX)
    away = ((points[None, None] - middle[:, :, None]) / half[:, :, None]).abs()
    return (away < 1).all(-1) & labels.real[..., None], away.pow(2).sum(-1)


def _one_each(chosen: Tensor, fit: Tensor) -> Tensor:
    """Leave a cell wanted by several labels to the one it fits best."""
    contested = (chosen.sum(1) > 1)[:, None]
    best = (fit * chosen + 1e-9 * chosen).argmax(1)
    only = functional.one_hot(best, chosen.shape[1]).transpose(1, 2).bool()
    return torch.where(contested, only & chosen, chosen)


def detection_loss(levels: Levels, labels: Labels) -> Loss:
    """Loss of raw outputs against labels."""
    logits, raw = flat(levels)
    points, strides = cells(levels)
    boxes = corners(raw, points, strides)
    wanted, wanted_boxes, answers = assign(
        logits.detach().sigmoid(), boxes.detach(), points, labels
    )
    total = wanted.sum().clamp(min=1)
    asked = ~(_within(points, labels.ignored_px) & ~answers)
    score = functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    score = (score * asked[..., None]).sum() / total
    weight = wanted.sum(-1)[answers]
    fit = overlap(boxes[answers], wanted_boxes[answers])[1]
    box = ((1 - fit) * weight).sum() / total
    return Loss(score + BOX_WEIGHT * box, score.detach(), box.detach())


def _within(points: Tensor, regions: Tensor) -> Tensor:
    """(B, N) whether each cell lies in any region (B, K, 4)."""
    if not regions.shape[1]:
        return points.new_zeros((len(regions), len(points)), dtype=torch.bool)
    at, box = points[None, None], regions[:, :, None]
    return ((at > box[..., :2]) & (at < box[..., 2:])).all(-1).any(1)
