"""How old a prediction may be at this speed, and how fast one may go at this latency.

Two questions limit the age τ of a prediction, and the smaller answer is the deadline.

**A. Is the object still where the prediction says?** A point of the world, seen from a robot that
moves with speed v and turns with rate w, moves at no more than v + |w| R at distance R (triangle
inequality), plus v_o if it walks towards us. So after τ it is off by at most s τ with
s = v + v_o + |w| R; and since a consumer may accelerate by ``a`` up to v_cap until it hears from
us again, by at most

    off(τ) = s τ + a τ²/2                                 while v + a τ <= v_cap
           = s t1 + a t1²/2 + s_cap (τ - t1)              after t1 = (v_cap - v)/a

with s_cap = v_cap + v_o + |w| R. The budget is off(τ) <= d_max. ``off`` rises from 0 and is
continuous, so the budget holds exactly up to the τ_A that spends it.

**B. Can the robot still stop in what it was sure to see free?** An object may enter just after an
exposure, so the robot may travel unaware for T + τ + τ_x before the brakes bite; then it needs
v²/(2b). The other closes in meanwhile, for the same time and for v/b more:

    (v + v_o)(T + τ + τ_x) + v²/(2b) + v_o v/b + m <= L.

The left side rises with τ, so the budget holds exactly up to τ_B, which may be negative.

The deadline is D = min(τ_A, τ_B, D_cap). It is cut from above only. Raising a short one to some
minimum would accept data older than the budget, so a short deadline is returned as it is and the
*speed* is called infeasible instead: go slower.

Everything here is a pure function of its arguments; speeds in m/s, rates in rad/s, times in s.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from edge_inference_ros.core.types import NS_PER_S
from edge_inference_ros.guard.robot import RobotProfile

SLACK = 1e-9
"""Relative room for the last bits of binary fractions: without it 1.5 * 0.2 > 0.3."""


_PICOSECOND = 1e-3


class Binding(Enum):
    """Which budget the deadline comes from."""

    DISPLACEMENT = 'A'
    STOPPING = 'B'
    CAP = 'cap'


class Deadline(NamedTuple):
    """How old a prediction may be.

    Attributes:
        limit_s: the deadline D, never negative, never raised.
        feasible: False asks for less speed: no pipeline we have can be this fast.
        binding: the budget that is tightest.
        displacement_s: τ_A.
        stopping_s: τ_B, negative when the robot could not stop even on data without age.
    """

    limit_s: float
    feasible: bool
    binding: Binding
    displacement_s: float
    stopping_s: float

    @property
    def limit_ns(self) -> int:
        """D in whole nanoseconds, see ``whole_ns``."""
        return whole_ns(self.limit_s)


NO_DEADLINE = Deadline(
    0.0, feasible=False, binding=Binding.DISPLACEMENT, displacement_s=0.0, stopping_s=-math.inf
)


def whole_ns(s: float) -> int:
    """Seconds as whole nanoseconds, rounded down; 0.3/1.5 is 200 ms although binary says less."""
    return int(s * NS_PER_S + _PICOSECOND)


def reach(v: float, t_s: float, a: float, cap: float) -> float:
    """How far one can get in ``t_s`` from rate ``v``, gaining ``a`` up to ``cap``.

    The integral of min(v + a t, max(cap, v)); metres for m/s, radians for rad/s.
    """
    gained = a * t_s
    if v + gained <= cap:
        return t_s * (v + 0.5 * gained)
    if v >= cap:
        return t_s * v
    t1_s = (cap - v) / a
    return t1_s * 0.5 * (v + cap) + cap * (t_s - t1_s)


def displacement_s(
    robot: RobotProfile,
    v: float,
    w: float,
    *,
    d_m: float | None = None,
    lever_m: float | None = None,
    v_other: float | None = None,
) -> float:
    """τ_A: the age at which a point may be off by d_max, or by ``d_m`` if that is what is left.

    Inverts ``off`` of the module's text piece by piece. Before v_cap, s τ + a τ²/2 = d has the
    positive root (-s + sqrt(s² + 2 a d))/a; multiplied by its conjugate it becomes
    2 d/(s + sqrt(s² + 2 a d)), which subtracts nothing and also holds for a = 0. If d1, what is
    spent on the way to v_cap, is less than d, the rest goes at s_cap. At v = v_cap both agree
    (t1 = d1 = 0): leaving the acceleration out there, and in elsewhere, would make the deadline
    jump *up* at the cap.

    Args:
        robot: whose budget.
        v: speed, sign irrelevant. Above v_cap it is believed, and assumed to grow no more.
        w: yaw rate, sign irrelevant.
        d_m: budget, if not all of d_max is left.
        lever_m: a detection's own distance in place of R; far objects go stale first in a turn.
        v_other: a class's own closing speed in place of v_o.
    """
    d = robot.d_max_m if d_m is None else d_m
    a, v = robot.a_acc_mps2, abs(v)
    drift = robot.v_other_mps if v_other is None else v_other
    drift += abs(w) * (robot.lever_m if lever_m is None else lever_m)
    s = v + drift
    if not d > 0.0:
        return 0.0
    if a == 0.0 or v >= robot.v_cap_mps:
        return d / s if s > 0.0 else math.inf
    t1_s = (robot.v_cap_mps - v) / a
    d1 = t1_s * (s + 0.5 * a * t1_s)
    if d1 >= d:
        return 2.0 * d / (s + math.sqrt(s * s + 2.0 * a * d))
    return t1_s + (d - d1) / (robot.v_cap_mps + drift)


def stopping_s(
    robot: RobotProfile,
    v: float,
    *,
    range_m: float | None = None,
    v_other: float | None = None,
) -> float:
    """τ_B: the age at which the robot can just still stop in the clear range.

    With ρ = T + τ + τ_x the budget reads s ρ <= room, s = v + v_o, where
    room = L - m - v²/(2b) - v_o v/b is what braking leaves; so ρ = room/s.

    The strict variant lets the robot gain g = a all the while, so braking starts from v + g ρ.
    Collecting powers of ρ, k (g ρ²/2 + s ρ) <= room with k = 1 + g/b (Shalev-Shwartz et al.,
    arXiv 1708.06374), whose root in the form of τ_A is ρ = (room/k)/s̄ at the mean speed
    s̄ = (s + sqrt(s² + 2 g room/k))/2. The plain law is g = 0: k = 1 and s̄ = s.
    """
    v, v_o, b = abs(v), robot.v_other_mps if v_other is None else v_other, robot.brake_mps2
    s = v + v_o
    room = (robot.range_m if range_m is None else range_m) - robot.lost_m - v * (0.5 * v + v_o) / b
    if robot.strict:
        room /= 1.0 + robot.a_acc_mps2 / b
        s = 0.5 * (s + math.sqrt(max(0.0, s * s + 2.0 * robot.a_acc_mps2 * room)))
    if s == 0.0:
        return math.inf if room >= 0.0 else -math.inf
    return room / s - robot.react_s


def deadline(
    robot: RobotProfile,
    v: float,
    w: float,
    *,
    range_m: float | None = None,
    lever_m: float | None = None,
    v_other: float | None = None,
) -> Deadline:
    """D = min(τ_A, τ_B, D_cap), and whether any pipeline could meet it.

    At rest nothing is special: the first motion must already be on judged data. A speed that is
    not a number has no deadline at all.
    """
    if not math.isfinite(v + w):
        return NO_DEADLINE
    tau_a = displacement_s(robot, v, w, lever_m=lever_m, v_other=v_other)
    tau_b = stopping_s(robot, v, range_m=range_m, v_other=v_other)
    cap = robot.deadline_cap_s
    shortest = min(tau_a, tau_b, cap)
    binding = Binding.CAP
    if shortest < cap:
        binding = Binding.DISPLACEMENT if tau_a <= tau_b else Binding.STOPPING
    feasible = shortest > 0.0 and shortest >= robot.deadline_floor_s
    return Deadline(max(0.0, shortest), feasible, binding, tau_a, tau_b)


def deadline_ns(robot: RobotProfile, v: float, w: float, range_m: float) -> int:
    """D of ``deadline`` in whole nanoseconds and nothing else, for who judges every message.

    Where the range is ample, τ_B >= τ_B(v_cap) >= D_cap, since τ_B falls with v: no need to look.
    """
    if not math.isfinite(v + w):
        return 0
    limit_s = min(displacement_s(robot, v, w), robot.deadline_cap_s)
    if range_m < robot.ample_m or abs(v) > robot.v_cap_mps:
        limit_s = min(limit_s, max(0.0, stopping_s(robot, v, range_m=range_m)))
    return whole_ns(limit_s)


def speed_for_displacement(
    robot: RobotProfile, tau_s: float, w: float, *, v_other: float | None = None
) -> float:
    """Greatest v with τ_A(v) >= ``tau_s``: the exact inverse of ``displacement_s`` up to v_cap.

    What turning and others spend is gone first: d' = d_max - (v_o + |w| R) τ. If v_cap τ <= d'
    nothing is asked. Otherwise the robot either reaches the cap after t1 <= τ, and then
    v_cap τ - a t1²/2 = d' gives t1 and v = v_cap - a t1; or it does not, and v τ + a τ²/2 = d'.
    An inverse that forgets the acceleration would allow a speed at which every prediction is
    late, and the robot would obey and go blind.
    """
    cap, a = robot.v_cap_mps, robot.a_acc_mps2
    v_o = robot.v_other_mps if v_other is None else v_other
    left_m = robot.d_max_m - (v_o + abs(w) * robot.lever_m) * tau_s
    if not left_m > 0.0:
        return 0.0
    if cap * tau_s <= left_m * (1.0 + SLACK):
        return cap
    if a == 0.0:
        return left_m / tau_s
    t1_s = math.sqrt(2.0 * (cap * tau_s - left_m) / a)
    return max(0.0, cap - a * t1_s if t1_s <= tau_s else left_m / tau_s - 0.5 * a * tau_s)


def speed_for_stopping(
    robot: RobotProfile,
    tau_s: float,
    *,
    range_m: float | None = None,
    v_other: float | None = None,
) -> float:
    """Greatest v with τ_B(v) >= ``tau_s``: the exact inverse of ``stopping_s``.

    Let u = v + g ρ be the speed at which braking starts, g = 0 unless strict. Then the budget is
    u ρ - g ρ²/2 + u²/(2b) + v_o (ρ + u/b) = L - m, that is u²/(2b) + q u = Q with q = ρ + v_o/b
    and Q = L - m + g ρ²/2 - v_o ρ, and u = 2 Q/(q + sqrt(q² + 2 Q/b)).
    """
    b, v_o = robot.brake_mps2, robot.v_other_mps if v_other is None else v_other
    gain = robot.a_acc_mps2 if robot.strict else 0.0
    rho_s = tau_s + robot.react_s
    clear_m = (robot.range_m if range_m is None else range_m) - robot.lost_m
    room = clear_m + rho_s * (0.5 * gain * rho_s - v_o)
    if not room > 0.0:
        return 0.0
    q = rho_s + v_o / b
    return max(0.0, 2.0 * room / (q + math.sqrt(q * q + 2.0 * room / b)) - gain * rho_s)


def speed_for(
    robot: RobotProfile,
    tau_s: float | None,
    w: float = 0.0,
    *,
    range_m: float | None = None,
    v_other: float | None = None,
) -> float:
    """Greatest speed at which both budgets hold for predictions of age ``tau_s``; 0: stop.

    A latency that is unknown, negative or not a number allows no speed. D_cap is not a budget and
    is not looked at here: no speed, however low, makes data fresh that is older than that.
    """
    if tau_s is None or not 0.0 <= tau_s < math.inf or not math.isfinite(w):
        return 0.0
    v = min(
        speed_for_displacement(robot, tau_s, w, v_other=v_other),
        speed_for_stopping(robot, tau_s, range_m=range_m, v_other=v_other),
        robot.v_cap_mps,
    )
    return v if v >= robot.v_floor_mps else 0.0


def stopping_left_s(
    robot: RobotProfile, v: float, age_s: float, *, range_m: float | None = None
) -> float:
    """How long B still holds if the robot accelerates from now on.

    τ_B looks at the speed of the moment; after judging nobody looks again for a while. With
    v(t) = v + a t and ρ(t) = T + age + t + τ_x the budget of ``stopping_s`` is a quadratic in t,
    A t² + B t + C <= 0. Its left side rises with t, so it holds up to the one positive root. From
    t1 on the speed is v_cap and τ_B(v_cap) itself decides.
    """
    v, a, cap = abs(v), robot.a_acc_mps2, robot.v_cap_mps
    if a == 0.0 or v >= cap:
        return stopping_s(robot, v, range_m=range_m) - age_s
    if (at_cap_s := stopping_s(robot, cap, range_m=range_m) - age_s) >= (cap - v) / a:
        return at_cap_s
    b, v_o = robot.brake_mps2, robot.v_other_mps
    gain = a if robot.strict else 0.0
    k, s = 1.0 + gain / b, v + v_o
    rho_s = age_s + robot.react_s
    clear_m = (robot.range_m if range_m is None else range_m) - robot.lost_m
    c2 = a * (k + 0.5 * a / b) + 0.5 * k * gain
    c1 = k * (s + (a + gain) * rho_s) + a * s / b
    c0 = k * rho_s * (s + 0.5 * gain * rho_s) + v * (0.5 * v + v_o) / b - clear_m
    if c0 >= 0.0:
        return 0.0
    return -2.0 * c0 / (c1 + math.sqrt(c1 * c1 - 4.0 * c2 * c0))


def spent_s(robot: RobotProfile, v: float, w: float, d_m: float) -> float:
    """How long until ``d_m`` is spent if the robot gains speed *and* turns as hard as it may.

    ``displacement_s`` holds the yaw rate, for it is asked again at every message; who is promised
    an instant hears nothing until then. So the rate s grows by a + α R until v or w is at its cap,
    by what is left of that until the other is, and then no more.
    """
    if not d_m > 0.0:
        return 0.0
    v, w, lever_m = abs(v), abs(w), robot.lever_m
    a = robot.a_acc_mps2 if v < robot.v_cap_mps else 0.0
    alpha = robot.yaw_acc_radps2 if w < robot.w_cap_radps else 0.0
    turn = alpha * lever_m
    v_s = (robot.v_cap_mps - v) / a if a else 0.0
    w_s = (robot.w_cap_radps - w) / alpha if alpha else 0.0
    first_s, later_s, later = (v_s, w_s, turn) if v_s <= w_s else (w_s, v_s, a)
    rate, gain, now_s = v + robot.v_other_mps + w * lever_m, a + turn, 0.0
    if first_s > 0.0 and (d1 := first_s * (rate + 0.5 * gain * first_s)) < d_m:
        d_m, now_s, rate = d_m - d1, first_s, rate + gain * first_s
    if now_s == first_s:
        gain, span_s = later, later_s - first_s
        if (d1 := span_s * (rate + 0.5 * gain * span_s)) < d_m:
            d_m, now_s, rate, gain = d_m - d1, later_s, rate + gain * span_s, 0.0
    root = rate + math.sqrt(rate * rate + 2.0 * gain * d_m)
    return now_s + 2.0 * d_m / root if root > 0.0 else math.inf


def left_s(
    robot: RobotProfile, v: float, w: float, *, range_m: float, off_m: float, age_s: float
) -> float:
    """How long A, of which ``off_m`` is spent, and B still hold whatever the robot does from now.

    Right up to D - age, beyond which nobody asks: where the range is ample B holds for longer.
    """
    for_s = spent_s(robot, v, w, robot.d_max_m - off_m)
    if range_m < robot.ample_m or abs(v) > robot.v_cap_mps:
        return min(for_s, stopping_left_s(robot, v, age_s, range_m=range_m))
    return for_s


def bearing_s(w: float, theta_max_rad: float) -> float:
    """How long a bearing stays within ``theta_max_rad`` while turning: |w| τ <= θ_max."""
    return theta_max_rad / abs(w) if w else math.inf


def slowest_rate_hz(
    deadline_s: float, compute_s: float, *, jitter_s: float = 0.0, losses: int = 0
) -> float:
    """Lowest sensor rate that keeps data fresh when ``losses`` frames in a row are lost.

    A depth-1 mailbox leaves data of age (losses + 1)/f + compute + jitter in use just before the
    next arrives; that must not exceed the deadline. Infinite when no rate suffices.
    """
    spare_s = deadline_s - compute_s - jitter_s
    return (losses + 1) / spare_s if spare_s > 0.0 else math.inf


def stopping_distance_m(v: float, b: float, j: float = 0.0) -> float:
    """Distance to a standstill on the level with brakes ``b`` built up at jerk ``j`` (0: at once).

    With deceleration min(j t, b): a speed v < b²/(2j) is gone at t = sqrt(2v/j), before b is
    reached, after v t - j t³/6 = 2vt/3. Otherwise the ramp T = b/j costs T (v - b T/6), leaves
    u = v - b T/2, and u²/(2b) follows: together v²/(2b) + v b/(2j) - b³/(24 j²).
    """
    if j == 0.0:
        return v * v / (2.0 * b)
    if v < b * b / (2.0 * j):
        return v * math.sqrt(2.0 * v / j) * 2.0 / 3.0
    return v * v / (2.0 * b) + v * b / (2.0 * j) - b**3 / (24.0 * j * j)


def range_for_stopping(
    robot: RobotProfile, v: float, age_s: float, *, v_other: float | None = None
) -> float:
    """Least L with τ_B(v) >= ``age_s``: within it an object must be seen, or the robot hits it.

    The inverse of ``stopping_s`` in the range: the budget is met with equality.
    """
    return robot.room_m(abs(v), age_s, robot.v_other_mps if v_other is None else v_other)
