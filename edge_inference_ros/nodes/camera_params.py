"""The camera detector's parameters. Imports no ROS, so that tools can read them too."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, Manifest, load
from edge_inference_ros.core.params import param, together
from edge_inference_ros.core.protocols import TrackSettings
from edge_inference_ros.core.share import locate
from edge_inference_ros.errors import ConfigError

_TRT = 'trt_'


@dataclass(frozen=True)
class TrtSettings:
    """What may be said about a TensorRT engine; other backends take no notice.

    The names are those of ``backends/_trt_plans.py``'s options, after ``trt_``.
    """

    build_engine: str = param(
        'never',
        'trt without an engine for this machine: refuse and name the command, or build (minutes)',
        choices=('never', 'if_missing'),
    )
    trt_precision: str = param(
        'graph',
        'precision the TensorRT engine was built with; graph: as the network is typed',
        choices=('graph', 'fp16', 'int8', 'int8_fp16'),
    )
    trt_dla_core: int = param(
        -1,
        'deep learning accelerator the TensorRT engine was built for; -1: the GPU',
        low=-1,
        high=1,
    )
    trt_priority: int = param(
        0, 'priority of the TensorRT stream on the GPU; lower goes first', low=-5, high=0
    )
    trt_memory: str = param(
        'auto',
        'memory of TensorRT inputs and outputs: paired host and device memory, one mapped memory,'
        ' or the faster where they are one',
        choices=('auto', 'paired', 'mapped'),
    )
    trt_wait: str = param(
        'block',
        'how to wait for TensorRT: sleep, or keep a core busy to answer some 0.1 ms sooner',
        choices=('block', 'spin'),
    )
    trt_graph: bool = param(True, 'replay TensorRT copies and inference as one CUDA graph')
    trt_provider: str = param(
        'auto', 'CUDA bindings that TensorRT uses', choices=('auto', 'pycuda', 'cuda-bindings')
    )
    trt_cache: str = param('', 'folder of the TensorRT engines; empty: the user cache')

    def trt_options(self) -> dict[str, Any]:
        """These settings by the names of the backend's options."""
        fields = {field.name for field in dataclasses.fields(TrtSettings)}
        return {name.removeprefix(_TRT): getattr(self, name) for name in fields}


@dataclass(frozen=True)
class CameraDetectorParams(TrackSettings, TrtSettings):
    """What may be said to a camera_detector; topics are remapped, not parameters."""

    model: str = param(
        'street_tiny', 'a shipped model, or the path of a folder with a manifest.yaml'
    )
    backend: str = param('ort', 'runtime: ort, openvino, trt, null, or a plug-in')
    precision: str = param(
        '',
        'precision of the model file: fp32, fp16, int8, …; empty takes the first that suits'
        ' the backend',
    )
    tracker: str = param('sort', 'gives objects an identity: none, sort, or a plug-in')
    transport: str = param(
        'auto',
        'raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage; auto: what is published',
        choices=('auto', 'raw', 'compressed'),
    )
    reliability: str = param(
        'auto',
        'reliability of the image subscription; auto takes what the publisher offers',
        choices=('auto', 'best_effort', 'reliable'),
    )
    score_threshold: float = param(
        -1.0,
        'boxes with a lower score are dropped; -1 takes the threshold in the manifest',
        low=-1.0,
        high=1.0,
        live=True,
    )
    iou_threshold: float = param(
        -1.0,
        'a box that overlaps a surer one by more (IoU) is dropped; -1 takes the threshold in the'
        ' manifest',
        low=-1.0,
        high=1.0,
        live=True,
    )
    max_detections: int = param(
        0,
        'the surest so many objects of a picture are published; 0 takes the number in the'
        ' manifest',
        low=0,
        high=1000,
        live=True,
    )
    expected_rate_hz: float = param(
        0.0,
        'frames the camera promises in a second; fewer are a warning; 0: no promise',
        low=0.0,
        high=1000.0,
    )
    hang_s: float = param(
        5.0,
        'a run that takes longer has hung: the process says where and ends; 0 waits for ever',
        low=0.0,
        high=3600.0,
    )
    diagnostics_period_s: float = param(
        1.0, 'time between two reports on /diagnostics', low=0.1, high=60.0
    )
    autostart: bool = param(False, 'configure and activate without being asked')

    def head(self, spec: HeadSpec) -> HeadSpec:
        """What the manifest says of the head, but for what these parameters say instead."""
        instead: dict[str, Any] = {
            name: value
            for name, value, least in (
                ('score_threshold', self.score_threshold, 0.0),
                ('iou_threshold', self.iou_threshold, 0.0),
                ('max_detections', self.max_detections, 1),
            )
            if value >= least
        }
        return dataclasses.replace(spec, **instead)


NAMES = ('model', 'backend', 'tracker', 'precision')
"""Parameters that name what must be there."""


def model_of(model: str, backend: str, tracker: str, precision: str = '') -> Manifest:
    """The model that is named, once the runtime and the tracker are known to exist too.

    Raises:
        ConfigError: what there is not, all of it.
    """
    manifest: Manifest = together(
        lambda: _with(load(locate('models', model)), precision),
        lambda: registry.check('backends', backend),
        lambda: registry.check('trackers', tracker),
    )[0]
    return manifest


def _with(manifest: Manifest, precision: str) -> Manifest:
    precisions = sorted({file.precision for file in manifest.files})
    if precision and precision not in precisions:
        raise ConfigError(
            f'precision = {precision!r}: {manifest.name} has files in {", ".join(precisions)}'
        )
    return manifest
