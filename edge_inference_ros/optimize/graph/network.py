"""What the steps ask of an ONNX graph: its layers, what lies before and behind them."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from edge_inference_ros.core import onnx_file
from edge_inference_ros.errors import ConfigError, ModelError
from edge_inference_ros.optimize.graph import tidy

HEAVY = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators that do the arithmetic; everything else is cheap beside them."""

NEWEST_OPSET = 20
"""What the parser of TensorRT 10.3 knows in full; it is built with ONNX 1.16."""

NEWEST_IR = 10
_STEM = 4  # layers


class Graph:
    """An ONNX graph with its edges in both directions.

    Nodes without a name get one, `<operator>_<position>`, so that each can be kept or chosen.
    """

    def __init__(self, model: Any) -> None:
        self.nodes: list[Any] = list(model.graph.node)
        self.constants = {tensor.name for tensor in model.graph.initializer}
        self._made = {name: node for node in self.nodes for name in node.output}
        self._read: dict[str, list[Any]] = defaultdict(list)
        for place, node in enumerate(self.nodes):
            node.name = node.name or f'{node.op_type}_{place}'
            for name in node.input:
                self._read[name].append(node)

    @property
    def layers(self) -> list[str]:
        """Names of the heavy nodes, in order."""
        return [node.name for node in self.nodes if node.op_type in HEAVY]

    def before(self, node: Any) -> list[Any]:
        """The nodes whose outputs ``node`` reads."""
        return [self._made[name] for name in node.input if name in self._made]

    def after(self, node: Any) -> list[Any]:
        """The nodes that read what ``node`` makes."""
        return [reader for name in node.output for reader in self._read[name]]

    def edges(self) -> list[str]:
        """Nodes that stay float: before the first heavy node, and behind the last ones.

        In front are the nodes that turn bytes into numbers, behind is the decoding of boxes, whose
        few values are worth their precision.
        """
        fed = _reached(self.nodes, self.before)
        feeding = _reached(list(reversed(self.nodes)), self.after)
        return [
            node.name
            for node in self.nodes
            if node.op_type not in HEAVY and not (node.name in fed and node.name in feeding)
        ]

    def _grouped(self) -> list[str]:
        """Names of the convolutions whose channels are split into groups."""
        return [
            node.name
            for node in self.nodes
            if node.op_type == 'Conv'
            and any(a.name == 'group' and a.i > 1 for a in node.attribute)
        ]

    def named(self, patterns: Sequence[str]) -> list[str]:
        """The nodes whose names fit one of ``patterns`` (``*`` and ``?`` stand for anything).

        ``stem`` names the first four layers, ``depthwise`` the convolutions in groups: what int8
        hurts most in small networks that were not trained for it.

        Raises:
            ConfigError: a pattern fits none.
        """
        names = [node.name for node in self.nodes]
        chosen: dict[str, None] = {}
        groups = {'stem': self.layers[:_STEM], 'depthwise': self._grouped()}
        for pattern in patterns:
            if pattern in groups:
                chosen.update(dict.fromkeys(groups[pattern]))
                continue
            if not (fitting := fnmatch.filter(names, pattern)):
                some = ', '.join(self.layers[:5])
                raise ConfigError(f'no node is called {pattern!r}; layers are {some}, …')
            chosen.update(dict.fromkeys(fitting))
        return list(chosen)


def _reached(ordered: Sequence[Any], sources: Any) -> set[str]:
    """Names of the nodes that a heavy one reaches; each comes after its ``sources``."""
    reached: set[str] = set()
    for node in ordered:
        if any(near.op_type in HEAVY or near.name in reached for near in sources(node)):
            reached.add(node.name)
    return reached


def load(path: Path) -> Any:
    """Read a network with the shapes of its inner tensors, bytes becoming numbers first.

    Raises:
        ModelError: no ONNX file, one that contradicts itself, or its weights are elsewhere.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_file.read(path))
        ordered(model)
        onnx.checker.check_model(model)
        tidy.fold(model)
        model = tidy.raised(model, path.name)
        cast_first(model)
        inferred = onnx.shape_inference.infer_shapes(model)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f'{path}: not a network ONNX {onnx.__version__} accepts: {error}') from (
            error
        )
    Graph(inferred)
    return inferred


def cast_first(model: Any) -> None:
    """Where a transposition moves bytes and a cast follows, let the cast come first.

    The numbers stay the same. TensorRT takes bytes only from the network's edge, and there
    nothing but a cast may read them (https://github.com/NVIDIA/TensorRT/issues/3985).
    """
    seen = _bytes(model)
    ends = {value.name for value in model.graph.output}
    for moving in [n for n in model.graph.node if n.op_type == 'Transpose' and n.input[0] in seen]:
        moved = moving.output[0]
        readers = [node for node in model.graph.node if moved in node.input]
        if len(readers) == 1 and readers[0].op_type == 'Cast' and moved not in ends:
            cast, source, result = readers[0], moving.input[0], readers[0].output[0]
            cast.input[0], cast.output[0] = source, moved
            moving.input[0], moving.output[0] = moved, result
            model.graph.ClearField('value_info')  # the tensor between them has another type now
            ordered(model)


def bytes_read_by(model: Any) -> list[str]:
    """Operators other than a cast that read an input of bytes; TensorRT refuses each."""
    seen = _bytes(model)
    return [n.op_type for n in model.graph.node if n.op_type != 'Cast' and seen & set(n.input)]


def _bytes(model: Any) -> set[str]:
    from onnx import TensorProto

    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    return {name for name, kind in kinds.items() if kind == TensorProto.UINT8}


def opset(model: Any) -> int:
    """Version of the standard operators."""
    return max(
        int(entry.version) for entry in model.opset_import if entry.domain in ('', 'ai.onnx')
    )


def ordered(model: Any) -> None:
    """Put every node behind those it reads from; rewriting tools leave them where they like."""
    nodes = list(model.graph.node)
    place_of = {name: place for place, node in enumerate(nodes) for name in node.output}
    needs = {
        place: [place_of[name] for name in node.input if name in place_of]
        for place, node in enumerate(nodes)
    }
    places = list(TopologicalSorter(needs).static_order())
    del model.graph.node[:]
    model.graph.node.extend(nodes[place] for place in places)


def save(model: Any, path: Path) -> None:
    """Write a network in a form older runtimes read; the same network gives the same bytes."""
    import onnx

    ordered(model)
    _forget(model)
    model.ir_version = min(int(model.ir_version), NEWEST_IR)
    model.producer_name, model.producer_version = 'edge_inference_ros', ''
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    try:
        part.write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(part))
        part.replace(path)
    except onnx.checker.ValidationError as error:
        raise ModelError(f'{path}: the network made is not valid: {error}') from error
    finally:
        part.unlink(missing_ok=True)


def _forget(model: Any) -> None:
    """Drop exporters' notes and inferred shapes: a twelfth of a small file."""
    for node in model.graph.node:
        node.ClearField('metadata_props')
        node.ClearField('doc_string')
    model.ClearField('metadata_props')
    model.graph.ClearField('metadata_props')
    model.graph.ClearField('value_info')


def drop_dead(model: Any) -> None:
    """Drop the nodes whose results nobody reads; puts the others in order."""
    ordered(model)
    wanted = {output.name for output in model.graph.output}
    alive = []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            alive.append(node)
            wanted |= set(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(alive))


def unused(model: Any, keep: Iterable[str] = ()) -> None:
    """Drop the constants no node reads."""
    read = {name for node in model.graph.node for name in node.input} | set(keep)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
