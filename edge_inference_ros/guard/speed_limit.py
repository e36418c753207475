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
from edge_inference_ros.core.types import NS_PER_S, MonoNs
from edge_inference_ros.guard.deadline import SLACK, speed_for
from edge_inference_ros.guard.robot import RobotProfile

GRID_MPS = 0.05
"""Limits are multiples of this, rounded down, so that noise in the age is not news."""

_STEPS = 20

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
    raise_step_mps: float = param(
        0.25,
        'most that a limit may be above any that was given within raise_hold_s',
        low=GRID_MPS,
        high=50.0,
    )

    def __post_init__(self) -> None:
        check(self)


def on_grid(v_mps: float, robot: RobotProfile) -> float | None:
    """``v_mps`` rounded down to what may be published; None below v_floor."""
    if not v_mps >= robot.v_floor_mps:
        return None
    step_mps = _step_mps(robot)
    steps = math.floor(min(v_mps, robot.v_cap_mps) / step_mps * (1.0 + SLACK))
    v_mps = min(round(steps * step_mps, 9), robot.v_cap_mps)
    return max(v_mps, robot.v_floor_mps) or None


def _step_mps(robot: RobotProfile) -> float:
    """A slow robot has finer steps: it must not be stopped by the rounding."""
    return min(GRID_MPS, robot.v_cap_mps / _STEPS)


class SpeedLimiter:
    """Lowers the limit at once and raises it slowly.

    A limit is no greater than any that was allowed within the last ``raise_hold_s``, and no more
    than ``raise_step_mps`` above any that was given within that time. Both are least values of
    what was: so a limiter that knows less never gives more, at any moment. After a stop it
    therefore begins with the slowest limit worth asking for.

    Attributes:
        robot: may be replaced while running.
        published: the limit last returned.
    """

    __slots__ = ('_allowances', '_limits', '_never', '_rules', '_tails', 'published', 'robot')

    def __init__(self, robot: RobotProfile, *, rules: LimitRules | None = None) -> None:
        self.robot = robot
        self.published: float | None = None
        self._rules = rules or LimitRules()
        self._tails: dict[str, _Tail] = {}
        self._never = True
        self._allowances, self._limits = _Least(), _Least()

    def observe(self, age_ns: int, source: str = '') -> None:
        """Take the age of a message on arrival; one from the future has none and is left out."""
        if age_ns >= 0:
            self._tails.setdefault(source, _Tail()).observe(age_ns)

    @property
    def tail_s(self) -> float | None:
        """An upper bound of the 99th percentile of each source's age; None before any message.

        The greatest of the last ``SAMPLES`` ages of a source. Until there are so many it is
        stretched, by 2 at first and by less with every message, since few samples say little
        about a tail. The source with the greatest decides: of a slow one beside a fast one a
        common percentile would hardly notice what is late. It is D_cap at most: no speed makes
        fresh what is older, so such a message, which is refused at any speed, asks for the
        lowest speed that latency can ask for, and no more.
        """
        if not self._tails:
            return None
        worst_s = max(tail.bound_s for tail in self._tails.values())
        return min(worst_s, self.robot.deadline_cap_s)

    def limit(
        self,
        age_ns: int | None,
        w_radps: float,
        now_ns: MonoNs,
        *,
        range_m: float | None = None,
    ) -> float | None:
        """The limit to publish now; None: stop the robot by another path.

        Args:
            age_ns: of what is held now, so that a stall bites before it ends; None if nothing is.
            w_radps: the yaw rate to expect.
            now_ns: steady time.
            range_m: how far is seen where the robot goes; None: forward.
        """
        allowed = self._allowed(age_ns, w_radps, range_m)
        if self._never and allowed is None:
            return None
        hold_ns = int(self._rules.raise_hold_s * NS_PER_S)
        could_mps = self._allowances.least(now_ns, allowed or 0.0, hold_ns=hold_ns)
        if self._never:
            step_mps, self._never = math.inf, False
        else:
            least_mps = self._limits.least(now_ns, self.published or 0.0, hold_ns=hold_ns)
            step_mps = least_mps + self._rules.raise_step_mps
        self.published = None
        if allowed is not None:
            slowest = min(allowed, self._slowest)
            self.published = on_grid(max(slowest, min(could_mps, step_mps)), self.robot)
        return self.published

    def _allowed(self, age_ns: int | None, w_radps: float, range_m: float | None) -> float | None:
        """The limit for the worse of the tail and the moment, whatever was published before."""
        tail_s = self.tail_s
        if age_ns is None or tail_s is None:
            return None
        tau_s = max(tail_s, age_ns / NS_PER_S)
        if not tau_s <= self.robot.deadline_cap_s:
            return None
        return on_grid(speed_for(self.robot, tau_s, w_radps, range_m=range_m), self.robot)

    @property
    def _slowest(self) -> float:
        """The slowest limit worth asking for."""
        step_mps = _step_mps(self.robot)
        return math.ceil(self.robot.v_floor_mps / step_mps * (1.0 - SLACK)) * step_mps


class _Tail:
    """The greatest of a source's last ``SAMPLES`` ages."""

    __slots__ = ('_count', '_peaks')

    def __init__(self) -> None:
        self._peaks: deque[tuple[int, int]] = deque()
        self._count = 0

    def observe(self, age_ns: int) -> None:
        peaks = self._peaks
        while peaks and peaks[-1][1] <= age_ns:
            peaks.pop()
        peaks.append((self._count, age_ns))
        self._count += 1
        if peaks[0][0] < self._count - SAMPLES:
            peaks.popleft()

    @property
    def bound_s(self) -> float:
        """It, stretched while there are few."""
        missing = max(0, SAMPLES - self._count) / SAMPLES
        return self._peaks[0][1] / NS_PER_S * (1.0 + missing)


class _Least:
    """The least of what was noted within a hold, and of what was noted last."""

    __slots__ = ('_noted',)

    def __init__(self) -> None:
        self._noted: deque[tuple[int, float]] = deque()

    def least(self, now_ns: int, value: float, *, hold_ns: int) -> float:
        noted = self._noted
        while noted and noted[-1][1] >= value:
            noted.pop()
        noted.append((now_ns, value))
        while len(noted) > 1 and noted[0][0] <= now_ns - hold_ns:
            noted.popleft()
        return noted[0][1]
