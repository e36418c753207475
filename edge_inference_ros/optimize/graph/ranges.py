"""What calibration found: the range of every inner tensor, and some of the inputs it saw."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest, digest
from edge_inference_ros.core.pipeline import open_engine
from edge_inference_ros.core.types import Image
from edge_inference_ros.errors import ConfigError

FACTS, INPUTS = 'calibration.json', 'inputs.npy'
METHODS = {'minmax': 'MinMax', 'entropy': 'Entropy', 'percentile': 'Percentile'}
_TOGETHER = 8

Inputs = NDArray[np.generic]


@dataclass(frozen=True)
class Calibration:
    """What a network's tensors hold when it sees what the robot sees.

    Attributes:
        model_sha256: of the network it was made with.
        set_sha256: of the inputs, in their order.
        tensor: name of the input.
        ranges: lowest and highest value by tensor.
        inputs: (N, *input) some of what was fed.
        facts: source, method and sizes, for people.
    """

    model_sha256: str
    set_sha256: str
    tensor: str
    ranges: Mapping[str, tuple[float, float]]
    inputs: Inputs
    facts: Mapping[str, Any]

    def check(self, path: Path) -> None:
        """Refuse a network other than the one that was calibrated.

        Raises:
            ConfigError: it is another.
        """
        if digest(path) != self.model_sha256:
            raise ConfigError(
                f'{path} is not the network that was calibrated'
                f' ({self.model_sha256[:12]}…); calibrate it again'
            )

    def summary(self) -> dict[str, Any]:
        """What a manifest says about it."""
        return {'set_sha256': self.set_sha256, **self.facts}


def fed(manifest: Manifest, path: Path, pictures: Iterable[Image]) -> Iterator[Inputs]:
    """What the robot would feed ``path`` for each picture: the model's own head prepares it.

    Yields:
        (1, …) arrays, owned.
    """
    with ExitStack() as keep:
        engine = open_engine(manifest, path, keep, backend='ort')
        head = registry.load('heads', manifest.head.name).Head(manifest, engine.outputs)
        tensor = engine.inputs[manifest.input.tensor]
        for picture in pictures:
            head.prepare(picture, engine.inputs)
            yield tensor.copy()


def collect(
    path: Path, tensor: str, inputs: Iterator[Inputs], *, method: str, percentile: float = 99.99
) -> dict[str, tuple[float, float]]:
    """Ranges of the inner tensors of ``path`` over ``inputs``, by ONNX Runtime's calibrators.

    A few inputs at a time: the calibrators hold every inner tensor of what they are given.
    """
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    options = {'percentile': percentile} if method == 'percentile' else {}
    with tempfile.TemporaryDirectory(prefix='edge_inference_') as folder:
        calibrator = create_calibrator(
            path,
            [],
            augmented_model_path=str(Path(folder) / 'augmented.onnx'),
            calibrate_method=CalibrationMethod[METHODS[method]],
            extra_options=options,
        )
        with redirect_stdout(io.StringIO()):  # the calibrators print
            while some := list(islice(inputs, _TOGETHER)):
                calibrator.collect_data(_reader(tensor, some))
            computed = calibrator.compute_data()
    return {
        name: (float(np.squeeze(data.lowest)), float(np.squeeze(data.highest)))
        for name, data in sorted(computed.items())
    }


def _reader(tensor: str, inputs: list[Inputs]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands over one input at a time, as the calibrators ask for it."""

        def __init__(self) -> None:
            self._left = iter(inputs)

        def get_next(self) -> dict[str, Inputs] | None:
            value = next(self._left, None)
            return None if value is None else {tensor: value}

    return Reader()


class Remembering:
    """Passes inputs on, keeps the first few, and counts and digests them all."""

    def __init__(self, inputs: Iterator[Inputs], *, keep: int) -> None:
        self._inputs = inputs
        self._most = keep
        self._sha = hashlib.sha256()
        self.kept: list[Inputs] = []
        self.count = 0

    def __iter__(self) -> Iterator[Inputs]:
        for value in self._inputs:
            self._sha.update(np.ascontiguousarray(value).tobytes())
            self.count += 1
            if len(self.kept) < self._most:
                self.kept.append(value)
            yield value

    @property
    def sha256(self) -> str:
        """Of every input that passed."""
        return self._sha.hexdigest()


def write(calibration: Calibration, folder: Path) -> None:
    """Write it into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / INPUTS, calibration.inputs)
    facts = {
        'model_sha256': calibration.model_sha256,
        'set_sha256': calibration.set_sha256,
        'tensor': calibration.tensor,
        'facts': dict(calibration.facts),
        'ranges': {name: list(pair) for name, pair in calibration.ranges.items()},
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')


def read(folder: Path) -> Calibration:
    """What `calibrate` wrote into ``folder``.

    Raises:
        ConfigError: it holds none.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding='utf-8'))
        inputs = np.load(folder / INPUTS, allow_pickle=False)
        ranges = {name: (float(low), float(high)) for name, (low, high) in facts['ranges'].items()}
        return Calibration(
            facts['model_sha256'],
            facts['set_sha256'],
            facts['tensor'],
            ranges,
            inputs,
            facts['facts'],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'{folder} holds no calibration ({error}); make one: edge_inference optimize calibrate'
        ) from error
