"""Measures every shipped model: size, latency by backend and precision, accuracy, people found.

    python -m bench.models [--models models] [--runs 200] [--share 1.0 | --quick]
                           [--labelled FOLDER | --no-accuracy] [--markdown FILE] [--json FILE]

Every file of a model runs on every backend that is installed here and may run it, in turn in one
run, so that what else the machine does falls on all alike: read the ratios. Accuracy is measured
on the splits held_out, foreign and street of the small world, through engine and head as the node
has them; they are rendered where no ``--labelled`` folder has them (2500 pictures, three minutes;
a ``--share`` of them is quicker and poorer) and kept in ~/.cache/edge_inference_ros. Prints goals
beside what was measured; ``--markdown`` writes the tables of models/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import _zoo
from bench._zoo import Row
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.protocols import Engine
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import EdgeInferenceError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize.judge.detector import OfflineDetector
from edge_inference_ros.optimize.judge.labelled import Split
from edge_inference_ros.optimize.judge.labels import Labelled
from edge_inference_ros.optimize.judge.measure import latencies
from edge_inference_ros.optimize.judge.score import Found, found_in, metric_of, near_people
from edge_inference_ros.sim import dataset

BACKENDS = ('ort', 'openvino', 'trt')
SPLITS = tuple(name for name in dataset.RECIPE if not name.startswith(dataset.TRAIN))
QUICK_SHARE, QUICK_RUNS = 0.05, 30
THRESHOLDS = (0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
_NOWHERE = Origin('', RosNs(0), MonoNs(0))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    asked = _parser().parse_args(argv)
    runs = min(asked.runs, QUICK_RUNS) if asked.quick else asked.runs
    folders = sorted(path.parent for path in Path(asked.models).glob('*/manifest.yaml'))
    if not folders:
        print(f'no model in {asked.models}', file=sys.stderr)
        return 2
    labelled = [] if asked.no_accuracy else _labelled(asked)
    rows = [row for path in folders for row in measure(manifests.load(path), runs, labelled)]
    found = _zoo.goals(rows)
    print(f'{_folder.machine()}; one run in turn, medians; speed-up against fp32 on ort\n')
    text = '\n\n'.join(
        (_zoo.models(rows), _zoo.files(rows), _zoo.people(rows), _zoo.goal_table(found))
    )
    print(text)
    if asked.markdown:
        Path(asked.markdown).write_text(text + '\n', encoding='utf-8')
    if asked.json:
        said = {'rows': [asdict(row) for row in rows], 'goals': [asdict(g) for g in found]}
        Path(asked.json).write_text(json.dumps(said, indent=1) + '\n', encoding='utf-8')
    return 0 if rows else 1


def measure(manifest: Manifest, runs: int, labelled: Sequence[Path] = ()) -> list[Row]:
    """Every file of a model on every backend that opens it, fp32 on ort first."""
    with ExitStack() as keep:
        opened = dict(_open(manifest, keep))
        if not opened:
            return []
        detectors = {name: detector for name, (_, detector) in opened.items()}
        times = latencies(_shown(manifest, detectors), runs=runs)
        scores = {name: scored(detector, labelled) for name, detector in detectors.items()}
        shipped = {file.path.name: file.path.stat().st_size for file in manifest.files}
        return [
            Row(
                manifest.name, detector.file.path.name, detector.file.precision, backend,
                detector.file.path.stat().st_size, times[name].ms, times[name].quiet_ms,
                times[name].speedup, _parameters(manifest), manifest.licence,
                _zoo.made_by(manifest, detector.file.provenance), scores[name],
                shipped,
            )
            for name, (backend, detector) in opened.items()
        ]  # fmt: skip


def scored(detector: OfflineDetector, labelled: Sequence[Path]) -> dict[str, Any]:
    """Average precision, and near people as the node would report them, by split."""
    made = {}
    for folder in labelled:
        split = Split(folder, only=detector.manifest.classes)
        reported, faint = _found(detector, split)
        metric = metric_of(detector.manifest.task)
        score = metric(faint, split)
        if score.near_people:
            near = near_people(reported, split, score_threshold=0.0)
            threshold = detector.manifest.head.score_threshold
            score = replace(score, near_people=replace(near, score_threshold=threshold))
        made[folder.name] = score.facts()
        if score.near_people:
            made[folder.name]['people_at'] = list(_people_at(faint, split))
    return made


def _people_at(faint: Sequence[Found], split: Labelled) -> Iterator[dict[str, Any]]:
    """What other thresholds would find, highest first."""
    for threshold in THRESHOLDS:
        yield asdict(near_people(faint, split, score_threshold=threshold))


def _found(detector: OfflineDetector, split: Labelled) -> tuple[list[Found], list[Found]]:
    seen = [
        detector.both(Image(_NOWHERE, np.ascontiguousarray(split.picture(i)), 'bgr'))
        for i in range(len(split))
    ]
    return [found_in(here) for here, _ in seen], [found_in(all_) for _, all_ in seen]


def _open(
    manifest: Manifest, keep: ExitStack
) -> Iterator[tuple[str, tuple[str, OfflineDetector]]]:
    for backend in BACKENDS:
        for file in manifest.files:
            if file.path.suffix == '.onnx' and backend in (file.backends or BACKENDS):
                alone = replace(manifest, files=(file,))
                try:
                    detector = OfflineDetector(alone, backend, '', keep)
                    yield f'{file.path.name} {backend}', (backend, detector)
                except EdgeInferenceError as error:
                    words = ' '.join(str(error).split())[:160]
                    print(f'{file.path.name} on {backend}: {words}', file=sys.stderr)


def _shown(manifest: Manifest, detectors: dict[str, OfflineDetector]) -> dict[str, Engine]:
    """The engines, the same noise in every input; how long they take does not depend on it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, manifest.input.shape, np.uint8)
    for detector in detectors.values():
        tensor = detector.engine.inputs[manifest.input.tensor]
        np.copyto(tensor, noise if tensor.dtype == np.uint8 else noise / 255, casting='unsafe')
    return {name: detector.engine for name, detector in detectors.items()}


def _parameters(manifest: Manifest) -> int:
    import onnx

    model = onnx.load(str(_folder.source(manifest.folder).path))
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if len(t.dims) > 1)


def _labelled(asked: argparse.Namespace) -> list[Path]:
    """The folders of the splits, rendered if they are not there."""
    if asked.labelled:
        there = [Path(asked.labelled) / name for name in SPLITS]
        return [path for path in there if path.is_dir()] or [Path(asked.labelled)]
    share = QUICK_SHARE if asked.quick else asked.share
    wanted = {name: dataset.RECIPE[name] for name in SPLITS}
    folder = _cache() / f'labelled_{_fingerprint()}_{share:g}'
    for name, whole in wanted.items():
        split = replace(whole, count=max(1, round(whole.count * share)))
        if not (folder / name / 'split.json').is_file():
            print(f'rendering {split.count} pictures into {folder / name}', file=sys.stderr)
            dataset.write_split(folder / name, split, processes=asked.processes)
    return [folder / name for name in wanted]


def _cache() -> Path:
    home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return home / 'edge_inference_ros'


def _fingerprint() -> str:
    """Changes with the code of the small world, so that nobody scores on stale pictures."""
    sha = hashlib.sha256()
    for file in sorted(Path(dataset.__file__).parent.glob('*.py')):
        sha.update(file.read_bytes())
    return sha.hexdigest()[:8]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'bench.models', description=(__doc__ or '').partition('\n')[0]
    )
    parser.add_argument('--models', default='models', help='folder of model folders')
    parser.add_argument('--runs', type=int, default=200, help='turns to measure latency')
    parser.add_argument('--labelled', default='', help='folder with the splits, or one split')
    parser.add_argument('--no-accuracy', action='store_true', help='measure sizes and times only')
    parser.add_argument('--share', type=float, default=1.0, help='of the pictures to render')
    parser.add_argument('--processes', type=int, default=1, help='to render with')
    parser.add_argument(
        '--quick', action='store_true', help=f'--share {QUICK_SHARE} --runs {QUICK_RUNS}'
    )
    parser.add_argument('--markdown', default='', help='write the tables to this file')
    parser.add_argument('--json', default='', help='write every figure to this file')
    return parser


if __name__ == '__main__':
    sys.exit(main())
