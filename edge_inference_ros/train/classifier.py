"""Distillation of a classifier from the user's own Python files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.report import Report
from edge_inference_ros.errors import ConfigError, ModelError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.train import camera as train_camera
from edge_inference_ros.train import export, tuning
from edge_inference_ros.train.tuning import CHECKPOINT

if TYPE_CHECKING:
    from edge_inference_ros.train.classify import Examples

WEIGHTS, FILE = 'student.pt', 'model.onnx'


def run(model: Path, out: Path, params: Any, *, made_by: str = '') -> Report:
    """As `distill.run`; ``model`` is a Python file."""
    import torch

    from edge_inference_ros.train import classify

    teacher = _network(model, params.weights)
    torch.manual_seed(params.seed)
    student = _network(Path(params.student))
    train, held_out = (Path(params.data) / f'{name}.npz' for name in ('train', 'held_out'))
    about: dict[str, Any] = {
        'params': tuning.shaping(params),
        'teacher': digest(Path(params.weights)) if params.weights else digest(model),
        'student': digest(Path(params.student)),
        'data': digest(train),
    }
    tuning.claim(out / CHECKPOINT, {'step': 'distill', **about}, model=model)
    told = classify.Told(teacher, params.weight, params.temperature) if params.weight else None
    classify.fit(
        student, classify.read(train), tuning.schedule(params), told,
        checkpoint=out / CHECKPOINT, every=params.every, on_step=train_camera.Progress(),
    )  # fmt: skip
    torch.save(student.state_dict(), out / WEIGHTS)
    known = _measured(model, out, params, classify.read(held_out))
    about |= {'before': known['teacher'], 'after': known['student']}
    facts = tuning.provenance(model, 'distill', made_by, **about)
    text = json.dumps(_folder.plain(facts), indent=1)
    (out / FILE).with_suffix('.json').write_text(text + '\n', encoding='utf-8')
    rows = tuple({'network': name, **row} for name, row in known.items())
    return Report('distill', str(model), str(out / FILE), {'sha256': digest(out / FILE)}, rows)


def _network(path: Path, weights: str = '') -> Any:
    if path.suffix != '.py':
        raise ConfigError(f'{path}: a classifier comes from a .py file that defines network()')
    try:
        return export.network_of(path, weights).eval()
    except (OSError, RuntimeError) as error:
        raise ModelError(f'{path}: weights = {weights} do not fit its network: {error}') from error


def _measured(
    model: Path, out: Path, params: Any, held_out: Examples
) -> dict[str, dict[str, Any]]:
    """Accuracy, size and latency of teacher and student, exported to ONNX."""
    from edge_inference_ros.train import classify

    dtype = str(held_out.inputs.dtype).removeprefix('torch.')
    shape = tuple(str(n) for n in (1, *held_out.inputs.shape[1:]))
    networks = {
        'teacher': (model, params.weights),
        'student': (Path(params.student), str(out / WEIGHTS)),
    }
    known: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        files = {'teacher': Path(folder) / FILE, 'student': out / FILE}
        for name, (path, weights) in networks.items():
            export.run(path, files[name], export.Params(weights=weights, shape=shape, dtype=dtype))
            network = _network(path, weights)
            known[name] = {
                'parameters': sum(p.numel() for p in network.parameters()),
                'bytes': files[name].stat().st_size,
                'accuracy': classify.accuracy(network, held_out),
            }
        for name, times in tuning.latencies(files, params.runs).items():
            known[name] |= times
    return known
