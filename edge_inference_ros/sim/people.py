"""People: ellipsoids with clothes, a gait that follows the distance walked, and a few poses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_inference_ros.sim.bodies import UPRIGHT, Shape
from edge_inference_ros.sim.paint import Taste, any_colour, any_paint, plain
from edge_inference_ros.sim.solids import BOX, ELLIPSOID, F32, Paint, Solid, turn_y, vec

STRIDE_M = 1.4
"""Distance of one full gait cycle of a person 1.75 m tall."""

WALK, STAND, CROUCH = range(3)


@dataclass(frozen=True)
class PersonLook:
    """What does not change from one step to the next.

    Attributes:
        scale: height over 1.75 m.
        girth: width over that of an ordinary build.
        swing_rad: amplitude of the legs.
        arms_rad: (2, 2) shoulder offset and elbow bend per side.
        hips: hip height as a share of the standing one.
        extras: worn beside the clothes, in the torso frame (origin at the hips).
    """

    scale: float
    girth: float
    swing_rad: float
    lean_rad: float
    hips: float
    arms_rad: F32
    skin: Paint
    hair: Paint
    shirt: Paint
    trousers: Paint
    sleeves: Paint
    extras: tuple[Solid, ...]

    def solids(self, phase_rad: float) -> list[Solid]:
        """The solids of one instant, in the body frame, hips above the origin."""
        swing = self.swing_rad * math.sin(phase_rad)
        hips = vec(0, 0, 0.92 * self.scale * self.hips)
        torso = turn_y(self.lean_rad)
        parts = self._trunk(hips, torso)
        for side in (-1, 1):
            parts += self._leg(side, swing * side, phase_rad, hips)
            parts += self._arm(side, -0.9 * swing * side, hips, torso)
        for extra in self.extras:
            at = hips + torso @ extra.centre_m
            parts.append(Solid(extra.kind, at, extra.size_m, torso @ extra.axes, extra.paint))
        return parts

    def _trunk(self, hips: F32, torso: F32) -> list[Solid]:
        k, w = self.scale, self.girth
        rows = (
            ((0, 0, 0.05), (0.12 * w, 0.165 * w, 0.13), self.trousers),
            ((0, 0, 0.30), (0.125 * w, 0.20 * w, 0.33), self.shirt),
            ((0, 0, 0.57), (0.055, 0.055, 0.10), self.skin),
            ((0.02, 0, 0.70), (0.095, 0.08, 0.125), self.skin),
            ((0.0, 0, 0.735), (0.095, 0.085, 0.105), self.hair),
        )
        return [
            Solid(ELLIPSOID, hips + torso @ vec(*at) * k, vec(*size) * k, torso, paint)
            for at, size, paint in rows
        ]

    def _leg(self, side: int, swing: float, phase_rad: float, hips: F32) -> list[Solid]:
        k, w = np.float32(self.scale), self.girth
        thigh, shin = 0.44 * self.scale, 0.46 * self.scale
        if self.hips < 0.9:
            upper = math.acos(min(0.98, max(0.1, self.hips - 0.05)))
            lower = -upper
        else:
            lifting = max(0.0, math.cos(phase_rad) * side)
            upper, lower = swing, swing - 1.4 * self.swing_rad * lifting
        top = hips + vec(0, 0.09 * side, 0) * k * np.float32(w)
        knee = top + thigh * vec(math.sin(upper), 0, -math.cos(upper))
        ankle = knee + shin * vec(math.sin(lower), 0, -math.cos(lower))
        foot = ankle + vec(0.06, 0, 0.02) * k
        return [
            _limb(top, knee, 0.085 * self.scale * w, upper, self.trousers),
            _limb(knee, ankle, 0.06 * self.scale * w, lower, self.trousers),
            Solid(ELLIPSOID, foot, vec(0.13, 0.05, 0.05) * k, UPRIGHT, self.hair),
        ]

    def _arm(self, side: int, swing: float, hips: F32, torso: F32) -> list[Solid]:
        k, w = self.scale, self.girth
        offset, bend = (float(a) for a in self.arms_rad[(side + 1) // 2])
        upper, lower = swing + offset, swing + offset + bend
        shoulder = hips + torso @ vec(0, 0.215 * w * side, 0.52) * np.float32(k)
        elbow = shoulder + torso @ vec(
            math.sin(upper), 0.08 * side, -math.cos(upper)
        ) * np.float32(0.29 * k)
        hand = elbow + torso @ vec(math.sin(lower), 0, -math.cos(lower)) * np.float32(0.27 * k)
        return [
            _limb(shoulder, elbow, 0.05 * k * w, upper + self.lean_rad * -1, self.shirt),
            _limb(elbow, hand, 0.04 * k, lower - self.lean_rad, self.sleeves),
            Solid(ELLIPSOID, hand, vec(0.045, 0.045, 0.045) * np.float32(k), UPRIGHT, self.skin),
        ]


def person(rng: np.random.Generator, taste: Taste, *, walking: bool) -> Shape:
    """A person of random build and clothes; `walking` or else standing, seldom crouching."""
    crouching = not walking and rng.random() < 0.2
    skin = plain(np.clip(vec(0.45, 0.55, 0.75) * np.float32(rng.uniform(0.3, 1.25)), 0, 1))
    scale = float(rng.uniform(1.5, 1.95) if rng.random() < 0.85 else rng.uniform(1.0, 1.5)) / 1.75
    shirt = _shirt(rng, taste)
    look = PersonLook(
        scale=scale,
        girth=float(rng.uniform(0.85, 1.3)),
        swing_rad=float(rng.uniform(0.35, 0.65)) if walking else float(rng.uniform(0, 0.08)),
        lean_rad=float(rng.uniform(0.15, 0.6) if crouching else rng.uniform(-0.05, 0.12)),
        hips=float(rng.uniform(0.5, 0.75)) if crouching else 1.0,
        arms_rad=_arms(rng),
        skin=skin,
        hair=plain(np.clip(vec(0.1, 0.12, 0.15) * np.float32(rng.uniform(0.3, 3)), 0, 1)),
        shirt=shirt,
        trousers=plain(any_colour(rng, 0.6) * np.float32(rng.uniform(0.3, 1)), reflectivity=0.3),
        sleeves=skin if rng.random() < 0.4 else shirt,
        extras=_extras(rng, taste, scale),
    )
    return look.solids


def _shirt(rng: np.random.Generator, taste: Taste) -> Paint:
    if rng.random() < 0.12:
        vest = vec(0.1, 0.95, 0.85) if rng.random() < 0.5 else vec(0.05, 0.45, 1.0)
        pattern = any_paint(rng, taste)
        return Paint(vest, vec(0.9, 0.9, 0.9), pattern.pattern, 25.0, pattern.grain, 0.9)
    return any_paint(rng, taste)


def _arms(rng: np.random.Generator) -> F32:
    arms = rng.uniform((-0.2, 0.05), (0.3, 0.9), (2, 2))
    raised = rng.random(2) < 0.08
    arms[raised, 0] = rng.uniform(1.2, 2.9, 2)[raised]
    return arms.astype(np.float32)


def _extras(rng: np.random.Generator, taste: Taste, scale: float) -> tuple[Solid, ...]:
    k = np.float32(scale)
    worn = []
    if rng.random() < 0.15:
        helmet = plain(any_colour(rng), reflectivity=0.6)
        worn.append(Solid(ELLIPSOID, vec(0.01, 0, 0.76) * k, vec(0.12, 0.11, 0.09) * k, UPRIGHT,
                          helmet))  # fmt: skip
    if rng.random() < 0.25:
        bag = any_paint(rng, taste)
        worn.append(Solid(BOX, vec(-0.17, 0, 0.33) * k, vec(0.07, 0.14, 0.2) * k, UPRIGHT, bag))
    return tuple(worn)


def _limb(start: F32, end: F32, radius_m: float, angle_rad: float, paint: Paint) -> Solid:
    half = 0.57 * float(np.linalg.norm(end - start))
    size = vec(radius_m, radius_m, half)
    middle = np.asarray((start + end) / 2, np.float32)
    return Solid(ELLIPSOID, middle, size, turn_y(-angle_rad), paint)
