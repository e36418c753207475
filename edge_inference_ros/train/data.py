"""Labelled pictures from disk, and how training varies them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize.judge.labelled import Split
from edge_inference_ros.optimize.judge.labels import F32, Known, Picture
from edge_inference_ros.train.targets import Labels

__all__ = ['F32', 'Joined', 'Known', 'Picture', 'Split', 'batch_of', 'padded', 'varied']

PAD = 114
KEEP_SHARE, KEEP_HEIGHT_PX = 0.3, 6
"""A label cut by the crop to less than this is ignored instead."""


class Joined:
    """Several splits of the same classes as one."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = tuple(splits)
        self.classes = self.splits[0].classes
        self._ends = np.cumsum([len(s) for s in self.splits])
        if any(s.classes != self.classes for s in self.splits):
            raise ConfigError(f'splits with different classes: {[s.classes for s in splits]}')

    def __len__(self) -> int:
        return int(self._ends[-1])

    def at(self, index: int) -> tuple[Picture, Known]:
        """Picture (borrowed) and labels of an index over all splits."""
        which = int(np.searchsorted(self._ends, index, side='right'))
        inner = index - (int(self._ends[which - 1]) if which else 0)
        return self.splits[which].images[inner], self.splits[which].known(inner)


def batch_of(
    data: Joined, step: int, size: int, seed: int, *, window: tuple[int, int] | None = None
) -> tuple[Picture, Labels]:
    """The varied pictures (B, H, W, 3) and labels of a step; a function of its arguments alone.

    Args:
        data: where they come from.
        step: which batch.
        size: how many pictures.
        seed: of order and variation.
        window: width and height to cut out; the whole picture if there is none.
    """
    rng = np.random.default_rng((seed, 2, step))
    per_epoch = max(1, len(data) // size)
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, 1, epoch)).permutation(len(data))
    chosen = order[place * size : (place + 1) * size]
    examples = [varied(*data.at(int(i)), rng, window=window) for i in chosen]
    return np.stack([picture for picture, _ in examples]), padded([known for _, known in examples])


def padded(known: Sequence[Known]) -> Labels:
    """Labels of several pictures as tensors."""
    asked = [~k.ignored for k in known]
    most = max(1, *(int(a.sum()) for a in asked))
    hidden = max(int(k.ignored.sum()) for k in known)
    class_id = torch.zeros(len(known), most, dtype=torch.int64)
    boxes = torch.zeros(len(known), most, 4)
    real = torch.zeros(len(known), most, dtype=torch.bool)
    ignored = torch.zeros(len(known), hidden, 4)
    for i, (k, a) in enumerate(zip(known, asked, strict=True)):
        n = int(a.sum())
        class_id[i, :n] = torch.from_numpy(k.class_id[a].astype(np.int64))
        boxes[i, :n], real[i, :n] = _tensor(k.boxes_px[a]), True
        ignored[i, : len(a) - n] = _tensor(k.boxes_px[k.ignored])
    return Labels(class_id, boxes, real, ignored)


def _tensor(values: F32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def varied(
    picture: Picture,
    known: Known,
    rng: np.random.Generator,
    *,
    window: tuple[int, int] | None = None,
) -> tuple[Picture, Known]:
    """A picture moved, mirrored, recoloured, spoiled and partly covered, with its labels."""
    size = window or (picture.shape[1], picture.shape[0])
    picture, known = moved(picture, known, rng, size=size)
    picture = recoloured(picture, rng)
    if rng.random() < 0.25:
        picture = retextured(picture, known, rng)
    if rng.random() < 0.4:
        picture = spoiled(picture, rng)
    if rng.random() < 0.25:
        high, wide = picture.shape[:2]
        h, w = int(rng.integers(8, high // 4)), int(rng.integers(8, wide // 5))
        y, x = int(rng.integers(high - h)), int(rng.integers(wide - w))
        picture[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return picture, known


def moved(
    picture: Picture, known: Known, rng: np.random.Generator, *, size: tuple[int, int]
) -> tuple[Picture, Known]:
    """Zoom, mirror, and cut a window; labels follow, and those mostly cut away become ignored.

    The window is laid around a thing that is asked for, since most of a picture is empty.
    """
    wide, high = picture.shape[1], picture.shape[0]
    zoom = math.exp(rng.uniform(math.log(0.65), math.log(1.6)))
    focus = rng.uniform(0, (wide, high))
    asked = known.boxes_px[~known.ignored]
    if len(asked) and rng.random() < 0.8:
        box = asked[int(rng.integers(len(asked)))]
        focus = (box[:2] + box[2:]) / 2
    spare = np.array(size) - np.array((wide, high)) * zoom
    wanted = rng.uniform(0.2, 0.8, 2) * size - focus * zoom
    shift_x, shift_y = np.clip(wanted, np.minimum(spare, 0), np.maximum(spare, 0)).tolist()
    across = zoom
    if rng.random() < 0.5:
        across, shift_x = -zoom, size[0] - shift_x
    matrix = np.array([[across, 0, shift_x], [0, zoom, shift_y]], np.float32)
    shifted = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
    )
    return np.asarray(shifted, np.uint8), _moved_labels(known, matrix, size)


def _moved_labels(known: Known, matrix: F32, size: tuple[int, int]) -> Known:
    x = known.boxes_px[:, [0, 2]] * matrix[0, 0] + matrix[0, 2]
    y = known.boxes_px[:, [1, 3]] * matrix[1, 1] + matrix[1, 2]
    whole = np.ptp(x, axis=1) * np.ptp(y, axis=1)
    x, y = np.clip(x, 0, size[0]), np.clip(y, 0, size[1])
    boxes = np.stack((x.min(1), y.min(1), x.max(1), y.max(1)), 1).astype(np.float32)
    share = np.ptp(x, axis=1) * np.ptp(y, axis=1) / np.maximum(whole, 1e-6)
    ignored = known.ignored | (share < KEEP_SHARE) | (np.ptp(y, axis=1) < KEEP_HEIGHT_PX)
    visible = share > 0.02
    return Known(
        known.class_id[visible], boxes[visible], ignored[visible], known.distance_m[visible]
    )


def recoloured(picture: Picture, rng: np.random.Generator) -> Picture:
    """Another exposure, contrast, gamma and tint; sometimes grey or with channels exchanged."""
    gain = rng.uniform(0.65, 1.5) * rng.uniform(0.88, 1.12, 3)
    curve = (np.arange(256) / 255.0)[:, None] ** rng.uniform(0.65, 1.45)
    table = np.clip(curve * gain * 255 + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
    mapped = np.asarray(cv2.LUT(picture, np.ascontiguousarray(table[None])), np.uint8)
    chance = rng.random()
    if chance < 0.1:
        grey = cv2.cvtColor(mapped, cv2.COLOR_BGR2GRAY)
        return np.repeat(grey[..., None], 3, 2).astype(np.uint8)
    if chance < 0.2:
        return np.ascontiguousarray(mapped[..., rng.permutation(3)])
    return mapped


def retextured(picture: Picture, known: Known, rng: np.random.Generator) -> Picture:
    """A smooth random field of colour laid over one label's box, or over any rectangle."""
    high, wide = picture.shape[:2]
    x1, y1, x2, y2 = (int(v) for v in rng.integers(0, (wide, high, wide, high)))
    if len(known.boxes_px) and rng.random() < 0.6:
        x1, y1, x2, y2 = (
            known.boxes_px[int(rng.integers(len(known.boxes_px)))].astype(int).tolist()
        )
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x2 - x1 < 4 or y2 - y1 < 4:
        return picture
    cells = rng.integers(2, 13, 2)
    field = rng.uniform(0, 255, (int(cells[0]), int(cells[1]), 3)).astype(np.float32)
    field = cv2.resize(field, (x2 - x1, y2 - y1), interpolation=cv2.INTER_CUBIC)
    share = np.float32(rng.uniform(0.15, 0.55))
    patch = picture[y1:y2, x1:x2]
    patch[...] = np.clip(patch * (1 - share) + field * share, 0, 255).astype(np.uint8)
    return picture


def spoiled(picture: Picture, rng: np.random.Generator) -> Picture:
    """One of: a patch of light in the dark, haze, blur, noise, blotches, JPEG."""
    kind = int(rng.integers(6))
    high, wide = picture.shape[:2]
    if kind == 0:
        return _scaled(picture, _spot(high, wide, rng))
    if kind == 1:
        share, grey = rng.uniform(0.2, 0.7), rng.uniform(60, 220, 3)
        return np.asarray(picture * (1 - share) + grey * share, np.uint8)
    if kind == 2:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.8)), np.uint8)
    if kind == 3:
        noise = rng.standard_normal(picture.shape, np.float32) * rng.uniform(5, 28)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)
    if kind == 4:
        coarse = rng.uniform(0.4, 1.6, (int(rng.integers(4, 40)), int(rng.integers(4, 40))))
        blotches = cv2.resize(coarse.astype(np.float32), (wide, high))
        return _scaled(picture, np.asarray(blotches, np.float32))
    packed = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
    return np.asarray(cv2.imdecode(packed[1], cv2.IMREAD_COLOR), np.uint8)


def _spot(high: int, wide: int, rng: np.random.Generator) -> F32:
    x = np.linspace(-1, 1, wide, dtype=np.float32) - np.float32(rng.uniform(-0.4, 0.4))
    y = np.linspace(-1, 1, high, dtype=np.float32) - np.float32(rng.uniform(-0.2, 0.5))
    reach = np.float32(rng.uniform(1, 5))
    beam = np.exp(-reach * (x * x)[None] - reach * (y * y)[:, None])
    return np.asarray(rng.uniform(0.05, 0.5) + rng.uniform(0.6, 2.0) * beam, np.float32)


def _scaled(picture: Picture, factor: F32) -> Picture:
    return np.asarray(np.clip(picture * factor[..., None], 0, 255), np.uint8)
