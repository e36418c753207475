"""Trains a small network on the labels and on what a larger one makes of the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.train import classifier, tuning
from edge_inference_ros.train.tuning import CHECKPOINT, Tuning

if TYPE_CHECKING:
    from edge_inference_ros.train.data import Joined
    from edge_inference_ros.train.fit import State
    from edge_inference_ros.train.net import DetectorNet
    from edge_inference_ros.train.restore import Restored
    from edge_inference_ros.train.teacher import Teacher


@dataclass(frozen=True)
class Params(Tuning):
    """What the student is, and how much the teacher counts."""

    steps: int = param(12_000, 'batches to train on', low=1, high=10_000_000)
    cooldown: int = param(2_000, 'batches at the end with a falling rate', low=0, high=1_000_000)
    whole: int = param(
        2_000,
        'batches at the end that show whole pictures instead of parts',
        low=0,
        high=1_000_000,
    )
    rate: float = param(2e-3, 'highest learning rate', low=1e-6, high=1.0)
    warmup: int = param(200, 'batches at the start with a rising rate', low=0, high=100_000)
    size: str = param('nano', 'size of the student network', choices=('nano', 'small', 'tiny'))
    classes: tuple[str, ...] = param((), "classes the student learns; empty: the teacher's")
    weight: float = param(
        1.0,
        'weight of the teacher in the loss, beside the labels; 0 trains from the labels alone',
        low=0.0,
        high=100.0,
    )
    score_weight: float = param(
        1.0,
        "weight of the teacher's scores, as soft labels, in the teacher's part of the loss",
        low=0.0,
        high=100.0,
    )
    box_weight: float = param(
        1.0, "weight of the teacher's boxes in the teacher's part of the loss", low=0.0, high=100.0
    )
    feature_weight: float = param(
        0.0,
        "weight of the teacher's feature maps (neck) in the teacher's part of the loss",
        low=0.0,
        high=100.0,
    )
    temperature: float = param(
        2.0,
        "temperature that softens the teacher's scores; 1 leaves them as they are",
        low=0.1,
        high=20.0,
    )
    score_threshold: float = param(0.3, 'threshold the manifest proposes', low=0.0, high=1.0)
    task: str = param('detect', 'what the networks do', choices=('classify', 'detect'))
    student: str = param('', 'classify: .py file whose network() is the student', path=True)
    weights: str = param('', "classify: the teacher's state dict", path=True)

    def faults(self) -> list[str]:
        """What fits no other parameter."""
        if not self.data:
            return ['data: training needs a folder with labelled splits, or with npz files']
        if (self.task == 'classify') != bool(self.student):
            return ['student: a .py file, with task classify alone; a detector has --size']
        return []


def run(model: Path, out: Path, params: Params, *, made_by: str = '') -> Report:
    """Train a student.

    Args:
        model: the teacher: a model folder of ours, a checkpoint, or an ONNX file; to classify, a
            ``.py`` file that defines ``network()``, which is run.
        out: the student's model folder; also holds the checkpoint an interrupted run goes on from.
            A classifier has no manifest; what a manifest says is in a JSON file beside it.
        params: what and how.
        made_by: the command, for the manifest.

    Raises:
        ConfigError: a teacher that is not ours or lacks a class, no data, or another run in
            ``out``.
        BackendUnavailable: torch is not installed, or has no such device.
    """
    check(params)
    tuning.prepare(params)
    if params.task == 'classify':
        return classifier.run(model, out, params, made_by=made_by)
    from edge_inference_ros.train import deploy, fit, restore

    teacher = restore.restored(model)
    data = tuning.splits(params, params.classes or teacher.classes)
    columns = _columns(teacher, data)
    about: dict[str, Any] = {
        'params': tuning.shaping(params),
        'teacher': digest(teacher.path),
        'data': tuning.digest_of(data),
    }
    tuning.claim(out / CHECKPOINT, {'step': 'distill', **about}, model=model)
    checkpoint = out / CHECKPOINT
    state = _state(checkpoint, teacher.detector, len(data.classes), params)
    extra = _extra(teacher.detector, columns, params, state) if params.weight else None
    tuning.fit(state, data, params, checkpoint, extra)
    student = fit.trained(checkpoint)
    name = params.name or f'{data.splits[0].name}_{params.size}'
    card = deploy.Card(name, data.classes, made_by or 'edge_inference optimize distill',
                       params.score_threshold)  # fmt: skip
    path = deploy.write_folder(student, out, card)
    before, after = _measured(teacher, columns, (student, path), data.classes, params)
    about |= {'before': before, 'after': after}
    facts = tuning.provenance(teacher.path, 'distill', made_by, **about)
    tuning.register(out, path.name, facts)
    return _report(model, path, before, after)


def _columns(teacher: Restored, data: Joined) -> list[int]:
    """For each class of the student the teacher's."""
    count = teacher.detector.config.classes
    names = teacher.classes or data.classes
    if len(names) != count:
        raise ConfigError(
            f'{teacher.path} has {count} classes and no manifest that names them, the data has'
            f' {len(names)}: {", ".join(names)}; give the model folder instead'
        )
    if unknown := sorted(set(data.classes) - set(names)):
        raise ConfigError(f'classes = {unknown}: the teacher has only {", ".join(names)}')
    return [names.index(c) for c in data.classes]


def _state(checkpoint: Path, teacher: DetectorNet, classes: int, params: Params) -> State:
    from edge_inference_ros.train import fit, net
    from edge_inference_ros.train.teacher import Student

    size = net.CONFIGS[params.size]
    config = replace(
        size, classes=classes, width=teacher.config.width, height=teacher.config.height
    )
    student = net.build(config, seed=params.seed)
    model = Student(student, teacher) if params.weight * params.feature_weight else student
    schedule = tuning.schedule(params)
    if checkpoint.is_file():
        return fit.resume(checkpoint, schedule, model=model)
    return fit.start(model, schedule)


def _extra(teacher: DetectorNet, columns: Sequence[int], params: Params, state: State) -> Teacher:
    from edge_inference_ros.train import teacher as taught

    weights = taught.Weights(
        params.weight * params.score_weight, params.weight * params.box_weight,
        params.weight * params.feature_weight, params.temperature,
    )  # fmt: skip
    return taught.Teacher(teacher, columns, weights, state.model)


def _measured(
    teacher: Restored,
    columns: Sequence[int],
    trained: tuple[DetectorNet, Path],
    classes: Sequence[str],
    params: Params,
) -> tuple[dict[str, Any], dict[str, Any]]:
    student, path = trained
    with tuning.exported(teacher.detector, teacher.path) as file:
        times = tuning.latencies({'teacher': file, 'student': path}, params.runs)
        before = {
            **tuning.facts_of(teacher.detector, file),
            **times['teacher'],
            **tuning.scored(file, params, classes, columns=columns),
        }
    after = {
        **tuning.facts_of(student, path),
        **times['student'],
        **tuning.scored(path, params, classes),
    }
    return before, after


def _report(
    model: Path, path: Path, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Report:
    facts: dict[str, Value] = {k: after[k] for k in ('parameters', 'bytes', 'sha256', 'ort_ratio')}
    rows = (tuning.row('teacher', before), tuning.row('student', after))
    return Report('distill', str(model), str(path), facts, rows)
