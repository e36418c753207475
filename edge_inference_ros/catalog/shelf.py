"""The models that are here: which there are, whether they are what they say, and a new one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.catalog import confined, propose
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import (
    FILE_NAME,
    HeadSpec,
    InputSpec,
    Manifest,
    ModelFile,
    digest,
    load,
    verify,
)
from edge_inference_ros.core.params import param
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.share import locate, share
from edge_inference_ros.core.types import Tensors
from edge_inference_ros.errors import ConfigError, EdgeInferenceError, ManifestError

AUTO, UNKNOWN = 'auto', 'unknown'
USUAL_PX = 640
_BIG_ADDRESSES = ('trt',)  # CUDA reserves more addresses than there is memory


@dataclass(frozen=True)
class ListParams:
    """Where to look."""

    folder: str = param('', 'folder of model folders; empty takes the shipped ones')


def list_models(params: ListParams) -> Report:
    """One row for every model folder; what is wrong with one stands in its row."""
    folder = _shelf(params.folder)
    rows = [_row(path.parent) for path in sorted(folder.glob(f'*/{FILE_NAME}'))]
    notes = () if rows else (f'no model in {folder}; `edge_inference models add` makes one',)
    return Report('models list', str(folder), rows=tuple(rows), notes=notes)


@dataclass(frozen=True)
class CheckParams:
    """What to check, and how it would be run."""

    model: str = param('street_tiny', 'a shipped model, or the path of a model folder')
    backend: str = param('ort', 'open it with this runtime')


def check_model(params: CheckParams) -> Report:
    """Digests of every file; then the network is opened and held against its manifest.

    Raises:
        ConfigError: the manifest is wrong, or a name in it is unknown.
        ModelError: a file is missing or altered, or its tensors are not the promised ones.
        BackendError: the runtime is not installed or cannot run it.
    """
    folder = locate('models', params.model)
    manifest = load(folder)
    rows = [_file_row(manifest, index) for index in range(len(manifest.files))]
    with ExitStack() as keep:
        open_pipeline(manifest, keep, backend=params.backend)
    facts: dict[str, Value] = {'classes': ', '.join(manifest.classes), 'backend': params.backend}
    return Report('models check', str(folder), facts=facts, rows=tuple(rows), notes=('good',))


@dataclass(frozen=True)
class AddParams:
    """What is known of the network; what is left open is read from the file and proposed."""

    name: str = param('', 'of the new model and its folder; empty: that of the file')
    head: str = param('', 'output layout: yolov8, yolov5, yolox, detr, …; empty: from the outputs')
    classes: tuple[str, ...] = param(
        (), 'class names, in the order of the network; none: from the metadata'
    )
    classes_file: str = param('', 'or a text file with one class name a line')
    licence: str = param(UNKNOWN, 'SPDX name of the licence of the weights')
    layout: str = param(AUTO, 'order of the input tensor', choices=(AUTO, 'nhwc', 'nchw'))
    height_px: int = param(
        0,
        'of the input, where the file leaves it open; 0: from the metadata, or 640',
        low=0,
        high=8192,
    )
    width_px: int = param(0, 'the same', low=0, high=8192)
    order: str = param(
        AUTO, 'of the colours; auto: usual for the head', choices=(AUTO, 'rgb', 'bgr')
    )
    fit: str = param(
        AUTO,
        'how a picture fits; auto: usual for the head',
        choices=(AUTO, 'letterbox', 'stretch'),
    )
    scale: float = param(
        0.0, 'float inputs: (pixel * scale - mean) / std; 0: usual for the head', low=0.0
    )
    mean: tuple[float, ...] = param((0.0, 0.0, 0.0), 'one a colour, after scaling')
    std: tuple[float, ...] = param((1.0, 1.0, 1.0), 'one a colour, after scaling')
    score_threshold: float = param(0.25, 'boxes below are dropped', low=0.0, high=1.0)
    precision: str = param('fp32', 'what the file computes in')
    backend: str = param('ort', 'runtime to look into the file with')
    folder: str = param('', 'folder of model folders; empty takes the shipped ones')


def add_model(network: Path, params: AddParams) -> Report:
    """Copy ``network`` into a new model folder and write the manifest that fits it.

    Head, classes and sizes are proposed where ``params`` leaves them open; the report says why.
    It is first opened in a process that may take only so much: nobody vouches for it yet.

    Raises:
        ConfigError: a name is missing, taken or unknown, or nothing can be proposed.
        ModelError: not a network, or not one this head can decode; nothing is left behind.
        BackendError: the runtime is not installed.
    """
    params = replace(params, name=params.name or network.stem)
    classes = _classes(params)
    if not params.name or Path(params.name).name != params.name:
        raise ConfigError(f'--name {params.name!r}: expected a plain name for the new model')
    if params.head and params.head not in (heads := registry.names('heads')):
        raise ConfigError(f'--head {params.head!r}: expected one of {", ".join(heads)}')
    if not network.is_file():
        raise ConfigError(f'{network}: no such file')
    limits = _limits(network, params.backend)
    folder = _shelf(params.folder) / params.name
    if folder.exists():
        raise ConfigError(f'{folder} exists; remove it or choose another --name')
    folder.mkdir(parents=True)
    try:
        file = folder / f'model{network.suffix}'
        shutil.copyfile(network, file)
        said, notes = _described(file, params, classes, _tensors(file, params, limits))
        text = ''.join(f'{key}: {json.dumps(value)}\n' for key, value in said.items())
        (folder / FILE_NAME).write_text(text, encoding='utf-8')
        check_model(CheckParams(str(folder.absolute()), params.backend))
    except EdgeInferenceError:
        shutil.rmtree(folder)
        raise
    return Report('models add', str(network), str(folder), _chosen(said), notes=tuple(notes))


def _shelf(folder: str) -> Path:
    return Path(folder) if folder else share('models')


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
        'classes': ', '.join(manifest.classes),
    }


def _file_row(manifest: Manifest, index: int) -> dict[str, Value]:
    file = manifest.files[index]
    verify(file)
    return {
        'file': file.path.name,
        'precision': file.precision,
        'kbytes': round(file.path.stat().st_size / 1000),
        'sha256': file.sha256[:12],
    }


def _classes(params: AddParams) -> list[str]:
    names = list(params.classes)
    if params.classes_file:
        try:
            text = Path(params.classes_file).read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f'--classes-file {params.classes_file}: {error}') from error
        names += [line.strip() for line in text.splitlines() if line.strip()]
    return names


def _draft(file: Path, params: AddParams) -> Manifest:
    """What is known before the network is opened: enough for a runtime to settle open sizes."""
    size = (params.height_px or USUAL_PX, params.width_px or USUAL_PX)
    shape = (1, *size, 3) if params.layout == 'nhwc' else (1, 3, *size)
    return Manifest(
        folder=file.parent,
        name=params.name,
        task='detect2d',
        licence=params.licence,
        made_by='',
        classes=('?',),
        input=InputSpec('', shape),
        outputs=(),
        head=HeadSpec(params.head),
        files=(ModelFile(file, digest(file), params.precision),),
    )


def _limits(network: Path, backend: str) -> confined.Limits:
    limits = confined.limits_for(network)
    return replace(limits, memory_bytes=0) if backend in _BIG_ADDRESSES else limits


def _tensors(file: Path, params: AddParams, limits: confined.Limits) -> dict[str, Any]:
    """Inputs, outputs and metadata of ``file``, its open sizes settled; read by a child."""

    def found(params: AddParams) -> Any:
        asked = {'file': str(file), 'params': asdict(params)}
        return confined.call(f'{__name__}:look_into', asked, str(file), limits)

    first: dict[str, Any] = found(params)
    size = propose.picture_size(first['metadata'])
    if size is None or params.height_px or params.width_px:
        return first
    settled: dict[str, Any] = found(replace(params, height_px=size[0], width_px=size[1]))
    return settled


def look_into(file: str, params: dict[str, Any]) -> dict[str, Any]:
    """What the runtime says of a network; called in a child, in types that JSON has."""
    said, path = AddParams(**params), Path(file)
    engine: Any = registry.load('backends', said.backend).open(_draft(path, said), path)
    try:
        return {
            'inputs': _listed(engine.inputs),
            'outputs': _listed(engine.outputs),
            'metadata': dict(getattr(engine, 'metadata', {})),
        }
    finally:
        engine.close()


def _listed(tensors: Tensors) -> list[dict[str, Any]]:
    return [
        {'tensor': name, 'shape': list(array.shape), 'dtype': array.dtype.name}
        for name, array in tensors.items()
    ]


def _described(
    file: Path, params: AddParams, classes: list[str], tensors: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """A manifest for ``file`` with the tensors it was found to have, and what was concluded."""
    if len(tensors['inputs']) != 1:
        names = ', '.join(row['tensor'] for row in tensors['inputs'])
        raise ConfigError(f'{file.name} has inputs {names}; expected one picture')
    (shown,) = tensors['inputs']
    layout = propose.layout_of(shown['shape']) if params.layout == AUTO else params.layout
    notes = []
    if not classes and (classes := propose.class_names(tensors['metadata'])):
        notes.append(f'{len(classes)} classes: from the metadata of the file')
    proposal = _head(params, shown, layout, tensors['outputs'], len(classes))
    notes.append(f'head {proposal.head}: {proposal.why}')
    if not classes:
        counted = f' all {proposal.classes} of them,' if proposal.classes else ''
        raise ConfigError(
            f'name the classes,{counted} --classes person car … or --classes-file FILE;'
            ' the file has no names'
        )
    return _manifest(file, params, classes, tensors, (shown, layout, proposal)), [
        *notes,
        'colours, fit and scale are the habit of such networks: compare them with yours',
        f'try it: edge_inference replay pipeline --model {file.parent.absolute()} --bag …',
    ]


def _head(
    params: AddParams, shown: Mapping[str, Any], layout: str, outputs: Any, classes: int
) -> propose.Proposal:
    if len(shape := shown['shape']) != 4:
        raise ConfigError(
            f'input {shown["tensor"]} has shape {shape}; expected one picture, [1, 3, H, W] or'
            ' [1, H, W, 3]'
        )
    height, width = shape[1:3] if layout == 'nhwc' else shape[2:4]
    return propose.propose(
        outputs, height_px=height, width_px=width, classes=classes, head=params.head
    )


def _manifest(
    file: Path,
    params: AddParams,
    classes: list[str],
    tensors: dict[str, Any],
    read: tuple[dict[str, Any], str, propose.Proposal],
) -> dict[str, Any]:
    shown, layout, proposal = read
    usual = propose.HABITS.get(proposal.head, propose.Habits())
    shown = {
        **shown,
        'layout': layout,
        'order': usual.order if params.order == AUTO else params.order,
        'fit': usual.fit if params.fit == AUTO else params.fit,
    }
    if shown['dtype'] != 'uint8':
        shown['scale'] = params.scale or usual.scale
        shown |= {'mean': list(params.mean), 'std': list(params.std)}
    head: dict[str, Any] = {'name': proposal.head, 'score_threshold': params.score_threshold}
    if proposal.options:
        head['options'] = dict(proposal.options)
    by_name = {row['tensor']: row for row in tensors['outputs']}
    return {
        'schema': 1,
        'name': params.name,
        'task': 'detect2d',
        'licence': _licence(params, tensors['metadata']),
        'made_by': f'edge_inference models add --name {params.name}',
        'classes': classes,
        'input': shown,
        'outputs': [by_name[name] for name in proposal.outputs or by_name],
        'head': head,
        'files': [{'path': file.name, 'precision': params.precision, 'sha256': digest(file)}],
    }


def _licence(params: AddParams, metadata: Mapping[str, str]) -> str:
    """As said; else what the exporter wrote, on one line."""
    if params.licence != UNKNOWN:
        return params.licence
    return ' '.join(metadata.get('license', '').split())[:120] or UNKNOWN


def _chosen(said: Mapping[str, Any]) -> dict[str, Value]:
    shown, classes = said['input'], said['classes']
    few = ', '.join(classes[:6]) + (f', … ({len(classes)})' if len(classes) > 6 else '')
    options = ''.join(
        f', {key}: {value}' for key, value in said['head'].get('options', {}).items()
    )
    facts: dict[str, Value] = {
        'head': said['head']['name'] + options,
        'classes': few,
        'input': f'{shown["dtype"]} {shown["shape"]} {shown["layout"]} {shown["order"]}',
        'fit': shown['fit'],
        'licence': said['licence'],
    }
    return facts | ({'scale': shown['scale']} if 'scale' in shown else {})
