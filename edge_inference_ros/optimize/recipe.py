"""Runs a chain of steps from a file; what has not changed is not done again.

A recipe::

    schema: 1
    inputs:                               # replaced on the command line: --inputs model=…
      model: models/street_tiny
    steps:
      - {name: ranges, step: calibrate, model: $model, params: {source: world}}
      - {name: int8, step: quantize, model: $model, params: {calibration: $ranges}}

A step writes into the folder of its name; later steps read it as ``$name``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from string import Template
from typing import Any

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import params as params_
from edge_inference_ros.core import registry
from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.report import Report, Value
from edge_inference_ros.core.share import locate
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.optimize import _folder, _sources

log = logging.getLogger(__name__)

SCHEMA = 1
STATE = 'recipe.json'
_WORDS = {'', 'patterns', 'world'}
"""Said where a path may stand, and no path."""
_KEYS = {'name', 'step', 'model', 'params', 'out'}


@dataclass(frozen=True)
class Params:
    """What differs from the recipe."""

    inputs: tuple[str, ...] = param(
        (),
        'inputs to replace, each as name=value: the value stands instead of the one in the recipe',
    )
    publish: str = param('', 'copy the last model folder made over this one when all is done')
    fresh: bool = param(default=False, doc='do every step again, also those whose result is there')


@dataclass(frozen=True)
class Step:
    """One line of a recipe, its names already replaced."""

    name: str
    step: str
    model: Path
    out: Path
    params: Mapping[str, Any]


def run(recipe: Path, out: Path, params: Params) -> Report:
    """Do the steps of ``recipe`` in order.

    Args:
        recipe: the file.
        out: folder of the steps' folders; an interrupted run goes on from it.
        params: what differs.

    Raises:
        ConfigError: the recipe names a step, key or input that does not exist.
        EdgeInferenceError: what a step raises; the steps before it are kept.
    """
    check(params)
    steps = read(recipe, out, params.inputs)
    out.mkdir(parents=True, exist_ok=True)
    state: dict[str, Any] = {} if params.fresh else _state(out)
    rows: list[dict[str, Value]] = []
    for place, step in enumerate(steps, 1):
        key = _key(step)
        known = state.get(step.name, {})
        label = f'[{place}/{len(steps)}] {step.name}: {step.step}'
        if known.get('key') == key and known.get('made') == digest_of(step.out):
            log.info('%s, unchanged', label)
            rows.append({'step': step.name, 'did': 'kept', 's': 0.0, **known['facts']})
            continue
        log.info('%s …', label)
        start = time.monotonic()
        report = _do(step, made_by=f'edge_inference optimize recipe {recipe}')
        took_s = time.monotonic() - start
        log.info('%s, %.1f s', label, took_s)
        facts = _shown(report)
        rows.append({'step': step.name, 'did': 'made', 's': took_s, **facts})
        if refused := getattr(report, 'refused', ''):  # and is not remembered as done
            return Report('recipe', str(recipe), str(out), {}, tuple(rows), refused=refused)
        state[step.name] = {'key': key, 'made': digest_of(step.out), 'facts': facts}
        files.write_text(out / STATE, json.dumps(state, indent=1) + '\n')
    return _finish(recipe, out, steps, rows, params.publish)


def read(recipe: Path, out: Path, replaced: tuple[str, ...] = ()) -> list[Step]:
    """The steps of a recipe with every ``$name`` replaced.

    Raises:
        ConfigError: something in it is wrong; names it.
    """
    table = manifests.read_yaml(recipe, ConfigError)
    if table.get('schema') != SCHEMA or not isinstance(table.get('steps'), list):
        raise ConfigError(f'{recipe}: expected schema: {SCHEMA} and a list of steps')
    names = {str(k): str(v) for k, v in (table.get('inputs') or {}).items()}
    for pair in replaced:
        name, equals, value = pair.partition('=')
        if not equals or name not in names:
            raise ConfigError(f'inputs: {pair!r}; the recipe has {", ".join(names) or "none"}')
        names[name] = value
    steps = []
    for index, line in enumerate(table['steps']):
        step = _step(line, names, out, f'{recipe}: steps[{index}]')
        names[step.name] = str(step.out)
        steps.append(step)
    if not steps:
        raise ConfigError(f'{recipe}: no steps')
    return steps


def _step(line: Any, names: Mapping[str, str], out: Path, where: str) -> Step:
    if not isinstance(line, dict) or not {'step', 'model'} <= set(line) <= _KEYS:
        raise ConfigError(f'{where} = {line!r}: needs step and model, may have name, out, params')
    if line['step'] not in registry.names('optimize'):
        raise ConfigError(
            f'{where}: no step {line["step"]!r}; there are {", ".join(registry.names("optimize"))}'
        )
    name = str(line.get('name', line['step']))
    if name in names:
        raise ConfigError(f'{where}: {name!r} is taken')
    place = out / name / str(line.get('out', ''))
    if not place.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f'{where}: {place} lies outside of {out}')
    params = {k: _filled(v, names, where) for k, v in (line.get('params') or {}).items()}
    model = Path(_filled(str(line['model']), names, where))
    return Step(name, line['step'], model, place, params)


def _filled(value: Any, names: Mapping[str, str], where: str) -> Any:
    if isinstance(value, list):
        return [_filled(item, names, where) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return Template(value).substitute(names)
    except (KeyError, ValueError) as error:
        raise ConfigError(f'{where}: {value!r}: no {error}; there are {", ".join(names)}') from (
            error
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's names and contents; empty if there is nothing."""
    if path.is_file():
        return manifests.digest(path)
    if not path.is_dir():
        return ''
    sha = hashlib.sha256()
    for file in sorted(p for p in path.rglob('*') if p.is_file()):
        sha.update(f'{file.relative_to(path)} {manifests.digest(file)}\n'.encode())
    return sha.hexdigest()


def _key(step: Step) -> str:
    """Digest of all that decides what a step makes: parameters, inputs, sources and tools."""
    facts = {
        'step': step.step,
        'params': dict(step.params),
        'inputs': [digest_of(path) for path in [step.model, *_files(step)]],
        'sources': _sources.digest(step.step),
        'tools': {**_folder.tools(), **_sources.libraries()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _files(step: Step) -> list[Path]:
    """What the parameters of ``step`` name on the disk: those that are declared as paths."""
    schema = registry.load('optimize', step.step).Params
    names = {name for name, *_, spec in params_.specs(schema) if spec.path}
    values = [v for name in sorted(names & set(step.params)) for v in _several(step.params[name])]
    return [_located(text) for text in values if isinstance(text, str) and text not in _WORDS]


def _located(text: str) -> Path:
    """The file ``text`` names; robots are named without their folder."""
    if Path(text).exists():
        return Path(text)
    try:
        return locate('config/robots', f'{text}.yaml')
    except ConfigError:
        return Path(text)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _do(step: Step, *, made_by: str) -> Any:
    module = registry.load('optimize', step.step)
    chosen = params_.build(module.Params, step.params)
    folder = step.out if not step.out.suffix else step.out.parent
    # What was made before stays until what takes its place is whole.
    part = folder.with_name(f'.{folder.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    extra = {'made_by': made_by} if 'made_by' in signature(module.run).parameters else {}
    try:
        report = module.run(step.model, part / step.out.relative_to(folder), chosen, **extra)
        _exchange(folder, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def _exchange(folder: Path, part: Path) -> None:
    """Put ``part``, if there is one, in the place of ``folder``."""
    old = folder.with_name(f'.{folder.name}.old')
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    if part.exists():
        part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _shown(report: Any) -> dict[str, Value]:
    """A step's own facts, without digests; some answer with a plain mapping."""
    facts = getattr(report, 'facts', report)
    if not isinstance(facts, Mapping):
        return {}
    return {
        str(name): value
        for name, value in facts.items()
        if isinstance(value, (str, int, float)) and 'sha256' not in str(name)
    }


def _state(out: Path) -> dict[str, Any]:
    try:
        state = json.loads((out / STATE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _finish(
    recipe: Path, out: Path, steps: list[Step], rows: list[dict[str, Value]], publish: str
) -> Report:
    finished = [step for step in steps if (step.out / manifests.FILE_NAME).is_file()]
    last = finished[-1] if finished else steps[-1]  # what only judges makes no model
    if publish:
        shutil.copytree(last.out, publish, dirs_exist_ok=True)
    facts: dict[str, Value] = {
        'steps': len(rows),
        'made': sum(row['did'] == 'made' for row in rows),
        's': sum(float(row['s']) for row in rows),
        'result': publish or str(last.out),
    }
    return Report('recipe', str(recipe), str(out), facts, tuple(rows))
