"""What runs of a recording leave on the disk, to be compared with other runs of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core.latency import WHOLE
from edge_inference_ros.core.stats import samples_needed
from edge_inference_ros.errors import BagError
from edge_inference_ros.machine import files
from edge_inference_ros.replay.figures import CORRECTED, Observed, corrected_ms

SCHEMA = 1
FILE_NAME = 'result.json'
LOGIC, PIPELINE = 'logic', 'pipeline'
_QUANTILES = {'p50': 0.5, 'p95': 0.95, 'p99': 0.99, 'p99.9': 0.999}
_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Run:
    """One pass over the recording.

    Attributes:
        latency_ns: stage, then quantile (``p50`` … ``max``), to nanoseconds; a quantile that the
            sample is too small for is left out.
        frames: what became of them: received, done, superseded, rejected.
        outputs_sha256: of the results, where two runs must have the same; or empty.
        verdicts: how often the guard said what.
        void: why the run does not count; empty if it does.
    """

    latency_ns: Mapping[str, Mapping[str, int]]
    frames: Mapping[str, int]
    outputs_sha256: str = ''
    verdicts: Mapping[str, int] = field(default_factory=dict)
    void: str = ''


@dataclass(frozen=True)
class Result:
    """Runs of one side.

    Attributes:
        pace: ``logic`` (exact) or ``pipeline`` (measured).
        bag: the recording's name, for people.
        bag_sha256: of what was read of it: stamps, times of reception and sizes of the frames.
        settings: everything else that decides what is measured.
    """

    pace: str
    bag: str
    bag_sha256: str
    runs: tuple[Run, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def as_json(self) -> str:
        """The same text for the same result."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + '\n'


def run_of(seen: Observed, *, outputs_sha256: str = '') -> Run:
    """The figures of one pass."""
    stages = sorted({stage for output in seen.outputs for stage in output.laps_ms})
    values = {s: [o.laps_ms[s] for o in seen.outputs if s in o.laps_ms] for s in stages}
    if seen.outputs and seen.expected_ns:
        values[CORRECTED] = corrected_ms(seen)
    return Run(
        latency_ns={stage: _quantiles(ms) for stage, ms in values.items() if ms},
        frames=dict(seen.counts),
        outputs_sha256=outputs_sha256,
        verdicts=dict(seen.verdicts),
    )


def _quantiles(values_ms: Sequence[float]) -> dict[str, int]:
    """Nearest rank upwards, which is a value that occurred: nothing is interpolated."""
    ranked = sorted(round(ms * 1e6) for ms in values_ms)
    known = {
        name: ranked[math.ceil(q * (len(ranked) - 1))]
        for name, q in _QUANTILES.items()
        if len(ranked) >= samples_needed(q)
    }
    return {**known, 'max': ranked[-1]}


def write(result: Result, folder: Path) -> Path:
    """Leave ``result`` in ``folder``; return the file."""
    path = folder / FILE_NAME
    files.write_text(path, result.as_json())
    return path


def read(path: Path) -> Result:
    """What ``write`` left: a file, or the folder it lies in.

    Raises:
        BagError: not there, too large, or no such result.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise BagError(f'INVALID INPUT: {file}: larger than {_LARGEST_BYTES} bytes')
        table = json.loads(file.read_text(encoding='utf-8'))
        if table['schema'] != SCHEMA:
            raise BagError(f'INVALID INPUT: {file}: schema {table["schema"]}; we read {SCHEMA}')
        runs = tuple(_run(row) for row in table['runs'])
        return Result(
            pace=str(table['pace']),
            bag=str(table['bag']),
            bag_sha256=str(table['bag_sha256']),
            runs=runs,
            settings=dict(table['settings']),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BagError(
            f'INVALID INPUT: {file}: not a result of `replay`: {type(error).__name__}: {error}'
        ) from error


def _run(row: Mapping[str, Any]) -> Run:
    latency = {
        str(stage): {str(name): _whole(value) for name, value in quantiles.items()}
        for stage, quantiles in row['latency_ns'].items()
    }
    if not row.get('void') and WHOLE not in latency:
        raise ValueError(f'a run without {WHOLE}')
    counts = ({str(k): _whole(v) for k, v in row[name].items()} for name in ('frames', 'verdicts'))
    frames, verdicts = counts
    return Run(latency, frames, str(row['outputs_sha256']), verdicts, str(row['void']))


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f'{value!r} where a whole number from 0 is needed')
    return value


class Fingerprint:
    """Digest of the frames that pass by, by all that logic and load depend on."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def take(self, stamp_ns: int, received_ns: int, size: int) -> None:
        """Count one frame in."""
        self._sha.update(f'{stamp_ns} {received_ns} {size}\n'.encode())

    def hex(self) -> str:
        """What it came to."""
        return self._sha.hexdigest()
