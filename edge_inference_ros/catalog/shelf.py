"""The models that are here: which there are, and whether they are what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_inference_ros.catalog import views
from edge_inference_ros.core import overlay
from edge_inference_ros.core.manifest import FILE_NAME, Manifest, load, verify
from edge_inference_ros.core.params import param
from edge_inference_ros.core.pipeline import Pipeline, open_pipeline
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.share import cache, locate, own_models, share
from edge_inference_ros.core.types import Detections2D, Image, MonoNs, Origin, RosNs
from edge_inference_ros.errors import ManifestError

NO_PICTURE = 'none'
_NOWHERE = Origin('', RosNs(0), MonoNs(0))


@dataclass(frozen=True)
class ListParams:
    """Where to look."""

    folder: str = param(
        '', 'folder of model folders; empty takes the shipped ones and those you have added'
    )


def list_models(params: ListParams) -> Report:
    """One row for every model folder; what is wrong with one stands in its row."""
    folders = [Path(params.folder)] if params.folder else [share('models'), own_models()]
    rows = [_row(path.parent) for f in folders for path in sorted(f.glob(f'*/{FILE_NAME}'))]
    where = ', '.join(map(str, folders))
    notes = () if rows else (f'no model in {where}; `edge_inference models add` makes one',)
    return Report('models list', where, rows=tuple(rows), notes=notes)


@dataclass(frozen=True)
class CheckParams:
    """What to check, and how it would be run."""

    model: str = param(
        'street_tiny', 'a shipped model, one you have added, or the path of a model folder'
    )
    backend: str = param('ort', 'runtime to open it with')
    picture: str = param(
        '',
        'picture to look for objects in; empty renders a street of the small world, none looks'
        ' at no picture',
    )
    overlay: str = param(
        '', 'PNG to write with the boxes that were found; empty writes one to the user cache'
    )


def check_model(params: CheckParams) -> Report:
    """Digests of every file; then the network is opened, held against its manifest, and shown.

    Colours, scale and fit stand in no file: only the boxes on a picture show whether they are
    right, so it is drawn.

    Raises:
        ConfigError: the manifest is wrong, or a name in it is unknown.
        ModelError: a file is missing or altered, or its tensors are not the promised ones.
        BackendError: the runtime is not installed or cannot run it.
    """
    folder = locate('models', params.model)
    manifest = load(folder)
    rows = [_file_row(manifest, index) for index in range(len(manifest.files))]
    facts: dict[str, Value] = {'classes': _classes(manifest), 'backend': params.backend}
    notes = ['good: files and tensors are what the manifest says', *manifest.notes]
    with ExitStack() as keep:
        pipeline = open_pipeline(manifest, keep, backend=params.backend)
        if params.picture != NO_PICTURE:
            seen, told = _look(pipeline, manifest, params)
            facts |= seen
            notes += told
    return Report('models check', str(folder), facts=facts, rows=tuple(rows), notes=tuple(notes))


def _look(
    pipeline: Pipeline[Image, object, Detections2D], manifest: Manifest, params: CheckParams
) -> tuple[dict[str, Value], list[str]]:
    """Draw what is found on a picture; where nothing is, say how near anything came."""
    rendered = not params.picture
    pixels = views.streets(1)[0] if rendered else views.read(Path(params.picture))
    image = Image(_NOWHERE, pixels, 'bgr')
    found = pipeline(image).tracked.found
    path = Path(params.overlay) if params.overlay else cache('check') / f'{manifest.name}.png'
    drawn = pixels.copy()
    overlay.draw(drawn, _labels(found, manifest), caption=f'{manifest.name}: {len(found)} objects')
    overlay.save(drawn, path)
    facts: dict[str, Value] = {'objects': len(found), 'overlay': str(path)}
    if len(found):
        return facts, ['look at the overlay: colours, scale and fit are right if the boxes are']
    spec = pipeline.head.spec
    pipeline.head.spec = dataclasses.replace(spec, score_threshold=0.0)
    faint = pipeline(image).tracked.found
    pipeline.head.spec = spec
    return facts, [_nothing(faint, spec.score_threshold, rendered=rendered)]


def _nothing(faint: Detections2D, threshold: float, *, rendered: bool) -> str:
    if not len(faint):
        return (
            'FINDS NOTHING: there is no box in the picture, whatever its score; head or input in'
            ' the manifest are wrong'
        )
    photograph = '; a network trained on photographs wants one: --picture FILE' if rendered else ''
    return (
        f'finds nothing at the score threshold {threshold:g}; the best score is'
        f' {float(np.max(faint.scores)):.2g}: compare order, scale, mean, std and fit in the'
        f' manifest with how it was trained{photograph}'
    )


def _labels(
    found: Detections2D, manifest: Manifest
) -> Iterator[tuple[tuple[float, float, float, float], int, str]]:
    rows = zip(
        found.boxes_px.tolist(), found.class_ids.tolist(), found.scores.tolist(), strict=True
    )
    for (x1, y1, x2, y2), index, score in rows:
        yield (x1, y1, x2, y2), index, f'{manifest.classes[index]} {score:.2f}'


def _row(folder: Path) -> dict[str, Value]:
    try:
        manifest = load(folder)
    except ManifestError as error:
        return {'model': folder.name, 'task': 'BROKEN', 'classes': str(error)}
    sizes = [f.path.stat().st_size for f in manifest.files if f.path.is_file()]
    return {
        'model': folder.name,
        'task': manifest.task,
        'head': manifest.head.name,
        'input': 'x'.join(map(str, manifest.input.shape)),
        'precisions': ', '.join(dict.fromkeys(f.precision for f in manifest.files)),
        'kbytes': round(sum(sizes) / 1000),
        'licence': manifest.licence,
        'classes': _classes(manifest),
    }


def _classes(manifest: Manifest) -> str:
    names, most = manifest.classes, 6
    more = f', … ({len(names)} in all)' if len(names) > most else ''
    return ', '.join(names[:most]) + more


def _file_row(manifest: Manifest, index: int) -> dict[str, Value]:
    file = manifest.files[index]
    verify(file)
    return {
        'file': file.path.name,
        'precision': file.precision,
        'kbytes': round(file.path.stat().st_size / 1000),
        'sha256': file.sha256[:12],
    }
