"""A parameter schema on a ROS node: declared once, checked as a whole, swapped at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from edge_inference_ros.core.params import (
    Spec,
    absent,
    broken_rules,
    build,
    missing,
    misspelt,
    specs,
    unchecked,
)
from edge_inference_ros.errors import ParameterError

SchemaT = TypeVar('SchemaT')
_ROS_OWN = ('use_sim_time', 'start_type_description_service')


class Parameters(Generic[SchemaT]):
    """Declares every field of ``schema`` on ``node`` and keeps the accepted values.

    A value from the command line or a YAML file that cannot be honoured is not declared but
    remembered, so that a node can always be constructed, inspected and corrected: ``read`` raises
    with every fault until each has been set right.

    Args:
        node: to declare them on.
        schema: dataclass of the fields.
        locked: whether only live parameters may change now.
        on_change: called with the accepted values.
        also_fixed: parameters of rclpy's own that may not change while ``locked``.

    Attributes:
        current: the accepted values; replaced as a whole, never changed.
    """

    def __init__(
        self,
        node: Node,
        schema: type[SchemaT],
        *,
        locked: Callable[[], bool],
        on_change: Callable[[SchemaT], None] = lambda _: None,
        also_fixed: Sequence[str] = (),
    ) -> None:
        self._locked = locked
        self._also_fixed = also_fixed
        self._on_change = on_change
        self._specs = {name: spec for name, _, _, spec in specs(schema)}
        overrides = {name: p.value for name, p in node._parameter_overrides.items()}  # noqa: SLF001
        self._node, self._schema = node, schema
        own = {name: value for name, value in overrides.items() if not _is_strange(schema, name)}
        if strange := sorted(overrides.keys() - own):
            node.get_logger().warning(
                f'{", ".join(strange)}: no parameter of this node, ignored;'
                " another node's, from a file for all of them?"
            )
        self._faults = _startup_faults(schema, own)
        self._missing = missing(schema, overrides)
        for name, default, _, spec in specs(schema):
            value = list(default) if isinstance(default, tuple) else default
            node.declare_parameter(
                name, value, _descriptor(spec, value), ignore_override=name in self._faults
            )
        self.current = schema() if self._faults else build(schema, self._current_values())
        node.add_on_set_parameters_callback(self._judge)

    def read(self) -> SchemaT:
        """The accepted values.

        Raises:
            ParameterError: the node was started with values it cannot honour, or without those
                that must be given; names all of them.
        """
        faults = [*self._faults.values()]
        if self._missing:
            faults.append(absent(self._schema, self._missing))
        if faults:
            raise ParameterError('; '.join(faults))
        return self.current

    def _judge(self, changes: Sequence[Parameter]) -> SetParametersResult:
        ours = {p.name: p.value for p in changes if p.name in self._specs}
        try:
            self._refuse_fixed(p.name for p in changes if p.name in self._also_fixed)
            candidate = self._with(ours)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._faults = {k: v for k, v in self._faults.items() if k and k not in ours}
        self._missing = [name for name in self._missing if name not in ours]
        self.current = candidate
        self._on_change(candidate)
        return SetParametersResult(successful=True)

    def _with(self, changes: Mapping[str, Any]) -> SchemaT:
        values = self._current_values()
        changed = [
            name for name, value in changes.items() if _plain(value) != _plain(values[name])
        ]
        self._refuse_fixed(name for name in changed if not self._specs[name].live)
        # Of what was declared, not of ``current``: that is the schema's own until all is right.
        return build(self._schema, {**values, **changes})

    def _refuse_fixed(self, names: Iterable[str]) -> None:
        if (fixed := list(names)) and self._locked():
            raise ParameterError(
                f'{", ".join(fixed)} cannot change while configured; clean the node up first'
            )

    def _current_values(self) -> dict[str, Any]:
        return {name: self._node.get_parameter(name).value for name in self._specs}


def _plain(value: Any) -> Any:
    """To compare: ROS hands lists over as one of several types."""
    return tuple(value) if hasattr(value, '__iter__') and not isinstance(value, str) else value


def _is_strange(schema: type[Any], name: str) -> bool:
    """Whether ``name`` belongs to another node, as far as one can tell.

    A file with ``/**`` brings every node the parameters of all; a name close to ours is a typo.
    """
    if name in _ROS_OWN or name.startswith('qos_overrides.'):
        return False
    known = {known for known, *_ in specs(schema)}
    return name not in known and not misspelt(schema, name)


def _startup_faults(schema: type[Any], overrides: Mapping[str, Any]) -> dict[str, str]:
    """Fault by parameter name; '' holds one that concerns several parameters."""
    faults: dict[str, str] = {}
    for name, value in overrides.items():
        if name in _ROS_OWN or name.startswith('qos_overrides.'):
            continue
        try:
            build(_without_rules(schema), {name: value})
        except ParameterError as error:
            faults[name] = str(error)
    known = {name for name, *_ in specs(schema)}
    wrong = known & set(faults)
    good = {name: value for name, value in overrides.items() if name in known - wrong}
    candidate = dataclasses.asdict(build(_without_rules(schema), good))
    if broken := broken_rules(unchecked(schema, candidate), besides=wrong):
        faults[''] = '; '.join(broken)
    return faults


def _without_rules(schema: type[Any]) -> type[Any]:
    """The schema with its per-field checks only."""
    return type(schema.__name__, (schema,), {'faults': lambda _self: []})


def _descriptor(spec: Spec, value: Any) -> ParameterDescriptor:
    # rclpy takes an empty list for bytes, so a list keeps no type of its own; we check it.
    text = ParameterDescriptor(description=spec.doc, dynamic_typing=isinstance(value, list))
    if spec.choices:
        text.additional_constraints = f'one of {", ".join(spec.choices)}'
    if spec.low is None and spec.high is None:
        return text
    if isinstance(value, list):  # ROS has no range for an entry; it would not look at it anyway
        text.additional_constraints = f'each entry {spec.low:g} … {spec.high:g}'
    elif type(value) is float:
        low = -1e300 if spec.low is None else float(spec.low)
        high = 1e300 if spec.high is None else float(spec.high)
        text.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    elif type(value) is int:
        low, high = (-(2**62) if spec.low is None else int(spec.low)), 2**62
        high = high if spec.high is None else int(spec.high)
        text.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    return text
