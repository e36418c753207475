"""`edge_inference <group> <step>`: every tool of the package, its flags made from its parameters.

Nothing is imported before it is needed: help is quick, and a robot without the training libraries
can still play a bag.

The parser is our own: ``import`` of cyclopts and tyro took 13.6 s and 14.4 s where ``argparse``
took 0.8 s in the same run, and most of this file would have stayed.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import importlib
import inspect
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_inference_ros.core import registry
from edge_inference_ros.core.params import Spec, check, param, specs
from edge_inference_ros.core.share import fetchable, known, locate
from edge_inference_ros.errors import ConfigError, EdgeInferenceError
from edge_inference_ros.terminal import completion, progress, streams

PROGRAM = 'edge_inference'
BAD_INPUT, INTERRUPTED = 2, 130
_PACKAGE = 'edge_inference_ros'


@dataclass(frozen=True, slots=True)
class Step:
    """Where a tool is: a module, the function that does it, and its parameters."""

    module: str
    run: str = 'run'
    params: str = 'Params'
    doc: str = ''


STEPS: dict[str, dict[str, Step]] = {
    'demo': {'': Step('replay.demo')},
    'top': {'': Step('monitor.top')},
    'view': {'': Step('monitor.view')},
    'doctor': {'': Step('monitor.doctor')},
    'replay': {
        '': Step('replay.paces.run'),
        'play': Step('replay.play'),
        'record': Step('replay.record'),
        'report': Step('replay.report'),
        'pipeline': Step('replay.pipeline'),
        'compare': Step('replay.verdict.compare'),
    },
    'sim': {
        'drive': Step('sim.render', 'drive', 'DriveParams', 'Renders a drive and writes its bag.'),
        'dataset': Step(
            'sim.render', 'dataset', 'DatasetParams', 'Renders the labelled pictures.'
        ),
    },
    'models': {
        'list': Step(
            'catalog.shelf', 'list_models', 'ListParams', 'Lists the models that are here.'
        ),
        'check': Step(
            'catalog.shelf', 'check_model', 'CheckParams', 'Opens a model and checks it.'
        ),
        'add': Step('catalog.add', 'add_model', 'AddParams', 'Adds an ONNX file as a model.'),
        'get': Step('catalog.get', 'get_model', 'GetParams', 'Fetches a published detector.'),
    },
    'completion': {
        '': Step('cli', 'complete', 'CompletionParams', 'Makes a shell complete these words.')
    },
}
_TRAIN = 'train_'
_NAMED = {'model': ('models', ''), 'robot': ('config/robots', '.yaml')}
_PLUGGED = {
    'backend': 'backends',
    'other_backend': 'backends',
    'tracker': 'trackers',
    'head': 'heads',
}
_HELP, _VERSION = ('-h', '--help', 'help'), ('--version', 'version')
_FIRST = (
    ('demo', 'a drive with the real nodes: a table, pictures, a report'),
    ('models get yolox_nano', 'a published detector that knows photographs'),
    ('demo --model yolox_nano --images FOLDER', 'the same on pictures of yours'),
    ('doctor', 'what makes perception late or deaf on this machine'),
    ('top', 'the nodes that run now: ages, deadlines, rates'),
)
"""What a person does first, and what comes of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool that ``argv`` names; return the exit status."""
    if argv is None and completion.ASKED in os.environ:
        completion.answer(_knowing)
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.forgive_signs()
    logging.basicConfig(format='%(message)s', handlers=[progress.LogHandler()])
    logging.getLogger(_PACKAGE).setLevel(logging.INFO)
    try:
        return _dispatch(arguments)
    except EdgeInferenceError as error:
        return _refuse(f'{type(error).__name__}: {error}')
    except BrokenPipeError:  # whoever read has read enough
        return streams.closed()
    except OSError as error:  # a full disk, a folder that may not be written, a path that is none
        if error.strerror is None:
            raise
        name = error.filename2 or error.filename  # of a copy, what could not be written
        where = f'{name}: ' if name else ''
        return _refuse(f'{where}{error.strerror}')
    except ImportError as error:
        return _refuse(f'needs {error.name}, which is not installed here: {error}')
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        progress.end()


def steps_of(group: str) -> dict[str, Step]:
    """The steps of ``group``; those of optimize and train are found by their files."""
    if group in STEPS:
        return STEPS[group]
    modules = registry.names('optimize')
    if group == 'train':
        names = {name.removeprefix(_TRAIN): name for name in modules if name.startswith(_TRAIN)}
    else:
        names = {name: name for name in modules if not name.startswith(_TRAIN)}
    return {step: Step(f'optimize.{name}') for step, name in names.items()}


def parser_of(title: str, step: Step) -> argparse.ArgumentParser:
    """A parser whose flags are the fields of the step's parameters."""
    prog = f'{PROGRAM} {title}'.strip()
    return _filled(argparse.ArgumentParser(prog, description=_doc(step), allow_abbrev=False), step)


def _filled(parser: argparse.ArgumentParser, step: Step) -> argparse.ArgumentParser:
    function, schema = _load(step)
    for name in _paths(function):
        optional = 'None' in str(inspect.signature(function).parameters[name].annotation)
        if name == 'out':
            parser.add_argument('--out', type=Path, required=not optional, help='what to write to')
        else:
            told = 'name of the model' if name == 'name' else f'path of the {name}'
            kind = _model if name == 'model' else Path
            added = parser.add_argument(
                name, type=kind, nargs='?' if optional else None, help=told
            )
            _suggest(added, name)
    for name, default, kind, spec in specs(schema):
        _suggest(parser.add_argument(_flag(name), **_options(default, kind, spec)), name)
    if _answers(function) and 'json' not in {each.name for each in dataclasses.fields(schema)}:
        parser.add_argument('--json', action='store_true', help='print the result as JSON')
    return parser


def _answers(function: Callable[..., Any]) -> bool:
    """Whether there is a result to print: who answers with an exit status has printed his own."""
    return inspect.signature(function).return_annotation not in ('int', 'None')


def _suggest(argument: Any, name: str) -> None:
    """What a shell completes besides paths: the names of what ships, was added or plugged in."""
    if named := _NAMED.get(name):
        argument.completer = lambda **_: [Path(each).stem for each in known(*named)]
    elif kind := _PLUGGED.get(name):
        argument.completer = lambda **_: registry.names(kind)
    elif name == 'name':
        argument.completer = lambda **_: fetchable()


def _knowing(words: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of everything that may follow ``words``; what is not on the way stays unread."""
    parser = argparse.ArgumentParser(PROGRAM)
    groups = parser.add_subparsers()
    for group in _groups():
        inner = groups.add_parser(group)
        if not words or words[0] != group:
            continue
        steps = dict(steps_of(group))
        own, named = steps.pop('', None), words[1:2]
        if own and (not steps or (named and named[0] not in steps)):
            _filled(inner, own)
            continue
        chosen = inner.add_subparsers()
        for name, step in steps.items():
            of_step = chosen.add_parser(name)
            if named == [name]:
                _filled(of_step, step)
    return parser


def _groups() -> list[str]:
    return [*STEPS, 'train', 'optimize']


def _dispatch(arguments: list[str]) -> int:
    groups = _groups()
    if arguments and arguments[0] in _VERSION:
        _print(f'{PROGRAM} {sys.modules[_PACKAGE].__version__}')
        return 0
    if arguments and arguments[0] in _HELP:
        arguments = [*arguments[1:], '--help']
    if not arguments or arguments[0] == '--help':
        _print(_overview(groups))
        return 0 if arguments else BAD_INPUT
    return _dispatch_group(arguments, groups)


def _dispatch_group(arguments: list[str], groups: Sequence[str]) -> int:
    group, *rest = arguments
    if group not in groups:
        raise ConfigError(_no_such('group', group, groups))
    steps = steps_of(group)
    if set(steps) == {''}:
        return _run(group, steps[''], rest)
    if not rest or rest[0] in ('-h', '--help'):
        _print(_group_help(group, steps))
        if '' in steps and rest:
            _print('\n' + parser_of(group, steps['']).format_help())
        return 0 if rest else BAD_INPUT
    name, *more = rest
    if name in steps:
        return _run(f'{group} {name}', steps[name], more)
    if '' in steps and (Path(name).exists() or os.sep in name):
        return _run(group, steps[''], rest)
    raise ConfigError(_no_such(f'step of {group}', name, list(filter(None, steps))))


def _run(title: str, step: Step, arguments: list[str]) -> int:
    given = vars(parser_of(title, step).parse_args(arguments))
    function, schema = _load(step)
    names = [name for name, *_ in specs(schema)]
    as_json = bool(given.get('json')) and 'json' not in names
    params = schema(**{name: _frozen(given[name]) for name in names})
    check(params)
    extra = {name: given[name] for name in _paths(function)}
    if 'made_by' in inspect.signature(function).parameters:
        extra['made_by'] = f'{PROGRAM} {title} {shlex.join(arguments)}'.strip()
    with _clean(step, extra.get('out')):
        result = function(params=params, **extra)
    return _show(result, as_json=as_json)


def _model(text: str) -> Path:
    """What is there, or else, of a bare name, the shipped or added model called so."""
    path = Path(text)
    return path if path.exists() or path.suffix else locate('models', text)


def _clean(step: Step, out: Path | None) -> AbstractContextManager[None]:
    """What a failed step began is removed again; what was trained so far stays, it took hours."""
    kind, _, name = step.module.partition('.')
    if kind != 'optimize':
        return nullcontext()
    from edge_inference_ros.optimize import RESUMED
    from edge_inference_ros.optimize._folder import untouched_on_failure

    if name in RESUMED:
        return nullcontext()
    return untouched_on_failure(out)


def _show(result: Any, *, as_json: bool) -> int:
    """Print what a step answers: a report, facts, or nothing; an int is the exit status."""
    if isinstance(result, int):
        return result
    if hasattr(result, 'as_table'):
        _print(result.as_json() if as_json else result.as_table())
    elif isinstance(result, dict):
        _print(json.dumps(result, indent=2, default=str))
    if hasattr(result, 'exit_code'):
        return int(result.exit_code)
    return 1 if getattr(result, 'refused', '') else 0


def _load(step: Step) -> tuple[Callable[..., Any], type[Any]]:
    kind, _, name = step.module.partition('.')
    if kind == 'optimize':
        module = registry.load(kind, name)
    elif step.module == 'cli':
        module = sys.modules[__name__]
    else:
        module = importlib.import_module(f'{_PACKAGE}.{step.module}')
    return getattr(module, step.run), getattr(module, step.params)


def _paths(function: Callable[..., Any]) -> list[str]:
    """Parameters of ``function`` that are paths: all but ``params`` and what is optional."""
    parameters = inspect.signature(function).parameters.values()
    return [
        p.name for p in parameters if p.name != 'params' and p.default is inspect.Parameter.empty
    ]


def _flag(name: str) -> str:
    return '--' + name.replace('_', '-')


def _options(default: Any, kind: Any, spec: Spec) -> dict[str, Any]:
    words = [spec.doc]
    if spec.low is not None or spec.high is not None:
        low = '' if spec.low is None else f'{spec.low:g}'
        high = '' if spec.high is None else f'{spec.high:g}'
        words.append(f'({low} … {high})')
    if default not in ('', ()):
        shown = ' '.join(map(str, default)) if isinstance(default, tuple) else default
        words.append(f'[{shown}]')
    options = {'default': default, 'help': ' '.join(words).replace('%', '%%')}
    if spec.required:
        options['required'] = True
    if kind is bool:
        return options | {'action': argparse.BooleanOptionalAction}
    if kind in (int, float, str):
        return options | {'type': kind, 'metavar': kind.__name__.upper()} | _choices(spec)
    inner = str if kind == tuple[str, ...] else float
    return options | {'type': inner, 'nargs': '*', 'metavar': inner.__name__.upper()}


def _choices(spec: Spec) -> dict[str, Any]:
    return {'choices': spec.choices, 'metavar': None} if spec.choices else {}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _overview(groups: Sequence[str]) -> str:
    width = max(len(line) for line, _ in _FIRST)
    lines = [f'usage: {PROGRAM} <group> <step> [--help]', '', 'first:']
    lines += [f'  {PROGRAM} {line:<{width}}  {words}' for line, words in _FIRST]
    lines += ['', 'all there is:']
    for group in groups:
        steps = steps_of(group)
        named = ', '.join(filter(None, steps))
        words = named or (_doc(steps['']) if steps else '(nothing installed)')
        lines.append(f'  {group:<10} {words}')
    return '\n'.join(lines)


def _group_help(group: str, steps: dict[str, Step]) -> str:
    lines = [f'usage: {PROGRAM} {group} <step> [--help]', '']
    lines += [f'  {name or "PATH":<16} {_doc(step)}' for name, step in steps.items()]
    return '\n'.join(lines if steps else [*lines, '  no steps are installed'])


def _doc(step: Step) -> str:
    """The first line of the step's module, read without importing it."""
    if step.doc:
        return step.doc
    kind, _, name = step.module.partition('.')
    spec = find_spec(registry.path(kind, name) or f'{_PACKAGE}.{step.module}')
    if spec is None or spec.origin is None:
        return 'a plug-in'
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding='utf-8'))) or ''
    return text.partition('\n')[0]


def _no_such(what: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f'did you mean {close[0]}? ' if close else ''
    return f'no {what} called {name!r}; {hint}there are {", ".join(known) or "none"}'


def _refuse(message: str) -> int:
    print(f'{PROGRAM}: {message}', file=sys.stderr)  # noqa: T201 - this is a command
    return BAD_INPUT


def _print(text: str) -> None:
    print(text)  # noqa: T201 - this is a command


@dataclass(frozen=True)
class CompletionParams:
    """Which shell."""

    shell: str = param('bash', 'shell that is to complete', choices=completion.SHELLS)


def complete(params: CompletionParams) -> None:
    """Print the script that the shell is to evaluate."""
    _print(completion.script(PROGRAM, params.shell))


if __name__ == '__main__':
    sys.exit(main())
