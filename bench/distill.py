"""Does a teacher help? The same student alone and distilled, with the same budget and seeds.

    python -m bench.distill --data DIR --teacher FOLDER [--steps 4000] [--seeds 3] [--size nano]
                            [--out build/distill] [--json FILE]

Every run is a folder below ``--out``: what is finished is not done again, and what was
interrupted goes on from its checkpoint. Scored on the splits held_out and foreign of ``--data``
that are there; prints mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.params import build

SPLITS = ('held_out', 'foreign')
KINDS = {'alone': 0.0, 'distilled': 1.0}
SCORES = 'scores.json'


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing and print."""
    logging.basicConfig(format='%(message)s')
    logging.getLogger('edge_inference_ros').setLevel(logging.INFO)
    asked = _parser().parse_args(argv)
    distill = registry.load('optimize', 'distill')
    usual = build(distill.Params, _said(asked))
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for seed in range(asked.seeds):  # both kinds of a seed one after the other
        for kind, share in KINDS.items():
            params = replace(usual, seed=seed, weight=share * asked.weight)
            rows[kind].append(_one(Path(asked.teacher), asked.out / f'{kind}_{seed}', params))
    print(table(rows, str(asked.teacher)))
    if asked.json:
        Path(asked.json).write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')
    return 0


def _said(asked: argparse.Namespace) -> dict[str, Any]:
    cooldown = asked.cooldown if asked.cooldown >= 0 else asked.steps // 4
    return {
        'data': asked.data, 'steps': asked.steps, 'size': asked.size, 'batch': asked.batch,
        'cooldown': cooldown, 'whole': cooldown, 'threads': asked.threads, 'runs': 1,
        'classes': asked.classes, 'feature_weight': asked.feature_weight,
        'temperature': asked.temperature, 'warmup': min(200, max(1, asked.steps // 10)),
    }  # fmt: skip


def _one(teacher: Path, out: Path, params: Any) -> dict[str, Any]:
    """One run's scores by split, from its folder if it is finished."""
    known, about = (
        out / SCORES,
        {'teacher': str(teacher), **json.loads(json.dumps(asdict(params)))},
    )
    if known.is_file():
        there = json.loads(known.read_text(encoding='utf-8'))
        if there['about'] == about:
            return dict(there['scores'])
    distill = registry.load('optimize', 'distill')
    distill.run(teacher, out, params, made_by='python -m bench.distill')
    scores = _scores(out, Path(params.data))
    text = json.dumps({'about': about, 'scores': scores}, indent=1)
    known.write_text(text + '\n', encoding='utf-8')
    return scores


def _scores(folder: Path, data: Path) -> dict[str, Any]:
    from edge_inference_ros.optimize.judge import measure

    manifest = manifests.load(folder)
    with measure.opened({'student': manifest.files[0].path}, manifest) as engines:
        return {
            name: measure.accuracy(engines, manifest, data / name, count=0)['student']
            for name in SPLITS
            if (data / name).is_dir()
        }


def table(rows: dict[str, list[dict[str, Any]]], teacher: str) -> str:
    """Mean and standard deviation over the seeds, as Markdown."""
    splits = list(next(iter(rows.values()))[0])
    head = ['student', 'seeds']
    for split in splits:
        head += [f'AP50 {split}', f'AP50:95 {split}', f'near people {split}']
    lines = [head, ['---'] * len(head)]
    for kind, runs in rows.items():
        cells = [
            _spread(values)
            for split in splits
            for values in (
                [r[split]['ap50'] for r in runs],
                [r[split]['ap50_95'] for r in runs],
                [r[split]['near_people']['recall'] for r in runs if r[split]['near_people']],
            )
        ]
        lines.append([kind, str(len(runs)), *cells])
    text = ['| ' + ' | '.join(line) + ' |' for line in lines]
    return '\n'.join([*text, '', f'Teacher: {teacher}', *_verdict(rows, splits)])


def _verdict(rows: dict[str, list[dict[str, Any]]], splits: Sequence[str]) -> list[str]:
    """Per split, whether every seed gained; pairs share weights at the start and batches."""
    said = []
    for split in splits:
        gains = [
            b[split]['ap50'] - a[split]['ap50']
            for a, b in zip(rows['alone'], rows['distilled'], strict=True)
        ]
        won = sum(gain > 0 for gain in gains)
        said.append(
            f'{split}: AP50 gained {_spread(gains)}, in {won} of {len(gains)} pairs of one seed'
        )
    return said


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ''
    spread = f' ± {statistics.stdev(values):.3f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.3f}{spread}'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'bench.distill', description=(__doc__ or '').partition('\n')[0]
    )
    parser.add_argument('--data', required=True, help='folder with train*, held_out and foreign')
    parser.add_argument('--teacher', required=True, help='model folder or checkpoint of ours')
    parser.add_argument('--steps', type=int, default=4_000, help='batches of each run')
    parser.add_argument('--cooldown', type=int, default=-1, help='of them; -1: a quarter')
    parser.add_argument('--batch', type=int, default=16, help='pictures in a batch')
    parser.add_argument('--seeds', type=int, default=3, help='pairs of runs')
    parser.add_argument('--size', default='nano', help='student')
    parser.add_argument('--classes', nargs='*', default=(), help='of the student')
    parser.add_argument('--weight', type=float, default=1.0, help='of the teacher')
    parser.add_argument('--feature-weight', type=float, default=0.0, help="of its neck's maps")
    parser.add_argument('--temperature', type=float, default=2.0, help='of the soft labels')
    parser.add_argument('--threads', type=int, default=2, help='CPU threads')
    parser.add_argument('--out', type=Path, default=Path('build/distill'), help='of the runs')
    parser.add_argument('--json', default='', help='write every figure to this file')
    return parser


if __name__ == '__main__':
    sys.exit(main())
