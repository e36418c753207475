"""One frozen dataclass declares parameters: type, default, range, unit, words.

The same declaration feeds ROS descriptors, the check of YAML files, command-line flags and the
tables in the documentation. A schema may add ``faults(self) -> list[str]`` for rules that
concern several fields at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from edge_inference_ros.errors import ParameterError

T = TypeVar('T')
_KEY = 'param'
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
    path: bool = False


def param(  # noqa: D417
    default: T,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    path: bool = False,
) -> T:
    """Declare a field that is also a parameter.

    Args:
        low, high: inclusive range for numbers.
        choices: allowed strings.
        live: may change while the node runs; otherwise it is read when the node configures.
        path: names files, whose contents count as part of the value.
    """
    spec = Spec(doc, low, high, choices, live, path)
    return dataclasses.field(default=default, metadata={_KEY: spec})


def specs(schema: type[Any]) -> Iterator[tuple[str, Any, Any, Spec]]:
    """Name, default, type and spec of every parameter ``schema`` declares."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        if _KEY in field.metadata:
            yield field.name, field.default, hints[field.name], field.metadata[_KEY]


def check(params: Any) -> None:
    """Raise ``ParameterError`` naming every field of ``params`` outside its range."""
    faults = [
        f'{name} = {value!r}: {fault}'
        for name, _, kind, spec in specs(type(params))
        if (fault := _fault(value := getattr(params, name), kind, spec))
    ]
    if not faults and (rules := getattr(params, 'faults', None)):
        faults = rules()
    if faults:
        raise ParameterError('; '.join(faults))


def build(schema: type[T], said: Mapping[str, Any]) -> T:
    """Make a checked ``schema`` from names and values, such as a YAML mapping.

    Raises:
        ParameterError: unknown names and bad values, all of them at once.
    """
    kinds = {name: kind for name, _, kind, _ in specs(schema)}
    if unknown := [name for name in said if name not in kinds]:
        raise ParameterError('; '.join(_unknown(str(name), list(kinds)) for name in unknown))
    params = schema(**{name: _as_kind(value, kinds[name]) for name, value in said.items()})
    check(params)
    return params


def load_yaml(schema: type[T], path: Path) -> T:
    """Read a flat YAML mapping into a checked ``schema``; errors name the file."""
    from edge_inference_ros.core.manifest import read_yaml

    try:
        return build(schema, read_yaml(path, ParameterError))
    except ParameterError as error:
        raise ParameterError(f'{path}: {error}') from None


def table(schema: type[Any]) -> str:
    """The parameters as a Markdown table."""
    rows = ['| parameter | default | range | live | meaning |', '|---|---|---|---|---|']
    for name, default, _, spec in specs(schema):
        said = list(default) if isinstance(default, tuple) else default
        live = 'yes' if spec.live else ''
        rows.append(f'| `{name}` | `{said!r}` | {_range(spec)} | {live} | {spec.doc} |')
    return '\n'.join(rows)


def _range(spec: Spec) -> str:
    if spec.choices:
        return ', '.join(f'`{choice}`' for choice in spec.choices)
    if spec.low is None and spec.high is None:
        return ''
    low = '' if spec.low is None else f'{spec.low:g}'
    high = '' if spec.high is None else f'{spec.high:g}'
    return f'{low} … {high}'


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
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
    faults = (fault for item in value if (fault := _fault(item, kind, spec)))
    return next((f'an entry is wrong: {fault}' for fault in faults), '')
