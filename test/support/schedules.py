"""Random schedules for a guard, and the same with information taken out of them.

A schedule is a list of events in time: samples of a robot that keeps to its profile, messages,
commands, ticks, clocks that are set, and rubbish. Whoever plays it gets, for every tick and every
message, what the guard permitted.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.speed_limit import LimitRules, SpeedLimiter
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import UNCOUNTED, Source, Verdict
from support.robots import AMR, HUMANOID, OUTDOOR

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_700_000_000 * S
WARM_NS = 400 * MS
GRAVITY = 9.8
FRAME = 'optical'


class Event(NamedTuple):
    """Something that reaches the guard.

    Attributes:
        at_ns: steady time.
        key: the same for the same event in two schedules.
        kind: odometry, message, command, tick or clock.
        what: stamp (true time, ns) and contents; for clock by how much the ROS clock moves.
    """

    at_ns: int
    key: int
    kind: str
    what: Any = None


class Sample(NamedTuple):
    """Contents of odometry."""

    stamp_ns: int
    vx: float
    vy: float
    wz: float
    pose: tuple[float, float, float] | None


class Message(NamedTuple):
    """Contents of a message."""

    stamp_ns: int
    source: str = 'camera'
    frame: str = FRAME
    payload: Verdict | None = None
    zero: bool = False


def a_robot(draw):
    return dataclasses.replace(
        draw.choice((AMR, OUTDOOR, HUMANOID)),
        v_other_mps=draw.choice((0.0, 0.0, 0.4)),
        range_m=draw.choice((2.6, 4.0, 8.0)),
        range_reverse_m=draw.choice((0.0, 0.0, 2.0, 6.0)),
        range_side_m=draw.choice((0.0, 2.0)),
        reverses=True,
        a_acc_mps2=draw.choice((0.3, 1.0, 1.0)),
        alpha_acc_radps2=draw.choice((0.0, 3.2)),
        lever_m=draw.choice((0.3, 1.0)),
    )


class Truth:
    """A robot that keeps to its profile; it goes forward, back or, if it can, sideways."""

    def __init__(self, draw, robot):
        self.draw, self.robot = draw, robot
        self.v, self.w, self.axis = 0.0, 0.0, 0
        self.goal = draw.choice((0.0, 1.0, -1.0)) * draw.random() * robot.v_cap_mps
        self.turn = 0.0
        self.brake = draw.choice((0.5, 2.0, GRAVITY))
        self.pose = (0.0, 0.0, 0.0)

    def run(self, for_s):
        draw, one = self.draw, self.robot
        if draw.random() < 0.06:
            self.goal = draw.choice((0.0, 0.1, -0.1, draw.uniform(-1, 1))) * one.v_cap_mps
            self.turn = draw.choice((0.0, draw.uniform(-1, 1))) * one.w_cap_radps
        if self.v == 0.0 and one.strafes and draw.random() < 0.3:
            self.axis = 1 - self.axis
        before, w = self.v, self.w
        self.v = self._toward(self.v, self.goal, for_s)
        alpha = one.alpha_acc_radps2 or 30.0
        self.w += min(max(self.turn - self.w, -alpha * for_s), alpha * for_s)
        self._move((before + self.v) / 2, (w + self.w) / 2, for_s)

    def _toward(self, v, goal, for_s):
        if v * goal < 0.0 or abs(goal) < abs(v):
            stop_s = (abs(v) - (abs(goal) if v * goal >= 0.0 else 0.0)) / self.brake
            if stop_s >= for_s:
                return v - math.copysign(self.brake * for_s, v)
            v, for_s = (goal, 0.0) if v * goal > 0.0 else (0.0, for_s - stop_s)
        gain = self.robot.a_acc_mps2 * for_s
        return math.copysign(min(abs(v) + gain, abs(goal)), goal) if gain else v

    def _move(self, v, w, for_s):
        x, y, yaw = self.pose
        way = yaw + (math.pi / 2 if self.axis else 0.0)
        self.pose = (
            x + math.cos(way) * v * for_s,
            y + math.sin(way) * v * for_s,
            yaw + w * for_s,
        )

    def sample(self, stamp_ns, *, poses):
        vx, vy = (0.0, self.v) if self.axis else (self.v, 0.0)
        return Sample(stamp_ns, vx, vy, self.w, self.pose if poses else None)


def schedule(draw, robot, *, for_ns=WARM_NS + 700 * MS):
    """A robot that warms up soundly, standing or driving, and then lives through anything."""
    truth, events, key = Truth(draw, robot), [], 0
    poses = draw.random() < 0.5
    odometry_ns = draw.choice((20, 20, 40)) * MS
    message_ns, age_ns = draw.choice((33, 50)) * MS, draw.choice((20, 60, 110)) * MS
    next_ns = {'odometry': 0, 'message': 5 * MS, 'tick': 10 * MS}
    delivered_ns = dict.fromkeys(next_ns, 0)
    now_ns = 0
    while now_ns < for_ns:
        kind = min(next_ns, key=next_ns.__getitem__)
        at_ns = next_ns[kind]
        truth.run((at_ns - now_ns) / S)
        now_ns, key = at_ns, key + 1
        if kind == 'odometry':
            late_ns, what = draw.randrange(8 * MS), truth.sample(at_ns, poses=poses)
            next_ns[kind] += odometry_ns
        elif kind == 'message':
            late_ns, what = age_ns + draw.randrange(30 * MS), Message(at_ns)
            next_ns[kind] += message_ns
        else:
            late_ns, what = 0, None
            next_ns[kind] += 20 * MS
        delivered_ns[kind] = max(delivered_ns[kind] + 1, at_ns + late_ns)
        events.append(Event(delivered_ns[kind], key, kind, what))
        if now_ns > WARM_NS and draw.random() < 0.08:
            events.append(Event(now_ns, -key, *_surprise(draw, robot, truth, now_ns)))
    return sorted(events)


def _surprise(draw, robot, truth, now_ns):
    """A command, a clock that is set, or rubbish: part of the schedule, never taken out."""
    v_cap, w_cap = robot.v_cap_mps, robot.w_cap_radps
    kind = draw.randrange(6)
    if kind < 2:
        command = (draw.uniform(-1, 1) * v_cap, 0.0, draw.uniform(-1, 1) * w_cap)
        return 'command', draw.choice((command, (truth.v, 0.0, truth.w), (0.0, 0.0, 0.0)))
    if kind == 2:
        return 'clock', draw.choice((-601_003, -53_007, 101_009)) * 1000
    if kind == 3:
        return 'message', draw.choice(
            (
                Message(now_ns, zero=True),
                Message(now_ns + 10 * S),
                Message(12345 - EPOCH),
                Message(now_ns, payload=Verdict.NONFINITE),
                Message(now_ns, frame='elsewhere'),
            )
        )
    if kind == 4:
        return 'command', draw.choice(((math.nan, 0.0, 0.0), (1e17, 0.0, 0.0)))
    return 'odometry', spoilt(draw, truth.sample(now_ns, poses=False))


def spoilt(draw, sample):
    """A sample that cannot be used."""
    return draw.choice(
        (
            sample._replace(vx=math.nan),
            sample._replace(wz=-math.inf),
            sample._replace(vx=1e17),
            sample._replace(vy=1.7e308, wz=1.7e308),
            sample._replace(stamp_ns=sample.stamp_ns + 10 * S),
            sample._replace(stamp_ns=sample.stamp_ns - 3600 * S),
        )
    )


def without(draw, events, *, kinds=('odometry', 'message', 'command')):
    """The same events, some of which say less than they did."""
    share = draw.choice((0.02, 0.1, 0.5, 1.0))
    gone_ns = WARM_NS + draw.randrange(300 * MS)
    until_ns = gone_ns + draw.choice((30, 100, 300, 1000)) * MS
    out = []
    for event in events:
        mine = event.kind in kinds and gone_ns <= event.at_ns < until_ns
        out += _less(draw, event) if mine and draw.random() < share else [event]
    return sorted(out)


def _less(draw, event):
    """An event with a piece of information removed; none, if all of it is."""
    kind = draw.randrange(4)
    if event.key < 0:  # rubbish is not information
        return [event]
    if event.kind == 'command':
        return [event._replace(what=(math.nan, 0.0, 0.0))]
    if kind == 0:
        return []
    if event.kind == 'message':
        return [event._replace(what=event.what._replace(**draw.choice(WORSE)))]
    if kind == 1:
        return [event._replace(at_ns=event.at_ns + draw.choice((10, 60, 250)) * MS)]
    return [event._replace(what=_doubtful(draw, event.what, contradict=kind == 2))]


WORSE = (
    {'zero': True},
    {'payload': Verdict.NONFINITE},
    {'payload': Verdict.MALFORMED},
    {'frame': 'elsewhere'},
)


def _doubtful(draw, sample, *, contradict):
    if not (contradict and sample.pose):
        return spoilt(draw, sample)
    x, y, yaw = sample.pose
    poses = ((x + 3.0, y, yaw), (x, y, yaw + 2.0), (x + 0.05, y, yaw))
    return sample._replace(pose=draw.choice(poses))


class Permitted(NamedTuple):
    """What a guard permits at a tick."""

    v_mps: float
    w_radps: float
    range_m: float
    age_ns: float
    deadline_ns: int
    travelled_m: float
    left_ns: int
    locked: bool
    limit_mps: float


class Player:
    """Plays events to a guard.

    Attributes:
        ticks: what was permitted at each tick, by its key.
        judged: what became of each message, by its key.
        limited_since_ns: when the first speed limit was given.
    """

    def __init__(self, robot, *, sim_time=False, start_ns=0):
        self.robot, self.start_ns, self.ahead_ns = robot, start_ns, EPOCH
        self.guard = Guard(robot, [Source('camera')], sim_time=sim_time)
        self.limiter = SpeedLimiter(robot, rules=LimitRules(raise_hold_s=0.1))
        self.sim = sim_time
        self.now = Instant(EPOCH + start_ns + S, start_ns + S)
        self.history = []
        self.ticks, self.judged = {}, {}
        self.limited_since_ns = math.inf

    def play(self, events):
        for event in events:
            now_ns = self.start_ns + event.at_ns
            self.now = Instant(self.ahead_ns + now_ns, now_ns)
            getattr(self, f'_{event.kind}')(event)
        return self

    def _stamp(self, true_ns):
        """As the sensor's clock showed it: where a clock was set, before that."""
        return self._ahead_at(self.start_ns + true_ns) + self.start_ns + true_ns

    def _ahead_at(self, at_ns):
        ahead_ns = self.ahead_ns
        for set_ns, before_ns in reversed(self.history):
            if at_ns < set_ns:
                ahead_ns = before_ns
        return ahead_ns

    def _clock(self, event):
        self.history.append((self.now.mono_ns, self.ahead_ns))
        self.ahead_ns += event.what

    def _odometry(self, event):
        stamp_ns, vx, vy, wz, pose = event.what
        self.guard.moved(self._stamp(stamp_ns), vx, vy, wz, self.now, pose=pose)

    def _command(self, event):
        self.guard.commanded(*event.what, self.now)

    def _message(self, event):
        stamp_ns, source, frame, payload, zero = event.what
        stamp_ns = 0 if zero else self._stamp(stamp_ns)
        judged = self.guard.judge(source, stamp_ns, frame, self.now, payload=payload)
        if judged.aged:
            self.limiter.observe(judged.age_ns)
        self.judged[event.key] = judged, self.now.ros_ns

    def _tick(self, event):
        status = self.guard.tick(self.now)
        motion, held = status.motion, status.sources[0].held
        expires_ns = status.sources[0].expires_at_ns
        range_m = self.robot.range_toward(motion.toward)
        limit = self.limiter.limit(
            status.age_ns, motion.w_radps, self.now.mono_ns, range_m=range_m
        )
        if limit is not None:
            self.limited_since_ns = min(self.limited_since_ns, event.at_ns)
        self.ticks[event.key] = Permitted(
            motion.v_mps,
            motion.w_radps,
            self.robot.range_toward(motion.toward),
            held.age_ns if held else math.inf,
            held.deadline_ns if held else 0,
            held.travelled_m if held else math.inf,
            expires_ns - self.now.ros_ns if expires_ns else 0,
            not status.fresh,
            limit or 0.0,
        )
        self.status = status


def permits_more(less, more, *, limits=True):
    """Where the first of two players permitted what the second did not; empty if nowhere."""
    found = []
    for key, judged in less.judged.items():
        (a, a_ns), (b, b_ns) = judged, more.judged.get(key, (judged[0], 0))
        # Behind a newer message the same one is refused for its order, and that is no worse.
        if a_ns == b_ns and b.verdict not in UNCOUNTED:
            if a.forwarded and not b.forwarded:
                found.append((key, 'verdict', a, b))
            if a.deadline_ns > b.deadline_ns and b.aged:
                found.append((key, 'deadline', a, b))
    for key, a in less.ticks.items():
        b = more.ticks[key]
        tighter = (
            a.v_mps < b.v_mps * (1 - 1e-9) - 1e-12,
            a.w_radps < b.w_radps * (1 - 1e-9) - 1e-12,
            a.range_m > b.range_m,
            a.age_ns < b.age_ns,
            a.deadline_ns > b.deadline_ns + 1 and b.age_ns < math.inf,
            a.travelled_m < b.travelled_m - 1e-9,
            a.left_ns > b.left_ns + 1,
            b.locked and not a.locked,
            limits and a.limit_mps > b.limit_mps,
        )
        if any(tighter):
            names = [name for name, is_so in zip(Permitted._fields, tighter, strict=True) if is_so]
            found.append((key, names, a, b))
    return found
