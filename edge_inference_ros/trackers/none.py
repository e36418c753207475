"""Claims no identity."""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeVar

import numpy as np

from edge_inference_ros.core.protocols import TrackSettings
from edge_inference_ros.core.types import RosNs, Tracked

FoundT = TypeVar('FoundT', bound=Sized)


class Tracker:
    """Every object is new every time."""

    def __init__(self, settings: TrackSettings | None = None) -> None:
        """There is nothing to set."""

    def update(self, found: FoundT, stamp_ns: RosNs) -> Tracked[FoundT]:  # noqa: ARG002
        """Give every object the identity -1, which means none."""
        return Tracked(found, np.full(len(found), -1, np.int32))
