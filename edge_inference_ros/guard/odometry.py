"""How far the robot has moved since an instant: an odometer that never reads too little.

Speed times age is wrong exactly when it matters: a robot that brakes from 1.5 m/s to rest in
0.6 s has moved 0.45 m since, and its speed times the age is 0. So the path itself is integrated,
over an upper bound of the speed between samples:

* from a sample the robot can only have gained a_acc t, up to v_cap; so the bound is
  min(v0 + a_acc t, max(v_cap, v0)) until the next sample, however that sample came about;
* if the next sample v1 is faster than this explains (noise, a descent), the bound is v1;
* a sample that cannot be used (no number, from the future, faster than a robot of this kind can
  be) is named, and bridged by that bound; a gap of more than odom_timeout counts at v_cap;
* a command leads motion: the bound is at least what was commanded meanwhile;
* so do poses that show more than the twist says, see ``guard/poses.py``;
* speeds above v_cap are believed when the sample before makes them possible. One that would take
  more than 1 g is a spike: it counts at v_cap, but still tightens the deadline.

The same bound, with its own limits, holds for the yaw rate.

What the odometer shows is a whole number of femtometres (and femtoradians), so that it loses
nothing however far the robot drives.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from enum import Enum
from typing import NamedTuple

from edge_inference_ros.guard.commands import Commands
from edge_inference_ros.guard.heading import Heading
from edge_inference_ros.guard.legs import (
    FEMTO,
    NOWHERE,
    S_PER_NS,
    Bound,
    Leg,
    bound_of,
    braked,
    closed_bound,
    open_bound,
    sure,
)
from edge_inference_ros.guard.poses import Pose, Poses
from edge_inference_ros.guard.robot import GRAVITY_MPS2, SPIKE_RADPS2, RobotProfile


class OdometryFault(Enum):
    """What is wrong with odometry."""

    ABSENT = 'no odometry yet'
    STALE = 'odometry too old'
    NONFINITE = 'odometry is not a number, or says that it is lost'
    FUTURE = 'odometry is stamped in the future'
    ABSURD = 'odometry is faster than a robot of this profile can be'
    CONTRADICTED = 'the poses in odometry move faster, or another way, than its twist says'


class Motion(NamedTuple):
    """How fast the robot may be moving now.

    Attributes:
        v_mps: speed, from odometry or command, whichever is greater; grown by a_acc since.
        w_radps: yaw rate, likewise; grown by alpha_acc.
        toward: directions that count, bits of ``guard/robot.py``.
        fault: what is wrong with odometry; None while it is sound. For as long as odom_timeout
            the last good sample is grown all the same; then v and w are the caps, and ``toward``
            is every direction the robot can move in.
    """

    v_mps: float
    w_radps: float
    toward: int
    fault: OdometryFault | None


class Travel(NamedTuple):
    """How far the robot may have moved: path length in m, rotation in rad, neither signed."""

    path_m: float
    turn_rad: float


class Odometry:
    """A bounded history of motion on the axis of ``guard/timeline.py``.

    Feed it from one thread. Reading costs one bisection; memory does not grow.

    Attributes:
        robot: the limits; see ``reconfigure``.
        skew_ns: how far in the future a sample may be stamped; likewise.
        late: samples that came out of order; see ``_hear_late``.
    """

    __slots__ = (
        '_capacity',
        '_commands',
        '_fault',
        '_floor',
        '_heading',
        '_last',
        '_legs',
        '_likely',
        '_lost',
        '_poses',
        '_seen_ns',
        '_shown',
        '_tail',
        '_times',
        'late',
        'robot',
        'skew_ns',
    )

    def __init__(self, robot: RobotProfile, *, skew_ns: int = 0, capacity: int = 1024) -> None:
        self.robot = robot
        self.skew_ns = skew_ns
        self._capacity = capacity
        self.late = 0
        self.flush()

    def flush(self) -> None:
        """Forget everything: time itself has jumped."""
        self._times: list[int] = []
        self._legs: list[Leg] = []
        self._last = self._likely = (0.0, 0.0)
        self._heading, self._poses = Heading(), Poses()
        self._fault: OdometryFault | None = OdometryFault.ABSENT
        self._floor = (0.0, 0.0)
        self._tail: Leg | None = None
        self._commands = Commands()
        self._seen_ns: int | None = None

    def reconfigure(self, robot: RobotProfile) -> None:
        """Other limits from now on; what the newest sample leaves open is seen anew by them."""
        self.robot = robot
        if not self._times:
            return
        path_fm, turn_frad, v, w = self._legs[-1]
        self._legs[-1] = Leg(
            path_fm,
            turn_frad,
            Bound(v.start, max(robot.a_acc_mps2, v.gain), max(robot.v_cap_mps, v.top)),
            Bound(w.start, max(robot.yaw_acc_radps2, w.gain), max(robot.w_cap_radps, w.top)),
        )
        self._heading.reconfigure(robot)
        self._seen_ns, self._tail = None, None

    def command(self, vx: float, vy: float, wz: float, *, now_ns: int) -> None:
        """Take note of a velocity command, m/s and rad/s in the base frame.

        One that cannot be read, is not a number or beyond belief could mean anything: it counts
        as the caps, in every direction.
        """
        robot, v, w = self.robot, math.hypot(vx, vy), abs(wz)
        if robot.is_believable(v, w):
            toward = robot.toward(vx, vy)
        else:
            # No less than what is known to have been asked for.
            v, w, toward = self._commands.newest(now_ns, robot.command_timeout_s)
            v, w = max(robot.v_cap_mps, v), max(robot.w_cap_radps, w)
            toward |= robot.anywhere
        self._commands.take(now_ns, v, w, toward)
        self._raise_floor(v, w)

    def add(
        self,
        place_ns: int,
        vx: float,
        vy: float,
        wz: float,
        *,
        now_ns: int,
        pose: tuple[float, float, float] | None = None,
    ) -> bool:
        """Take one sample, m/s and rad/s in the base frame; False if it cannot be used.

        Args:
            place_ns: when it was measured, on the axis.
            vx: forward.
            vy: to the left.
            wz: yaw rate.
            now_ns: when it arrived, on the axis.
            pose: x and y in m, yaw in rad, in odometry's own fixed frame; None if it has none.
        """
        v, w = math.hypot(vx, vy), abs(wz)
        if fault := self._refusal(v, w, place_ns - now_ns):
            self._fault, self._seen_ns = fault, None
            return False
        place_ns = min(place_ns, now_ns)  # or true samples would be late until then
        if self._times and place_ns <= self._times[-1]:
            self.late += 1
            self._hear_late(place_ns, vx, vy, w)
            return False
        way = self.robot.toward(vx, vy)
        self._poses.take(self.robot, place_ns, (v, w), pose and Pose(*pose), way=way)
        shown_v, shown_w, _ = self._poses.shown
        self._raise_floor(shown_v, shown_w)
        span_s = (place_ns - self._times[-1]) * S_PER_NS if self._times else 0.0
        self._heading.take(self.robot, vx, vy, span_s=span_s)
        self._append(place_ns, v, w)
        if span_s > 0.0:
            # Nothing brakes harder than 1 g: a sample that says so is a spike too.
            before_v, before_w = self._likely
            self._likely = (
                braked(v, before_v, self.robot.v_cap_mps, GRAVITY_MPS2 * span_s),
                braked(w, before_w, self.robot.w_cap_radps, SPIKE_RADPS2 * span_s),
            )
        else:
            self._likely = v, w
        self._last = max(v, self._likely[0]), max(w, self._likely[1])
        self._fault = None
        command_v, command_w = self._commands.since(place_ns, self.robot.command_timeout_s)
        self._set_floor(max(command_v, shown_v), max(command_w, shown_w))
        return True

    def _hear_late(self, place_ns: int, vx: float, vy: float, w: float) -> None:
        """A sample no newer than the newest: not needed, unless it shows more than that allows.

        Then two publishers disagree, or the newest is wrong. Until the next one the greater
        holds: of the speeds, less what brakes can have taken since, and of the directions.
        """
        robot, v = self.robot, math.hypot(vx, vy)
        gone_s = (self._times[-1] - place_ns) * S_PER_NS
        left = v - GRAVITY_MPS2 * gone_s, w - SPIKE_RADPS2 * gone_s
        self._last = max(self._last[0], left[0]), max(self._last[1], left[1])
        self._likely = max(self._likely[0], left[0]), max(self._likely[1], left[1])
        if left[0] > robot.still_mps:
            self._heading.hear_late(robot, vx, vy)
        self._raise_floor(max(0.0, left[0]), max(0.0, left[1]))

    def _refusal(self, v: float, w: float, ahead_ns: int) -> OdometryFault | None:
        if not math.isfinite(v + w):
            return OdometryFault.NONFINITE
        if not self.robot.is_believable(v, w):
            return OdometryFault.ABSURD
        return OdometryFault.FUTURE if ahead_ns > self.skew_ns else None

    def motion(self, now_ns: int) -> Motion:
        """How fast the robot may be moving at ``now_ns``."""
        if now_ns != self._seen_ns:
            self._see(now_ns)
        robot = self.robot
        command_v, command_w, toward = self._commands.newest(now_ns, robot.command_timeout_s)
        if self._lost:
            _, _, sure_v, sure_w = self._legs[-1] if self._legs else NOWHERE
            v = max(robot.v_cap_mps, command_v, sure_v.start)
            w = max(robot.w_cap_radps, command_w, sure_w.start)
            return Motion(v, w, toward | robot.anywhere | self._heading.ways, self._lost)
        v, w = self._last
        fault, age_s = self._fault, (now_ns - self._times[-1]) * S_PER_NS
        if self._poses.until_ns is not None:
            shown_v, shown_w, shown_toward = self._poses.shown
            v, w, toward = max(v, shown_v), max(w, shown_w), toward | shown_toward
            fault = fault or OdometryFault.CONTRADICTED
        v, w = max(v, command_v), max(w, command_w)
        if v < robot.v_cap_mps:
            v = min(v + robot.a_acc_mps2 * age_s, robot.v_cap_mps)
        if w < robot.w_cap_radps:
            w = min(w + robot.yaw_acc_radps2 * age_s, robot.w_cap_radps)
        return Motion(v, w, toward | self._heading.toward(age_s), fault)

    def turns(self, now_ns: int, *, within_s: float) -> list[tuple[float, int]]:
        """Directions that begin to count within a time: in how many s, which; soonest first."""
        if not self._heading.turns:
            return []
        age_s = (now_ns - self._times[-1]) * S_PER_NS
        if self._heading.sure_s - age_s >= within_s:
            return []
        return [(turn_s - age_s, way) for turn_s, way in self._heading.turns]

    def since(self, place_ns: int, now_ns: int) -> Travel:
        """How far the robot may have moved from ``place_ns`` to ``now_ns``."""
        return Travel(*self._between(place_ns, now_ns))

    def off_m(self, robot: RobotProfile, place_ns: int, now_ns: int) -> float:
        """How far a point that ``robot`` saw at ``place_ns`` may be off by now."""
        path_m, turn_rad = self._between(place_ns, now_ns)
        waited_s = (now_ns - place_ns) * S_PER_NS
        return path_m + robot.lever_m * turn_rad + robot.v_other_mps * waited_s

    def _between(self, place_ns: int, now_ns: int) -> tuple[float, float]:
        if place_ns >= now_ns:
            return 0.0, 0.0
        if not self._times:
            age_s = (now_ns - place_ns) * S_PER_NS
            return self.robot.v_cap_mps * age_s, self.robot.w_cap_radps * age_s
        if now_ns != self._seen_ns:
            self._see(now_ns)
        path_fm, turn_frad = self._shown
        from_fm, from_frad = self._read(place_ns)
        return (path_fm - from_fm) / FEMTO, (turn_frad - from_frad) / FEMTO

    def _see(self, now_ns: int) -> None:
        """Work out, once for an instant, why the caps hold, if so, and what the odometer shows."""
        self._seen_ns, self._lost = now_ns, None
        if not self._times:
            self._lost = self._fault
            return
        if (now_ns - self._times[-1]) * S_PER_NS > self.robot.odom_timeout_s:
            self._lost = self._fault or OdometryFault.STALE
        if self._lost or self._tail is None:
            self._tail = self._open_leg(lost=self._lost is not None)
        self._shown = self._read(now_ns)

    def _raise_floor(self, v: float, w: float) -> None:
        self._set_floor(max(self._floor[0], v), max(self._floor[1], w))

    def _set_floor(self, v: float, w: float) -> None:
        """No less than ``v`` and ``w`` since the newest sample."""
        self._floor, self._seen_ns, self._tail = (v, w), None, None

    def _append(self, place_ns: int, v: float, w: float) -> None:
        """Close the leg before the sample and open the one after it."""
        robot = self.robot
        path_fm = turn_frad = 0
        if self._times:
            span_s = (place_ns - self._times[-1]) * S_PER_NS
            v = sure(v, self._last[0], robot.v_cap_mps, GRAVITY_MPS2 * span_s)
            w = sure(w, self._last[1], robot.w_cap_radps, SPIKE_RADPS2 * span_s)
            self._legs[-1] = leg = self._closed(self._legs[-1], v, w, span_s)
            path_fm, turn_frad = leg.after(span_s)
        self._times.append(place_ns)
        self._legs.append(
            Leg(
                path_fm,
                turn_frad,
                bound_of(v, robot.a_acc_mps2, robot.v_cap_mps),
                bound_of(w, robot.yaw_acc_radps2, robot.w_cap_radps),
            )
        )
        if len(self._times) >= 2 * self._capacity:
            del self._times[: self._capacity]
            del self._legs[: self._capacity]

    def _closed(self, leg: Leg, v: float, w: float, span_s: float) -> Leg:
        """The leg, once the sample at its end is known to read ``v`` and ``w``."""
        floor_v, floor_w = self._floor
        gap = span_s > self.robot.odom_timeout_s
        return leg._replace(
            v=closed_bound(leg.v, v, floor=floor_v, span_s=span_s, gap=gap),
            w=closed_bound(leg.w, w, floor=floor_w, span_s=span_s, gap=gap),
        )

    def _open_leg(self, *, lost: bool) -> Leg:
        """The leg from the newest sample on, whose end is not known; at the caps if ``lost``."""
        path_fm, turn_frad, v, w = self._legs[-1]
        return Leg(
            path_fm,
            turn_frad,
            open_bound(v, floor=self._floor[0], lost=lost),
            open_bound(w, floor=self._floor[1], lost=lost),
        )

    def _read(self, at_ns: int) -> tuple[int, int]:
        """What the odometer shows at ``at_ns``; before the oldest sample it ran at the caps."""
        times = self._times
        if at_ns >= times[-1]:
            tail = self._tail or self._open_leg(lost=False)
            return tail.after((at_ns - times[-1]) * S_PER_NS)
        if i := bisect_right(times, at_ns):
            return self._legs[i - 1].after((at_ns - times[i - 1]) * S_PER_NS)
        first, before_s = self._legs[0], (times[0] - at_ns) * S_PER_NS
        v = max(self.robot.v_cap_mps, first.v.start)
        w = max(self.robot.w_cap_radps, first.w.start)
        return (
            first.path_fm - int(v * before_s * FEMTO),
            first.turn_frad - int(w * before_s * FEMTO),
        )
