"""Trains a detector while its numbers are rounded as the eight-bit file will round them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.manifest import digest
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.errors import SpecMismatch
from edge_inference_ros.optimize import _folder
from edge_inference_ros.optimize._folder import FloatNetwork, Made
from edge_inference_ros.optimize.graph import int8, network
from edge_inference_ros.optimize.graph.formats import NumberFormat
from edge_inference_ros.optimize.graph.ranges import Calibration, read
from edge_inference_ros.optimize.judge import measure
from edge_inference_ros.train import tuning
from edge_inference_ros.train.tuning import Tuning

if TYPE_CHECKING:
    from edge_inference_ros.train.data import Joined
    from edge_inference_ros.train.fit import State
    from edge_inference_ros.train.rounded import Rounded

CHECKPOINT = 'qat.pt'
_COMPARED = 4


@dataclass(frozen=True)
class Params(Tuning):
    """Which numbers, and how long to train."""

    steps: int = param(400, 'batches to train on', low=1, high=10_000_000)
    cooldown: int = param(400, 'batches at the end with a falling rate', low=0, high=1_000_000)
    whole: int = param(
        100, 'batches at the end that show whole pictures instead of parts', low=0, high=1_000_000
    )
    rate: float = param(2e-4, 'highest learning rate', low=1e-6, high=1.0)
    warmup: int = param(20, 'batches at the start with a rising rate', low=0, high=100_000)
    dialect: str = param('trt', 'runtime that the file is for', choices=('ort', 'trt'))
    form: str = param(
        '',
        'how int8 is written for ort: as operators or as Q/DQ nodes; empty: nodes',
        choices=('', 'qdq', 'qoperator'),
    )
    weight_bits: int = param(
        0, 'bits of the int8 weights: 7 or 8; 0: 7 for ort, 8 for trt', low=0, high=8
    )
    calibration: str = param(
        '', 'folder that calibrate wrote; training begins with its ranges', path=True
    )
    keep: tuple[str, ...] = param((), 'nodes that stay float; * and ? stand for anything')
    weight: float = param(
        1.0,
        'weight in the loss of the float network, as a teacher; 0 trains from the labels alone',
        low=0.0,
        high=100.0,
    )
    temperature: float = param(
        2.0,
        "temperature that softens the teacher's scores; 1 leaves them as they are",
        low=0.1,
        high=20.0,
    )
    agreement_db: float = param(
        20.0, 'least ratio of signal to difference between torch and ONNX Runtime', low=0.0
    )
    file_name: str = param(
        '', 'name of the new file in the model folder; empty: made from the number format'
    )

    def faults(self) -> list[str]:
        """What fits no other parameter."""
        if not self.calibration:
            return ['calibration: training begins with its ranges; make it: optimize calibrate']
        if self.weight_bits not in (0, 7, 8):
            return ['weight_bits: 7 or 8, or 0 for what suits the dialect']
        if self.dialect == 'trt' and self.form == 'qoperator':
            return ['form: operators are for ort; TensorRT reads Q/DQ nodes']
        return []


def run(model: Path, out: Path, params: Params, *, made_by: str = '') -> Report:
    """Train with rounding and write the eight-bit file.

    Args:
        model: a model folder of ours, or an ONNX file of ours.
        out: the model folder that gets the new file beside the others (may be ``model``), or the
            ONNX file to write when ``model`` is one without a manifest. Beside it lies the
            checkpoint an interrupted run goes on from.
        params: how.
        made_by: the command, for the manifest.

    Raises:
        ConfigError: a network that is not ours, no data, a calibration of another network, or
            another run in ``out``.
        SpecMismatch: ONNX Runtime does not answer what was trained; nothing is written.
        BackendUnavailable: torch is not installed.
    """
    check(params)
    tuning.prepare(params)
    source = _folder.source(model)
    calibration = read(Path(params.calibration))
    calibration.check(source.path)
    writer = _Writer(source.path, params)
    rounded = _rounded(writer, calibration)
    data = tuning.splits(params, source.manifest.classes if source.manifest else ())
    about: dict[str, Any] = {
        'params': _shaping(params),
        'input': digest(source.path),
        'data': tuning.digest_of(data),
        'calibration': calibration.summary(),
    }
    checkpoint = (out if source.manifest else out.parent) / CHECKPOINT
    tuning.claim(checkpoint, {'step': 'qat', **about})
    state = _trained(rounded, source, data, params, checkpoint)
    trained: Rounded = state.averaged.cpu()
    numbers = _format(params)
    file_name = params.file_name or numbers.file_name
    path = _folder.target(source, out, file_name)
    agreement_db = _write(writer, trained, calibration, path)
    known = _measured(source, writer, calibration, path)
    about |= {'agreement_db': agreement_db, **known}
    facts = tuning.provenance(source.path, 'qat', made_by, **about)
    _folder.register(source, path, Made(file_name, 'int8', numbers.backends, facts))
    return _report(model, path, known, agreement_db)


def _format(params: Params) -> NumberFormat:
    """The numbers that `optimize quantize` would write without training."""
    return NumberFormat(
        'int8',
        params.dialect,
        form=params.form,
        weight_bits=params.weight_bits,
        keep=params.keep,
    )


def _shaping(params: Params) -> dict[str, Any]:
    mine = tuning.shaping(params)
    for name in ('calibration', 'file_name', 'agreement_db'):
        del mine[name]
    return mine | _format(params).facts()


class _Writer:
    """Writes the float network, or one with other weights, in eight bits."""

    def __init__(self, path: Path, params: Params) -> None:
        self.plain = network.load(path)
        self.params = params
        self._keep = network.Graph(self.plain).named(params.keep)

    def __call__(self, plain: Any, ranges: int8.Ranges, *, form: str = '') -> Any:
        return int8.quantised(
            plain,
            ranges,
            dialect=self.params.dialect,
            form=form or _format(self.params).written_form,
            weight_bits=self.params.weight_bits,
            keep=self._keep,
        )


def _rounded(writer: _Writer, calibration: Calibration) -> Rounded:
    from edge_inference_ros.train.rounded import Rounded

    return Rounded(writer.plain, writer(writer.plain, calibration.ranges, form='qdq'))


def _trained(
    rounded: Rounded, source: FloatNetwork, data: Joined, params: Params, checkpoint: Path
) -> State:
    from edge_inference_ros.train import fit, restore, teacher

    schedule = tuning.schedule(params)
    if checkpoint.is_file():
        state = fit.resume(checkpoint, schedule, model=rounded)
    else:
        state = fit.start(rounded, schedule)
    extra = None
    if params.weight:
        weights = teacher.Weights(params.weight, params.weight, 0.0, params.temperature)
        before = restore.from_onnx(source.path)
        extra = teacher.Teacher(before, range(len(data.classes)), weights, rounded)
    return tuning.fit(state, data, params, checkpoint, extra)


def _write(writer: _Writer, trained: Rounded, calibration: Calibration, path: Path) -> float:
    """Write what was trained if ONNX Runtime answers as torch does; return how well, in dB.

    A value on the edge between two roundings goes one way in torch and the other in ONNX Runtime,
    and every layer behind adds to it; two optimisation levels of ONNX Runtime differ as much from
    each other. A wrong scale or a Q node elsewhere costs far more.
    """
    ranges = {**calibration.ranges, **trained.ranges()}
    part = path.with_suffix('.part.onnx')
    try:
        network.save(writer(trained.plain(writer.plain), ranges), part)
        agreement_db = _agreement_db(trained, part, calibration)
        if agreement_db < (least_db := writer.params.agreement_db):
            raise SpecMismatch(
                f'{path}: ONNX Runtime agrees with torch to {agreement_db:.1f} dB only, allowed'
                f' {least_db:g}; nothing was written'
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return agreement_db


def _agreement_db(trained: Rounded, path: Path, calibration: Calibration) -> float:
    import torch

    from edge_inference_ros.train.net import Deployed

    shown = calibration.inputs[:_COMPARED]
    with torch.no_grad():
        wanted = Deployed(trained.eval())(torch.from_numpy(shown)).numpy()
    with measure.opened({'made': path}, None) as engines:
        given = measure.outputs(engines['made'], calibration.tensor, shown)
    return measure.channel_db([wanted[:, None]], given)


def _measured(
    source: FloatNetwork, writer: _Writer, calibration: Calibration, path: Path
) -> dict[str, dict[str, Any]]:
    """The float network, the one that was only calibrated, and the trained one, in turn."""
    params = writer.params
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        files = {'before': source.path, 'calibrated': Path(folder) / path.name, 'after': path}
        network.save(writer(writer.plain, calibration.ranges), files['calibrated'])
        known: dict[str, dict[str, Any]] = {
            name: {'bytes': file.stat().st_size, 'sha256': digest(file)}
            for name, file in files.items()
        }
        for name, times in tuning.latencies(files, params.runs).items():
            known[name] |= times
        if params.labelled and source.manifest:
            with measure.opened(files, source.manifest) as engines:
                scores = measure.accuracy(
                    engines, source.manifest, Path(params.labelled), count=params.pictures
                )
            for name, score in scores.items():
                known[name]['accuracy'] = score
    return known


def _report(
    model: Path, path: Path, known: Mapping[str, Mapping[str, Any]], agreement_db: float
) -> Report:
    before, calibrated, after = (known[name] for name in ('before', 'calibrated', 'after'))
    facts: dict[str, Value] = {
        'bytes': after['bytes'],
        'size_ratio': after['bytes'] / before['bytes'],
        'ort_ratio': after['ort_ratio'],
        'agreement_db': agreement_db,
        'sha256': after['sha256'],
    }
    if 'accuracy' in after:
        facts['ap50_loss'] = before['accuracy']['ap50'] - after['accuracy']['ap50']
        facts['ap50_gain'] = after['accuracy']['ap50'] - calibrated['accuracy']['ap50']
    rows = tuple(tuning.row(name, figures) for name, figures in known.items())
    return Report('qat', str(model), str(path), facts, rows)
