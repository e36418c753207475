"""What the deadline laws need to know about one robot, checked for contradictions.

Every figure is a promise about the worst case that somebody has measured: braking at full load on
the worst floor, the range at which the detector is *sure* to see, the slowest reaction of what
comes after us. A guess in the comfortable direction makes every deadline too long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edge_inference_ros.core.params import check, param
from edge_inference_ros.core.share import share

GRAVITY_MPS2 = 9.80665

SPIKE_RADPS2 = 30.0
"""Nothing that carries a camera changes its yaw rate faster; a reading that does is a spike."""

BELIEVABLE = 20.0
"""So many times its highest speed no robot has: a figure beyond is a fault, no measurement."""

FORWARD, REVERSE, SIDE = 1, 2, 4
"""Directions of travel, as bits: each stands for the quarter of the compass around it."""


@dataclass(frozen=True)
class RobotProfile:
    """The body, its brakes, its sight and its habits; an instance exists only if it is sound.

    The defaults describe an indoor AMR, as an example: a watchdog takes none of those that are
    required, for it would guard with another robot's limits. Symbols in brackets are those of
    ``guard/deadline.py``.

    Raises:
        ParameterError: on construction, naming every fault.
    """

    v_cap_mps: float = param(
        1.5,
        '[v_cap] highest speed the robot can reach; assumed when odometry fails',
        low=0.01,
        high=50.0,
        live=True,
        required=True,
    )
    w_cap_radps: float = param(
        1.0,
        '[w_cap] highest yaw rate; assumed when odometry fails',
        low=0.0,
        high=50.0,
        live=True,
        required=True,
    )
    v_floor_mps: float = param(
        0.05,
        'slowest speed worth asking for; below it the robot is told to stop by another path',
        low=0.001,
        high=50.0,
        live=True,
    )
    a_acc_mps2: float = param(
        1.0,
        '[a] acceleration a consumer could command before it hears from us again',
        low=0.0,
        high=50.0,
        live=True,
        required=True,
    )
    alpha_acc_radps2: float = param(
        3.2,
        '[alpha] yaw acceleration a consumer could command before it hears from us again; 0:'
        ' not stated, and 30 is assumed',
        low=0.0,
        high=500.0,
        live=True,
        required=True,
    )
    b_mps2: float = param(
        1.0,
        '[b] guaranteed deceleration on the level: full load, worst floor, worn brakes',
        low=0.01,
        high=50.0,
        live=True,
        required=True,
    )
    slope_rad: float = param(
        0.0,
        'steepest descent; takes g sin(slope) from the brakes',
        low=0.0,
        high=1.0,
        live=True,
    )
    jerk_mps3: float = param(
        0.0,
        '[j] how fast braking builds up; 0 if after_s already contains it',
        low=0.0,
        high=1000.0,
        live=True,
    )
    d_max_m: float = param(
        0.3,
        '[d_max] how far a predicted object may really be from where the prediction says',
        low=0.001,
        high=100.0,
        live=True,
        required=True,
    )
    lever_m: float = param(
        1.0,
        '[R] distance at which rotation is counted as displacement',
        low=0.0,
        high=1000.0,
        live=True,
        required=True,
    )
    range_m: float = param(
        4.0,
        '[L] range at which the detector is sure to see an obstacle ahead',
        low=0.0,
        high=1000.0,
        live=True,
        required=True,
    )
    range_reverse_m: float = param(
        0.0,
        '[L] range at which an obstacle behind is sure to be seen; 0: nothing looks back, so'
        ' reversing is infeasible',
        low=0.0,
        high=1000.0,
        live=True,
    )
    range_side_m: float = param(
        0.0,
        '[L] range at which an obstacle beside the robot is sure to be seen; 0: nothing looks'
        ' sideways',
        low=0.0,
        high=1000.0,
        live=True,
    )
    reverses: bool = param(
        default=True,
        doc='the robot can reverse, so without odometry it may be doing so',
        live=True,
    )
    strafes: bool = param(
        default=False,
        doc='the robot can move sideways (omnidirectional wheels, legs), so without odometry it'
        ' may be doing so',
        live=True,
    )
    creep_m: float = param(
        0.04,
        'another direction than forward counts once the robot goes so far before it stops',
        low=0.0,
        high=1.0,
        live=True,
    )
    margin_m: float = param(
        0.3,
        '[m] sensor and localisation error, overhang of the footprint, ground clearance',
        low=0.0,
        high=100.0,
        live=True,
        required=True,
    )
    v_other_mps: float = param(
        0.0,
        '[v_o] closing speed of others; 0 says: people see the robot coming and stand still',
        low=0.0,
        high=50.0,
        live=True,
        required=True,
    )
    confirm_s: float = param(
        0.1,
        '[T] sensor period times the frames needed to confirm an object',
        low=0.0,
        high=10.0,
        live=True,
        required=True,
    )
    after_s: float = param(
        0.15,
        '[tau_x] reaction after the watchdog: planner, controller, bus, brakes',
        low=0.0,
        high=10.0,
        live=True,
        required=True,
    )
    deadline_cap_s: float = param(
        0.5,
        '[D_cap] no deadline is longer than this, even at rest',
        low=0.001,
        high=10.0,
        live=True,
        required=True,
    )
    deadline_floor_s: float = param(
        0.03,
        '[D_floor] best latency the pipeline can reach; a shorter deadline means: too fast',
        low=0.0,
        high=10.0,
        live=True,
    )
    strict: bool = param(
        default=False,
        doc='assume the robot accelerates during the whole reaction (RSS)',
        live=True,
    )
    still_mps: float = param(
        0.02,
        'slower motion has no direction: odometry noise at rest is not reversing',
        low=0.0,
        high=0.1,
        live=True,
    )
    odom_timeout_s: float = param(
        0.2,
        'odometry older than this is replaced by v_cap and w_cap',
        low=0.001,
        high=10.0,
        live=True,
    )
    command_timeout_s: float = param(
        0.5,
        'a velocity command counts as motion for so long after it arrived',
        low=0.0,
        high=10.0,
        live=True,
    )

    def __post_init__(self) -> None:
        check(self)

    def faults(self) -> list[str]:
        """What the fields say against each other, when each alone is in range."""
        margin_m, back_m, side_m = self.margin_m, self.range_reverse_m, self.range_side_m
        pairs = (
            ('margin_m', '<', 'range_m', '', margin_m < self.range_m),
            (
                'margin_m',
                '<',
                'range_reverse_m',
                ' (or 0: nothing looks back)',
                back_m == 0.0 or margin_m < back_m,
            ),
            (
                'margin_m',
                '<',
                'range_side_m',
                ' (or 0: nothing looks there)',
                side_m == 0.0 or margin_m < side_m,
            ),
            (
                'deadline_floor_s',
                '<=',
                'deadline_cap_s',
                '',
                self.deadline_floor_s <= self.deadline_cap_s,
            ),
            ('v_floor_mps', '<=', 'v_cap_mps', '', self.v_floor_mps <= self.v_cap_mps),
        )
        broken = [
            f'{small} = {getattr(self, small)} must be {relation} {large} ='
            f' {getattr(self, large)}{remark}'
            for small, relation, large, remark, holds in pairs
            if not holds
        ]
        if self.brake_mps2 <= 0.0:
            broken.append(
                f'b_mps2 = {self.b_mps2} cannot stop the robot on a descent of'
                f' slope_rad = {self.slope_rad}'
            )
        return broken

    @staticmethod
    def absent(names: Sequence[str]) -> str:
        """A sentence for who gave no figures for ``names``, and how to give them."""
        folder = share('config/robots')
        known = ', '.join(sorted(path.stem for path in folder.glob('*.yaml')))
        return (
            f'no robot profile: {", ".join(names)} must be given, for a guess would guard with the'
            f' limits of another robot; give robot:=NAME to a launch file ({known}, or the path of'
            f' your own), or --params-file {folder}/NAME.yaml to the node'
        )

    @cached_property
    def brake_mps2(self) -> float:
        """Deceleration left on the steepest descent: b - g sin(slope)."""
        return self.b_mps2 - GRAVITY_MPS2 * math.sin(self.slope_rad)

    @cached_property
    def react_s(self) -> float:
        """[T + tau_x] reaction besides the age, with the time that brakes lose as they build up.

        On a descent x = g sin(slope) a net deceleration of j t - x until b/j, and b - x after it,
        loses b²/(2j) of speed against b - x at once, which is b²/(2j (b - x)) of time.
        """
        react_s = self.confirm_s + self.after_s
        if self.jerk_mps3 == 0.0:
            return react_s
        return react_s + self.b_mps2**2 / (2.0 * self.jerk_mps3 * self.brake_mps2)

    @cached_property
    def lost_m(self) -> float:
        """[m] the margin, with what brakes that build up on a descent cost beyond ``react_s``.

        The stopping distance, less v²/(2(b - x)), less v times that loss of time, falls with v
        from 2x³/(3j²) at v = 0, where the robot first rolls, to (b³/j²)(b/(8(b - x)) - 1/6). If
        x > b/2 it rolls beyond the build-up from any v, and it is that constant throughout. On
        the level nothing is added.
        """
        if self.jerk_mps3 == 0.0 or self.slope_rad == 0.0:
            return self.margin_m
        x, b, square = self.b_mps2 - self.brake_mps2, self.b_mps2, self.jerk_mps3**2
        if x <= 0.5 * b:
            return self.margin_m + 2.0 * x**3 / (3.0 * square)
        return self.margin_m + b**3 * (b / (8.0 * (b - x)) - 1.0 / 6.0) / square

    def room_m(self, v: float, age_s: float, v_other: float) -> float:
        """All that stopping takes, the left side of budget B in ``guard/deadline.py``, m.

        k (g ρ²/2 + s ρ) + v (v/2 + v_o)/b + m, with ρ = T + age + τ_x, s = v + v_o, k = 1 + g/b,
        and g = 0 unless strict: the robot gains speed until it reacts.
        """
        b, gain = self.brake_mps2, self.a_acc_mps2 if self.strict else 0.0
        rho_s = age_s + self.react_s
        unaware_m = (1.0 + gain / b) * rho_s * (v + v_other + 0.5 * gain * rho_s)
        return self.lost_m + unaware_m + v * (0.5 * v + v_other) / b

    @cached_property
    def ample_m(self) -> float:
        """[L] range from which on stopping limits no deadline, at any speed up to v_cap.

        Stopping takes most room at v = v_cap and τ = D_cap.
        """
        return self.room_m(self.v_cap_mps, self.deadline_cap_s, self.v_other_mps)

    @cached_property
    def yaw_acc_radps2(self) -> float:
        """[alpha] what is stated, or the most that is possible."""
        return self.alpha_acc_radps2 or SPIKE_RADPS2

    @cached_property
    def anywhere(self) -> int:
        """Every direction the robot can move in: what an unknown direction means."""
        return FORWARD | REVERSE * self.reverses | SIDE * self.strafes

    def range_toward(self, toward: int) -> float:
        """Guaranteed range of the sensors that cover forward and all of ``toward``, m.

        The worst of them, since the robot moves in all of them; and whatever it does now, it is
        about to go forward.
        """
        if toward <= FORWARD:
            return self.range_m
        back_m = self.range_reverse_m if toward & REVERSE else self.range_m
        side_m = self.range_side_m if toward & SIDE else self.range_m
        return min(self.range_m, back_m, side_m)

    def is_believable(self, v_mps: float, w_radps: float) -> bool:
        """Whether a robot of this profile can be thought to move so; False for what is NaN."""
        return v_mps <= BELIEVABLE * self.v_cap_mps and (
            w_radps <= BELIEVABLE * self.w_cap_radps + SPIKE_RADPS2
        )

    def toward(self, vx_mps: float, vy_mps: float) -> int:
        """Which quarter a velocity in the base frame points into; 0 when hardly moving."""
        if math.hypot(vx_mps, vy_mps) <= self.still_mps:
            return 0
        if abs(vy_mps) > abs(vx_mps):
            return SIDE
        return FORWARD if vx_mps > 0.0 else REVERSE
