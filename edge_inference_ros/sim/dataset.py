"""Labelled pictures of random worlds, as arrays on disk that training reads without copying.

A split is a folder with

* `images.npy`: (N, H, W, 3) uint8, BGR;
* `labels.npz`: `offsets` (N + 1), and per label `class_id`, `boxes_px` (x1 y1 x2 y2),
  `distance_m`, `visibility`, `ignored`; picture i has the labels `offsets[i]:offsets[i + 1]`;
* `split.json`: how it was made.

A label is `ignored` when the thing is too small or too hidden to be asked for: finding it is
neither right nor wrong.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim.bodies import CLASSES
from edge_inference_ros.sim.camera import Camera, Pose, see
from edge_inference_ros.sim.develop import Picture, any_film, develop
from edge_inference_ros.sim.drive import Route, street
from edge_inference_ros.sim.scenes import any_scene
from edge_inference_ros.sim.truth import Truth, truth_of
from edge_inference_ros.sim.workers import workers
from edge_inference_ros.sim.world import World

TRAIN, HELD_OUT, FOREIGN = 'train', 'held_out', 'foreign'
MIXED, STREET = 'mixed', 'street'
FIRST_SEED = {TRAIN: 0, HELD_OUT: 10_000_000, FOREIGN: 20_000_000}
"""Seeds of the splits never meet."""

MIN_HEIGHT_PX, MIN_WIDTH_PX, MIN_PIXELS, MIN_VISIBILITY = 10, 4, 30, 0.3
"""Below any of these a label is ignored; for a picture 288 pixels high."""


@dataclass(frozen=True)
class Split:
    """Which pictures to make.

    Attributes:
        name: `train`, `held_out` or `foreign` (other textures, weather, night).
        count: how many.
        first: number of the first within the split, for more of the same later.
        scenes: `mixed`, or `street` for what a robot sees on a drive.
    """

    name: str
    count: int
    first: int = 0
    scenes: str = MIXED
    width: int = 384
    height: int = 288


@dataclass(frozen=True)
class Example:
    """One labelled picture."""

    picture: Picture
    truth: Truth
    ignored: NDArray[np.bool_]


def any_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """A random camera on a random robot."""
    return Camera(
        width, height, float(np.radians(rng.uniform(55, 95))),
        (float(rng.uniform(0, 0.3)), float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.35, 1.7))),
        float(rng.uniform(-0.1, 0.15)), float(rng.uniform(-0.05, 0.05)),
    )  # fmt: skip


def example(seed: int, split: Split) -> Example:
    """The picture of a seed; the same seed gives the same bytes."""
    foreign = split.name == FOREIGN
    rng = np.random.default_rng((seed, 1))
    camera = any_camera(rng, split.width, split.height)
    world, pose, t_s = any_instant(seed, split, rng)
    bodies = world.bodies(t_s, pose.shift()[:2], 60.0)
    view = see(world, bodies, camera, pose)
    picture = develop(view.light, any_film(rng, foreign=foreign), world.weather, rng)
    truth = truth_of(bodies, pose, view)
    return Example(picture, truth, too_hard(truth, split.height))


def with_people(split: Split, *, within_m: float) -> Iterator[Example]:
    """The pictures of a split in which a person nearer than this is asked for, without end.

    People that near are rare, and a picture costs a hundred times as much as a look at where
    everybody stands, so nothing is rendered where nobody can be in it.
    """
    person = CLASSES.index('person')
    for seed in itertools.count(FIRST_SEED[split.name] + split.first):
        if not _somebody_near(seed, split, within_m):
            continue
        seen = example(seed, split)
        theirs = (seen.truth.class_id == person) & ~seen.ignored
        if (seen.truth.distance_m[theirs] < within_m).any():
            yield seen


def _somebody_near(seed: int, split: Split, within_m: float) -> bool:
    """Whether a person stands ahead, with half a metre of room for the body."""
    rng = np.random.default_rng((seed, 1))
    any_camera(rng, split.width, split.height)
    world, pose, t_s = any_instant(seed, split, rng)
    back, person = pose.turn().T, CLASSES.index('person')
    places = [
        back @ (body.centre_m - pose.shift())
        for body in world.bodies(t_s, pose.shift()[:2], within_m + 2.0)
        if body.class_id == person
    ]
    return any(p[0] > 0 and np.hypot(p[0], p[1]) < within_m + 0.5 for p in places)


def any_instant(seed: int, split: Split, rng: np.random.Generator) -> tuple[World, Pose, float]:
    """A world, where the robot stands in it, and when."""
    foreign = split.name == FOREIGN
    if split.scenes == MIXED:
        return any_scene(seed, foreign=foreign), Pose(), 0.0
    route = Route(20.0, float(rng.uniform(0.5, 2.5)))
    t_s = float(rng.uniform(0, 20))
    pose = route.pose(t_s)
    pose = Pose(pose.x_m, pose.y_m, pose.yaw_rad + float(rng.normal(0, 0.12)))
    return street(route, seed, foreign=foreign), pose, t_s


def too_hard(truth: Truth, height_px: int) -> NDArray[np.bool_]:
    """(K,) which bodies are too small or too hidden to be asked for."""
    scale = height_px / 288
    size = truth.boxes_px[:, 2:] - truth.boxes_px[:, :2]
    return np.asarray(
        (size[:, 1] < MIN_HEIGHT_PX * scale)
        | (size[:, 0] < MIN_WIDTH_PX * scale)
        | (truth.pixels < MIN_PIXELS * scale * scale)
        | (truth.visibility < MIN_VISIBILITY)
    )


def write_split(
    folder: Path, split: Split, *, processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """Make a split; the result does not depend on `processes`.

    Args:
        folder: made if missing; files in it are replaced.
        split: what to make.
        processes: how many worker processes.
        progress: called with the number done and the number in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'split.json').unlink(missing_ok=True)
    shape = split.count, split.height, split.width, 3
    images = np.lib.format.open_memmap(folder / 'images.npy', 'w+', np.uint8, shape)
    labels = []
    for i, (picture, rows) in enumerate(_examples(split, processes)):
        images[i] = picture
        labels.append(rows)
        if progress is not None:
            progress(i + 1, split.count)
    images.flush()
    offsets = np.cumsum([0] + [len(rows['class_id']) for rows in labels])
    columns = {name: np.concatenate([rows[name] for rows in labels]) for name in labels[0]}
    columns['offsets'] = offsets
    np.savez(folder / 'labels.npz', **columns)  # type: ignore[arg-type]
    (folder / 'split.json').write_text(json.dumps(_facts(split), indent=1) + '\n')


RECIPE = {
    'train_mixed': Split(TRAIN, 20_000),
    'train_street': Split(TRAIN, 6_000, 20_000, STREET),
    'held_out': Split(HELD_OUT, 1_000),
    'street': Split(HELD_OUT, 500, 5_000, STREET),
    'foreign': Split(FOREIGN, 1_000),
}
"""The folders the shipped camera models were trained and scored on."""


def write_recipe(
    folder: Path,
    *,
    share: float = 1.0,
    processes: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Make the splits of `RECIPE` in a folder; those that are there already stay.

    Args:
        folder: made if missing.
        share: of the pictures of each split, for a quicker and poorer set.
        processes: how many worker processes.
        progress: called with the split, the number done and the number in all.
    """
    for name, whole in RECIPE.items():
        split = replace(whole, count=max(1, round(whole.count * share)))
        if _is_complete(folder / name, split):
            continue

        def tell(done: int, count: int, name: str = name) -> None:
            if progress is not None:
                progress(name, done, count)

        write_split(folder / name, split, processes=processes, progress=tell)


def _is_complete(folder: Path, split: Split) -> bool:
    """Whether a folder holds that split; `split.json` is written last."""
    try:
        facts = json.loads((folder / 'split.json').read_text())
    except (OSError, ValueError):
        return False
    return bool(facts == json.loads(json.dumps(_facts(split))))


def _facts(split: Split) -> dict[str, object]:
    return asdict(split) | {'classes': CLASSES, 'first_seed': FIRST_SEED[split.name]}


_Labels = dict[str, NDArray[np.generic]]


def _examples(split: Split, processes: int) -> Iterable[tuple[Picture, _Labels]]:
    first = FIRST_SEED[split.name] + split.first
    jobs = [(seed, split) for seed in range(first, first + split.count)]
    if processes <= 1:
        yield from map(_example, jobs)
        return
    with workers(processes, _single_threaded) as pool:
        yield from pool.imap(_example, jobs, chunksize=16)


def _single_threaded() -> None:
    cv2.setNumThreads(1)


def _example(job: tuple[int, Split]) -> tuple[Picture, _Labels]:
    drawn = example(*job)
    truth, seen = drawn.truth, drawn.truth.pixels > 0
    return drawn.picture, {
        'class_id': truth.class_id[seen],
        'boxes_px': truth.boxes_px[seen],
        'distance_m': truth.distance_m[seen],
        'visibility': truth.visibility[seen],
        'ignored': drawn.ignored[seen],
    }
