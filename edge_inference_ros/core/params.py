"""One frozen dataclass declares a node's parameters: type, default, range, unit, words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from edge_inference_ros.errors import ParameterError

T = TypeVar('T')
_KEY = 'param'


@dataclass(frozen=True, slots=True)
class Spec:
    """What may be said about one parameter."""

    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False


def param(  # noqa: D417
    default: T,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> T:
    """Declare a field that is also a ROS parameter.

    Args:
        low, high: inclusive range for numbers.
        choices: allowed strings.
        live: may change while the node runs; otherwise it is read-only.
    """
    spec = Spec(doc, low, high, choices, live)
    return dataclasses.field(default=default, metadata={_KEY: spec})


def specs(schema: type[Any]) -> Iterator[tuple[str, Any, type[Any], Spec]]:
    """Name, default, type and spec of every parameter ``schema`` declares."""
    hints = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        yield field.name, field.default, hints[field.name], field.metadata[_KEY]


def check(params: Any) -> None:
    """Raise ``ParameterError`` naming every field of ``params`` outside its range."""
    faults = [
        f'{name} = {value!r}: {fault}'
        for name, _, kind, spec in specs(type(params))
        if (fault := _fault(value := getattr(params, name), kind, spec))
    ]
    if faults:
        raise ParameterError('; '.join(faults))


def _fault(value: Any, kind: type[Any], spec: Spec) -> str:
    if type(value) is not kind:
        hint = f' (write {float(value)})' if kind is float and type(value) is int else ''
        return f'expected {kind.__name__}{hint}'
    if spec.choices and value not in spec.choices:
        return f'expected one of {", ".join(spec.choices)}'
    if spec.low is not None and value < spec.low:
        return f'below {spec.low}'
    if spec.high is not None and value > spec.high:
        return f'above {spec.high}'
    return ''
