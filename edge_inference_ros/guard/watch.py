"""One source, as the guard remembers it."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_inference_ros.guard.drift import Drift
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.standing import Standing
from edge_inference_ros.guard.timeline import Track
from edge_inference_ros.guard.verdict import Source, Verdict

_STRAYS_WINDOW = (1 << 10) - 1
_STRAYS_MANY = 3
_FRAME_NS = 2_000_000_000


@dataclass(eq=False, slots=True)
class SourceWatch:
    """What the guard remembers of one source; places are on the axis of the timeline.

    Attributes:
        robot: the source's profile, or the guard's.
        frame_id: the frame its messages must carry; empty until the first good one.
        stamp_ns: of what is held, as its header says; 0 when nothing is.
        place_ns: where that is on the axis; None when nothing is held.
        turns: of the track, when that was judged.
        lapsed: why what is held may not be used any more.
        news: whether something came since the last tick.
        last: the verdict on the newest message.
        sound_since_ns: steady time since which nothing was refused and nothing lapsed; 0: not now.
        other_frame: the frame that messages carry instead, since ``other_since_ns``.
    """

    source: Source
    robot: RobotProfile
    standing: Standing
    track: Track
    frame_id: str
    stamp_ns: int = 0
    turns: int = 0
    other_frame: str = ''
    other_since_ns: int | None = None
    place_ns: int | None = None
    lapsed: Verdict | None = None
    news: bool = False
    last: Verdict = Verdict.NONEWDATA
    strays: int = 0
    sound_since_ns: int = 0
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    drift: Drift = field(default_factory=Drift)

    @property
    def two_senders(self) -> bool:
        """Whether so many stamps went back that two nodes seem to publish on one topic."""
        return self.strays.bit_count() >= _STRAYS_MANY

    def hold(self, stamp_ns: int, frame_id: str, place_ns: int) -> None:
        """Keep the newest acceptable message in mind."""
        self.stamp_ns, self.frame_id, self.place_ns = stamp_ns, frame_id, place_ns
        self.turns = self.track.turns
        self.lapsed, self.news, self.other_since_ns = None, True, None

    def lapse(self, why: Verdict) -> None:
        """What is held goes stale once and for all, though the robot may slow down later."""
        if not self.lapsed:
            self.lapsed = why
            self.sound_since_ns = 0
            self.standing.lapse()

    def order(self, stamp_ns: int, place_ns: int) -> int:
        """How long after what is held something was captured: 0 if it is the same.

        By the stamps, which are exact, unless the clock was set back in between.
        """
        if self.turns == self.track.turns + self.track.newer or self.place_ns is None:
            return stamp_ns - self.stamp_ns
        return place_ns - self.place_ns

    def is_of_another_frame(self, frame_id: str, mono_ns: int) -> bool:
        """Whether a frame is not the source's; one that was not named for it may change.

        It changes when nothing is held any more and for two seconds no other frame was heard: the
        first message may have been the wrong one.
        """
        if not self.frame_id or frame_id == self.frame_id:
            self.other_since_ns = None
            return False
        if self.other_since_ns is None or frame_id != self.other_frame:
            self.other_frame, self.other_since_ns = frame_id, mono_ns
        waited_ns = mono_ns - self.other_since_ns
        return bool(self.source.frame_id) or not self.lapsed or waited_ns < _FRAME_NS

    def forget(self) -> None:
        """Time itself has jumped: nothing of what was heard holds any more."""
        self.standing.reset()
        self.frame_id, self.other_frame, self.other_since_ns = self.source.frame_id, '', None
        self.drift.forget()
        self.stamp_ns, self.place_ns, self.lapsed = 0, None, None
        self.last = Verdict.NONEWDATA

    @property
    def silent(self) -> bool:
        """Whether nothing has come since time began, acceptable or not."""
        return self.last is Verdict.NONEWDATA

    def note(self, verdict: Verdict) -> None:
        """Count a message."""
        self.last = verdict
        self.counts[verdict] += 1
        self.strays = (self.strays << 1 | (verdict is Verdict.OUT_OF_ORDER)) & _STRAYS_WINDOW
