"""The velocity command, in the type in which it is published.

Nav2 sends ``geometry_msgs/Twist`` on some distributions and ``TwistStamped`` on others
(docs/nav2.md). A reader of the one is deaf to the other, and hears no error: to it the robot is
never told to move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped

from edge_inference_ros.core.cdr import CdrReader
from edge_inference_ros.errors import BadStamp
from edge_inference_ros.ros.connections import publishers
from edge_inference_ros.ros.qos import type_name

TOPIC = 'cmd_vel'
KINDS = {'Twist': Twist, 'TwistStamped': TwistStamped}
AUTO = 'auto'

Listen = Callable[[Any, str, Callable[[bytes], None], ExitStack], None]
"""Subscribes to a type on a topic until the stack closes."""


class CommandInput:
    """Hears velocity commands, and knows of those it cannot hear.

    What cannot be heard or read is unknown, not zero. Enter it on an ``ExitStack``.

    Args:
        node: whose topic it is.
        choice: a key of ``KINDS``, or 'auto' for what is published, first of all Twist.
        listen: subscribes.
        hear: given vx and vy in m/s and wz in rad/s of every command; NaN for an unknown one.

    Attributes:
        foreign: types published on the topic that are not heard, as discovery last said.
    """

    def __init__(
        self, node: Any, choice: str, listen: Listen, hear: Callable[[float, float, float], None]
    ) -> None:
        self._node, self._listen, self._hear = node, listen, hear
        self._auto = choice == AUTO
        self._heard = next(iter(KINDS)) if self._auto else choice
        self._open = ExitStack()
        self.foreign: tuple[str, ...] = ()

    def __enter__(self) -> CommandInput:
        self._subscribe(self._heard)
        self.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def kind(self) -> Any:
        """The message class it listens to."""
        return KINDS[self._heard]

    def look(self) -> None:
        """Ask discovery what is published now; ``auto`` follows. Half a millisecond."""
        published = publishers(self._node, TOPIC)
        if self._auto and published and type_name(self.kind) not in published:
            for choice, kind in KINDS.items():
                if type_name(kind) in published:
                    self._follow(choice)
                    break
        self.foreign = tuple(sorted(published.keys() - {type_name(self.kind)}))

    def tell(self) -> None:
        """Count what cannot be heard as an unknown command. Call it before every judgement."""
        if self.foreign:
            self._hear(math.nan, math.nan, math.nan)

    def _follow(self, choice: str) -> None:
        self._open.close()
        self._subscribe(choice)
        self._hear(math.nan, math.nan, math.nan)  # what was said meanwhile is lost

    def _subscribe(self, choice: str) -> None:
        self._heard = choice
        self._listen(KINDS[choice], TOPIC, self._receive, self._open)

    def _receive(self, data: bytes) -> None:
        reader = CdrReader(data, BadStamp)
        try:
            if self._heard == 'TwistStamped':
                reader.header()
            vx, vy, _, _, _, wz = reader.doubles(6, 'twist')
        except BadStamp:
            vx = vy = wz = math.nan
        self._hear(vx, vy, wz)
