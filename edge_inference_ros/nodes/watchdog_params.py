"""The watchdog's parameters. Imports no ROS, so that tools can read them too."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_inference_ros.core.params import param
from edge_inference_ros.core.types import LEASE_S
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.speed_limit import LimitRules
from edge_inference_ros.guard.standing import Rules
from edge_inference_ros.guard.verdict import Source

_OWN = ('perception', 'freshness', 'lock', 'speed_limit', 'odom', 'cmd_vel')
_RELATIVE = re.compile(r'[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)


@dataclass(frozen=True)
class WatchdogParams(RobotProfile, Rules, LimitRules):
    """The robot's profile, the rules of judgement and of the speed limit, and what to guard.

    The names in ``topics`` are relative and can be remapped; config/robots has profiles.
    """

    topics: tuple[str, ...] = param(
        ('detections',), 'topics to guard; each comes out as fresh/<topic>'
    )
    types: tuple[str, ...] = param(
        ('vision_msgs/msg/Detection2DArray',), 'message type of each topic, or one for all'
    )
    optional: tuple[str, ...] = param((), 'guarded topics that the robot may move without')
    stamp_offsets_s: tuple[float, ...] = param(
        (),
        'time added to the stamps of each topic: half an exposure where its start is stamped,'
        ' less than 0 where arrival is; none, or one for each topic',
        low=-1.0,
        high=1.0,
    )
    frames: tuple[str, ...] = param(
        (),
        'frame_id that each topic must carry, empty or none: that of its first'
        ' good message, which may change after two seconds without one. Give them where several'
        ' sensors share a topic',
    )
    command: str = param(
        'none',
        'message type of cmd_vel, which leads motion; auto takes the one that is published',
        choices=('none', 'auto', 'Twist', 'TwistStamped'),
    )
    tick_s: float = param(
        0.02, 'time between two looks at the messages that are held', low=0.001, high=0.1
    )
    heartbeat_s: float = param(
        0.05, 'time between two heartbeats while nothing changes', low=0.001, high=0.09
    )
    diagnostics_period_s: float = param(
        1.0, 'time between two reports on /diagnostics', low=0.1, high=60.0
    )
    priority: int = param(0, 'SCHED_FIFO priority; 0 leaves the scheduler alone', low=0, high=99)
    cpu: int = param(-1, 'processor to stay on; -1 for any', low=-1, high=1023)
    autostart: bool = param(False, 'configure and activate without being asked')

    def faults(self) -> list[str]:
        """Rules that concern several fields."""
        faults = [*RobotProfile.faults(self), *Rules.faults(self)]
        if len(set(self.topics)) != len(self.topics) or not self.topics:
            faults.append(f'topics = {self.topics!r}: expected at least one, each once')
        faults += [
            f'topics has {name!r}: expected a relative name, such as front/detections'
            for name in self.topics
            if not _RELATIVE.fullmatch(name)
        ]
        if len(self.types) not in (1, len(self.topics)):
            faults.append(f'types = {self.types!r}: expected one, or one for each of topics')
        faults += [
            f'topics has {name!r}, which is a topic or a row of the watchdog itself'
            for name in self.topics
            if name in _OWN or name.startswith('fresh/')
        ]
        if len(self.frames) not in (0, len(self.topics)):
            faults.append(f'frames = {self.frames!r}: expected none, or one for each of topics')
        if len(self.stamp_offsets_s) not in (0, len(self.topics)):
            faults.append(
                f'stamp_offsets_s = {self.stamp_offsets_s!r}:'
                ' expected none, or one for each of topics'
            )
        if not self.heartbeat_s + self.tick_s < LEASE_S:
            faults.append(
                f'heartbeat_s = {self.heartbeat_s} and tick_s = {self.tick_s}: their sum must be'
                f' < {LEASE_S}, the lease after which readers take the watchdog for dead'
            )
        if unknown := set(self.optional) - set(self.topics):
            faults.append(f'optional names {min(unknown)!r}, which is not among topics')
        return faults

    @property
    def sources(self) -> list[Source]:
        """What is to be judged, and how its stamps are to be read."""
        offsets_s = self.stamp_offsets_s or (0.0,) * len(self.topics)
        frames = self.frames or ('',) * len(self.topics)
        return [
            Source(
                topic,
                required=topic not in self.optional,
                frame_id=frame,
                stamp_offset_ns=round(offset_s * 1e9),
            )
            for topic, offset_s, frame in zip(self.topics, offsets_s, frames, strict=True)
        ]

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Each topic with its message type."""
        types = self.types * len(self.topics) if len(self.types) == 1 else self.types
        return tuple(zip(self.topics, types, strict=True))
