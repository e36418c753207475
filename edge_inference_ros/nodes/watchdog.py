"""Forwards what is fresh enough for the robot's speed, and says aloud what is not.

A process of its own, so that it shares no interpreter with what it guards. Messages are forwarded
by their bytes: the header is read from their front, the payload is neither touched nor decoded.
"""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav2_msgs.msg import SpeedLimit
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.serialization import serialize_message
from rclpy.time import Time
from std_msgs.msg import Bool

from edge_inference_ros.core.cdr import peek_header
from edge_inference_ros.core.latency import sleepless_ns
from edge_inference_ros.core.params import together
from edge_inference_ros.core.types import Level, RosNs
from edge_inference_ros.errors import BadStamp, ConfigError
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.speed_limit import SpeedLimiter
from edge_inference_ros.guard.standing import State
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Status, Verdict
from edge_inference_ros.nodes.watchdog_command import CommandInput
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
from edge_inference_ros.nodes.watchdog_rows import source_row, strange_frame, summary_row
from edge_inference_ros.ros import process, qos, words
from edge_inference_ros.ros.base import EdgeNode
from edge_inference_ros.ros.connections import Connections, Row, publishers
from edge_inference_ros.ros.messages import ERROR, MS, OK, WARN
from edge_inference_ros.ros.odometry import read_odometry
from edge_inference_ros.ros.wire import diagnostics

_LOCKED = {locked: bytes(serialize_message(Bool(data=locked))) for locked in (False, True)}

LIMIT_PERIOD_NS = 500_000_000
"""Between two repetitions of an unchanged speed limit: a restarted controller has forgotten it."""

MOTION_DEPTH = 20
"""Of odometry and commands each counts: one that is superseded unread may have been the faster."""

COMMAND_LOOK_S = 0.1
"""Between two looks at who publishes velocity commands. Until then one unheard counts as none."""

_TYPE = re.compile(r'[a-z]\w*/msg/[A-Z]\w*', re.ASCII)


class Watchdog(EdgeNode[WatchdogParams]):
    """Guards ``topics``: what is fresh comes out unchanged as ``fresh/<topic>``.

    Args:
        now: reads both clocks; the process's own unless given.
    """

    fixed_while_configured = ('use_sim_time',)

    def __init__(self, *, now: Callable[[], Instant] | None = None, **options: Any) -> None:
        super().__init__('watchdog', WatchdogParams, **options)
        self._now = now or self._read_clocks

    def configure(self, keep: ExitStack) -> None:
        """Load the robot's profile, make the guard and the publishers."""
        params = self.parameters.read()
        classes = together(*(partial(message_type, kind) for _, kind in params.kinds))
        self._kinds = [
            (topic, found) for (topic, _), found in zip(params.kinds, classes, strict=True)
        ]
        self._sim_time = bool(self.get_parameter('use_sim_time').value)
        self._guard = Guard(params, params.sources, rules=params, sim_time=self._sim_time)
        # The system's clock is what the ROS clock reads then, at a twentieth of the price.
        self._ros_ns = self._simulated_ns if self._sim_time else time.time_ns
        for refusal in process.real_time(
            priority=params.priority, cpus=[params.cpu] if params.cpu >= 0 else []
        ):
            self.get_logger().warning(refusal)
        self._limiter = SpeedLimiter(params, rules=params)
        self._told: tuple[Any, ...] = ()
        self._limit_until_ns = self._beat_ns = 0
        self._limit_mps: float | None = None
        self._released = False
        self._odometers = 1
        self._in_world = ''
        self._strange: set[str] = set()

        def publisher(kind: Any, topic: str, profile: Any) -> Any:
            publisher = self.create_publisher(kind, topic, profile)
            keep.callback(self.destroy_publisher, publisher)
            self._connections.writes(topic, profile)
            return publisher

        self._connections = Connections(self, self.get_logger().error)
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
        keep.callback(self._say_locked)
        for topic, kind in self._kinds:
            fresh = self.create_publisher(kind, f'fresh/{topic}', qos.output())
            keep.callback(self.destroy_publisher, fresh)
            keep.callback(self._connections.writes(f'fresh/{topic}', qos.output()))
            self._listen(kind, topic, partial(self._arrived, topic, fresh.publish), keep)
        self._listen(Odometry, 'odom', self._moved, keep)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        looks = [(params.tick_s, self._tick), (params.diagnostics_period_s, self._report)]
        self._command: CommandInput | None = None
        if params.command != 'none':
            command = CommandInput(self, params.command, self._listen, self._commanded)
            self._command = keep.enter_context(command)
            looks.append((COMMAND_LOOK_S, command.look))
        for period_s, look in looks:
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
        self, kind: Any, topic: str, receive: Callable[[bytes], None], keep: ExitStack
    ) -> None:
        profile = qos.follow(self, topic)
        profile.depth = MOTION_DEPTH if topic in _REMEDIES else 1
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
        remedy = _REMEDIES.get(topic, 'correct `types`, or remap one of them')
        keep.callback(self._connections.reads(topic, kind, profile, remedy=remedy))

    def _mismatched(self, _: qos.Mismatch) -> None:
        """Say at once that somebody cannot reach us; reports say it for as long as it is so."""
        self._report()

    def _read_clocks(self) -> Instant:
        """The ROS clock first: see ``guard/timeline.py``."""
        return Instant(RosNs(self._ros_ns()), sleepless_ns())

    def _simulated_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _arrived(self, topic: str, forward: Callable[[bytes], None], data: bytes) -> None:
        now = self._now()
        if self._command is not None:
            self._command.tell()
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
            sample = read_odometry(data)
        except BadStamp:  # bytes that are no odometry could mean any motion
            self._guard.moved(now.ros_ns, math.nan, math.nan, math.nan, now)
            return
        twist, robot = sample.base_twist, self.parameters.current
        if self._odometers > 1 and math.hypot(*twist[:2]) < robot.v_cap_mps:
            # Zeros of one between the samples of the other look like brakes: neither is known.
            self._guard.moved(now.ros_ns, math.nan, math.nan, math.nan, now)
            return
        self._guard.moved(sample.stamp_ns, *twist, now, pose=sample.pose)
        self._in_world = sample.frame_id if sample.twist_in_world else ''

    def _commanded(self, vx: float, vy: float, wz: float) -> None:
        self._guard.commanded(vx, vy, wz, self._now())

    def _tick(self) -> None:
        """Judge what is held: silence must be noticed too. Say so when it changes, or is due."""
        now = self._now()
        status = self._judge(now)
        self._limit(status, now)  # first: who is released shall know how fast
        told = (status.state, *(source.state for source in status.sources))
        if told != self._told or now.mono_ns >= self._beat_ns:
            self._told = told
            self._beat_ns = now.mono_ns + int(self.parameters.current.heartbeat_s * 1e9)
            self._beat(status, now)

    def _judge(self, now: Instant) -> Status:
        """How all sources stand, and how fast that lets the robot go: one answer."""
        if self._command is not None:
            self._command.tell()
        status = self._guard.tick(now)
        motion = status.motion
        limit_mps = self._limiter.limit(
            status.age_ns,
            motion.w_radps,
            now.mono_ns,
            range_m=self._limiter.robot.range_toward(motion.toward),
        )
        return _limited(status, limit_mps)

    def _beat(self, status: Status, now: Instant) -> None:
        rows = [source_row(source, sim_time=self._sim_time) for source in status.sources]
        summary = self._summary(status)
        self._freshness.publish(diagnostics(now.ros_ns, '', [summary, *rows]))
        self._lock.publish(_LOCKED[status.locked])
        self._released = not status.locked

    def _summary(self, status: Status) -> Row:
        wrong = []
        if self._command is not None and self._command.foreign:
            wrong.append(f'cmd_vel is sent as {", ".join(self._command.foreign)}: unknown')
        if self._in_world:
            wrong.append(self._turned)
        if self._odometers > 1:
            wrong.append(f'{self._odometers} nodes publish odom: motion is unknown')
        if self._guard.clock_jumps:
            wrong.append('/clock goes back again and again: do two nodes publish it?')
        return summary_row(status, wrong=wrong)

    @property
    def _turned(self) -> str:
        return (
            f'child_frame_id is {self._in_world!r}, the frame of the pose: the twist was'
            " turned by the pose; let odometry name the robot's frame there, as base_link"
        )

    def _say_locked(self) -> None:
        self._lock.publish(_LOCKED[True])
        self._released = False

    def _limit(self, status: Status, now: Instant) -> None:
        """Say how fast one may go: when it changes, before a release, and for who comes late.

        Nothing is said when the answer is to stop: that is the lock's to say.
        """
        changed = status.limit_mps != self._limit_mps
        release = not status.locked and not self._released
        self._limit_mps = status.limit_mps
        if status.limit_mps is None:
            return
        if not (changed or release or now.mono_ns >= self._limit_until_ns):
            return
        self._limit_until_ns = now.mono_ns + LIMIT_PERIOD_NS
        self._guard.resume_mps = status.limit_mps
        msg = SpeedLimit(speed_limit=status.limit_mps, percentage=False)
        msg.header.stamp = Time(nanoseconds=now.ros_ns).to_msg()
        self._speed_limit.publish(msg)

    def _inputs(self) -> Iterator[tuple[str, Any, str]]:
        """Topic and type of each input the robot needs, and what is lost without it."""
        params = self.parameters.current
        for topic, kind in self._kinds:
            if topic not in params.optional:
                yield topic, kind, 'the robot may not move without it'
        yield 'odom', Odometry, 'the robot is taken to move as fast as it can'
        if self._command is not None:
            lost = 'motion is known from odometry alone, which follows the command'
            yield 'cmd_vel', self._command.kind, lost

    def _input(self, topic: str, kind: Any, lost: str) -> Row:
        row = f'{topic}: input'
        if wrong := qos.unheard(self, topic, kind, lost):
            return ERROR, row, wrong, '', {}
        if kind is Odometry and self._in_world:
            return WARN, row, self._turned, '', {}
        senders = publishers(self, self.resolve_topic_name(topic)).get(qos.type_name(kind), ())
        if kind is Odometry:
            self._odometers = len(senders)
        if kind is Odometry and len(senders) > 1:
            words = f'{len(senders)} nodes publish it: {", ".join(sorted(senders))}; let one do it'
            lost = 'until then the robot is taken to move as fast as it can'
            return ERROR, row, f'{words}, {lost}', '', {}
        return OK, row, '', '', {}

    def _rivals(self) -> Iterator[Row]:
        """Who else says what only one watchdog may say: the robot would obey both by turns."""
        for topic, kind in (('lock', Bool), ('speed_limit', SpeedLimit)):
            senders = publishers(self, self.resolve_topic_name(topic)).get(qos.type_name(kind), ())
            words = ''
            if len(senders) > 1:
                words = (
                    f'{len(senders)} nodes publish it: {", ".join(sorted(senders))}; end all but'
                    ' one watchdog, or give each its namespace'
                )
                if words not in self._strange:
                    self._strange.add(words)
                    self.get_logger().error(f'{topic}: {words}')
            yield ERROR if words else OK, f'{topic}: output', words, '', {}

    def _report(self) -> None:
        now = self._now()
        status = self._judge(now)
        name = self.get_fully_qualified_name()
        for source in status.sources:
            if (wrong := strange_frame(source)) and wrong not in self._strange:
                self._strange.add(wrong)
                self.get_logger().error(f'{source.name}: {wrong}')
        rows = [
            self._summary(status),
            *(source_row(source, sim_time=self._sim_time) for source in status.sources),
            *(self._input(*needed) for needed in self._inputs()),
            *self._rivals(),
            *self._connections.rows(),
        ]
        named = [(row[0], f'{name}: {row[1]}', *row[2:]) for row in rows]
        self._diagnostics.publish(diagnostics(now.ros_ns, '', named))
        self._progress.look()


_REMEDIES = {
    'odom': 'remap odom to a topic of nav_msgs/msg/Odometry',
    'cmd_vel': 'until then a command of unknown speed is assumed; set the parameter `command`, or'
    ' let one type of it be published',
}


def _limited(status: Status, limit_mps: float | None) -> Status:
    """With the limit, and not VALID without one: what went before it would still hold."""
    if status.fresh and limit_mps is None:
        status = status._replace(state=State.SPEED_INFEASIBLE, level=Level.ERROR)
    return status._replace(limit_mps=limit_mps)


def message_type(name: str) -> Any:
    """The class of a message type such as 'vision_msgs/msg/Detection2DArray'.

    Raises:
        ConfigError: not a message type that is installed here, or one without a stamp in front.
    """
    if not _TYPE.fullmatch(name):
        raise ConfigError(
            f"types: {name!r} is no message type: expected 'package/msg/Type', such as"
            ' vision_msgs/msg/Detection2DArray'
        )
    package, _, kind = name.partition('/msg/')
    try:
        class_ = getattr(import_module(f'{package}.msg'), kind)
        first = next(iter(class_.get_fields_and_field_types().items()), None)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'types: {name!r} is not an installed message type: {error}') from error
    if first != ('header', 'std_msgs/Header'):
        raise ConfigError(f'types: {name!r} begins with no std_msgs/Header, so it has no age')
    return class_


def main() -> int:
    """Run the node as a process."""
    return process.run(Watchdog, events=True)


if __name__ == '__main__':
    sys.exit(main())
