"""Adding nodes to an ONNX graph, a line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core import onnx_file
from edge_inference_ros.errors import ModelError
from edge_inference_ros.optimize.graph import tidy
from edge_inference_ros.optimize.graph.network import ordered


class GraphEditor:
    """An ONNX model to which nodes are appended under one prefix.

    ``put`` writes a node and returns the name of its output; arrays among the inputs become
    constants.
    """

    def __init__(self, model: Any, prefix: str) -> None:
        self.model = model
        self._prefix = prefix
        self._count = 0
        self.nodes: list[Any] = []

    def put(self, op: str, *inputs: str | NDArray[Any], out: str = '', **attributes: Any) -> str:
        """Append a node with one output."""
        return self.put_many(op, *inputs, outs=(out,), **attributes)[0]

    def put_many(
        self, op: str, *inputs: str | NDArray[Any], outs: tuple[str, ...], **attributes: Any
    ) -> list[str]:
        """Append a node; an empty name among ``outs`` is replaced by a new one."""
        from onnx import helper

        names = [name if isinstance(name, str) else self._constant(name) for name in inputs]
        self._count += 1
        outputs = [out or f'{self._prefix}/{self._count}_{op}_{i}' for i, out in enumerate(outs)]
        label = f'{self._prefix}/{self._count}_{op}'
        self.nodes.append(helper.make_node(op, names, outputs, name=label, **attributes))
        return outputs

    def largest(self, name: str, count: int) -> str:
        """[1, 1, n], the largest of [1, ``count``, n] along the middle axis.

        By a pooling, which is written the same in every opset. ReduceMax takes its axes as an
        input from 18 on; TensorRT 8.6 does not see that input and reduces over all axes.
        """
        planes = self.put('Unsqueeze', name, np.array([1]))
        pooled = self.put('MaxPool', planes, kernel_shape=[count, 1])
        return self.put('Squeeze', pooled, np.array([1]))

    def cast(self, name: str, kind: str, out: str = '') -> str:
        """Turn into another number format, such as 'FLOAT'."""
        from onnx import TensorProto

        return self.put('Cast', name, to=getattr(TensorProto, kind), out=out)

    def part(self, name: str, axis: int, start: int, end: int) -> str:
        """What lies between two indices of an axis."""
        return self.put('Slice', name, np.array([start]), np.array([end]), np.array([axis]))

    def _constant(self, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if value.dtype == np.float64:  # no runtime wants it; numpy 1 widens where 2 does not
            value = value.astype(np.float32)
        self._count += 1
        name = f'{self._prefix}/{self._count}_constant'
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def load(path: Path) -> Any:
    """Read a network to add nodes to; an older one in an opset that has them all.

    Raises:
        ModelError: unreadable, not ONNX, too old to be converted, or its weights are elsewhere.
    """
    model = read(path)
    ordered(model)
    return tidy.raised(model, path.name)


def read(path: Path) -> Any:
    """Read a network that holds its own weights, as it is.

    Raises:
        ModelError: unreadable, not ONNX, or its weights are elsewhere.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_file.read(path))
    except ModelError:
        raise
    except Exception as error:
        # protobuf's DecodeError is not onnx's to name
        raise ModelError(f'{path}: not an ONNX file: {error}') from error
    return model


def inputs(model: Any) -> list[Any]:
    """The graph's inputs that are not weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def rename(model: Any, old: str, new: str) -> None:
    """Give a tensor another name wherever it is read or written, inner graphs too."""
    _rename_in(model.graph, old, new)


def _rename_in(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                _rename_in(inner, old, new)


def save(model: Any, path: Path) -> None:
    """Check and write a model whose graph was changed.

    Raises:
        ModelError: the change made no valid network.
    """
    import onnx

    del model.graph.value_info[:]  # types of tensors that may have changed
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f'{path}: the network does not take the new nodes: {error}') from error
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
