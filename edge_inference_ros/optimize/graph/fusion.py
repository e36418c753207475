"""Which nodes of a network became one layer, whatever runtime made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = frozenset(
    {'Clip', 'Elu', 'HardSigmoid', 'HardSwish', 'LeakyRelu', 'PRelu', 'Relu', 'Sigmoid', 'Tanh'}
)
_CONVOLUTIONS = frozenset({'Conv', 'ConvTranspose'})
_BETWEEN = frozenset({'BatchNormalization'})


@dataclass(frozen=True, slots=True)
class Layer:
    """What runs as one.

    Attributes:
        kind: as the runtime calls it.
        precision: number format of what it writes.
        nodes: names of the network's nodes it does the work of; none if the runtime added it.
        time_ms: mean of a run.
    """

    name: str
    kind: str
    precision: str
    nodes: tuple[str, ...]
    time_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Network:
    """The graph as its author wrote it.

    Attributes:
        nodes: name → operator, in the order they run.
        inputs: name → tensors read.
        outputs: name → tensors written.
    """

    nodes: Mapping[str, str]
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, model: Any) -> Network:
        """Read an ONNX model; a node without a name gets the one TensorRT would give it."""
        named = [(n.name or f'node_of_{n.output[0]}', n) for n in model.graph.node]
        return cls(
            {name: node.op_type for name, node in named},
            {name: tuple(node.input) for name, node in named},
            {name: tuple(node.output) for name, node in named},
        )

    def writer(self) -> dict[str, str]:
        """Tensor → the node that writes it."""
        return {t: name for name, tensors in self.outputs.items() for t in tensors}

    def readers(self) -> dict[str, list[str]]:
        """Tensor → the nodes that read it."""
        by_tensor: dict[str, list[str]] = {}
        for name, tensors in self.inputs.items():
            for tensor in tensors:
                by_tensor.setdefault(tensor, []).append(name)
        return by_tensor


def convolution_chains(network: Network) -> list[tuple[str, ...]]:
    """Convolutions with what follows up to their activation, as names of nodes.

    A normalisation may lie between. x times sigmoid(x) counts as one activation of two nodes.
    """
    readers = network.readers()
    chains = (
        _chain(network, readers, n) for n, op in network.nodes.items() if op in _CONVOLUTIONS
    )
    return [chain for chain in chains if chain]


def _chain(network: Network, readers: Mapping[str, list[str]], start: str) -> tuple[str, ...]:
    chain, last = [start], start
    while True:
        after = readers.get(network.outputs[last][0], [])
        if silu := _silu(network, after):
            return (*chain, *silu)
        if len(after) != 1:
            return ()
        last = after[0]
        chain.append(last)
        if network.nodes[last] in ACTIVATIONS:
            return tuple(chain)
        if network.nodes[last] not in _BETWEEN:
            return ()


def _silu(network: Network, after: Sequence[str]) -> tuple[str, ...]:
    """Sigmoid and Mul that together are x times sigmoid(x)."""
    kinds = {network.nodes[name]: name for name in after}
    if len(after) != 2 or set(kinds) != {'Sigmoid', 'Mul'}:
        return ()
    gate, product = kinds['Sigmoid'], kinds['Mul']
    fed = network.outputs[gate][0] in network.inputs[product]
    return (gate, product) if fed else ()


def fused_chains(chains: Iterable[tuple[str, ...]], layers: Sequence[Layer]) -> int:
    """How many of the chains run in one layer."""
    sets = [set(layer.nodes) for layer in layers]
    return sum(any(set(chain) <= nodes for nodes in sets) for chain in chains)


def shared_out(
    network: Network, ends: Sequence[tuple[str, str | None]]
) -> dict[str, tuple[str, ...]]:
    """Give every node of the network to the first layer whose result needs it.

    Args:
        network: as it was.
        ends: (layer, tensor of the network it writes, if known), in the order they run.

    Returns:
        Layer → its nodes, in the network's order.
    """
    writer, free = network.writer(), set(network.nodes)
    order = list(network.nodes)
    shares: dict[str, tuple[str, ...]] = {}
    for layer, tensor in ends:
        taken: set[str] = set()
        todo = [tensor] if tensor else []
        while todo:
            name = writer.get(todo.pop(), '')
            if name in free:
                free.discard(name)
                taken.add(name)
                todo += network.inputs[name]
        shares[layer] = tuple(name for name in order if name in taken)
    return shares
