"""Makes a network smaller and faster with shorter numbers: int8, fp16, int4 or fp8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import BackendError, ConfigError, ModelError
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize._folder import FloatNetwork, Made
from edge_inference_ros.optimize.graph import int4, int8, network, ranges
from edge_inference_ros.optimize.graph.float import eighth, half, half_beside, raised
from edge_inference_ros.optimize.graph.formats import NumberFormat
from edge_inference_ros.optimize.graph.ranges import Calibration
from edge_inference_ros.optimize.judge import measure

_COMPARED = 16
QUALITIES = ('sqnr_db', 'scores_db', 'boxes_db', 'box_px', 'channel_db')


@dataclass(frozen=True)
class Params:
    """Which numbers, for which runtime, and what is kept as it is."""

    precision: str = param(
        'int8', 'number format of the new file', choices=('fp16', 'fp8', 'int4', 'int8')
    )
    dialect: str = param(
        'ort', 'runtime that the file is for (fp16: any; fp8: trt)', choices=('ort', 'trt')
    )
    form: str = param(
        '',
        'int8 for ort as operators or as Q/DQ nodes; empty: nodes, which OpenVINO reads too',
        choices=('', 'qdq', 'qoperator'),
    )
    weight_bits: int = param(
        0,
        'int8: 7 is exact on every processor, 8 finer where it has VNNI; 0: 7 for ort, 8 for trt',
        low=0,
        high=8,
    )
    calibration: str = param('', 'folder that calibrate wrote; int8 and fp8 need it', path=True)
    high: str = param(
        'fp32',
        'number format of what int8 leaves, for dialect trt: a strongly typed network runs'
        ' what is written',
        choices=('fp32', 'fp16'),
    )
    keep: tuple[str, ...] = param(
        (),
        'nodes that stay float; * and ? stand for anything, stem for the first four layers,'
        ' depthwise for convolutions in groups',
    )
    block: int = param(32, 'int4: weights that share a scale', low=16, high=256)
    labelled: str = param(
        '', 'labelled split to score before and after; empty: not scored', path=True
    )
    pictures: int = param(300, 'labelled pictures to score; 0: all', low=0, high=1_000_000)
    runs: int = param(50, 'runs to measure latency', low=1, high=100_000)
    file_name: str = param(
        '', 'name of the new file in the model folder; empty: made from the number format'
    )
    despite: bool = param(
        default=False,
        doc='enter the file in the manifest although it answers more noise than signal',
    )

    def faults(self) -> list[str]:
        """What fits no other parameter."""
        if self.precision in ('int8', 'fp8') and not self.calibration:
            return [f'calibration: {self.precision} needs one; make it with optimize calibrate']
        if self.weight_bits not in (0, 7, 8):
            return ['weight_bits: 7 or 8, or 0 for what suits the dialect']
        if self.form == 'qoperator' and (self.precision, self.dialect) != ('int8', 'ort'):
            return ['form: operators are for int8 on ort; elsewhere it is qdq']
        if self.high == 'fp16' and (self.precision, self.dialect) != ('int8', 'trt'):
            return ['high: fp16 beside int8 is for trt']
        return []


def run(model: Path, out: Path, params: Params, *, made_by: str = '') -> Report:
    """Quantise the float network of ``model``.

    Args:
        model: a model folder, or an ONNX file.
        out: the model folder that gets the new file beside the others (may be ``model``), or the
            ONNX file to write when ``model`` is one.
        params: how.
        made_by: the command, for the manifest.

    Raises:
        ConfigError: no calibration, one of another network, or nothing to quantise.
        ModelError: no network.
    """
    check(params)
    source = _folder.source(model)
    calibration = ranges.read(Path(params.calibration)) if params.calibration else None
    if calibration:
        calibration.check(source.path)
    quantised = _quantised(source, calibration, params)
    numbers = _format(params)
    file_name = params.file_name or numbers.file_name
    path = _folder.target(source, out, file_name)
    network.save(quantised, path)
    before, after, notes = measured(source, path, calibration, params)
    facts = _folder.provenance(
        source,
        'quantize',
        made_by,
        params=numbers.facts(),
        **({'calibration': calibration.summary()} if calibration else {}),
        before=before,
        after=after,
    )
    report = _report(model, path, before, after, [*notes, *_slower(after)])
    if (spoilt := _spoilt(after)) and not params.despite:
        return replace(report, refused=f'{spoilt}: {path.name} is not entered in the manifest')
    _folder.register(source, path, Made(file_name, params.precision, numbers.backends, facts))
    return report


def _spoilt(after: Mapping[str, Any]) -> str:
    """What is wrong with a network that says nothing any more; empty if it does."""
    figures = {name: after[name] for name in ('sqnr_db', 'channel_db') if name in after}
    worst = min(figures.values(), default=1.0)
    if worst > 0:
        return ''
    return (
        f'more noise than signal ({worst:.1f} dB); try --keep stem depthwise, calibrate with'
        ' --method entropy or percentile, or let optimize quantize_mixed find the layers to'
        ' leave in float'
    )


def _slower(after: Mapping[str, Any]) -> list[str]:
    speedup = after.get('ort_speedup', 1.0)
    if speedup >= 1:
        return []
    return [f'Slower on ONNX Runtime here: {speedup:.2f} times as fast as float.']


def _format(params: Params) -> NumberFormat:
    return NumberFormat(
        params.precision,
        params.dialect,
        form=params.form,
        weight_bits=params.weight_bits,
        high=params.high,
        block=params.block,
        keep=params.keep,
    )


def _quantised(source: FloatNetwork, calibration: Calibration | None, params: Params) -> Any:
    model = network.load(source.path)
    keep = network.Graph(model).named(params.keep)
    if params.precision == 'fp16':
        return half(model, keep=keep)
    if params.precision == 'int4':
        return int4.weights_in_four_bits(
            model, dialect=params.dialect, block=params.block, keep=keep
        )
    if calibration is None:
        raise ConfigError(f'{params.precision} needs a calibration')
    if params.precision == 'fp8':
        return eighth(model, calibration.ranges, keep=keep)
    if params.high == 'fp16':
        model = raised(model)
        quantised = int8.quantised(
            model,
            calibration.ranges,
            dialect='trt',
            weight_bits=params.weight_bits,
            keep=keep,
        )
        return half_beside(quantised, model, keep=keep)
    return int8.quantised(
        model,
        calibration.ranges,
        dialect=params.dialect,
        form=_format(params).written_form,
        weight_bits=params.weight_bits,
        keep=keep,
    )


def measured(
    source: FloatNetwork, path: Path, calibration: Calibration | None, params: Params
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What is known of the network before and after, and what could not be measured."""
    before: dict[str, Any] = {'bytes': source.path.stat().st_size}
    after: dict[str, Any] = {'bytes': path.stat().st_size, 'sha256': digest(path)}
    files = {'before': source.path, 'after': path}
    try:
        with measure.opened(files, source.manifest) as engines:
            _compare(engines, source, calibration, params, (before, after))
    except (ModelError, BackendError) as error:
        return before, after, [f'Not measured here: {_first_line(error)}']
    return before, after, []


def _compare(
    engines: Any,
    source: FloatNetwork,
    calibration: Calibration | None,
    params: Params,
    facts: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, after = facts
    times = measure.latencies(engines, runs=params.runs)
    for name, known in (('before', before), ('after', after)):
        known['ort_ms'] = times[name].ms
    after['ort_speedup'] = times['after'].speedup
    if calibration:
        tensor, some = calibration.tensor, calibration.inputs[:_COMPARED]
        reference = measure.Reference(engines['before'], source.manifest, tensor, some)
        after |= reference.quality(engines['after'])
    if params.labelled and source.manifest:
        scores = measure.accuracy(
            engines, source.manifest, Path(params.labelled), count=params.pictures
        )
        for name, known in (('before', before), ('after', after)):
            known['accuracy'] = scores[name]


def _first_line(error: Exception) -> str:
    return str(error).partition('\n')[0][:300]


def _report(
    model: Path, path: Path, before: Mapping[str, Any], after: Mapping[str, Any], notes: list[str]
) -> Report:
    facts: dict[str, Value] = {
        'bytes': after['bytes'],
        'size_ratio': after['bytes'] / before['bytes'],
        'sha256': after['sha256'],
    }
    facts |= {k: after[k] for k in ('ort_speedup', *QUALITIES) if k in after}
    if 'accuracy' in after:
        facts['ap50_loss'] = before['accuracy']['ap50'] - after['accuracy']['ap50']
    rows = tuple(_row(name, known) for name, known in (('before', before), ('after', after)))
    return Report('quantize', str(model), str(path), facts, rows, tuple(notes))


def _row(name: str, known: Mapping[str, Any]) -> dict[str, Value]:
    row: dict[str, Value] = {'network': name, 'bytes': known['bytes']}
    if 'ort_ms' in known:
        row['ort_ms'] = known['ort_ms']
    if 'accuracy' in known:
        row |= {key: known['accuracy'][key] for key in ('ap50', 'ap50_95')}
    return row
