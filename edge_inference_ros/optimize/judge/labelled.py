"""Pictures whose objects are known, for measuring; read without torch.

Whatever the source, row k of every array of a picture's labels is the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from edge_inference_ros.core import registry
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize.judge.coco import Coco
from edge_inference_ros.optimize.judge.frames import WORLD
from edge_inference_ros.optimize.judge.labels import Known, Labelled, Labels, Picture
from edge_inference_ros.terminal.progress import counted

FIRST_NEAR = 100_000
"""Number of the first scene to look at, behind those of the held-out splits."""


class Split:
    """A folder of labelled pictures (`images.npy`, `labels.npz`, `split.json`), read lazily.

    With `only`, the classes named there are all there is: others are not even ignored.
    """

    def __init__(self, folder: Path, *, only: Sequence[str] = ()) -> None:
        try:
            self.images: Picture = np.load(folder / 'images.npy', mmap_mode='r')
            with np.load(folder / 'labels.npz') as stored:
                self._columns = {name: stored[name] for name in stored.files}
            facts = json.loads((folder / 'split.json').read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f'{folder} is not a labelled split: {error}') from error
        there = tuple(facts['classes'])
        if unknown := set(only) - set(there):
            raise ConfigError(f'{folder} has no class {sorted(unknown)}; it has {there}')
        self.classes: tuple[str, ...] = tuple(only) or there
        self.name: str = facts['name']
        self._number = np.array(
            [self.classes.index(c) if c in self.classes else -1 for c in there], np.int32
        )

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, index: int) -> Picture:
        """(H, W, 3) BGR, a copy."""
        return np.array(self.images[index])

    def known(self, index: int) -> Known:
        """The labels of a picture."""
        first, end = self._columns['offsets'][index : index + 2]
        c, class_id = self._columns, self._number[self._columns['class_id'][first:end]]
        kept = class_id >= 0
        return Known(
            class_id[kept], c['boxes_px'][first:end][kept],
            c['ignored'][first:end][kept], c['distance_m'][first:end][kept],
        )  # fmt: skip


class Sets:
    """Several labelled sets of the same classes, one after the other."""

    def __init__(self, sets: Sequence[Labelled]) -> None:
        self.classes = sets[0].classes
        self.name = ', '.join(one.name for one in sets)
        self._at = [(one, index) for one in sets for index in range(len(one))]

    def __len__(self) -> int:
        return len(self._at)

    def picture(self, index: int) -> Picture:
        """(H, W, 3) BGR; borrowed or new."""
        part, inner = self._at[index]
        return part.picture(inner)

    def known(self, index: int) -> Labels:
        """The labels of a picture."""
        part, inner = self._at[index]
        return part.known(inner)


class World:
    """Scenes of the small world that training never saw, rendered now, somebody near in each."""

    name = WORLD

    def __init__(self, classes: Sequence[str], *, count: int, near_m: float) -> None:
        dataset = registry.load('sim', 'dataset')
        if missing := set(classes) - set(dataset.CLASSES):
            raise ConfigError(
                f'labelled = {WORLD!r}: it has no {", ".join(sorted(missing))}, only'
                f' {", ".join(dataset.CLASSES)}'
            )
        self.classes = tuple(classes)
        split = dataset.Split(dataset.HELD_OUT, count, FIRST_NEAR)
        found = islice(dataset.with_people(split, within_m=near_m), count)
        self._made = list(counted(found, 'render', count, unit='pictures'))
        there = dataset.CLASSES
        self._number = np.array(
            [self.classes.index(c) if c in self.classes else -1 for c in there], np.int32
        )

    def __len__(self) -> int:
        return len(self._made)

    def picture(self, index: int) -> Picture:
        """(H, W, 3) BGR; borrowed."""
        picture: Picture = self._made[index].picture
        return picture

    def known(self, index: int) -> Known:
        """The labels of a picture."""
        truth, class_id = self._made[index].truth, self._number[self._made[index].truth.class_id]
        kept = (class_id >= 0) & (truth.pixels > 0)
        return Known(
            class_id[kept], truth.boxes_px[kept], self._made[index].ignored[kept],
            truth.distance_m[kept],
        )  # fmt: skip


def open_labelled(
    sources: Sequence[str],
    *,
    classes: Sequence[str],
    pictures: str = '',
    world: tuple[int, float] = (100, 3.0),
) -> Labelled:
    """What ``sources`` name, one after the other.

    Args:
        sources: each the folder of a split, a ``.json`` of labels in COCO's format, or ``world``.
        classes: of the model; labels of others are left out.
        pictures: folder of the pictures of a COCO file; empty: the folder it lies in.
        world: how many scenes to render, and how near somebody is in each, m.

    Raises:
        ConfigError: one is none of these, or something in it is wrong; names it.
    """
    sets = [_open(source, classes, pictures, world) for source in sources]
    return sets[0] if len(sets) == 1 else Sets(sets)


def _open(
    source: str, classes: Sequence[str], pictures: str, world: tuple[int, float]
) -> Labelled:
    if source == WORLD:
        return World(classes, count=world[0], near_m=world[1])
    path = Path(source)
    if path.suffix == '.json':
        return Coco(path, Path(pictures) if pictures else path.parent, classes)
    if path.is_dir():
        return Split(path, only=classes)
    raise ConfigError(
        f'labelled = {source!r}: expected the folder of a split (images.npy, labels.npz,'
        f' split.json), a .json file of labels in the format of COCO, or {WORLD}'
    )
