"""Lets somebody's network in: looks what it is, and writes the manifest that says so.

Accepted means read right: every way of reading the outputs that the shapes allow is tried on
pictures, and what the answers contradict is refused with what was seen.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_inference_ros.catalog import (
    class_lists,
    confined,
    evidence,
    exported,
    inside,
    propose,
    views,
)
from edge_inference_ros.catalog.evidence import Reading, Seen
from edge_inference_ros.catalog.exported import Exported
from edge_inference_ros.catalog.propose import HABITS, Proposal
from edge_inference_ros.catalog.shelf import CheckParams, check_model
from edge_inference_ros.core import onnx_file, registry
from edge_inference_ros.core.manifest import FILE_NAME, HeadSpec, digest
from edge_inference_ros.core.params import param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.share import own_models, ships
from edge_inference_ros.core.types import told_apart
from edge_inference_ros.errors import ConfigError, EdgeInferenceError, ModelError

AUTO, UNKNOWN = 'auto', 'unknown'


@dataclass(frozen=True)
class AddParams:
    """What is known of the network; what is left open is read from the file and proposed."""

    name: str = param('', 'name of the new model and its folder; empty takes that of the file')
    head: str = param(
        '', 'layout of the outputs: yolov8, yolov5, yolox, detr, …; empty proposes one'
    )
    classes: tuple[str, ...] = param(
        (),
        'class names in the order of the network, or coco80 for the 80 of COCO; none takes those'
        ' in the file',
    )
    classes_file: str = param('', 'text file with one class name a line')
    licence: str = param(UNKNOWN, 'SPDX name of the licence of the weights')
    layout: str = param(
        AUTO,
        'place of the colours in the input: last (nhwc) or first (nchw)',
        choices=(AUTO, 'nhwc', 'nchw'),
    )
    height_px: int = param(
        0,
        'height of the input where the file leaves it open; 0 takes that in the file, or 640',
        low=0,
        high=8192,
    )
    width_px: int = param(
        0,
        'width of the input where the file leaves it open; 0 takes that in the file, or 640',
        low=0,
        high=8192,
    )
    order: str = param(
        AUTO,
        'order of the colours; auto takes what is usual for the head',
        choices=(AUTO, 'rgb', 'bgr'),
    )
    fit: str = param(
        AUTO,
        'how a picture is made to fit; auto takes what is usual for the head',
        choices=(AUTO, 'letterbox', 'stretch'),
    )
    rounding: str = param(
        AUTO,
        'what becomes of the fraction of a pixel in the sides of a letterboxed picture; auto'
        ' takes what is usual for the head',
        choices=(AUTO, 'nearest', 'down'),
    )
    scale: float = param(
        0.0,
        'float inputs get (pixel * scale - mean) / std; 0 takes what is usual for the head',
        low=0.0,
    )
    mean: tuple[float, ...] = param((0.0, 0.0, 0.0), 'one value a colour, after scaling')
    std: tuple[float, ...] = param((1.0, 1.0, 1.0), 'one value a colour, after scaling')
    score_threshold: float = param(0.25, 'boxes with a lower score are dropped', low=0.0, high=1.0)
    candidates: int = param(
        HeadSpec('').candidates,
        'most boxes above the threshold that suppression looks at; a crowd needs a dozen a person',
        low=1,
        high=30_000,
    )
    precision: str = param('', 'numbers the file computes in; empty looks into it')
    backend: str = param('ort', 'runtime to look into the file with')
    images: str = param(
        '', 'folder of pictures to try the network on; empty renders streets of the small world'
    )
    despite: bool = param(
        default=False, doc='take it although its answers do not look like boxes; needs --head'
    )
    folder: str = param(
        '',
        'folder of model folders; empty takes $EDGE_INFERENCE_MODELS, or'
        ' ~/.local/share/edge_inference_ros/models',
    )


@dataclass(frozen=True)
class _Network:
    """A file, what was said of it, and what it says itself.

    Attributes:
        limits: of a child that runs it.
        tensors: inputs and outputs, open sizes settled.
    """

    file: Path
    params: AddParams
    limits: confined.ChildLimits
    tensors: Mapping[str, Any]
    told: Exported


@dataclass(frozen=True)
class _Read:
    """How a network is read, and what showed it."""

    shown: Mapping[str, Any]
    proposal: Proposal
    seen: Seen


def add_model(network: Path, params: AddParams) -> Report:
    """Copy ``network`` into a new model folder and write the manifest that fits it.

    Head, classes and sizes are proposed where ``params`` leaves them open; the report says why.
    It is opened and run in a process that may take only so much: nobody vouches for it yet.

    Raises:
        ConfigError: a name is missing, taken or unknown, or nothing can be proposed.
        ModelError: not a network, or one whose answers no head reads right; nothing is left
            behind.
        BackendError: the runtime is not installed.
    """
    params = replace(params, name=params.name or network.stem)
    classes = class_lists.chosen(params.classes, params.classes_file)
    _check(network, params)
    limits = inside.limits(network, params.backend)
    shelf = Path(params.folder) if params.folder else own_models()
    folder = shelf / params.name
    if folder.exists():
        raise ConfigError(f'{folder} exists; remove it or choose another --name')
    if not params.folder and ships('models', params.name):
        raise ConfigError(f'a shipped model is called {params.name}; choose another --name')
    file = folder / f'model{network.suffix}'
    with _folder(folder, file, network):
        shutil.copyfile(network, file)
        params = replace(params, precision=params.precision or onnx_file.precision(file))
        tensors = inside.tensors(file, _size(params), params.layout, params.backend, limits)
        told = exported.read(tensors['metadata'])
        manifest, notes = _described(_Network(file, params, limits, tensors, told), classes)
        text = ''.join(f'{key}: {json.dumps(value)}\n' for key, value in manifest.items())
        (folder / FILE_NAME).write_text(text, encoding='utf-8')
        check_model(CheckParams(str(folder.absolute()), params.backend, picture='none'))
    return Report('models add', str(network), str(folder), _chosen(manifest), notes=tuple(notes))


@contextmanager
def _folder(folder: Path, file: Path, network: Path) -> Iterator[None]:
    """A new folder, which goes again with all that is in it if anything at all fails.

    What is wrong with ``file`` is then said of ``network``, of which it was a copy.
    """
    folder.mkdir(parents=True)
    try:
        yield
    except BaseException as error:
        shutil.rmtree(folder)
        if isinstance(error, EdgeInferenceError):
            error.args = tuple(str(arg).replace(str(file), str(network)) for arg in error.args)
        raise


def _check(network: Path, params: AddParams) -> None:
    if not params.name or Path(params.name).name != params.name:
        raise ConfigError(f'--name {params.name!r}: expected a plain name for the new model')
    if params.head and params.head not in (heads := registry.names('heads')):
        raise ConfigError(f'--head {params.head!r}: expected one of {", ".join(heads)}')
    if params.despite and not params.head:
        raise ConfigError('--despite: name the head that is to be taken with --head')
    if network.is_dir():
        raise ConfigError(f'{network} is a folder; give the file of the network in it')
    if not network.is_file():
        raise ConfigError(f'{network}: no such file')
    if not network.stat().st_size:
        raise ModelError(f'{network}: the file is empty; export or fetch the network again')


def _size(params: AddParams) -> tuple[int, int] | None:
    """Height and width that were said for open sizes; None if neither was."""
    if not params.height_px and not params.width_px:
        return None
    return params.height_px or inside.USUAL_PX, params.width_px or inside.USUAL_PX


def _described(network: _Network, classes: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """A manifest with the tensors the network was found to have, and what was concluded."""
    told, notes = network.told, []
    if not classes and told.names.names:
        classes = told.names.names
        notes.append(f'{len(classes)} classes: from the metadata of the file')
    read = _read(network, len(classes))
    notes.append(f'head {read.proposal.head}: {read.proposal.why}')
    notes.append(_looked(read.seen, network.params))
    if not classes:
        raise ConfigError(_nameless(read.proposal.classes, told))
    folder = network.file.parent.absolute()
    notes.append(
        'colours, fit and scale are the habit of such networks: compare them with yours, and look'
        f' at the boxes: edge_inference models check --model {folder} --picture PHOTOGRAPH'
    )
    classes, renamed = told_apart(tuple(classes))
    return _manifest(network, classes, read), [*notes, *renamed]


def _nameless(count: int, told: Exported) -> str:
    counted = f', all {count} of them' if count else ''
    lists = [name for name, names in class_lists.LISTS.items() if len(names) == count]
    offered = ''.join(f' (--classes {name} if it was trained on those)' for name in lists)
    why = told.names.fault or 'the file has no names'
    asked = f'name the classes{counted}: --classes person car …{offered}'
    return f'{asked}, or --classes-file FILE; {why}'


def _looked(seen: Seen, params: AddParams) -> str:
    if seen.faults:
        return f'taken all the same, although {"; ".join(seen.faults)}'
    where = params.images or 'rendered streets'
    if seen.found:
        return f'tried on {where}: {seen.found} boxes at {params.score_threshold:g} or more'
    if not seen.most:
        return f'tried on {where}: no box at all; that the reading is right is not shown'
    untold = 'a trained network finds things on photographs: --images FOLDER'
    remedy = 'is it trained, and on such pictures?' if params.images else untold
    return (
        f'tried on {where}: nothing reaches {params.score_threshold:g}, the best score is'
        f' {seen.highest:.2g}; {remedy}'
    )


def _read(network: _Network, classes: int) -> _Read:
    """The likeliest reading that the network's answers to pictures bear out.

    Raises:
        ConfigError: the tensors fit no head.
        ModelError: the answers contradict every one.
    """
    params, outputs = network.params, network.tensors['outputs']
    shown, layout, (height, width) = _input(network)
    proposals = propose.readings(
        outputs,
        height_px=height,
        width_px=width,
        classes=classes,
        head=params.head,
        exported=network.told,
    )
    inputs = [_shown(shown, layout, proposal, params) for proposal in proposals]
    asked = [
        Reading(
            input=given,
            outputs=_ordered(outputs, proposal),
            head=proposal.head,
            options=proposal.options,
            classes=classes or proposal.classes or evidence.UNKNOWN_CLASSES,
            score_threshold=params.score_threshold,
            certain=proposal.certain,
        )
        for given, proposal in zip(inputs, proposals, strict=True)
    ]
    with views.saved(params.images) as pictures:
        looks = evidence.look(network.file, asked, pictures, params.backend, network.limits)
    rows = [_Read(*row) for row in zip(inputs, proposals, looks, strict=True)]
    good = [row for row in rows if not row.seen.faults]
    if not good and not params.despite:
        raise ModelError(_contradicted(network.file, rows))
    return (good or rows)[0]


def _contradicted(file: Path, rows: Sequence[_Read]) -> str:
    tried = '; '.join(
        f'as {row.proposal.head} ({row.proposal.why}): {", ".join(row.seen.faults)}'
        for row in rows
    )
    return (
        f'{file.name} answers what no head reads right. {tried}. Export it otherwise, or write a'
        ' head (docs/extending.md)'
    )


def _input(network: _Network) -> tuple[dict[str, Any], str, tuple[int, int]]:
    """The picture among the inputs, its layout, its height and width."""
    inputs, params = network.tensors['inputs'], network.params
    if len(inputs) != 1:
        names = ', '.join(row['tensor'] for row in inputs)
        raise ConfigError(
            f'{network.file.name} has the inputs {names}; expected one picture: export the network'
            ' without its post-processing'
        )
    (shown,) = inputs
    shape = shown['shape']
    if len(shape) != 4:
        raise ConfigError(
            f'input {shown["tensor"]} has shape {shape}; expected one picture, [1, 3, H, W] or'
            ' [1, H, W, 3]'
        )
    if shape[0] != 1:
        raise ConfigError(
            f'input {shown["tensor"]} has shape {shape}: {shape[0]} pictures at once; a robot'
            ' looks at one: export with batch 1'
        )
    layout = propose.layout_of(shape) if params.layout == AUTO else params.layout
    height, width = shape[1:3] if layout == 'nhwc' else shape[2:4]
    return shown, layout, (height, width)


def _shown(
    shown: Mapping[str, Any], layout: str, proposal: Proposal, params: AddParams
) -> dict[str, Any]:
    """How pictures are shown to it: as said, else as is the habit of its family."""
    usual = HABITS[proposal.habits or (proposal.head if proposal.head in HABITS else '')]
    given = {
        **shown,
        'layout': layout,
        'order': usual.order if params.order == AUTO else params.order,
        'fit': usual.fit if params.fit == AUTO else params.fit,
        'rounding': usual.rounding if params.rounding == AUTO else params.rounding,
    }
    if given['dtype'] != 'uint8':
        given['scale'] = params.scale or usual.scale
        given |= {'mean': list(params.mean), 'std': list(params.std)}
    return given


def _ordered(outputs: Sequence[Mapping[str, Any]], proposal: Proposal) -> list[Any]:
    by_name = {row['tensor']: row for row in outputs}
    return [by_name[name] for name in proposal.outputs or by_name]


def _manifest(network: _Network, classes: Sequence[str], read: _Read) -> dict[str, Any]:
    params, file = network.params, network.file
    head: dict[str, Any] = {'name': read.proposal.head, 'score_threshold': params.score_threshold}
    if params.candidates != HeadSpec('').candidates:
        head['candidates'] = params.candidates
    if read.proposal.options:
        head['options'] = dict(read.proposal.options)
    shown = dict(read.shown)
    if shown['rounding'] == 'nearest':
        del shown['rounding']
    told = network.told.licence or UNKNOWN
    licence = told if params.licence == UNKNOWN else params.licence
    return {
        'schema': 1,
        'name': params.name,
        'task': 'detect2d',
        'licence': licence,
        'made_by': f'edge_inference models add --name {params.name}',
        'classes': list(classes),
        'input': shown,
        'outputs': _ordered(network.tensors['outputs'], read.proposal),
        'head': head,
        'files': [{'path': file.name, 'precision': params.precision, 'sha256': digest(file)}],
    }


def _chosen(given: Mapping[str, Any]) -> dict[str, Value]:
    shown, classes = given['input'], given['classes']
    few = ', '.join(classes[:6]) + (f', … ({len(classes)})' if len(classes) > 6 else '')
    options = ''.join(
        f', {key}: {value}' for key, value in given['head'].get('options', {}).items()
    )
    facts: dict[str, Value] = {
        'head': given['head']['name'] + options,
        'classes': few,
        'input': f'{shown["dtype"]} {shown["shape"]} {shown["layout"]} {shown["order"]}',
        'fit': shown['fit'],
        'precision': given['files'][0]['precision'],
        'licence': given['licence'],
    }
    return facts | ({'scale': shown['scale']} if 'scale' in shown else {})
