"""Finds the range of every inner tensor while the network sees what the robot will see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest, digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize.graph import ranges as calibration_ranges
from edge_inference_ros.optimize.graph.ranges import Inputs
from edge_inference_ros.optimize.judge import frames as calibration_frames
from edge_inference_ros.terminal.progress import counted


@dataclass(frozen=True)
class Params:
    """Which pictures, how many, and what counts as the range."""

    source: str = param(
        '',
        'folder of pictures, recording, labelled split, or world, which renders some; empty takes'
        ' world if the network finds only what is in it',
        path=True,
    )
    topic: str = param('', 'image topic of a recording; empty takes the only one')
    frames: int = param(200, 'pictures to show to the network', low=1, high=100_000)
    keep: int = param(64, 'prepared pictures to keep for later comparisons', low=1, high=10_000)
    method: str = param(
        'minmax',
        'how ranges treat outliers: minmax keeps all, entropy and percentile cut some off',
        choices=('entropy', 'minmax', 'percentile'),
    )
    percentile: float = param(
        99.99,
        'percentage of the values that the range takes in, for method percentile',
        low=50.0,
        high=100.0,
    )
    seed: int = param(0, 'seed of the choice of pictures: the same seed chooses the same', low=0)


def run(model: Path, out: Path, params: Params) -> Report:
    """Calibrate a model folder's float network.

    Args:
        model: a model folder; its head prepares the pictures, as on the robot.
        out: folder for the ranges and some of the prepared pictures.
        params: which pictures.

    Raises:
        ConfigError: no manifest, or no pictures.
        ModelError: the network cannot be run.
    """
    check(params)
    source = _folder.source(model)
    if source.manifest is None:
        raise ConfigError(
            f'{model}: calibration needs a model folder, whose manifest says how pictures'
            ' are shown to the network'
        )
    shown = params.source or _world_for(source.manifest)
    pictures = calibration_frames.pictures(
        shown, count=params.frames, seed=params.seed, topic=params.topic
    )
    fed = calibration_ranges.fed(source.manifest, source.path, pictures)
    seen = calibration_ranges.Remembering(_counted(fed, len(pictures)), keep=params.keep)
    ranges = calibration_ranges.collect(
        source.path,
        source.manifest.input.tensor,
        iter(seen),
        method=params.method,
        percentile=params.percentile,
    )
    facts: dict[str, Value] = {
        'source': Path(shown).name,
        'frames': seen.count,
        'method': params.method,
        'seed': params.seed,
    }
    if params.method == 'percentile':
        facts['percentile'] = params.percentile
    calibration = calibration_ranges.Calibration(
        digest(source.path),
        seen.sha256,
        source.manifest.input.tensor,
        ranges,
        np.concatenate(seen.kept),
        facts,
    )
    calibration_ranges.write(calibration, out)
    return Report(
        'calibrate',
        str(model),
        str(out),
        {**facts, 'set_sha256': seen.sha256, 'tensors': len(ranges)},
    )


def _world_for(manifest: Manifest) -> str:
    """The simulated world, for a network that knows nothing else.

    Raises:
        ConfigError: it finds other things; ranges of pictures without them would be too small.
    """
    ours = registry.load('sim', 'bodies').CLASSES
    if foreign := [name for name in manifest.classes if name not in ours]:
        raise ConfigError(
            f'{manifest.folder}: finds {", ".join(foreign[:3])}, which the simulated world does'
            ' not show; name pictures like those it was trained on: --source FOLDER or RECORDING'
        )
    return calibration_frames.WORLD


def _counted(inputs: Iterator[Inputs], most: int) -> Iterator[Inputs]:
    none = True
    for value in counted(inputs, 'calibrate', most, unit='pictures'):
        none = False
        yield value
    if none:
        raise ConfigError('the source gave no pictures')
