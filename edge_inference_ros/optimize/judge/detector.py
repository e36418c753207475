"""A model on a backend, opened as a node opens it, for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, Manifest
from edge_inference_ros.core.pipeline import open_engine
from edge_inference_ros.core.types import Detections2D, Image
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.optimize.judge import score


class OfflineDetector:
    """Engine and head of one file of a model folder; the file's digest is checked first.

    With ``classes``, those are all there is: class ids are indices into them, and objects of
    other classes are left out.

    Raises:
        ConfigError: the model does not have one of ``classes``.
        ModelError, BackendError: the file is not there, altered, or does not open.
    """

    def __init__(
        self,
        manifest: Manifest,
        backend: str,
        precision: str,
        keep: ExitStack,
        *,
        classes: Sequence[str] = (),
    ) -> None:
        self.file, self.backend = manifest.file(backend, precision), backend
        self.manifest, self.name = manifest, f'{self.file.path} on {backend}'
        self.engine = open_engine(manifest, self.file, keep, backend=backend)
        self._head = self._head_with(manifest.head)
        self._faint = self._head_with(score.faint(manifest.head))
        self._numbers = _numbers(manifest, classes or manifest.classes)

    def __call__(self, sample: Image) -> Detections2D:
        """What is found in one picture."""
        return self.both(sample)[0]

    def both(self, sample: Image) -> tuple[Detections2D, Detections2D]:
        """What the node would report, and all of it down to the faintest, from one run."""
        fit = self._head.prepare(sample, self.engine.inputs)
        self.engine.run()
        outputs = self.engine.outputs
        reported = self._head.decode(outputs, sample, fit)
        return self._numbered(reported), self._numbered(self._faint.decode(outputs, sample, fit))

    def _head_with(self, spec: HeadSpec) -> Any:
        manifest = replace(self.manifest, head=spec)
        return registry.load('heads', spec.name).Head(manifest, self.engine.outputs)

    def _numbered(self, seen: Detections2D) -> Detections2D:
        class_ids = self._numbers[seen.class_ids]
        kept = class_ids >= 0
        return Detections2D(seen.origin, seen.boxes_px[kept], seen.scores[kept], class_ids[kept])


def another(
    reference: OfflineDetector, manifest: Manifest, precision: str, keep: ExitStack
) -> OfflineDetector:
    """What of ``manifest`` can run here and is not the reference.

    On TensorRT if that is here, else another file, else the same one on another runtime.

    Raises:
        ConfigError: there is none.
        ModelError, BackendError: it is there, and does not open.
    """
    pairs = [
        (backend, file)
        for backend in ('trt', 'openvino', 'ort')
        for file in manifest.files
        if backend in (file.backends or (backend,))
        and precision in ('', file.precision)
        and manifest.file(backend, file.precision) is file  # the second of two is never taken
        and (file.path, backend) != (reference.file.path, reference.backend)
    ]
    same = reference.file.path
    for backend, file in sorted(pairs, key=lambda pair: pair[0] != 'trt' and pair[1].path == same):
        with suppress(BackendUnavailable):
            return OfflineDetector(
                manifest, backend, file.precision, keep, classes=manifest.classes
            )
    raise ConfigError(
        f'{manifest.folder}: nothing here to hold against {reference.name}; quantize it, install'
        ' openvino, or name --other MODEL'
    )


def _numbers(manifest: Manifest, classes: Sequence[str]) -> NDArray[np.int32]:
    """Class id of the model → place in ``classes``, -1 for none."""
    if missing := [name for name in classes if name not in manifest.classes]:
        raise ConfigError(
            f'{manifest.folder}: has no class {", ".join(missing)}; it has'
            f' {", ".join(manifest.classes)}, so the two cannot be compared'
        )
    wanted = list(classes)
    return np.array(
        [wanted.index(name) if name in wanted else -1 for name in manifest.classes], np.int32
    )
