"""One frozen dataclass declares parameters: type, default, range, unit, words.

The same declaration feeds ROS descriptors, the check of YAML files, command-line flags and the
tables in the documentation. A schema may add ``faults(self) -> list[str]`` for rules that
concern several fields at once, each of which names those fields, and a static
``absent(names) -> str`` that tells who left out what must be given how to give it.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from edge_inference_ros.errors import ConfigError, ParameterError

T = TypeVar('T')
_KEY = 'param'
_TYPO = 0.6  # of 1: how alike two names are when one is the other misspelt
_LISTS: dict[Any, type[Any]] = {tuple[str, ...]: str, tuple[float, ...]: float}
KINDS: tuple[Any, ...] = (bool, int, float, str, *_LISTS)
"""Every type a parameter may have."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What may be said about one parameter."""

    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    required: bool = False
    path: bool = False


def together(*attempts: Callable[[], Any]) -> list[Any]:
    """What each attempt answers: all are made, so that all faults are named at once.

    Raises:
        ConfigError: of the one attempt that failed, or of several in one.
    """
    answers: list[Any] = []
    faults: list[ConfigError] = []
    for attempt in attempts:
        try:
            answers.append(attempt())
        except ConfigError as error:  # noqa: PERF203 - each is to be tried
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ConfigError('; '.join(map(str, faults)))
    return answers


def param(  # noqa: D417
    default: T,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    required: bool = False,
    path: bool = False,
) -> T:
    """Declare a field that is also a parameter.

    Args:
        low, high: inclusive range for numbers.
        choices: allowed strings.
        live: may change while the node runs; otherwise it is read when the node configures.
        required: a node does not run on the default, which is an example; somebody must say it.
        path: names files, whose contents count as part of the value.
    """
    spec = Spec(doc, low, high, choices, live, required, path)
    return dataclasses.field(default=default, metadata={_KEY: spec})


def specs(schema: type[Any]) -> Iterator[tuple[str, Any, Any, Spec]]:
    """Name, default, type and spec of every parameter ``schema`` declares."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        if _KEY in field.metadata:
            yield field.name, field.default, hints[field.name], field.metadata[_KEY]


def missing(schema: type[Any], given: Iterable[str]) -> list[str]:
    """The parameters that must be given and are not among ``given``, in order of declaration."""
    named = set(given)
    return [name for name, *_, spec in specs(schema) if spec.required and name not in named]


def absent(schema: type[Any], names: Sequence[str]) -> str:
    """A sentence for who did not give ``names``: the schema's own, or a plain one."""
    say = getattr(schema, 'absent', None)
    return str(say(names)) if say else f'{", ".join(names)}: must be given'


def check(params: Any) -> None:
    """Raise ``ParameterError`` naming all that is wrong with ``params``: fields, then rules."""
    if faults := _faults(params):
        raise ParameterError('; '.join(faults))


def _faults(params: Any) -> list[str]:
    wrong = {
        name: f'{name} = {value!r}: {fault}'
        for name, _, kind, spec in specs(type(params))
        if (fault := _fault(value := getattr(params, name), kind, spec))
    }
    return [*wrong.values(), *broken_rules(params, besides=wrong)]


def broken_rules(params: Any, *, besides: Collection[str] = ()) -> list[str]:
    """The rules between fields that ``params`` breaks, other than those about ``besides``.

    Every rule names the fields it is about. The fields in ``besides`` have faults of their own:
    their defaults stand in for them, so that the rules about the others can be tried at all.
    """
    if not (rules := getattr(type(params), 'faults', None)):
        return []
    tried = copy.copy(params)
    for name, default, *_ in specs(type(params)):
        if name in besides:
            object.__setattr__(tried, name, default)
    about = re.compile(rf'\b({"|".join(map(re.escape, besides))})\b') if besides else None
    broken: list[str] = rules(tried)
    return [rule for rule in broken if about is None or not about.search(rule)]


def build(schema: type[T], values: Mapping[str, Any]) -> T:
    """Make a checked ``schema`` from names and values, such as a YAML mapping.

    Raises:
        ParameterError: unknown names and bad values, all of them at once.
    """
    kinds = {name: kind for name, _, kind, _ in specs(schema)}
    unknown = [_unknown(str(name), list(kinds)) for name in values if name not in kinds]
    known = {name: value for name, value in values.items() if name in kinds}
    fields = {name: _as_kind(value, kinds[name]) for name, value in known.items()}
    if faults := [*unknown, *_faults(unchecked(schema, fields))]:
        raise ParameterError('; '.join(faults))
    return schema(**fields)


def unchecked(schema: type[T], values: Mapping[str, Any]) -> T:
    """A ``schema`` of these values and its defaults, whatever they are: something to check."""
    params = copy.copy(schema())
    for name, value in values.items():
        object.__setattr__(params, name, value)
    return params


def table(schema: type[Any]) -> str:
    """The parameters as a Markdown table."""
    rows = ['| parameter | default | range | live | meaning |', '|---|---|---|---|---|']
    for name, default, _, spec in specs(schema):
        shown = list(default) if isinstance(default, tuple) else default
        shown_default = 'must be given' if spec.required else f'`{shown!r}`'
        live = 'yes' if spec.live else ''
        rows.append(f'| `{name}` | {shown_default} | {_range(spec)} | {live} | {spec.doc} |')
    return '\n'.join(rows)


def _range(spec: Spec) -> str:
    if spec.choices:
        return ', '.join(f'`{choice}`' for choice in spec.choices)
    if spec.low is None and spec.high is None:
        return ''
    low = '' if spec.low is None else f'{spec.low:g}'
    high = '' if spec.high is None else f'{spec.high:g}'
    return f'{low} … {high}'


def misspelt(schema: type[Any], name: str) -> bool:
    """Whether an unknown name is so close to one of ``schema`` that it was probably meant."""
    known = [known for known, *_ in specs(schema)]
    return bool(difflib.get_close_matches(name, known, 1, cutoff=_TYPO))


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff=_TYPO)
    hint = f'did you mean {close[0]}?' if close else f'there are {", ".join(known)}'
    return f'{name}: unknown parameter; {hint}'


def _as_kind(value: Any, kind: Any) -> Any:
    """Lists become tuples; ROS hands its arrays over as lists or ``array.array``."""
    if kind in _LISTS and not isinstance(value, (str, bytes)) and hasattr(value, '__iter__'):
        return tuple(value)
    return value


def _fault(value: Any, kind: Any, spec: Spec) -> str:
    if kind in _LISTS:
        return _list_fault(value, _LISTS[kind], spec)
    if type(value) is not kind:
        number = kind is float and type(value) is int
        return f'expected {kind.__name__}' + (f' (write {float(value)})' if number else '')
    if spec.choices and value not in spec.choices:
        return f'expected one of {", ".join(spec.choices)}'
    return _range_fault(value, spec) if kind in (int, float) else ''


def _range_fault(value: float, spec: Spec) -> str:
    if not math.isfinite(value):
        return 'expected a finite number'
    below = spec.low is not None and value < spec.low
    above = spec.high is not None and value > spec.high
    return f'expected {_range(spec).strip()}' if below or above else ''


def _list_fault(value: Any, kind: type[Any], spec: Spec) -> str:
    if not isinstance(value, tuple):
        return f'expected a list of {kind.__name__}'
    faults = dict.fromkeys(fault for item in value if (fault := _fault(item, kind, spec)))
    return f'an entry is wrong: {", ".join(faults)}' if faults else ''
