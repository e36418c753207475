"""What the robot was told to do lately: commands lead motion."""

from __future__ import annotations

from typing import NamedTuple

from edge_inference_ros.guard.legs import S_PER_NS

_MOST = 64


class _Command(NamedTuple):
    """What was commanded, and when it came."""

    at_ns: int
    v_mps: float
    w_radps: float
    toward: int


class Commands:
    """The newest commands, on the axis of ``guard/timeline.py``; of too many two become one."""

    __slots__ = ('_kept',)

    def __init__(self) -> None:
        self._kept: list[_Command] = []

    def take(self, at_ns: int, v_mps: float, w_radps: float, toward: int) -> None:
        """Take note of one: speed, yaw rate, and directions as bits of ``guard/robot.py``."""
        kept = self._kept
        kept.append(_Command(at_ns, v_mps, w_radps, toward))
        if len(kept) > _MOST:
            (_, v0, w0, _), second = kept[:2]
            kept[:2] = [
                second._replace(v_mps=max(v0, second.v_mps), w_radps=max(w0, second.w_radps))
            ]

    def newest(self, now_ns: int, timeout_s: float) -> tuple[float, float, int]:
        """Speed, yaw rate and directions of the newest, zeros once it is older than that."""
        if not self._kept or not _counts(newest := self._kept[-1], now_ns, timeout_s):
            return (0.0, 0.0, 0)
        return newest[1:]

    def since(self, place_ns: int, timeout_s: float) -> tuple[float, float]:
        """The greatest that counted at ``place_ns`` or later; older ones are forgotten."""
        before = [command for command in self._kept if command.at_ns <= place_ns]
        del self._kept[: max(0, len(before) - 1)]
        counted = self._kept
        if before and not _counts(before[-1], place_ns, timeout_s):
            counted = counted[1:]
        return (
            max((command.v_mps for command in counted), default=0.0),
            max((command.w_radps for command in counted), default=0.0),
        )


def _counts(command: _Command, at_ns: int, timeout_s: float) -> bool:
    return (at_ns - command.at_ns) * S_PER_NS <= timeout_s
