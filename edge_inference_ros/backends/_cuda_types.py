"""What both CUDA providers speak of: a device, its memory, a block of the host's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.errors import BackendError

DEVICE_MAP = 2  # CU_MEMHOSTALLOC_DEVICEMAP


@dataclass(frozen=True, slots=True)
class Gpu:
    """The device engines are built for.

    Attributes:
        capability: compute capability, such as '8.7'.
        driver: CUDA version the driver speaks, such as '12.6'.
        integrated: shares its memory with the processor, as on a Jetson.
    """

    name: str
    capability: str
    driver: str
    integrated: bool


@dataclass(frozen=True, slots=True, eq=False)
class HostBlock:
    """Page-locked host memory.

    Attributes:
        bytes: (n,) uint8, owned by whoever allocated the block; gone once it is freed.
        address: where it lies for the host.
        device: the same memory as the device sees it, 0 unless mapped.
        owner: what the provider frees.
    """

    bytes: NDArray[np.uint8]
    address: int
    device: int
    owner: Any


class Memory(Protocol):
    """Context and memory of one device, for one thread."""

    def push(self) -> None:
        """Make the primary context current on this thread."""

    def pop(self) -> None:
        """Leave it again."""

    def gpu(self) -> Gpu:
        """What the device is."""

    def free_bytes(self) -> int:
        """Device memory nobody holds."""

    def alloc(self, size: int) -> Any:
        """Device memory of ``size`` > 0 bytes; ``int()`` of the answer is its address."""

    def free(self, block: Any) -> None:
        """Give back what ``alloc`` gave."""

    def alloc_host(self, size: int, *, mapped: bool) -> HostBlock:
        """Page-locked host memory, visible to the device if ``mapped``."""

    def free_host(self, block: HostBlock) -> None:
        """Give back what ``alloc_host`` gave."""


def with_device_address(
    memory: Memory, block: HostBlock, ask: Callable[[HostBlock], int]
) -> HostBlock:
    """``block`` with what ``ask`` says of it; given back if there is no answer."""
    try:
        return replace(block, device=ask(block))
    except BackendError:
        memory.free_host(block)
        raise
