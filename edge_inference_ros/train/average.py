"""Averages the weights of several runs of one training into a model folder that can be shipped.

Each time the rate rises again and falls, training ends in another place around the same optimum.
The middle of these places tends to generalise better than each of them, and costs nothing when it
runs: P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI
2018. What it brought here is in models/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.params import check, param
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.train.camera import CHECKPOINT, scored, torch_for

if TYPE_CHECKING:
    from torch import Tensor

    from edge_inference_ros.train.net import DetectorNet
    from edge_inference_ros.train.restore import Restored


@dataclass(frozen=True)
class Params:
    """What to average."""

    runs: tuple[str, ...] = param((), 'folders of runs that went on from each other', path=True)
    name: str = param('street_tiny', 'name of the new model')
    threads: int = param(2, 'CPU threads to use', low=1, high=256)
    score_threshold: float = param(0.3, 'threshold the manifest proposes', low=0.0, high=1.0)


def run(data: Path, out: Path, params: Params, *, made_by: str = '') -> dict[str, Any]:
    """Average, evaluate and export.

    Args:
        data: folder with the splits that shall be scored, as for ``train camera``.
        out: the model folder to write.
        params: what to average.
        made_by: the command, for the manifest.

    Returns:
        The accuracy written into the manifest.

    Raises:
        ConfigError: fewer than two runs, one without a checkpoint, or not all of one network.
        BackendUnavailable: torch is not installed.
    """
    check(params)
    torch_for('cpu').set_num_threads(params.threads)
    from edge_inference_ros.train import deploy
    from edge_inference_ros.train.restore import restored

    if len(params.runs) < 2:
        raise ConfigError('runs: give at least two; there is nothing to average')
    runs = [restored(Path(folder) / CHECKPOINT) for folder in params.runs]
    detector, classes, threshold = averaged(runs), runs[0].classes, params.score_threshold
    accuracy = scored(detector, data, classes=classes, score_threshold=threshold)
    made_by = made_by or f'edge_inference train average --name {params.name}'
    card = deploy.Card(params.name, classes, made_by, threshold, accuracy)
    deploy.write_folder(detector, out, card)
    return accuracy


def averaged(runs: Sequence[Restored]) -> DetectorNet:
    """The first run's detector, with the means of the weights and statistics of all.

    Raises:
        ConfigError: a run knows other classes than the first, or is another network.
    """
    first, *rest = every = [run.detector.state_dict() for run in runs]
    for run, weights in zip(runs[1:], rest, strict=True):
        if run.classes != runs[0].classes or _shapes(weights) != _shapes(first):
            raise ConfigError(f'{run.path}: another network than {runs[0].path}')
    for name, weight in first.items():
        if weight.is_floating_point():
            weight.copy_(sum(weights[name] for weights in every) / len(every))
    return runs[0].detector


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in weights.items()}
