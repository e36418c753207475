"""Renders drives and labelled pictures, as steps of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.terminal import progress


@dataclass(frozen=True)
class DriveParams:
    """Which drive to render."""

    seconds: float = param(60.0, 'length of the drive', low=0.1, high=36000.0)
    seed: int = param(0, 'seed of the drive: the same seed gives the same messages', low=0)
    speed: float = param(1.5, 'the most the robot drives, m/s', low=0.0, high=30.0)
    rate_hz: float = param(10.0, 'frames rendered a second', low=0.1, high=120.0)
    foreign: bool = param(default=False, doc='other textures, weather or night')


def drive(out: Path, params: DriveParams) -> dict[str, Any]:
    """Render a drive and write it as a bag at ``out``."""
    from edge_inference_ros.sim.bag import TOPICS, write_drive

    if out.exists():
        raise ConfigError(f'{out} exists; remove it or choose another --out')
    written = write_drive(
        out,
        seconds=params.seconds,
        seed=params.seed,
        speed_mps=params.speed,
        rate_hz=params.rate_hz,
        foreign=params.foreign,
        progress=progress.following('render', unit='frames'),
    )
    return {'bag': str(out), 'frames': len(written), 'topics': list(TOPICS)}


@dataclass(frozen=True)
class DatasetParams:
    """How much of the labelled set to render."""

    share: float = param(
        1.0, 'share of the pictures of each split to render: 1 renders all', low=1e-4, high=1.0
    )
    processes: int = param(2, 'worker processes that render', low=1, high=256)


def dataset(out: Path, params: DatasetParams) -> dict[str, Any]:
    """Render the splits that ``train camera`` and the gates read; those that are there stay."""
    from edge_inference_ros.sim.dataset import RECIPE, write_recipe

    bars = {name: progress.following(name, unit='pictures') for name in RECIPE}

    def tell(split: str, done: int, count: int) -> None:
        bars[split](done, count)

    write_recipe(out, share=params.share, processes=params.processes, progress=tell)
    return {'folder': str(out), 'splits': list(RECIPE)}
