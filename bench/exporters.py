"""Whether what others export is read as they read it themselves: ``python -m bench.exporters``.

Exports one network of each family with the exporter's own code, lets it in with ``models add``
and nothing said, and compares boxes and classes with what the exporter's own post-processing
makes of the same file and pictures. No weights are fetched: they are random, with normalisations
settled on the pictures, so that scores and boxes spread. Boxes of ours are clipped to the
picture, so theirs are too; theirs of no area are left out. Of a query for which transformers
lists several classes the best one counts.

Needs ``pip install torch torchvision ultralytics transformers timm``; families whose exporter is
missing are named and skipped. ``--pictures`` is a folder of photographs.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import Manifest
from edge_inference_ros.core.pipeline import open_engine
from edge_inference_ros.core.types import Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import EdgeInferenceError
from edge_inference_ros.optimize.judge import frames

SIDE_PX, WANTED, IOU = 320, 60, 0.7
_NOWHERE = Origin('', RosNs(0), MonoNs(0))
ULTRALYTICS: dict[str, tuple[str, dict[str, Any]]] = {
    'YOLOv3-tiny (u)': ('yolov3-tinyu', {}),
    'YOLOv5 (u)': ('yolov5nu', {}),
    'YOLOv6': ('yolov6n', {}),
    'YOLOv8': ('yolov8n', {}),
    'YOLOv8, 320x192': ('yolov8n', {'imgsz': [192, SIDE_PX]}),
    'YOLOv8, P2': ('yolov8n-p2', {}),
    'YOLOv8, P6': ('yolov8n-p6', {}),
    'YOLOv8, nms=True': ('yolov8n', {'nms': True}),
    'YOLOv9': ('yolov9t', {}),
    'YOLOv10': ('yolov10n', {}),
    'YOLOv10, end2end': ('yolov10n', {'end2end': True}),
    'YOLO11': ('yolo11n', {}),
    'YOLO12': ('yolo12n', {}),
    'YOLO26': ('yolo26n', {}),
    'YOLO26, end2end': ('yolo26n', {'end2end': True}),
    'RT-DETR (Ultralytics)': ('rtdetr-l', {}),
}
TRANSFORMERS = {
    'RT-DETR': ('RTDetr', 'RTDetrForObjectDetection'),
    'RT-DETRv2': ('RTDetrV2', 'RTDetrV2ForObjectDetection'),
    'D-FINE': ('DFine', 'DFineForObjectDetection'),
    'DETR': ('Detr', 'DetrForObjectDetection'),
}

Boxes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""x1 y1 x2 y2 in pixels of the picture, scores, class numbers."""

Theirs = Callable[[NDArray[np.uint8], float], Boxes]
"""What the exporter's own code finds in a picture (bgr), at a threshold."""


@dataclass
class Parity:
    """How two readings of the same network compare.

    Attributes:
        ours: boxes we found.
        theirs: boxes they found, of some area.
        both: found by both, in the same class.
        furthest_px: greatest distance of a coordinate among those.
    """

    ours: int = 0
    theirs: int = 0
    both: int = 0
    furthest_px: float = 0.0

    def add(self, one: Boxes, other: Boxes, size: tuple[int, int]) -> None:
        """Count the boxes of one picture of ``size`` (height, width)."""
        limit = np.array(size[::-1] * 2, np.float64)
        theirs = np.clip(other[0], 0, limit)
        some = (theirs[:, 2:] > theirs[:, :2]).all(axis=1)
        theirs, classes = theirs[some], other[2][some]
        self.ours, self.theirs = self.ours + len(one[0]), self.theirs + len(theirs)
        free = np.ones(len(theirs), bool)
        for box, class_id in zip(one[0], one[2], strict=True):
            far = np.abs(theirs - box).max(axis=1, initial=0.0)
            far[~free | (classes != class_id)] = np.inf
            if far.size and far.min() < 1.0:
                free[far.argmin()] = False
                self.both += 1
                self.furthest_px = max(self.furthest_px, float(far.min()))


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table; 1 if a family is read otherwise than its exporter reads it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pictures', required=True, help='folder of photographs')
    parser.add_argument('--count', type=int, default=4, help='pictures of it to compare')
    parser.add_argument('--only', default='', help='families whose name holds this text')
    asked = parser.parse_args(argv)
    shown = [image.pixels for image in frames.pictures(asked.pictures, count=asked.count, seed=0)]
    say('| family | read as | boxes, ours | theirs | in both | furthest, px |')
    say('|---|---|---|---|---|---|')
    wrong, pictures = 0, str(Path(asked.pictures).resolve())
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as keep:
        keep.callback(os.chdir, here)
        os.chdir(folder)  # where exporters write
        for family, make in _families():
            if asked.only not in family:
                continue
            row, good = _row(make, Path(folder), pictures, shown)
            wrong += not good
            say(f'| {family} | {row} |')
    return int(bool(wrong))


def say(line: str) -> None:
    """Print at once: exporters write to the same terminal."""
    sys.stdout.write(line + '\n')
    sys.stdout.flush()


def _families() -> Iterator[tuple[str, Callable[[Path, Sequence[Any]], tuple[Path, Theirs]]]]:
    for library, rows in (('ultralytics', ULTRALYTICS), ('transformers', TRANSFORMERS)):
        if importlib.util.find_spec(library) is None:
            say(f'| {", ".join(rows)} | {library} is not installed | | | | |')
            continue
        maker = _ultralytics if library == 'ultralytics' else _transformers
        for family, row in rows.items():
            yield family, lambda folder, shown, row=row, maker=maker: maker(folder, shown, *row)  # type: ignore[misc]


def _row(
    make: Callable[[Path, Sequence[Any]], tuple[Path, Theirs]],
    folder: Path,
    pictures: str,
    shown: Sequence[NDArray[np.uint8]],
) -> tuple[str, bool]:
    file, theirs = make(folder, shown)
    shelf = folder / 'models'
    shutil.rmtree(shelf, ignore_errors=True)
    try:
        classes = ('coco80',) if _nameless(file) else ()
        add_model(file, AddParams(folder=str(shelf), images=pictures, classes=classes))
    except EdgeInferenceError as error:
        return f'refused: {error} | | | | ', False
    manifest = manifests.load(shelf / file.stem)
    options = ', '.join(f'{key}: {value}' for key, value in manifest.head.options.items())
    found = _compare(manifest, theirs, shown)
    read = f'`{manifest.head.name}`' + (f', {options}' if options else '')
    good = 0 < found.both == found.ours == found.theirs and found.furthest_px <= 0.1
    return (
        f'{read} | {found.ours} | {found.theirs} | {found.both} | {found.furthest_px:.3f}',
        good,
    )


def _compare(manifest: Manifest, theirs: Theirs, shown: Sequence[NDArray[np.uint8]]) -> Parity:
    found = Parity()
    with ExitStack() as keep:
        engine = open_engine(manifest, manifest.files[0], keep, backend='ort')

        def head_at(threshold: float) -> Any:
            spec = replace(
                manifest.head, score_threshold=threshold, iou_threshold=IOU, candidates=8000
            )
            head = registry.load('heads', spec.name).Head
            return head(replace(manifest, head=spec), engine.outputs)

        for pixels in shown:
            image = Image(_NOWHERE, pixels, 'bgr')
            loose = head_at(0.0)
            loose.prepare(image, engine.inputs)
            engine.run()
            scores = np.sort(loose.candidates(engine.outputs).scores.max(axis=1))[::-1]
            scores = scores[scores > 0.0][WANTED // 2 : 2 * WANTED]
            widest = np.diff(-scores).argmax()  # no score stands at the threshold
            threshold = float(scores[widest] + scores[widest + 1]) / 2
            head = head_at(threshold)
            fit = head.prepare(image, engine.inputs)
            ours = head.decode(engine.outputs, image, fit)
            found.add(
                (ours.boxes_px.astype(np.float64), ours.scores, ours.class_ids),
                theirs(pixels, threshold),
                pixels.shape[:2],
            )
    return found


def _nameless(file: Path) -> bool:
    import onnx

    model = onnx.load(file, load_external_data=False)
    return 'names' not in {entry.key for entry in model.metadata_props}


def _settle(network: Any, shown: Sequence[NDArray[np.uint8]]) -> None:
    """Random weights, whose normalisations know the pictures."""
    import cv2
    import torch

    torch.manual_seed(1)
    small = [cv2.resize(p, (SIDE_PX, SIDE_PX))[:, :, ::-1] / 255 for p in shown]
    batch = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 0.3
        norm.train()
    with torch.no_grad():
        for _ in range(12 if norms else 0):
            network(batch)
    network.eval()


def _ultralytics(
    folder: Path, shown: Sequence[NDArray[np.uint8]], name: str, options: dict[str, Any]
) -> tuple[Path, Theirs]:
    import torch
    import ultralytics

    kind = ultralytics.RTDETR if name.startswith('rtdetr') else ultralytics.YOLO
    torch.manual_seed(0)
    made = kind(f'{name}.yaml')
    _settle(made.model, shown)
    _spread(made.model.model[-1], -2.0 if options.get('nms') else -5.0)
    given = {'imgsz': SIDE_PX, 'simplify': False, 'opset': 17, 'verbose': False, **options}
    file = folder / made.export(format='onnx', **given)
    reader = kind(file) if name.startswith('rtdetr') else kind(file, task='detect')

    def theirs(pixels: NDArray[np.uint8], threshold: float) -> Boxes:
        (seen,) = reader.predict(
            pixels, conf=threshold, iou=IOU, max_det=300, verbose=False, imgsz=given['imgsz']
        )
        boxes = seen.boxes
        return boxes.xyxy.double().numpy(), boxes.conf.numpy(), boxes.cls.long().numpy()

    return file, theirs


def _spread(head: Any, bias: float) -> None:
    """Scores and boxes that differ from cell to cell."""
    import torch

    def draw(layers: Any, weight: float, bias: float) -> None:
        for layer in layers or ():
            last = layer[-1] if isinstance(layer, torch.nn.Sequential) else layer
            torch.nn.init.normal_(last.weight, 0, weight)
            torch.nn.init.normal_(last.bias, bias, 0.5)

    for scores in ('cv3', 'one2one_cv3'):
        draw(getattr(head, scores, None), 0.25, bias)
    for boxes in ('cv2', 'one2one_cv2'):
        for layer in getattr(head, boxes, None) or ():
            torch.nn.init.normal_(layer[-1].weight, 0, 0.3)
    draw(getattr(head, 'dec_score_head', None), 0.03, -3.0)


def _transformers(
    folder: Path, _shown: Sequence[NDArray[np.uint8]], family: str, name: str
) -> tuple[Path, Theirs]:
    import cv2
    import onnxruntime
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f'{family}Config')()
    config.num_labels = 80
    for key, value in (('use_pretrained_backbone', False), ('use_timm_backbone', False)):
        if hasattr(config, key):
            setattr(config, key, value)
    network = getattr(transformers, name)(config).eval()
    file = folder / f'{family.lower()}.onnx'

    class Outputs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Any) -> Any:
            seen = self.network(pixel_values=images)
            return seen.logits, seen.pred_boxes

    torch.onnx.export(
        Outputs(), (torch.zeros(1, 3, SIDE_PX, SIDE_PX),), file, dynamo=False, opset_version=17,
        input_names=['images'], output_names=['logits', 'boxes'],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    processor = transformers.DetrImageProcessor if family == 'Detr' else (
        transformers.RTDetrImageProcessor
    )  # fmt: skip

    def theirs(pixels: NDArray[np.uint8], threshold: float) -> Boxes:
        small = cv2.resize(pixels, (SIDE_PX, SIDE_PX))[:, :, ::-1].transpose(2, 0, 1)
        given = (small[None] / 255).astype(np.float32)
        logits, boxes = (torch.from_numpy(x) for x in session.run(None, {'images': given}))
        seen = type('Outputs', (), {'logits': logits, 'pred_boxes': boxes})
        (read,) = processor().post_process_object_detection(
            seen, threshold=threshold, target_sizes=[pixels.shape[:2]]
        )
        boxes = read['boxes'].double().numpy()
        # a query answers one object; there it may be listed in several classes, best first
        _, first = np.unique(boxes, axis=0, return_index=True)
        return boxes[first], read['scores'].numpy()[first], read['labels'].numpy()[first]

    return file, theirs


if __name__ == '__main__':
    sys.exit(main())
