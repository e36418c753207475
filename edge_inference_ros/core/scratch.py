"""Memory kept from one frame to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Scratch:
    """Lends the same memory every time and allocates only when more is asked for than before."""

    __slots__ = ('_memory',)

    def __init__(self, dtype: DTypeLike) -> None:
        self._memory: NDArray[Any] = np.empty(0, dtype)

    def __call__(self, *shape: int) -> NDArray[Any]:
        """An array of ``shape`` with arbitrary contents, borrowed until the next call."""
        count = 1
        for size in shape:
            count *= size
        if count > self._memory.size:
            self._memory = np.empty(count, self._memory.dtype)
        return self._memory[:count].reshape(shape)
