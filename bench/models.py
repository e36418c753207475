"""Measures every shipped model: size, latency by backend and precision, accuracy.

    python -m bench.models [--models models] [--runs 200] [--labelled FOLDER]
                           [--world 300] [--json FILE]

Every file of a model runs on every backend that is installed here and may run it, in turn in one
run, so that what else the machine does falls on all alike: read the ratios. ``--labelled`` names a
folder with the splits held_out and foreign; ``--world`` renders that many held-out pictures
instead. Prints the table of models/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest, ModelFile
from edge_inference_ros.errors import EdgeInferenceError
from edge_inference_ros.optimize import _folder, _measure

BACKENDS = ('ort', 'openvino')
SPLITS = ('held_out', 'foreign')


@dataclass(frozen=True)
class Row:
    """One file on one backend."""

    model: str
    file: str
    precision: str
    backend: str
    size_bytes: int
    ms: float
    quiet_ms: float
    speedup: float
    parameters: int
    licence: str
    made_by: str
    scores: dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    asked = _parser().parse_args(argv)
    folders = sorted(path.parent for path in Path(asked.models).glob('*/manifest.yaml'))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        labelled = _labelled(asked, Path(temporary))
        for folder in folders:
            rows += measure(manifests.load(folder), asked.runs, labelled, asked.pictures)
    print(f'{_folder.machine()}; one run in turn, medians; speed-up against fp32 on ort\n')
    print(table(rows))
    if asked.json:
        Path(asked.json).write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if rows else 1


def measure(
    manifest: Manifest, runs: int, labelled: Sequence[Path] = (), pictures: int = 0
) -> list[Row]:
    """Every file of a model on every backend that opens it, fp32 on ort first."""
    with ExitStack() as keep:
        opened = dict(_open(manifest, keep))
        if not opened:
            return []
        engines = {name: engine for name, (_, _, engine) in opened.items()}
        _show(manifest, engines.values())
        times = _measure.latencies(engines, runs=runs)
        scores: dict[str, dict[str, Any]] = {name: {} for name in engines}
        for split in labelled:
            found = _measure.accuracy(engines, manifest, split, count=pictures)
            for name, score in found.items():
                scores[name][split.name] = score
        return [
            Row(
                manifest.name, file.path.name, file.precision, backend, file.path.stat().st_size,
                times[name].ms, times[name].quiet_ms, times[name].speedup, _parameters(manifest),
                manifest.licence, manifest.made_by, scores[name],
            )
            for name, (file, backend, _) in opened.items()
        ]  # fmt: skip


def _open(manifest: Manifest, keep: ExitStack) -> Iterator[tuple[str, tuple[ModelFile, str, Any]]]:
    for backend in BACKENDS:
        for file in manifest.files:
            if file.path.suffix == '.onnx' and backend in (file.backends or BACKENDS):
                try:
                    engine = registry.load('backends', backend).open(manifest, file.path)
                except EdgeInferenceError as error:
                    print(f'{file.path.name} on {backend}: {error}', file=sys.stderr)
                    continue
                keep.callback(engine.close)
                yield f'{file.path.name} {backend}', (file, backend, engine)


def _show(manifest: Manifest, engines: Any) -> None:
    """Fill every input with the same noise; how long it takes does not depend on it."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, manifest.input.shape, np.uint8)
    for engine in engines:
        tensor = engine.inputs[manifest.input.tensor]
        np.copyto(tensor, noise if tensor.dtype == np.uint8 else noise / 255, casting='unsafe')


def _parameters(manifest: Manifest) -> int:
    import onnx

    model = onnx.load(str(_folder.source(manifest.folder).path))
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if len(t.dims) > 1)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    splits = [name for name in SPLITS if any(name in row.scores for row in rows)]
    classes = list(dict.fromkeys(
        c for row in rows for s in row.scores.values() for c in s['per_class']
    ))  # fmt: skip
    head = ['model', 'file', 'weights', 'KiB', 'backend', 'ms', 'quiet ms', 'speed-up']
    head += [f'AP50 {name}' for name in splits] + [f'AP50 {c}' for c in classes]
    lines = [head, ['---'] * len(head)]
    for row in rows:
        scores = [f'{row.scores[s]["ap50"]:.3f}' if s in row.scores else '' for s in splits]
        first = row.scores.get(splits[0], {}).get('per_class', {}) if splits else {}
        scores += [f'{first[c]:.3f}' if first.get(c) is not None else '' for c in classes]
        lines.append([
            row.model, row.file, f'{row.parameters / 1e6:.2f} M', f'{row.size_bytes / 1024:.0f}',
            row.backend, f'{row.ms:.2f}', f'{row.quiet_ms:.2f}', f'{row.speedup:.2f}', *scores,
        ])  # fmt: skip
    facts = sorted({(row.model, row.licence, row.made_by) for row in rows})
    made = [f'* `{model}`: {licence}; `{made_by}`' for model, licence, made_by in facts]
    return '\n'.join([*('| ' + ' | '.join(line) + ' |' for line in lines), '', *made])


def _labelled(asked: argparse.Namespace, temporary: Path) -> list[Path]:
    if asked.world:
        dataset = registry.load('sim', 'dataset')
        for name in SPLITS:
            dataset.write_split(temporary / name, dataset.Split(name, asked.world))
        return [temporary / name for name in SPLITS]
    if not asked.labelled:
        return []
    there = [Path(asked.labelled) / name for name in SPLITS]
    return [path for path in there if path.is_dir()] or [Path(asked.labelled)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'bench.models', description=(__doc__ or '').partition('\n')[0]
    )
    parser.add_argument('--models', default='models', help='folder of model folders')
    parser.add_argument('--runs', type=int, default=200, help='turns to measure latency')
    parser.add_argument('--labelled', default='', help='folder with the splits, or one split')
    parser.add_argument('--pictures', type=int, default=0, help='labelled pictures; 0: all')
    parser.add_argument('--world', type=int, default=0, help='pictures to render for each split')
    parser.add_argument('--json', default='', help='write every figure to this file')
    return parser


if __name__ == '__main__':
    sys.exit(main())
