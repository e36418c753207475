"""Forwards what is fresh enough for the robot's speed, and says aloud what is not.

A process of its own, so that it shares no interpreter with what it guards. Messages are forwarded
by their bytes: the header is read from their front, the payload is neither touched nor decoded.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav2_msgs.msg import SpeedLimit
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.serialization import serialize_message
from rclpy.time import Time
from std_msgs.msg import Bool

from edge_inference_ros.core.cdr import Reader, peek_header
from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import RosNs
from edge_inference_ros.errors import BadStamp, ConfigError
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.speed_limit import SpeedLimiter
from edge_inference_ros.guard.standing import State
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import SourceStatus, Status, Verdict
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
from edge_inference_ros.ros import process, qos, words
from edge_inference_ros.ros.base import EdgeNode
from edge_inference_ros.ros.messages import ERROR, MS, OK
from edge_inference_ros.ros.odometry import read_odometry
from edge_inference_ros.ros.wire import diagnostics

_COMMANDS = {'Twist': Twist, 'TwistStamped': TwistStamped}

_LOCKED = {locked: bytes(serialize_message(Bool(data=locked))) for locked in (False, True)}

LIMIT_PERIOD_NS = 500_000_000
"""Between two repetitions of an unchanged speed limit: a restarted controller has forgotten it."""

ODOMETRY_DEPTH = 20
"""Of odometry every sample counts: one that is superseded unread leaves a gap at full speed."""


class Watchdog(EdgeNode[WatchdogParams]):
    """Guards ``topics``: what is fresh comes out unchanged as ``fresh/<topic>``."""

    def __init__(self, **options: Any) -> None:
        super().__init__('watchdog', WatchdogParams, **options)

    def configure(self, keep: ExitStack) -> None:
        """Load the robot's profile, make the guard and the publishers."""
        params = self.parameters.read()
        self._kinds = [(topic, message_type(kind)) for topic, kind in params.kinds]
        sim_time = bool(self.get_parameter('use_sim_time').value)
        self._guard = Guard(
            params,
            params.sources,
            rules=params,
            sim_time=sim_time,
        )
        # The system's clock is what the ROS clock reads then, at a twentieth of the price.
        self._ros_ns = self._simulated_ns if sim_time else time.time_ns
        for refusal in process.real_time(
            priority=params.priority, cpus=[params.cpu] if params.cpu >= 0 else []
        ):
            self.get_logger().warning(refusal)
        self._limiter = SpeedLimiter(params, rules=params)
        self._limit_until_ns = self._beat_ns = 0
        self._states: list[State] = []

        def publisher(kind: Any, topic: str, profile: Any) -> Any:
            made = self.create_publisher(kind, topic, profile)
            keep.callback(self.destroy_publisher, made)
            self._watch_readers(topic, profile, keep)
            return made

        self._ends: list[qos.Watch] = []
        self._freshness = publisher(DiagnosticArray, 'freshness', qos.heartbeat())
        self._lock = publisher(Bool, 'lock', qos.output())
        self._speed_limit = publisher(SpeedLimit, 'speed_limit', qos.output())
        self._diagnostics = publisher(DiagnosticArray, '/diagnostics', qos.output())

    def activate(self, keep: ExitStack) -> None:
        """Subscribe to everything as bytes, and start to tick."""
        params = self.parameters.current
        self._profiles: dict[str, Any] = {}
        self._progress = words.Progress(self.get_logger().info)
        # Who has heard that the robot may move must not go on believing it.
        keep.callback(self._lock.publish, _LOCKED[True])
        for topic, kind in self._kinds:
            fresh = self.create_publisher(kind, f'fresh/{topic}', qos.output())
            keep.callback(self.destroy_publisher, fresh)
            self._watch_readers(f'fresh/{topic}', qos.output(), keep)
            self._listen(kind, topic, partial(self._arrived, topic, fresh.publish), keep)
        self._listen(Odometry, 'odom', self._moved, keep, depth=ODOMETRY_DEPTH)
        if params.command != 'none':
            self._listen(_COMMANDS[params.command], 'cmd_vel', self._commanded, keep)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, look in (
            (params.tick_s, self._tick),
            (params.diagnostics_period_s, self._report),
        ):
            timer = self.create_timer(period_s, self.while_open(look, keep), clock=steady)
            keep.callback(self.destroy_timer, timer)
        process.settle()

    def about(self) -> str:
        """What is guarded, and by which limits."""
        params = self.parameters.current
        return f'guards {", ".join(params.topics)} up to {params.v_cap_mps:g} m/s'

    def connections(self) -> str:
        """What is read and written."""
        written = words.writes(
            self, *(f'fresh/{topic}' for topic in self.parameters.current.topics)
        )
        read = (words.reads(self, topic, profile) for topic, profile in self._profiles.items())
        return f'reads {", ".join(read)}; writes {written}'

    def adapt(self, params: WatchdogParams) -> None:
        """Judge by the new profile from the next tick on."""
        if self.is_configured:
            self._guard.reconfigure(params, rules=params)
            self._limiter.robot = params

    def _listen(
        self,
        kind: Any,
        topic: str,
        receive: Callable[[bytes], None],
        keep: ExitStack,
        *,
        depth: int = 1,
    ) -> None:
        profile = qos.follow(self, topic)
        profile.depth = depth
        self._profiles[topic] = profile
        subscription = qos.subscribe(
            self,
            kind,
            topic,
            self.while_open(receive, keep),
            qos=profile,
            raw=True,
            on_mismatch=self._mismatched,
        )
        keep.callback(self.destroy_subscription, subscription)
        end = qos.Watch(self, topic, profile, lambda _: None, reading=True)
        self._ends.append(end)
        keep.callback(self._ends.remove, end)

    def _watch_readers(self, topic: str, offer: Any, keep: ExitStack) -> None:
        """Name readers of an output that ask for more than it offers, until ``keep`` closes."""
        end = qos.Watch(self, topic, offer, self._say, reading=False)
        self._ends.append(end)
        keep.callback(self._ends.remove, end)

    def _mismatched(self, mismatch: qos.Mismatch) -> None:
        """Say at once that somebody cannot reach us; reports say it for as long as it is so."""
        self._say(mismatch)
        self._report()

    def _say(self, mismatch: qos.Mismatch) -> None:
        self.get_logger().error(str(mismatch))

    def _now(self) -> Instant:
        """The ROS clock first: see ``guard/timeline.py``."""
        return Instant(RosNs(self._ros_ns()), monotonic_ns())

    def _simulated_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _arrived(self, topic: str, forward: Callable[[bytes], None], data: bytes) -> None:
        now = self._now()
        try:
            stamp_ns, frame_id = peek_header(data)
        except BadStamp:
            self._guard.judge(topic, RosNs(0), '', now, payload=Verdict.MALFORMED)
            return
        judgement = self._guard.judge(topic, stamp_ns, frame_id, now)
        if judgement.forwarded:
            forward(data)
            self._progress.output(judgement.age_ns * MS)
        # What was refused for its stamp has no age: one zero stamp would count as fifty years.
        if judgement.aged and topic not in self.parameters.current.optional:
            self._limiter.observe(judgement.age_ns, topic)

    def _moved(self, data: bytes) -> None:
        now = self._now()
        try:
            stamp_ns, (vx, vy, _, _, _, wz), pose = read_odometry(data)
        except BadStamp:  # bytes that are no odometry could mean any motion
            stamp_ns, vx, vy, wz, pose = now.ros_ns, math.nan, math.nan, math.nan, None
        self._guard.moved(stamp_ns, vx, vy, wz, now, pose=pose)

    def _commanded(self, data: bytes) -> None:
        reader = Reader(data, BadStamp)
        try:
            if self.parameters.current.command == 'TwistStamped':
                reader.header()
            vx, vy, _, _, _, wz = reader.doubles(6, 'twist')
        except BadStamp:
            vx = vy = wz = math.nan
        self._guard.commanded(vx, vy, wz, self._now())

    def _tick(self) -> None:
        """Judge what is held: silence must be noticed too. Say so when it changes, or is due."""
        now = self._now()
        status = self._guard.tick(now)
        states = [source.state for source in status.sources]
        if states != self._states or now.mono_ns >= self._beat_ns:
            self._states = states
            self._beat_ns = now.mono_ns + int(self.parameters.current.heartbeat_s * 1e9)
            self._beat(status, now)
        self._limit(status, now)

    def _beat(self, status: Status, now: Instant) -> None:
        rows = [_row(source) for source in status.sources]
        self._freshness.publish(diagnostics(now.ros_ns, '', [_summary(status), *rows]))
        self._lock.publish(_LOCKED[not status.fresh])

    def _limit(self, status: Status, now: Instant) -> None:
        """Say how fast one may go, at once when it changes and often enough for who comes late.

        Nothing is said when the answer is to stop: that is the lock's to say.
        """
        before = self._limiter.published
        limit_mps = self._limiter.limit(status.age_ns, status.motion.w_radps, now.mono_ns)
        if limit_mps is None or (limit_mps == before and now.mono_ns < self._limit_until_ns):
            return
        self._limit_until_ns = now.mono_ns + LIMIT_PERIOD_NS
        self._guard.resume_mps = limit_mps
        msg = SpeedLimit(speed_limit=limit_mps, percentage=False)
        msg.header.stamp = Time(nanoseconds=now.ros_ns).to_msg()
        self._speed_limit.publish(msg)

    def _inputs(self) -> Iterator[tuple[str, Any, str]]:
        """Topic and type of each input the robot needs, and what is lost without it."""
        params = self.parameters.current
        for topic, kind in self._kinds:
            if topic not in params.optional:
                yield topic, kind, 'the robot may not move without it'
        yield 'odom', Odometry, 'the robot is taken to move as fast as it can'
        if params.command != 'none':
            lost = 'motion is known from odometry alone, which follows the command'
            yield 'cmd_vel', _COMMANDS[params.command], lost

    def _report(self) -> None:
        now = self._now()
        status = self._guard.tick(now)
        name = self.get_fully_qualified_name()
        rows = [_summary(status), *map(_row, status.sources)]
        for topic, kind, lost in self._inputs():
            words = qos.unheard(self, topic, kind, lost)
            rows.append((ERROR if words else OK, f'{topic}: input', words, '', {}))
        deaf = [mismatch for end in self._ends for mismatch in end.look()]
        rows += [(ERROR, f'{found.topic}: QoS', str(found), '', {}) for found in deaf]
        named = [(row[0], f'{name}: {row[1]}', *row[2:]) for row in rows]
        self._diagnostics.publish(diagnostics(now.ros_ns, '', named))
        self._progress.look()


def message_type(name: str) -> Any:
    """The class of a message type such as 'vision_msgs/msg/Detection2DArray'.

    Raises:
        ConfigError: not a message type that is installed here, or one without a stamp in front.
    """
    package, _, kind = name.partition('/msg/')
    try:
        found = getattr(import_module(f'{package}.msg'), kind)
        first = next(iter(found.get_fields_and_field_types().items()), None)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'types: {name!r} is not an installed message type: {error}') from error
    if first != ('header', 'std_msgs/Header'):
        raise ConfigError(f'types: {name!r} begins with no std_msgs/Header, so it has no age')
    return found


def _summary(status: Status) -> tuple[int, str, str, str, dict[str, str]]:
    motion = status.motion
    odometry = motion.fault.value if motion.fault else 'ok'
    values = {'v_assumed_mps': f'{motion.v_mps:.3f}', 'odometry': odometry}
    return int(status.level), 'perception', status.state.name, '', values


def _row(source: SourceStatus) -> tuple[int, str, str, str, dict[str, str]]:
    values = {'verdict': source.last.value, 'required': str(source.required).lower()}
    if held := source.held:
        values |= {
            'age_ms': f'{held.age_ns * MS:.3f}',
            'deadline_ms': f'{held.deadline_ns * MS:.3f}',
            'travelled_m': f'{held.travelled_m:.4f}',
            'stamp_ns': str(source.stamp_ns),
            'expires_at_ns': str(held.expires_at_ns),
            'v_assumed_mps': f'{held.v_assumed_mps:.3f}',
        }
    if source.two_senders:
        values['senders'] = 'ASYMMETRIC: two nodes seem to publish on this topic'
    if source.drift_ppm is not None:
        values['clock'] = f'DRIFT: stamps fall behind our clock by {source.drift_ppm:.0f} ppm'
    if source.last is Verdict.FUTURE:
        values['clock'] = (
            f'stamps of {source.name} lie in the future of ours: synchronise the clocks of sensor'
            ' and computer (chrony, PTP), and check that all nodes agree on use_sim_time'
        )
    values |= {verdict.value: str(count) for verdict, count in source.counts.items() if count}
    return int(source.level), source.name, source.state.name, '', values


def main() -> int:
    """Run the node as a process."""
    return process.run(Watchdog, events=True)


if __name__ == '__main__':
    sys.exit(main())
