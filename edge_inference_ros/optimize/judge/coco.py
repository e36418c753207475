"""Labels in COCO's format and the pictures they belong to, checked before anything is measured.

https://cocodataset.org/#format-data, of which `images` (`id`, `file_name`, `width`, `height`),
`categories` (`id`, `name`) and `annotations` (`image_id`, `category_id`, `bbox`, `iscrowd`) are
read. One key of ours may be added to an annotation: `distance_m`, from the robot to the object;
without it the recall of people near the robot cannot be judged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize.judge.labels import Known, Picture

BEYOND_PX = 1.0
"""Tools round: a box may leave its picture by so much, and is cut."""

_Row = tuple[int, tuple[float, float, float, float], bool, float]


class Coco:
    """A labels file and the folder of its pictures.

    Only the categories called as one of ``classes`` count; the rest are not even ignored.

    Raises:
        ConfigError: on construction, naming file, entry, what is wrong, and what was expected.
    """

    def __init__(self, file: Path, pictures: Path, classes: Sequence[str]) -> None:
        self.classes: tuple[str, ...] = tuple(classes)
        self.name = file.stem
        table = _read(file)
        self._images = [_image(row, i, file, pictures) for i, row in enumerate(table['images'])]
        if not self._images:
            raise ConfigError(f'{file}: images is empty')
        place = {image_id: i for i, (image_id, *_) in enumerate(self._images)}
        if len(place) != len(self._images):
            raise ConfigError(f'{file}: images has an id twice')
        numbers = self._numbers(table['categories'], file)
        self._rows: list[list[_Row]] = [[] for _ in self._images]
        for i, row in enumerate(table['annotations']):
            self._add(row, f'{file}: annotations[{i}]', place, numbers)

    def __len__(self) -> int:
        return len(self._images)

    def picture(self, index: int) -> Picture:
        """(H, W, 3) BGR, new.

        Raises:
            ConfigError: not a picture, or not of the size that the labels are for.
        """
        import cv2

        _, path, width, height = self._images[index]
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ConfigError(f'{path}: not a picture OpenCV reads')
        if pixels.shape[:2] != (height, width):
            raise ConfigError(
                f'{path}: {pixels.shape[1]}x{pixels.shape[0]}, but its labels are for'
                f' {width}x{height}'
            )
        return np.asarray(pixels, np.uint8)

    def known(self, index: int) -> Known:
        """The labels of a picture."""
        rows = self._rows[index]
        return Known(
            np.array([row[0] for row in rows], np.int32),
            np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
            np.array([row[2] for row in rows], np.bool_),
            np.array([row[3] for row in rows], np.float32),
        )

    def _numbers(self, categories: Any, file: Path) -> dict[Any, int]:
        """Category id → number of the model's class, -1 for none."""
        names = {}
        for i, row in enumerate(categories):
            if not isinstance(row, Mapping) or not all(_is_id(row.get(k)) for k in ('id', 'name')):
                raise ConfigError(f'{file}: categories[{i}] = {row!r}: expected id and name')
            names[row['id']] = row['name']
        if not set(names.values()) & set(self.classes):
            raise ConfigError(
                f'{file}: none of its categories ({", ".join(map(str, names.values()))}) is a'
                f' class of the model ({", ".join(self.classes)}); rename them in the file'
            )
        return {
            key: self.classes.index(name) if name in self.classes else -1
            for key, name in names.items()
        }

    def _add(
        self, row: Any, where: str, place: Mapping[Any, int], numbers: Mapping[Any, int]
    ) -> None:
        if not isinstance(row, Mapping) or not {'image_id', 'category_id', 'bbox'} <= set(row):
            raise ConfigError(f'{where}: expected image_id, category_id and bbox')
        if not _is_id(image_id := row['image_id']) or image_id not in place:
            raise ConfigError(f'{where}.image_id = {image_id!r}: there is no such image')
        if not _is_id(category := row['category_id']) or category not in numbers:
            raise ConfigError(
                f'{where}.category_id = {category!r}: unknown; the categories are'
                f' {", ".join(map(str, numbers))}'
            )
        _, _, width, height = self._images[place[image_id]]
        box = _box(row['bbox'], width, height, f'{where}.bbox')
        distance_m = _distance(row.get('distance_m'), f'{where}.distance_m')
        ignored = bool(row.get('iscrowd') or row.get('ignore'))
        if numbers[category] >= 0:
            self._rows[place[image_id]].append((numbers[category], box, ignored, distance_m))


def _read(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(file.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{file}: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'{file}: not JSON: {error}') from error
    keys = ('images', 'categories', 'annotations')
    if not isinstance(table, dict) or not all(isinstance(table.get(k), list) for k in keys):
        raise ConfigError(f'{file}: expected the lists {", ".join(keys)} of COCO')
    return table


def _image(row: Any, index: int, file: Path, folder: Path) -> tuple[Any, Path, int, int]:
    where = f'{file}: images[{index}]'
    keys = {'id', 'file_name', 'width', 'height'}
    if not isinstance(row, Mapping) or not keys <= set(row) or not _is_id(row['id']):
        raise ConfigError(f'{where}: expected id, file_name, width and height')
    width, height = row['width'], row['height']
    if not (type(width) is int and type(height) is int and width > 0 and height > 0):
        raise ConfigError(f'{where}: width = {width!r}, height = {height!r}: expected pixels')
    path = folder / str(row['file_name'])
    if not path.is_file():
        raise ConfigError(f'{where}.file_name = {row["file_name"]!r}: not in {folder}')
    return row['id'], path, width, height


def _box(value: Any, width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """x1 y1 x2 y2, cut to the picture."""
    numbers = value if isinstance(value, list) and len(value) == 4 else []
    if not numbers or not all(_is_number(v) for v in numbers):
        raise ConfigError(f'{where} = {value!r}: expected x, y, width and height in pixels')
    x, y, wide, high = map(float, numbers)
    inside = (
        x >= -BEYOND_PX
        and y >= -BEYOND_PX
        and x + wide <= width + BEYOND_PX
        and y + high <= height + BEYOND_PX
    )
    if not (wide > 0 and high > 0 and inside):
        raise ConfigError(f'{where} = {value!r}: expected a box inside {width}x{height} pixels')
    return max(x, 0.0), max(y, 0.0), min(x + wide, width), min(y + high, height)


def _distance(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    if not _is_number(value) or value < 0:
        raise ConfigError(f'{where} = {value!r}: expected metres, at least 0')
    return float(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
