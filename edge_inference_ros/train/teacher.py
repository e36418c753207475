"""What a student learns from a teacher beside the labels.

Soft labels: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015. Scores
weighted by how far they are apart: Yang et al., *Bridging Cross-task Protocol Inconsistency for
Distillation in Dense Object Detection*, 2023. Maps of the neck through a convolution of 1 x 1:
Romero et al., *FitNets*, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_inference_ros.train.net import (
    STRIDES,
    DetectorNet,
    Levels,
    cells,
    corners,
    flat,
)
from edge_inference_ros.train.targets import Labels, overlap

_LOWEST_SCORE = 0.05
"""Where the teacher scores less it says nothing of a box."""


@dataclass(frozen=True)
class Weights:
    """How much each of the teacher's terms counts.

    Attributes:
        temperature: above 1 it shows what else the teacher held possible.
    """

    score: float = 1.0
    box: float = 1.0
    feature: float = 0.0
    temperature: float = 2.0


def soft_label_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of two classifiers' answers, mean over the batch.

    Times the square of the temperature, so that gradients do not fade as it rises.

    Args:
        student: logits (B, C) of classes that exclude each other.
        teacher: the same of the teacher.
        temperature: both are divided by.
    """
    log_shares = functional.log_softmax(student / temperature, -1)
    wanted = functional.log_softmax(teacher / temperature, -1)
    apart = functional.kl_div(log_shares, wanted, reduction='batchmean', log_target=True)
    return apart * temperature**2


def soft_score_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of scores that do not exclude each other, times the square of the temperature.

    Each counts as much as the two scores differ: nearly all of a picture is background both agree
    on, which would otherwise outweigh the rest.

    Args:
        student: logits of any shape.
        teacher: of the same shape.
        temperature: both are divided by.

    Returns:
        The sum over all scores; zero where both agree.
    """
    differ = (student.detach().sigmoid() - teacher.sigmoid()).abs()
    logits, known = student / temperature, teacher / temperature
    wanted = known.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    own = functional.binary_cross_entropy_with_logits(known, wanted, reduction='none')
    return (differ * (cross - own)).sum() * temperature**2


class Student(nn.Module):
    """A detector that shows the maps of its neck, fitted to the size of a teacher's.

    Attributes:
        shown: the fitted maps of the last pass.
    """

    def __init__(self, detector: DetectorNet, teacher: DetectorNet) -> None:
        super().__init__()
        self.detector = detector
        self.config = detector.config
        given, outputs = (_neck(d) for d in (detector, teacher))
        self.adapters = nn.ModuleList(nn.Conv2d(given, outputs, 1) for _ in STRIDES)
        self.shown: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Levels:
        """As the detector's."""
        maps = self.detector.features(pictures)
        self.shown = [fit(m) for fit, m in zip(self.adapters, maps, strict=True)]
        return self.detector.answers(maps)


def _neck(detector: DetectorNet) -> int:
    return int(detector.classify[0][0][0].in_channels)


class Teacher:
    """A further loss term for `fit.Hooks`: how far the student is from a teacher.

    Box and score terms are divided by the teacher's scores in the batch, as the labels' own terms
    are by theirs.
    """

    def __init__(
        self, detector: DetectorNet, columns: Sequence[int], weights: Weights, student: nn.Module
    ) -> None:
        """Take a teacher.

        Args:
            detector: the teacher; moved to where the pictures are.
            columns: for each of the student's classes the teacher's.
            weights: of the terms.
            student: the module being trained; a `Student` if maps are compared.
        """
        self._detector = detector.eval().requires_grad_(requires_grad=False)
        self._columns = list(columns)
        self._weights = weights
        self._student = student

    def __call__(self, pictures: Tensor, levels: Levels, labels: Labels) -> Tensor:
        """The weighted sum of the terms."""
        del labels
        self._detector.to(pictures.device)
        with torch.no_grad(), torch.autocast(pictures.device.type, torch.bfloat16):
            maps = self._detector.features(pictures)
            wanted = self._detector.answers(maps)
        loss = self._outputs(levels, wanted)
        if self._weights.feature and isinstance(self._student, Student):
            loss = loss + self._weights.feature * _maps_apart(self._student.shown, maps)
        return loss

    def _outputs(self, levels: Levels, wanted: Levels) -> Tensor:
        logits, raw = flat(levels)
        their_logits, their_raw = flat(wanted)
        their_logits = their_logits[..., self._columns]
        best = their_logits.sigmoid().amax(-1)
        total = best.sum().clamp(min=1)
        weights = self._weights
        score = soft_score_loss(logits, their_logits, weights.temperature) / total
        seen = best > _LOWEST_SCORE
        points, strides = cells(levels)
        boxes, their_boxes = (corners(r, points, strides)[seen] for r in (raw, their_raw))
        apart = (1 - overlap(boxes, their_boxes)[1]) * best[seen]
        return weights.score * score + weights.box * apart.sum() / total


def _maps_apart(shown: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Mean square difference of maps, each in units of the teacher's own spread."""
    terms = [
        (mine.float() - theirs.float()).square().mean() / theirs.float().var().clamp(min=1e-6)
        for mine, theirs in zip(shown, maps, strict=True)
    ]
    return torch.stack(terms).mean()
