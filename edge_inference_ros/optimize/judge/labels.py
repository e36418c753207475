"""What is known of a labelled picture, and what holds such pictures, whoever wrote the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Picture = NDArray[np.uint8]


class Labels(Protocol):
    """The labels of one picture.

    Attributes:
        class_id: (K,).
        boxes_px: (K, 4) x1 y1 x2 y2.
        ignored: (K,) neither asked for nor wrong to find.
        distance_m: (K,) from the robot; NaN where nobody measured it.
    """

    @property
    def class_id(self) -> NDArray[np.int32]:
        """(N,) index into ``classes``."""

    @property
    def boxes_px(self) -> F32:
        """(N, 4) x1 y1 x2 y2, the picture's own pixels."""

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(N,) objects that count neither as found nor as missed."""

    @property
    def distance_m(self) -> F32:
        """(N,) from the robot; NaN where it is not known."""


class Truth(Protocol):
    """What there was to find."""

    @property
    def classes(self) -> Sequence[str]:
        """Names that ``class_id`` indexes."""

    def known(self, index: int) -> Labels:
        """The labels of a picture."""
        ...


class Labelled(Truth, Protocol):
    """Pictures with what there was to find in them."""

    name: str

    def __len__(self) -> int: ...

    def picture(self, index: int) -> Picture:
        """(H, W, 3) BGR; borrowed or new."""
        ...


@dataclass(frozen=True)
class Known:
    """Labels as arrays; see ``Labels``."""

    class_id: NDArray[np.int32]
    boxes_px: F32
    ignored: NDArray[np.bool_]
    distance_m: F32
