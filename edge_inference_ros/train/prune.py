"""Takes channels, blocks or single weights out of a detector and trains what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.train import tuning
from edge_inference_ros.train.tuning import CHECKPOINT, Tuning

if TYPE_CHECKING:
    from edge_inference_ros.train.data import Joined
    from edge_inference_ros.train.fit import State
    from edge_inference_ros.train.net import DetectorNet
    from edge_inference_ros.train.restore import Restored
    from edge_inference_ros.train.thin import Batch

MASKING = {'unstructured': 'unstructured', '2:4': '24'}
_SUFFIX = {'structured': 'thin', 'layers': 'short', **MASKING}
_JUDGED = 8
_DENSE = (
    'Dense kernels multiply by zeros as by anything else: ort_ratio is what was gained. 2:4 masks'
    ' pay on sparse tensor cores alone.'
)


@dataclass(frozen=True)
class Params(Tuning):
    """What goes, how it is chosen, and how the rest is trained."""

    method: str = param(
        'structured',
        'what is removed: channels, residual blocks, or single weights freely or two of every'
        ' four',
        choices=('2:4', 'layers', 'structured', 'unstructured'),
    )
    share: float = param(
        0.3,
        'share of the channels, blocks or weights to remove; method 2:4 removes a half',
        low=0.01,
        high=0.95,
    )
    importance: str = param(
        'taylor',
        'structured: how the importance of a channel is measured',
        choices=('l2', 'taylor'),
    )
    ranking: str = param(
        'global',
        'structured: channels are compared over all layers (global), or within each (uniform)',
        choices=('global', 'uniform'),
    )
    round_to: int = param(
        8, 'structured: the channels left in a layer are a multiple of this', low=1, high=64
    )
    weight: float = param(
        1.0,
        'weight in the loss of the network before pruning, as a teacher; 0 trains from the'
        ' labels alone',
        low=0.0,
        high=100.0,
    )
    temperature: float = param(
        2.0,
        "temperature that softens the teacher's scores; 1 leaves them as they are",
        low=0.1,
        high=20.0,
    )


def run(model: Path, out: Path, params: Params, *, made_by: str = '') -> Report:
    """Prune a detector and fine-tune it.

    Args:
        model: a model folder of ours, a checkpoint, or an ONNX file.
        out: the model folder to write; also holds the checkpoint an interrupted run goes on from.
        params: what goes.
        made_by: the command, for the manifest.

    Raises:
        ConfigError: a network that is not ours, no data though it is needed, or another run in
            ``out``.
        BackendUnavailable: torch or torch_pruning is not installed.
    """
    check(params)
    tuning.prepare(params)
    from edge_inference_ros.train import deploy, fit, restore

    source = restore.restored(model)
    data = _data(source, params)
    about: dict[str, Any] = {'params': tuning.shaping(params), 'input': digest(source.path)}
    if data:
        about['data'] = tuning.digest_of(data)
    tuning.claim(out / CHECKPOINT, {'step': 'prune', **about}, model=model)
    checkpoint = out / CHECKPOINT
    if checkpoint.is_file():
        state = fit.resume(checkpoint, tuning.schedule(params))
    else:
        state = fit.start(_thinned(source, data, params), tuning.schedule(params))
    _train(state, source, data, params, checkpoint)
    detector = fit.trained(checkpoint)
    classes = source.classes or (data.classes if data else ())
    path = deploy.write_folder(
        detector, out, tuning.card(source, classes, _SUFFIX[params.method], params, made_by)
    )
    before, after = _measured(source, detector, path, classes, params)
    about |= {'before': before, 'after': after}
    tuning.register(out, path.name, tuning.provenance(source.path, 'prune', made_by, **about))
    return _report(model, path, before, after, params)


def _data(source: Restored, params: Params) -> Joined | None:
    if params.data:
        data = tuning.splits(params, source.classes)
        if len(data.classes) != source.detector.config.classes:
            raise ConfigError(
                f'{source.path} has {source.detector.config.classes} classes, the data'
                f' {len(data.classes)}: {", ".join(data.classes)}; give the model folder, whose'
                ' manifest names them'
            )
        return data
    slopes = params.method == 'structured' and params.importance == 'taylor'
    if params.steps or params.method == 'layers' or slopes:
        raise ConfigError(
            'data: needed to train after pruning and to judge what goes; without it only'
            ' masks, or channels by --importance l2, with --steps 0 are possible'
        )
    if not source.classes:
        raise ConfigError(f'{source.path}: no manifest beside it names its classes')
    return None


def _thinned(source: Restored, data: Joined | None, params: Params) -> DetectorNet:
    """The detector without what goes, ready to be trained."""
    from edge_inference_ros.train import restore, thin

    detector = restore.folded(source.detector)
    batches = _batches(data, params) if data else []
    if params.method == 'structured':
        thin.narrow(
            detector, params.share, importance=params.importance, ranking=params.ranking,
            round_to=params.round_to, batches=batches,
        )  # fmt: skip
    elif params.method == 'layers':
        thin.shorten(detector, params.share, batches)
    elif params.method == 'unstructured':
        thin.drop_weights(detector, params.share)
    else:
        thin.drop_two_of_four(detector)
    if batches:
        restore.settle(detector, (pictures for pictures, _ in batches))
    return detector


def _batches(data: Joined, params: Params) -> list[Batch]:
    """The first batches training would show, as whole pictures."""
    import torch

    from edge_inference_ros.train.data import batch_of

    batches = []
    for step in range(_JUDGED):
        pictures, labels = batch_of(data, step, params.batch, params.seed)
        batches.append((torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, labels))
    return batches


def _train(
    state: State, source: Restored, data: Joined | None, params: Params, checkpoint: Path
) -> None:
    from edge_inference_ros.train import fit, teacher, thin

    if params.method in MASKING:
        thin.keep_zeros(state.model)
    if data is None:
        fit.save(state, checkpoint)
        return
    extra = None
    if params.weight:
        weights = teacher.Weights(params.weight, params.weight, 0.0, params.temperature)
        extra = teacher.Teacher(source.detector, range(len(data.classes)), weights, state.model)
    tuning.fit(state, data, params, checkpoint, extra)


def _measured(
    source: Restored, detector: DetectorNet, path: Path, classes: Sequence[str], params: Params
) -> tuple[dict[str, Any], dict[str, Any]]:
    with tuning.exported(source.detector, source.path) as file:
        times = tuning.latencies({'before': file, 'after': path}, params.runs)
        before = {
            **tuning.facts_of(source.detector, file),
            **_counted(source.detector),
            **times['before'],
            **tuning.scored(file, params, classes),
        }
    after = {
        **tuning.facts_of(detector, path),
        **_counted(detector),
        **times['after'],
        **tuning.scored(path, params, classes),
    }
    return before, after


def _counted(detector: DetectorNet) -> dict[str, Any]:
    from edge_inference_ros.train import thin

    return {
        'channels': thin.channels(detector),
        'multiplications': thin.multiplications(detector),
        'zeros': thin.zeros(detector),
    }


def _report(
    model: Path, path: Path, before: Mapping[str, Any], after: Mapping[str, Any], params: Params
) -> Report:
    facts: dict[str, Value] = {
        'ort_ratio': after['ort_ratio'],
        **{
            f'{name}_ratio': after[name] / before[name]
            for name in ('channels', 'parameters', 'multiplications', 'bytes')
        },
        'zeros': after['zeros'],
        'sha256': after['sha256'],
    }
    if 'accuracy' in after:
        facts['ap50_loss'] = before['accuracy']['ap50'] - after['accuracy']['ap50']
    rows = tuple(tuning.row(name, known) for name, known in (('before', before), ('after', after)))
    notes = (_DENSE,) if params.method in MASKING else ()
    return Report('prune', str(model), str(path), facts, rows, notes)
