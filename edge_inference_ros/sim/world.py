"""What a world holds: actors on tracks, scenery, ground, sky, light and weather."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_inference_ros.sim.bodies import PERSON, Shape, standing
from edge_inference_ros.sim.paint import Taste
from edge_inference_ros.sim.people import STRIDE_M
from edge_inference_ros.sim.solids import F32, Paint, Solids, join, stack, turn_z, vec

PLAIN_GROUND, STREET_GROUND = range(2)
RETURN, AGAIN, STAY = range(3)


@dataclass(frozen=True)
class Track:
    """A straight track on the ground.

    Attributes:
        start_m: (2,) where it begins.
        heading_rad: its direction in the world.
        speed_mps: along it; 0 stands still.
        length_m: where it ends.
        delay_s: waits at the start until then.
        then: `RETURN` walks back from the end, `AGAIN` begins again, `STAY` stands there.
    """

    start_m: F32
    heading_rad: float
    speed_mps: float = 0.0
    length_m: float = 1.0
    delay_s: float = 0.0
    then: int = RETURN

    @property
    def last_m(self) -> float:
        """Distance after which it stands still for good."""
        return self.length_m * (1 - 1e-6) if self.then == STAY else math.inf

    def at(self, t_s: float) -> tuple[F32, float, float]:
        """Position (2,), heading in rad, and distance travelled in m at an instant."""
        travelled = min(max(0.0, t_s - self.delay_s) * self.speed_mps, self.last_m)
        laps, along = divmod(travelled, self.length_m)
        heading = self.heading_rad
        if self.then == RETURN and int(laps) % 2:
            along, heading = self.length_m - along, heading + math.pi
        step = along * vec(math.cos(self.heading_rad), math.sin(self.heading_rad))
        return self.start_m + step, heading, travelled


@dataclass(frozen=True)
class Actor:
    """One thing to be found: what it looks like and where it goes."""

    class_id: int
    shape: Shape
    track: Track


@dataclass(frozen=True)
class Body:
    """An actor at an instant: its solids and the box that holds them, in the world frame.

    Attributes:
        actor: its index in the world's `actors`.
        centre_m: (3,) box centre.
        size_m: (3,) length, width, height.
        velocity_mps: (2,).
    """

    actor: int
    class_id: int
    solids: Solids
    centre_m: F32
    size_m: F32
    yaw_rad: float
    velocity_mps: F32


@dataclass(frozen=True)
class Ground:
    """The plane z = 0."""

    kind: int
    paint: Paint
    pavement: Paint
    half_road_m: float = 4.0


@dataclass(frozen=True)
class Light:
    """Sun or lamp, and what the robot's own headlamp adds.

    Attributes:
        direction: (3,) unit vector towards it.
        ambient: share of light without direction.
        level: overall brightness; 1 is day.
        headlamp: strength of the robot's lamp.
    """

    direction: F32
    ambient: float
    level: float = 1.0
    headlamp: float = 0.0


@dataclass(frozen=True)
class Weather:
    """Fog in 1/m, and the share of the picture touched by rain or snow."""

    fog_per_m: float = 0.0
    rain: float = 0.0
    snow: float = 0.0


@dataclass(frozen=True)
class Sky:
    """Colours at the horizon and overhead (BGR), and the noise sheet of its clouds."""

    horizon: F32
    zenith: F32
    grain: int
    clouds: float


@dataclass(frozen=True)
class World:
    """Everything, as a function of time."""

    taste: Taste
    actors: tuple[Actor, ...]
    scenery: Solids
    ground: Ground
    sky: Sky
    light: Light
    weather: Weather

    def bodies(self, t_s: float, near_m: F32, radius_m: float) -> list[Body]:
        """The actors within `radius_m` of the point `near_m` (2,) at an instant."""
        solids = []
        for index, actor in enumerate(self.actors):
            position, heading, travelled = actor.track.at(t_s)
            if float(np.hypot(*(position - near_m))) <= radius_m:
                solids.append(_body(index, actor, position, heading, travelled))
        return solids

    def solids(self, bodies: list[Body]) -> Solids:
        """Scenery and bodies together; `owner` is the index in `bodies`, -1 for scenery."""
        owned = [
            Solids(s.kind, s.centre_m, s.size_m, s.axes, np.full_like(s.owner, i), s.paints)
            for i, s in enumerate(body.solids for body in bodies)
        ]
        return join([self.scenery, *owned])


def _body(index: int, actor: Actor, position: F32, heading: float, travelled: float) -> Body:
    parts, centre, size = standing(actor.shape(2 * math.pi * travelled / STRIDE_M))
    if actor.class_id == PERSON and actor.track.speed_mps == 0:
        parts, centre, size = standing(actor.shape(float(index)))
    turn = turn_z(heading)
    shift = vec(float(position[0]), float(position[1]), 0)
    speed = actor.track.speed_mps if 0 < travelled < actor.track.last_m else 0.0
    return Body(
        actor=index,
        class_id=actor.class_id,
        solids=stack(parts).moved(turn, shift),
        centre_m=turn @ centre + shift,
        size_m=size,
        yaw_rad=math.remainder(heading, 2 * math.pi),
        velocity_mps=speed * turn[:2, 0],
    )
