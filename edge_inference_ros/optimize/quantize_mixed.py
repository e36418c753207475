"""Measures how much each layer loses in int8, and leaves in float those that are worth it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize._folder import FloatNetwork, Made
from edge_inference_ros.optimize.graph import formats, int8, network, ranges
from edge_inference_ros.optimize.graph.ranges import Calibration
from edge_inference_ros.optimize.judge import measure
from edge_inference_ros.terminal.progress import counted

FACTS, PLOT = 'mixed.json', 'mixed.png'


@dataclass(frozen=True)
class Params:
    """What may be lost, and what it is measured with."""

    calibration: str = param('', 'folder that calibrate wrote', path=True)
    dialect: str = param('ort', 'runtime that the file is for', choices=('ort', 'trt'))
    labelled: str = param(
        '',
        'labelled split that judges the candidates; empty: the signal to noise of outputs judges',
        path=True,
    )
    pictures: int = param(200, 'labelled pictures to score; 0: all', low=0, high=1_000_000)
    allowed_loss: float = param(
        0.01, 'loss of AP at IoU 0.5 that is allowed, with labelled pictures', low=0.0, high=1.0
    )
    least_sqnr_db: float = param(
        20.0,
        'without labels: least signal to noise of scores and of boxes, dB; 20 is an error of a'
        ' tenth',
        low=0.0,
        high=200.0,
    )
    inputs: int = param(8, 'how many calibration inputs each layer is tried on', low=1, high=1000)
    most: int = param(16, 'layers to leave in float at most', low=1, high=10_000)
    runs: int = param(50, 'runs to measure latency', low=1, high=100_000)

    def faults(self) -> list[str]:
        """A calibration must be given."""
        return [] if self.calibration else ['calibration: make one with optimize calibrate']


@dataclass(frozen=True)
class Point:
    """One mixture.

    Attributes:
        kept: layers in float; -1 stands for the float network.
        quality: AP at IoU 0.5 with labels, else decibels.
        best: no other mixture is as good and faster.
    """

    kept: int
    quality: float
    ms: float
    speedup: float
    size_bytes: int
    best: bool = False


def run(model: Path, out: Path, params: Params, *, made_by: str = '') -> Report:
    """Rank the layers, try mixtures, and keep the fastest that loses no more than allowed.

    Args:
        model: a model folder.
        out: the model folder that gets ``model_mixed.onnx``, ``mixed.json`` and ``mixed.png``.
        params: what may be lost.
        made_by: the command, for the manifest.

    Raises:
        ConfigError: no manifest, no calibration, or one of another network.
    """
    check(params)
    source = _folder.source(model)
    if source.manifest is None:
        raise ConfigError(f'{model}: mixing needs a model folder')
    calibration = ranges.read(Path(params.calibration))
    calibration.check(source.path)
    ranked = sensitivities(source, calibration, params)
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        files = _mixtures(source, calibration, ranked, params, Path(folder))
        points = frontier(_points(source, calibration, files, params))
        chosen, why = choose(points, params)
        file_name = 'model_mixed.onnx' if params.dialect == 'ort' else 'model_mixed_trt.onnx'
        path = _folder.target(source, out, file_name)
        path.write_bytes(files[chosen.kept].read_bytes())
    kept = [name for name, _ in ranked[: max(0, chosen.kept)]]
    _write(path.parent, ranked, points, chosen=chosen, why=why)
    _plot(path.parent / PLOT, ranked, points, chosen, 'AP@0.5' if params.labelled else 'SQNR, dB')
    facts = _folder.provenance(
        source,
        'quantize_mixed',
        made_by,
        params={'dialect': params.dialect, 'keep': kept},
        calibration=calibration.summary(),
        before=_known(points[-1]),
        after={**_known(chosen), 'sha256': digest(path)},
        why=why,
    )
    backends = formats.BACKENDS['int8', params.dialect]
    _folder.register(source, path, Made(file_name, 'mixed', backends, facts))
    rows = tuple({**_row(point), 'chosen': '*' * (point == chosen)} for point in points)
    worst = tuple(f'{name}: {db:.1f} dB alone in int8' for name, db in ranked[:5])
    told: dict[str, Value] = {'layers': len(ranked), 'kept': chosen.kept, 'sha256': digest(path)}
    return Report('quantize_mixed', str(model), str(path), told, rows, (*worst, why))


def sensitivities(
    source: FloatNetwork, calibration: Calibration, params: Params
) -> list[tuple[str, float]]:
    """Layers with the signal to noise of the outputs when only they are int8; worst first."""
    model = network.load(source.path)
    layers = network.Graph(model).layers
    some = calibration.inputs[: params.inputs]
    with measure.opened({'float': source.path}, source.manifest) as engines:
        tensor = calibration.tensor
        reference = measure.Reference(engines['float'], source.manifest, tensor, some)
    rows = []
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        path = Path(folder) / 'one.onnx'
        for layer in counted(layers, 'quantize_mixed', len(layers), unit='layers'):
            quantised = int8.quantised(model, calibration.ranges, dialect='ort', only=[layer])
            network.save(quantised, path)
            with measure.opened({'one': path}, source.manifest) as engines:
                rows.append((layer, reference.decibels(engines['one'])))
    return sorted(rows, key=lambda pair: pair[1])


def _mixtures(
    source: FloatNetwork,
    calibration: Calibration,
    ranked: Sequence[tuple[str, float]],
    params: Params,
    folder: Path,
) -> dict[int, Path]:
    """Files by how many of the worst layers are float: none, one, twice as many each time."""
    model = network.load(source.path)
    files = {}
    for kept in _counts(min(params.most, len(ranked) - 1)):
        quantised = int8.quantised(
            model,
            calibration.ranges,
            dialect=params.dialect,
            keep=[name for name, _ in ranked[:kept]],
        )
        files[kept] = folder / f'{kept}.onnx'
        network.save(quantised, files[kept])
    return {**files, -1: source.path}


def _counts(most: int) -> list[int]:
    counts = [0]
    while (following := max(1, 2 * counts[-1])) <= most:
        counts.append(following)
    return counts


def _points(
    source: FloatNetwork, calibration: Calibration, files: Mapping[int, Path], params: Params
) -> list[Point]:
    """Every mixture measured, in turn with the others; the float network last."""
    assert source.manifest is not None  # noqa: S101 - run() refused before
    names = {'float': files[-1], **{str(kept): path for kept, path in files.items() if kept >= 0}}
    with measure.opened(names, source.manifest) as engines:
        times = measure.latencies(engines, runs=params.runs)
        if params.labelled:
            scores = measure.accuracy(
                engines, source.manifest, Path(params.labelled), count=params.pictures
            )
            quality = {name: float(score['ap50']) for name, score in scores.items()}
        else:
            some = calibration.inputs[: max(16, params.inputs)]
            reference = measure.Reference(
                engines['float'], source.manifest, calibration.tensor, some
            )
            quality = {name: reference.decibels(engine) for name, engine in engines.items()}
    order = [*(str(kept) for kept in files if kept >= 0), 'float']
    return [
        Point(
            -1 if name == 'float' else int(name),
            quality[name],
            times[name].quiet_ms,
            times[name].speedup,
            names[name].stat().st_size,
        )
        for name in order
    ]


def frontier(points: Sequence[Point]) -> list[Point]:
    """The same points, each told whether another is at least as good, as fast and as small."""
    best = []
    for point in points:
        beaten = any(
            rival.quality >= point.quality
            and rival.ms <= point.ms
            and rival.size_bytes <= point.size_bytes
            and (rival.quality, -rival.ms, -rival.size_bytes)
            != (point.quality, -point.ms, -point.size_bytes)
            for rival in points
        )
        best.append(replace(point, best=not beaten))
    return best


def choose(points: Sequence[Point], params: Params) -> tuple[Point, str]:
    """The mixture with the fewest float layers that loses no more than allowed, and why.

    Fewest instead of fastest: times of neighbours differ by less than they scatter.
    """
    float_ = points[-1]
    if params.labelled:
        floor, unit = float_.quality - params.allowed_loss, 'AP at IoU 0.5'
    else:
        floor, unit = params.least_sqnr_db, 'dB'
    mixtures = points[:-1]
    good = [point for point in mixtures if point.quality >= floor]
    if good:
        point = good[0]
        return point, (
            f'{point.kept} layers stay float: the fewest that give {point.quality:.4g} {unit},'
            f' where at least {floor:.4g} was asked; {point.speedup:.2f} times as fast as float'
        )
    point = max(mixtures, key=lambda candidate: candidate.quality)
    return point, (
        f'No mixture gives {floor:.4g} {unit}; the best, {point.kept} layers in float, gives'
        f' {point.quality:.4g}. Leave more in float (--most), calibrate with --method entropy'
        ' or percentile, or take fp16; networks trained here can be trained with rounding:'
        ' optimize qat'
    )


def _known(point: Point) -> dict[str, Any]:
    return {'quality': point.quality, 'ort_ms': point.ms, 'bytes': point.size_bytes}


def _row(point: Point) -> dict[str, Any]:
    return {
        'float_layers': 'all' if point.kept < 0 else point.kept,
        'quality': point.quality,
        'ort_ms': point.ms,
        'speedup': point.speedup,
        'bytes': point.size_bytes,
        'frontier': 'yes' if point.best else '',
    }


def _write(
    folder: Path,
    ranked: Sequence[tuple[str, float]],
    points: Sequence[Point],
    *,
    chosen: Point,
    why: str,
) -> None:
    facts = {
        'layers': [{'layer': name, 'sqnr_db': round(db, 2)} for name, db in ranked],
        'points': [asdict(point) for point in points],
        'chosen': asdict(chosen),
        'why': why,
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')


def _plot(
    path: Path,
    ranked: Sequence[tuple[str, float]],
    points: Sequence[Point],
    chosen: Point,
    unit: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.bar(range(len(ranked)), [db for _, db in ranked])
    left.set(xlabel='layer, most sensitive first', ylabel='SQNR of the outputs, dB')
    left.set_title('one layer in int8')
    sizes = [max(20.0, point.size_bytes / 2e4) for point in points]
    colours = ['tab:blue' if point.best else 'lightgrey' for point in points]
    right.scatter([p.ms for p in points], [p.quality for p in points], s=sizes, c=colours)
    right.scatter([chosen.ms], [chosen.quality], marker='x', c='tab:red', label='chosen')
    for point in points:
        text = 'float' if point.kept < 0 else str(point.kept)
        right.annotate(text, (point.ms, point.quality), (4, 4), textcoords='offset points')
    right.set(xlabel='ms on ONNX Runtime (quiet runs)', ylabel=unit)
    right.set_title('layers left in float; area is size')
    right.legend()
    with files.whole(path) as part:
        figure.savefig(part, dpi=110, format='png')
