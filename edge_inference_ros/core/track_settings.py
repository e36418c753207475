"""What may be said to a tracker, declared once for nodes, tools and trackers alike."""

from __future__ import annotations

from dataclasses import dataclass

from edge_inference_ros.core.params import param


@dataclass(frozen=True)
class TrackSettings:
    """How long an object keeps its identity. Times follow the rate at which samples come.

    A tracker takes from it what it understands; ``none`` takes nothing.
    """

    track_confirmed_after: int = param(
        2, 'times an object must be found before it gets an identity', low=1, high=100
    )
    track_coast_s: float = param(
        0.5, 'an object with an identity keeps it this long without being found', low=0.0, high=60.0
    )
    track_coast_frames: int = param(
        3, 'and at least for so many frames, at the rate measured', low=1, high=1000
    )
    track_late_frames: int = param(
        3,
        'a frame older than its predecessor by no more than so many frames is late: it gets'
        ' identities and changes none; an older one is another time, which forgets them',
        low=0,
        high=1000,
    )
    track_least_iou: float = param(
        0.2, 'a box this different from where its object should be is another', low=0.01, high=1.0
    )
