"""A robot drives down a street: camera, LiDAR, odometry and truth of the same instants."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.sim import scenery
from edge_inference_ros.sim.bodies import CONE, CRATE, PERSON, VEHICLE
from edge_inference_ros.sim.camera import Camera, Pose, see
from edge_inference_ros.sim.develop import Film, Picture, develop
from edge_inference_ros.sim.lidar import Lidar, scan
from edge_inference_ros.sim.paint import FAMILIAR, FOREIGN
from edge_inference_ros.sim.scenes import Plan, line_street
from edge_inference_ros.sim.solids import vec
from edge_inference_ros.sim.truth import Truth, truth_of
from edge_inference_ros.sim.workers import workers
from edge_inference_ros.sim.world import AGAIN, STAY, Track, World

VIEW_M = 60.0
RAMP_SHARE, SLOW_SHARE = 0.12, 0.4
SWERVE_M, SWERVE_LENGTH_M = 0.6, 40.0
EPOCH_NS = 1_700_000_000_000_000_000
"""Stamp of the first frame unless another is asked for: a plain round number."""


@dataclass(frozen=True)
class Twist:
    """Velocity of base_link in its own frame."""

    forward_mps: float
    turn_radps: float


@dataclass(frozen=True)
class Frame:
    """One instant.

    Attributes:
        stamp_ns: of all of it.
        image: (H, W, 3) uint8 BGR.
        cloud: (N,) structured points in the LiDAR's frame, see `lidar.POINT`.
        pose: of base_link in odom.
    """

    stamp_ns: int
    image: Picture
    cloud: NDArray[np.void]
    pose: Pose
    twist: Twist
    truth: Truth


@dataclass(frozen=True)
class Route:
    """Where the robot is when: along the right lane, swerving gently, at a varying speed.

    It starts and stops at rest, and passes the middle of the drive at `SLOW_SHARE` of its speed.
    """

    seconds: float
    speed_mps: float
    lane_m: float = -1.6

    def speed(self, t_s: float) -> float:
        """Speed along the route, m/s."""
        part = min(max(t_s / self.seconds, 0.0), 1.0)
        ends = _ease(part / RAMP_SHARE) * _ease((1 - part) / RAMP_SHARE)
        dip = 1 - (1 - SLOW_SHARE) * math.exp(-(((part - 0.5) / 0.07) ** 2))
        return self.speed_mps * ends * dip

    def along(self, t_s: float) -> float:
        """Distance driven, m."""
        times, driven = _table(self)
        return float(np.interp(t_s, times, driven))

    def when(self, along_m: float) -> float:
        """When the robot has driven that far, s; the end of the drive if never."""
        times, driven = _table(self)
        return float(np.interp(along_m, driven, times))

    @property
    def length_m(self) -> float:
        """Distance of the whole drive."""
        return self.along(self.seconds)

    def pose(self, t_s: float) -> Pose:
        """Pose of base_link in odom."""
        x = self.along(t_s)
        slope = SWERVE_M * 2 * math.pi / SWERVE_LENGTH_M
        angle = 2 * math.pi * x / SWERVE_LENGTH_M
        return Pose(x, self.lane_m + SWERVE_M * math.sin(angle),
                    math.atan(slope * math.cos(angle)))  # fmt: skip

    def twist(self, t_s: float) -> Twist:
        """Velocity in base_link, by difference over 20 ms."""
        step = 0.01
        before, after = self.pose(t_s - step), self.pose(t_s + step)
        away = math.hypot(after.x_m - before.x_m, after.y_m - before.y_m)
        return Twist(away / (2 * step), (after.yaw_rad - before.yaw_rad) / (2 * step))


def _ease(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


@functools.lru_cache(maxsize=8)
def _table(route: Route) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times = np.linspace(0, route.seconds, max(2, int(route.seconds * 200)))
    speeds = np.array([route.speed(t) for t in times.tolist()])
    steps = (speeds[1:] + speeds[:-1]) / 2 * np.diff(times)
    return times, np.concatenate(([0.0], np.cumsum(steps)))


def street(route: Route, seed: int, *, foreign: bool = False) -> World:
    """The street a route runs along, with people who cross in front of the robot."""
    rng = np.random.default_rng(seed)
    plan = Plan(rng, FOREIGN if foreign else FAMILIAR)
    ground = scenery.street_ground(rng, plan.taste)
    end = route.length_m + VIEW_M
    line_street(plan, -20.0, end, ground.half_road_m)
    for x in _spaced(rng, 8.0, end, 13.0):
        _parked(plan, x, ground.half_road_m)
    for x in _spaced(rng, 4.0, end, 4.5):
        _beside(plan, x, ground.half_road_m)
    for x in _spaced(rng, 12.0, end, 18.0):
        _oncoming(plan, x)
    for x in _spaced(rng, 9.0, max(9.5, route.length_m), 11.0):
        _crosses(plan, route, x, ground.half_road_m)
    return plan.world(ground, scenery.day_sky(rng, plan.taste))


_street = functools.lru_cache(maxsize=2)(street)


def _spaced(rng: np.random.Generator, start: float, end: float, gap: float) -> list[float]:
    count = max(1, int((end - start) / gap))
    even = np.linspace(start, end, count, endpoint=False)
    return [float(x) for x in even + rng.uniform(0, gap * 0.8, count)]


def _parked(plan: Plan, x: float, half_road_m: float) -> None:
    side = 1 if plan.rng.random() < 0.6 else -1
    y = side * (half_road_m + 0.9)
    if plan.take(x, y, 2.8):
        yaw = 0.0 if side < 0 else math.pi
        row = int(plan.rng.choice((0, 0, 0, 1, 2, 3)))
        plan.add(VEHICLE, Track(vec(x, y), yaw + float(plan.rng.normal(0, 0.03))), row=row)


def _beside(plan: Plan, x: float, half_road_m: float) -> None:
    rng = plan.rng
    side, kind = (1 if rng.random() < 0.5 else -1), rng.random()
    # Beyond the parked lorries, before the houses.
    y = side * (half_road_m + float(rng.uniform(2.4, 3.2)))
    yaw = 0.0 if rng.random() < 0.5 else math.pi
    if kind < 0.45:
        speed = float(rng.uniform(0.8, 1.6))
        plan.add(PERSON, Track(vec(x, y), yaw, speed, float(rng.uniform(8, 25))))
    elif kind < 0.6 and plan.take(x, y, 0.5):
        plan.add(PERSON, Track(vec(x, y), float(rng.uniform(-3.1, 3.1))))
    elif kind < 0.8 and plan.take(x, side * (half_road_m - 0.5), 0.4):
        plan.add(CONE, Track(vec(x, side * (half_road_m - 0.5)), yaw))
    elif plan.take(x, y, 0.8):
        plan.add(CRATE, Track(vec(x, y), float(rng.uniform(-3.1, 3.1))))


def _oncoming(plan: Plan, x: float) -> None:
    """A car that comes towards the robot on the other lane, far enough to pass it cleanly."""
    if plan.rng.random() < 0.5:
        speed = float(plan.rng.uniform(2.5, 6.0))
        start = vec(x + 60.0, 1.8)
        plan.add(VEHICLE, Track(start, math.pi, speed, 400.0, then=AGAIN), row=0)


def _crosses(plan: Plan, route: Route, x: float, half_road_m: float) -> None:
    """A person who steps onto the road when the robot is near, and is across before it comes."""
    rng = plan.rng
    side = 1 if rng.random() < 0.5 else -1
    speed = float(rng.uniform(1.1, 1.9))
    start, width = half_road_m + 1.0, 2 * (half_road_m + 1.0)
    # Whoever comes from the left must have passed the right lane as well.
    on_road_s = (start + (-side * route.lane_m if side > 0 else route.lane_m) + 1.8) / speed
    delay = route.when(x - 1.5) - max(0.5, on_road_s) - float(rng.uniform(0.3, 2.0))
    track = Track(vec(x, side * start), -side * math.pi / 2, speed, width, delay, STAY)
    plan.add(PERSON, track)


@dataclass(frozen=True)
class Drive:
    """A drive as an iterable of frames; the same arguments give the same bytes.

    Attributes:
        seed: of the street, its people and all noise.
        speed_mps: the most the robot drives.
        first_ns: stamp of the first frame.
        foreign: other textures, weather or night.
    """

    seed: int = 0
    seconds: float = 60.0
    rate_hz: float = 10.0
    speed_mps: float = 1.5
    camera: Camera = field(default_factory=Camera)
    lidar: Lidar = field(default_factory=Lidar)
    film: Film = field(default_factory=Film)
    first_ns: int = EPOCH_NS
    foreign: bool = False
    route: Route = field(init=False)

    def __post_init__(self) -> None:
        if min(self.seconds, self.rate_hz) <= 0 or self.speed_mps < 0:
            raise ValueError(
                f'seconds {self.seconds} and rate_hz {self.rate_hz} must be above 0,'
                f' speed_mps {self.speed_mps} not below 0'
            )
        object.__setattr__(self, 'route', Route(self.seconds, self.speed_mps))

    def __len__(self) -> int:
        return int(self.seconds * self.rate_hz + 1e-6)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, *, processes: int = 1) -> Iterator[Frame]:
        """The frames in order; they do not depend on how many processes render them."""
        if processes <= 1:
            yield from map(self.frame, range(len(self)))
            return
        with workers(processes) as pool:
            yield from pool.imap(self.frame, range(len(self)), chunksize=4)

    def frame(self, index: int) -> Frame:
        """The frame of that number."""
        return self._frame(_street(self.route, self.seed, foreign=self.foreign), index)

    def _frame(self, world: World, index: int) -> Frame:
        since_ns = round(index * 1e9 / self.rate_hz)
        t_s = since_ns * 1e-9
        rng = np.random.default_rng((self.seed, 3, index))
        pose = self.route.pose(t_s)
        bodies = world.bodies(t_s, pose.shift()[:2], VIEW_M)
        view = see(world, bodies, self.camera, pose)
        image = develop(view.light, self.film, world.weather, rng)
        swept = scan(world, bodies, self.lidar, pose, rng)
        truth = truth_of(bodies, pose, view, swept.body)
        stamp_ns, twist = self.first_ns + since_ns, self.route.twist(t_s)
        return Frame(stamp_ns, image, swept.points, pose, twist, truth)
