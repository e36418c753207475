"""The speed to ask for, from how late predictions have lately been.

Nobody downstream checks what it is told: a limit of 0 means *no* limit to Nav2, a limit above the
controller's own maximum raises it, NaN passes, and the last value stays for ever. So a limit is a
number in [v_floor, v_cap] or nothing at all, and nothing means: stop the robot by another path.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.stats import samples_needed
from edge_inference_ros.core.types import MonoNs
from edge_inference_ros.guard.deadline import NS_PER_S, SLACK, speed_for
from edge_inference_ros.guard.robot import RobotProfile

GRID_MPS = 0.05
"""Limits are multiples of this, rounded down, so that noise in the age is not news."""

SAMPLES = samples_needed(0.99)
"""299: the greatest of so many ages is above their 99th percentile with 95 % confidence."""


@dataclass(frozen=True)
class LimitRules:
    """How reluctantly a limit is raised; an instance exists only if it is sound.

    Raises:
        ParameterError: on construction, naming every fault.
    """

    raise_hold_s: float = param(
        5.0, 'a limit is raised only when it could have been for so long', low=0.0, high=600.0
    )
    raise_step_mps: float = param(0.25, 'and by no more than this', low=GRID_MPS, high=50.0)

    def __post_init__(self) -> None:
        check(self)


def on_grid(v_mps: float, robot: RobotProfile) -> float | None:
    """``v_mps`` rounded down to what may be published; None below v_floor."""
    if not v_mps >= robot.v_floor_mps:
        return None
    steps = math.floor(min(v_mps, robot.v_cap_mps) / GRID_MPS * (1.0 + SLACK))
    v_mps = min(round(steps * GRID_MPS, 9), robot.v_cap_mps)
    return v_mps if v_mps >= robot.v_floor_mps else None


class SpeedLimiter:
    """Lowers the limit at once and raises it slowly.

    Attributes:
        robot: may be replaced while running.
        published: the limit last returned.
    """

    __slots__ = ('_count', '_never', '_peaks', '_rules', '_since_ns', 'published', 'robot')

    def __init__(self, robot: RobotProfile, *, rules: LimitRules | None = None) -> None:
        self.robot = robot
        self.published: float | None = None
        self._rules = rules or LimitRules()
        self._peaks: deque[tuple[int, int]] = deque()
        self._count = 0
        self._never = True
        self._since_ns: int | None = None

    def observe(self, age_ns: int) -> None:
        """Take the age of a message on arrival; one from the future has none and is left out."""
        if age_ns < 0:
            return
        peaks = self._peaks
        while peaks and peaks[-1][1] <= age_ns:
            peaks.pop()
        peaks.append((self._count, age_ns))
        self._count += 1
        if peaks[0][0] < self._count - SAMPLES:
            peaks.popleft()

    @property
    def tail_s(self) -> float | None:
        """An upper bound of the 99th percentile of the age; None before the first message.

        The greatest of the last ``SAMPLES`` ages. Until there are so many it is stretched, by 2
        at first and by less with every message, since few samples say little about a tail. It
        is D_cap at most: no speed makes fresh what is older, so such a message, which is refused
        at any speed, asks for the lowest speed that latency can ask for, and no more.
        """
        if not self._peaks:
            return None
        worst_s = self._peaks[0][1] / NS_PER_S
        missing = max(0, SAMPLES - self._count) / SAMPLES
        return min(worst_s * (1.0 + missing), self.robot.deadline_cap_s)

    def limit(self, age_ns: int | None, w_radps: float, now_ns: MonoNs) -> float | None:
        """The limit to publish now; None: stop the robot by another path.

        Args:
            age_ns: of what is held now, so that a stall bites before it ends; None if nothing is.
            w_radps: the yaw rate to expect.
            now_ns: steady time.
        """
        allowed = self._allowed(age_ns, w_radps)
        if self._since_ns is None or _no_more(allowed, self.published) or self._never:
            self._since_ns = now_ns
            self.published = allowed
            self._never = self._never and allowed is None
        elif allowed is not None and self._held(now_ns):
            self._since_ns = now_ns
            self.published = on_grid(min(allowed, self._next_step()), self.robot)
        return self.published

    def _allowed(self, age_ns: int | None, w_radps: float) -> float | None:
        """The limit for the worse of the tail and the moment, whatever was published before."""
        tail_s = self.tail_s
        if age_ns is None or tail_s is None:
            return None
        tau_s = max(tail_s, age_ns / NS_PER_S)
        if not tau_s <= self.robot.deadline_cap_s:
            return None
        return on_grid(speed_for(self.robot, tau_s, w_radps), self.robot)

    def _held(self, now_ns: MonoNs) -> bool:
        """Whether more would have done for long enough; a stop has the debounce of the lock."""
        if self.published is None:
            return True
        held_ns = now_ns - (self._since_ns or 0)
        return held_ns >= self._rules.raise_hold_s * NS_PER_S

    def _next_step(self) -> float:
        """One step up; from a stop, at least to the slowest speed worth asking for."""
        slowest = math.ceil(self.robot.v_floor_mps / GRID_MPS * (1.0 - SLACK)) * GRID_MPS
        return max((self.published or 0.0) + self._rules.raise_step_mps, slowest)


def _no_more(allowed: float | None, published: float | None) -> bool:
    """Whether ``allowed`` is no faster than ``published``; None is slowest."""
    return allowed is None or (published is not None and allowed <= published)
