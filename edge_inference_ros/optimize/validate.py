"""Judges a model before a robot may run it: accuracy, agreement, and people seen in time.

A *candidate* (another precision, backend or model folder) is compared with a *reference* on the
same pictures, both opened and read as the node does; of the reference only the classes of the
candidate count. Three judgements, each made if what it needs is given:

* **agreement** (``images``, or nothing labelled): do both find the same objects?
* **accuracy** (``labelled``): COCO's average precision, absolute and against the reference.
* **people** (``labelled`` and ``robots``): recall of people within the distance each robot needs
  to stop. What loses people there is refused whatever its average precision, and what cannot be
  shown not to is refused as inconclusive; `people.py` says how it is judged.

The command ends with 0 if the candidate passed, 1 if it is refused, 2 if the input is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.guard.profiles import read_robot
from edge_inference_ros.machine import files
from edge_inference_ros.optimize.judge import agreement as pairwise
from edge_inference_ros.optimize.judge import frames, people, plot, score
from edge_inference_ros.optimize.judge.detector import OfflineDetector, another
from edge_inference_ros.optimize.judge.expected import Expected, expected
from edge_inference_ros.optimize.judge.labelled import open_labelled
from edge_inference_ros.optimize.judge.labels import Labelled
from edge_inference_ros.terminal.progress import counted

PATTERNS = 'patterns'
_NOWHERE = Origin('', RosNs(0), MonoNs(0))
_SCENES, _NEAR_M, _FEW = 600, 3.0, 100


@dataclass(frozen=True)
class Params:
    """What to compare with what, on which pictures, and what is asked of it."""

    backend: str = param('ort', 'runtime of the reference')
    precision: str = param('', 'precision of the reference; empty: the first file')
    other_backend: str = param(
        '', 'runtime of the candidate, which is judged; empty: trt, openvino or ort, as is here'
    )
    other_precision: str = param('', 'precision of the candidate; empty: the first file')
    other: str = param(
        '', 'model folder of the candidate; empty: the folder of the reference', path=True
    )

    images: str = param(
        '',
        'pictures to agree on: a folder of pictures, recording, labelled split, world, or'
        ' patterns, which show few objects; empty: patterns, unless something is labelled',
        path=True,
    )
    topic: str = param('', 'image topic of a recording; empty takes the only one')
    count: int = param(50, 'pictures to agree on, at most', low=1, high=100_000)
    seed: int = param(0, 'seed of the choice of pictures: the same seed chooses the same', low=0)
    agreement: float = param(
        -1.0,
        'least share of objects both find (F1); negative: what is expected of the two precisions,'
        ' or 0.98 of two models',
        low=-1.0,
        high=1.0,
    )
    iou: float = param(0.5, 'overlap that makes two boxes one object', low=0.0, high=1.0)
    score_difference: float = param(
        -1.0,
        'most that the scores of one object may differ, 95 of 100 times; negative: what is'
        ' expected of the two precisions, or 0.1 of two models',
        low=-1.0,
        high=1.0,
    )
    output_db: float = param(
        0.0,
        'least ratio of signal to difference of every output tensor, dB; 0 does not judge it',
        low=0.0,
        high=200.0,
    )

    labelled: tuple[str, ...] = param(
        (),
        'labelled pictures: folders of splits, .json files in the format of COCO, or world, which'
        ' renders scenes with somebody near',
        path=True,
    )
    labelled_images: str = param(
        '',
        'folder of the pictures of a .json file of labels; empty: the folder of the .json',
        path=True,
    )
    labelled_count: int = param(
        0, 'labelled pictures to use at most; 0: all of them, and 600 of world', low=0
    )
    least_ap: float = param(0.0, 'least AP@0.5; 0: not judged', low=0.0, high=1.0)
    ap_loss: float = param(0.01, 'most AP@0.5 that the reference may lead by', low=0.0, high=1.0)

    robots: tuple[str, ...] = param(
        (),
        'robots that must see people in time: names in config/robots, or paths of parameter files',
        path=True,
    )
    person: str = param('person', 'name of the class of people')
    recall_loss: float = param(
        0.01, 'most recall of people that may be lost within stopping distance', low=0.0, high=1.0
    )
    least_recall: float = param(
        0.0, 'least recall of people within stopping distance; 0: not judged', low=0.0, high=1.0
    )
    within_m: float = param(
        0.0, 'judge people nearer than this; 0: the stopping distance of each robot', low=0.0
    )
    confidence: float = param(
        0.95,
        'confidence level of the bounds that decide and of the intervals shown: 0.95 is 95 of 100',
        low=0.5,
        high=0.9999,
    )
    allow_inconclusive: bool = param(
        default=False, doc='let pass what too few people can neither show to be safe nor unsafe'
    )
    bins_m: tuple[float, ...] = param(
        (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 20.0), 'edges of the distance classes in the table, m'
    )

    def faults(self) -> list[str]:
        """Rules between the fields."""
        edges = self.bins_m
        rules = (
            (
                len(edges) >= 2 and list(edges) == sorted(set(edges)),
                f'bins_m = {edges}: must rise',
            ),
            (
                not self.robots or _named(self.labelled),
                'robots are given, but nothing is labelled',
            ),
            (
                not self.least_ap or _named(self.labelled),
                f'least_ap = {self.least_ap}, but nothing is labelled',
            ),
            (
                self.robots or not (self.least_recall or self.within_m),
                'least_recall or within_m is given, but no robots',
            ),
            (
                len({Path(name).stem for name in self.robots}) == len(self.robots),
                f'robots = {self.robots}: two of one name',
            ),
        )
        return [fault for holds, fault in rules if not holds]


@dataclass
class GateResult:
    """What was found out so far."""

    facts: dict[str, Value] = field(default_factory=dict)
    rows: tuple[dict[str, Value], ...] = ()
    tables: dict[str, tuple[dict[str, Value], ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    agreed: plot.Agreed | None = None


def run(model: Path, out: Path | None, params: Params) -> Report:
    """Judge, and refuse what does not meet ``params``.

    Args:
        model: model folder of the reference.
        out: folder for ``validate.json`` and ``validate.png``; None writes nothing.
        params: what with what, on which pictures.

    Raises:
        ConfigError: ``params``, a manifest, a robot or labels are wrong, or there are no pictures.
        ModelError, BackendError: one of the two does not open or run.
    """
    check(params)
    manifest = manifests.load(model)
    other_said = manifests.load(Path(params.other)) if params.other else manifest
    needed_m = _distances(other_said, params)
    if _named(params.labelled):
        score.metric_of(other_said.task)  # before anything is opened or rendered
    result = GateResult()
    with ExitStack() as keep:
        classes = other_said.classes
        reference = OfflineDetector(
            manifest, params.backend, params.precision, keep, classes=classes
        )
        backend, precision = params.other_backend, params.other_precision
        if backend:
            candidate = OfflineDetector(other_said, backend, precision, keep)
        else:
            candidate = another(reference, other_said, precision, keep)
        if params.images or not _named(params.labelled):
            _agree(result, reference, candidate, params)
        if _named(params.labelled):
            _score_labelled(result, reference, candidate, params, needed_m)
    if not result.refusals:
        few = ', on few pictures' if result.facts.get('pictures', _FEW) < _FEW else ''  # type: ignore[operator]
        result.notes.append(f'PASSED{few}: it meets everything that was asked for')
    report = Report(
        'validate', f'{candidate.name} judged by {reference.name}', str(out or ''),
        result.facts, result.rows, tuple(result.notes), '; '.join(result.refusals), result.tables,
    )  # fmt: skip
    if out:
        _write(out, report, result.agreed)
    return report


def _distances(candidate: Manifest, params: Params) -> dict[str, float]:
    """Robot → distance within which it must see people."""
    if params.robots and params.person not in candidate.classes:
        raise ConfigError(
            f'person = {params.person!r}: the candidate has the classes'
            f' {", ".join(candidate.classes)}'
        )
    needed = {Path(name).stem: people.needed_m(read_robot(name)) for name in params.robots}
    for robot, needed_m in needed.items():
        if params.within_m and params.within_m < needed_m:
            raise ConfigError(
                f'within_m = {params.within_m}: {robot} must see people within {needed_m:.2f} m'
            )
    return {robot: params.within_m or needed_m for robot, needed_m in needed.items()}


def _agree(
    result: GateResult, reference: OfflineDetector, candidate: OfflineDetector, params: Params
) -> None:
    pictures = _pictures(_larger(reference.manifest, candidate.manifest), params)
    agreement = pairwise.compare(reference, candidate, pictures, iou_threshold=params.iou)
    result.facts |= pairwise.facts(agreement)
    result.rows = pairwise.rows(agreement)
    if not agreement.found + agreement.other_found:
        result.notes.append('Neither found an object: that they agree says little. Give --images.')
    wanted = _wanted(reference, candidate, params)
    result.facts |= {'pair': wanted.pair, 'agreement_wanted': wanted.agreement}
    result.agreed = plot.Agreed(
        agreement.f1, wanted.agreement, agreement.score_differences, wanted.score_difference
    )
    result.refusals += pairwise.refusals(
        agreement,
        agreement=wanted.agreement,
        score_difference=wanted.score_difference,
        output_db=params.output_db,
    )


def _wanted(reference: OfflineDetector, candidate: OfflineDetector, params: Params) -> Expected:
    """What is asked for, and where nothing is, what is to be expected."""
    if reference.manifest.folder == candidate.manifest.folder:
        usual = expected(reference.file.precision, candidate.file.precision)
    else:
        usual = Expected('two models', 0.98, 0.1)
    return Expected(
        usual.pair,
        usual.agreement if params.agreement < 0 else params.agreement,
        usual.score_difference if params.score_difference < 0 else params.score_difference,
    )


def _score_labelled(
    result: GateResult,
    reference: OfflineDetector,
    candidate: OfflineDetector,
    params: Params,
    needed_m: dict[str, float],
) -> None:
    labelled = open_labelled(
        _named(params.labelled),
        classes=candidate.manifest.classes,
        pictures=params.labelled_images,
        world=(params.labelled_count or _SCENES, min(needed_m.values(), default=_NEAR_M)),
    )
    count = min(params.labelled_count or len(labelled), len(labelled))
    result.facts |= {'labelled': labelled.name, 'labelled_pictures': count}
    detected = [_detections(detector, labelled, count) for detector in (reference, candidate)]
    _accuracy(result, [faint for _, faint in detected], labelled, (reference, candidate), params)
    if params.person in labelled.classes:
        reported = [reported for reported, _ in detected]
        _judge_people(result, reported, labelled, params, needed_m)


def _detections(
    detector: OfflineDetector, labelled: Labelled, count: int
) -> tuple[list[score.Found], list[score.Found]]:
    """What is found in every picture: as the node reports it, and down to the faintest."""
    reported, faint = [], []
    title = f'validate {detector.file.path.name}'
    for index in counted(range(count), title, count, unit='pictures'):
        sample = Image(_NOWHERE, np.ascontiguousarray(labelled.picture(index)), 'bgr')
        named, all_ = detector.both(sample)
        reported.append(score.found_in(named))
        faint.append(score.found_in(all_))
    return reported, faint


def _accuracy(
    result: GateResult,
    reported: Sequence[list[score.Found]],
    labelled: Labelled,
    detectors: Sequence[OfflineDetector],
    params: Params,
) -> None:
    reference, candidate = (
        score.metric_of(d.manifest.task)(
            seen, labelled, score_threshold=d.manifest.head.score_threshold
        )
        for seen, d in zip(reported, detectors, strict=True)
    )
    loss = reference.ap50 - candidate.ap50
    result.facts |= _known({
        'ap50_reference': reference.ap50, 'ap50_candidate': candidate.ap50, 'ap50_loss': loss,
        'ap50_95_reference': reference.ap50_95, 'ap50_95_candidate': candidate.ap50_95,
    })  # fmt: skip
    result.tables['AP@0.5 by class'] = tuple(
        _known({'class': name, 'reference': reference.per_class[name], 'candidate': ap})
        for name, ap in candidate.per_class.items()
    )
    if not loss <= params.ap_loss:
        result.refusals.append(f'AP@0.5 falls by {loss:.4f}, allowed {params.ap_loss}')
    if not candidate.ap50 >= params.least_ap:
        result.refusals.append(f'AP@0.5 is {candidate.ap50:.4f}, wanted {params.least_ap}')


def _judge_people(
    result: GateResult,
    reported: Sequence[list[score.Found]],
    labelled: Labelled,
    params: Params,
    needed_m: dict[str, float],
) -> None:
    reference, candidate = reported
    seen = people.seen(reference, candidate, labelled, person=params.person)
    result.facts |= {
        'people': len(seen.distance_m),
        'false_people_per_picture_reference': seen.false_reference,
        'false_people_per_picture_candidate': seen.false_candidate,
    }
    if unmeasured := int(np.isnan(seen.distance_m).sum()):
        result.notes.append(f'{unmeasured} people have no distance_m in the labels.')
    result.tables['Recall of people by distance'] = tuple(
        people.by_distance(seen, params.bins_m, confidence=params.confidence)
    )
    if not needed_m:
        result.notes.append('People within stopping distance: not judged; give --robots.')
    limits = people.PeopleLimits(params.recall_loss, params.least_recall, params.confidence)
    judged = [
        people.judge(seen, limits, robot=robot, within_m=within_m)
        for robot, within_m in needed_m.items()
    ]
    if judged:
        result.tables['People within stopping distance'] = tuple(j.row() for j in judged)
    for judgement in judged:
        allowed = judgement.verdict == people.INCONCLUSIVE and params.allow_inconclusive
        if judgement.why:
            (result.notes if allowed else result.refusals).append(judgement.why)


def _named(names: Sequence[str]) -> list[str]:
    """Without empty names: a recipe may leave an input open."""
    return [name for name in names if name]


def _known(row: dict[str, Any]) -> dict[str, Value]:
    """Without figures that nobody knows."""
    return {k: v for k, v in row.items() if not (isinstance(v, float) and np.isnan(v))}


def _write(out: Path, report: Report, agreed: plot.Agreed | None) -> None:
    files.write_text(out / 'validate.json', report.as_json() + '\n')
    plot.save(
        out / 'validate.png',
        bins=report.tables.get('Recall of people by distance', ()),
        robots=report.tables.get('People within stopping distance', ()),
        classes=report.tables.get('AP@0.5 by class', ()),
        agreed=agreed,
    )


def _pictures(manifest: Manifest, params: Params) -> Iterable[Image]:
    if params.images in ('', PATTERNS):
        return frames.patterns(manifest.input, params.count)
    return frames.pictures(params.images, count=params.count, seed=params.seed, topic=params.topic)


def _larger(reference: Manifest, candidate: Manifest) -> Manifest:
    """Whose input is larger: where it is the camera's, the other was made to shrink that."""
    return max(reference, candidate, key=lambda m: m.input.height_px * m.input.width_px)
