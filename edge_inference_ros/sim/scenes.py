"""Random worlds: a yard around the origin, and a street along x; familiar or foreign."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from edge_inference_ros.sim import scenery
from edge_inference_ros.sim.bodies import CONE, PERSON, SPACE_M, VEHICLE, cone, crate, vehicle
from edge_inference_ros.sim.paint import FAMILIAR, FOREIGN, Taste
from edge_inference_ros.sim.people import person
from edge_inference_ros.sim.solids import Solid, stack, vec
from edge_inference_ros.sim.world import Actor, Ground, Light, Sky, Track, Weather, World

CLASS_ODDS = (0.45, 0.17, 0.18, 0.20)


@dataclass
class Plan:
    """A world in the making: what was placed, and how much space it takes.

    Attributes:
        taken: x, y and radius of the places in use.
    """

    rng: np.random.Generator
    taste: Taste
    actors: list[Actor] = field(default_factory=list)
    solids: list[Solid] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def free(self, x: float, y: float, radius_m: float) -> bool:
        """Whether a disc touches nothing placed so far."""
        return all(math.hypot(x - a, y - b) > radius_m + r for a, b, r in self.taken)

    def take(self, x: float, y: float, radius_m: float) -> bool:
        """Reserve a disc if it is free."""
        if not self.free(x, y, radius_m):
            return False
        self.taken.append((x, y, radius_m))
        return True

    def add(self, class_id: int, track: Track, *, row: int | None = None) -> None:
        """Add a random thing of a class on a track; `row` chooses the kind of vehicle."""
        if class_id == PERSON:
            shape = person(self.rng, self.taste, walking=track.speed_mps > 0)
        elif class_id == VEHICLE:
            shape = vehicle(self.rng, self.taste, only=row)
        else:
            shape = (cone if class_id == CONE else crate)(self.rng, self.taste)
        self.actors.append(Actor(class_id, shape, track))

    def world(self, ground: Ground, sky: Sky) -> World:
        """Finish: light and weather are drawn last."""
        light, weather = lighting(self.rng, self.taste)
        if light.level < 0.4:
            dim = np.float32(0.25 * light.level)
            sky = Sky(sky.horizon * dim, sky.zenith * dim, sky.grain, sky.clouds)
        scenery_ = stack(self.solids)
        return World(self.taste, tuple(self.actors), scenery_, ground, sky, light, weather)


def lighting(rng: np.random.Generator, taste: Taste) -> tuple[Light, Weather]:
    """Light and weather of a taste."""
    foreign = taste is FOREIGN
    return scenery.foreign_light(rng) if foreign else scenery.familiar_light(rng)


def any_scene(seed: int, *, foreign: bool = False) -> World:
    """A random world for one training picture; the robot stands at the origin, looking along x."""
    rng = np.random.default_rng(seed)
    taste = FOREIGN if foreign else FAMILIAR
    build = crossing if rng.random() < 0.4 else yard
    return build(Plan(rng, taste))


def yard(plan: Plan) -> World:
    """Things scattered around, walls, shelves, fences and trees between them."""
    rng = plan.rng
    for _ in range(int(rng.integers(4, 15))):
        class_id = int(rng.choice(4, p=CLASS_ODDS))
        spot = _scattered(plan, SPACE_M[class_id], nearest_m=1.2)
        if spot is not None:
            _place(plan, class_id, spot)
    indoor = rng.random() < 0.45
    for _ in range(int(rng.integers(2, 5) if indoor else rng.integers(0, 4))):
        _enclose(plan)
    for _ in range(int(rng.integers(0, 7))):
        spot = _scattered(plan, 0.5, nearest_m=2.5)
        if spot is not None:
            plan.solids += _clutter(plan, spot, indoor=indoor)
    sky = scenery.hall_sky(rng, plan.taste) if indoor else scenery.day_sky(rng, plan.taste)
    return plan.world(scenery.plain_ground(rng, plan.taste), sky)


def crossing(plan: Plan) -> World:
    """A piece of street with the robot on it, heading roughly along the road."""
    rng = plan.rng
    ground = scenery.street_ground(rng, plan.taste)
    line_street(plan, -8.0, 32.0, ground.half_road_m)
    for _ in range(int(rng.integers(5, 15))):
        class_id = int(rng.choice(4, p=CLASS_ODDS))
        spot = _scattered(plan, SPACE_M[class_id], nearest_m=1.2)
        if spot is not None and abs(spot[1]) < ground.half_road_m + 2.8:
            _place(plan, class_id, spot, along_x=True)
    return plan.world(ground, scenery.day_sky(rng, plan.taste))


def line_street(plan: Plan, start_m: float, end_m: float, half_road_m: float) -> None:
    """Houses, trees and poles on both sides of a road from x = start to end."""
    rng = plan.rng
    for side in (-1, 1):
        x = start_m
        while x < end_m:
            if rng.random() < 0.8:
                at = (x + 6, side * (half_road_m + 6.6 + float(rng.uniform(0, 2))))
                plan.solids += scenery.house(rng, plan.taste, at, -side * math.pi / 2)
            if rng.random() < 0.8:
                _kerbside(plan, (x + float(rng.uniform(0, 10)), side * (half_road_m + 0.5)))
            x += float(rng.uniform(10, 15))


def _kerbside(plan: Plan, spot: tuple[float, float]) -> None:
    if plan.take(*spot, 0.5):
        build = scenery.tree if plan.rng.random() < 0.5 else scenery.pole
        plan.solids += build(plan.rng, plan.taste, spot)


def _scattered(plan: Plan, radius_m: float, *, nearest_m: float) -> tuple[float, float] | None:
    rng = plan.rng
    for _ in range(12):
        far = nearest_m + radius_m * 0.8 + 17.0 * float(rng.random()) ** 0.75
        ahead = rng.random() < 0.72
        turn = float(rng.uniform(-0.6, 0.6) if ahead else rng.uniform(-math.pi, math.pi))
        spot = far * math.cos(turn), far * math.sin(turn)
        if plan.take(*spot, radius_m):
            return spot
    return None


def _place(plan: Plan, class_id: int, spot: tuple[float, float], *, along_x: bool = False) -> None:
    rng = plan.rng
    yaw = float(rng.uniform(-math.pi, math.pi))
    if along_x and class_id == VEHICLE and rng.random() < 0.8:
        yaw = float(rng.choice((0.0, math.pi)) + rng.normal(0, 0.05))
    walking = class_id == PERSON and rng.random() < 0.6
    # The picture shows the instant t = 0; a negative delay starts the gait somewhere.
    speed = 1.2 if walking else 0.0
    delay = -float(rng.uniform(0, 1.1)) if walking else 0.0
    start = vec(*spot) - vec(math.cos(yaw), math.sin(yaw)) * np.float32(-delay * speed)
    plan.add(class_id, Track(start, yaw, speed, 50.0, delay))


def _enclose(plan: Plan) -> None:
    rng = plan.rng
    far, turn = float(rng.uniform(9, 27)), float(rng.uniform(-math.pi, math.pi))
    c, s = math.cos(turn), math.sin(turn)
    if any(abs((a - far * c) * c + (b - far * s) * s) < r + 0.5 for a, b, r in plan.taken):
        far = 22.0
    yaw = turn + math.pi + float(rng.uniform(-0.1, 0.1))
    plan.solids += scenery.wall(rng, plan.taste, (far * c, far * s), yaw)


def _clutter(plan: Plan, spot: tuple[float, float], *, indoor: bool) -> list[Solid]:
    rng, kind = plan.rng, plan.rng.random()
    yaw = float(rng.uniform(-math.pi, math.pi))
    if kind < 0.35:
        return scenery.pole(rng, plan.taste, spot)
    if kind < 0.6:
        return scenery.fence(rng, spot, yaw)
    if indoor:
        return scenery.shelf(rng, plan.taste, spot, yaw)
    return scenery.tree(rng, plan.taste, spot)
