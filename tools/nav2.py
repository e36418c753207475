"""``python -m tools.nav2 [--write]``: how far a robot under Nav2 goes after each failure.

The figures are upper limits, from the laws of ``guard/deadline.py``, the profile of the indoor AMR
and the timeouts of ``config/nav2/indoor_amr.yaml``. docs/nav2.md holds the table between marks.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from edge_inference_ros.guard.deadline import SLACK, deadline, stopping_distance_m
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.nodes.watchdog_params import WatchdogParams

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs/nav2.md'
MARKS = ('<!-- from python -m tools.nav2 -->\n', '<!-- to here -->\n')
SPEEDS_MPS = (0.5, 1.0, 1.5)
COLUMNS = (
    'what fails',
    'what happens',
    'stop said after, ms',
    'until brakes bite, m',
    'to a standstill, m',
)


@dataclass(frozen=True)
class Robot:
    """A robot under Nav2: what it is and what its software waits for."""

    profile: RobotProfile
    nav2: dict[str, Any]

    @cached_property
    def tick_s(self) -> float:
        """Of the watchdog."""
        return WatchdogParams().tick_s

    def said(self, *path: str) -> Any:
        """A value of the Nav2 configuration."""
        here: Any = self.nav2
        for name in (path[0], 'ros__parameters', *path[1:]):
            here = here[name]
        return here

    def stale_s(self, v: float) -> float:
        """From the last exposure to STALE, at the latest."""
        return deadline(self.profile, v, 0.0).limit_s + self.tick_s

    def locked_s(self, _v: float) -> float:
        """From the last heartbeat to the lock: twist_mux looks when a command comes."""
        return float(self.said('twist_mux', 'locks', 'perception', 'timeout')) + self.command_s

    @property
    def command_s(self) -> float:
        """Between two commands."""
        return 1.0 / float(self.said('velocity_smoother', 'smoothing_frequency'))

    def blind_s(self, _v: float) -> float:
        """From the last odometry to a verdict at the caps."""
        return self.profile.odom_timeout_s + self.tick_s

    def silent_s(self, _v: float) -> float:
        """From the controller's last command to the smoother's zero."""
        return float(self.said('velocity_smoother', 'velocity_timeout')) + self.command_s

    def unheard_s(self, _v: float) -> float:
        """Nobody says stop: the base driver notices, within tau_x."""
        return 0.0

    def unwatched_s(self, _v: float) -> float:
        """From the last judged cloud to the collision monitor's stop."""
        return float(self.said('collision_monitor', 'source_timeout')) + self.command_s

    def coasted_m(self, v: float, said_s: float) -> float:
        """Way until the brakes bite: the stop is said, and tau_x later it is done."""
        return v * (said_s + self.profile.after_s)

    def stopped_m(self, v: float, said_s: float) -> float:
        """Way to a standstill, with the guaranteed deceleration."""
        return self.coasted_m(v, said_s) + stopping_distance_m(v, self.profile.brake_mps2)


FAILURES: tuple[tuple[str, str, Callable[[Robot, float], float]], ...] = (
    (
        'camera dies',
        'STALE at D + tick: locked, no speed limit, nothing forwarded',
        Robot.stale_s,
    ),
    (
        'detector hangs',
        'the same, for age counts from the exposure; after `hang_s` it ends and is started again',
        Robot.stale_s,
    ),
    (
        'detector killed',
        'the same; started again after 2 s, VALID after 5 good messages',
        Robot.stale_s,
    ),
    (
        'watchdog killed',
        'the lock is silent for its timeout: twist_mux locks',
        Robot.locked_s,
    ),
    (
        'watchdog hung',
        'the same: the thread that hangs is the one that beats',
        Robot.locked_s,
    ),
    (
        'watchdog dead and no lock wired',
        'the judged cloud is silent: collision_monitor stops at `source_timeout`',
        Robot.unwatched_s,
    ),
    (
        'odometry lost',
        (
            'judged at v_cap and w_cap in every direction: locks where nothing looks behind'
            ' (`range_reverse_m` 0, as here), or the pipeline is slower than D there; else slower'
        ),
        Robot.blind_s,
    ),
    (
        'wall clock jumps',
        'FUTURE or STALE_AGE; what is held ages on the steady clock',
        Robot.stale_s,
    ),
    (
        'network parts detector and watchdog',
        'as if the camera died',
        Robot.stale_s,
    ),
    (
        'network parts watchdog and twist_mux',
        'as if the watchdog died',
        Robot.locked_s,
    ),
    (
        'Nav2 controller killed or restarted',
        'the smoother goes to zero at `velocity_timeout`; it hears the limit again within 0.5 s',
        Robot.silent_s,
    ),
    (
        'twist_mux or collision_monitor killed',
        'silence: the timeout of the base driver, part of tau_x',
        Robot.unheard_s,
    ),
)


def indoor_amr() -> Robot:
    """The robot of the shipped files."""
    said = yaml.safe_load((ROOT / 'config/robots/indoor_amr.yaml').read_text(encoding='utf-8'))
    profile = said['/**']['ros__parameters']
    nav2 = yaml.safe_load((ROOT / 'config/nav2/indoor_amr.yaml').read_text(encoding='utf-8'))
    known = {field.name for field in fields(RobotProfile)}
    return Robot(RobotProfile(**{k: v for k, v in profile.items() if k in known}), nav2)


def rounded_up(value: float, digits: int) -> float:
    """No less than ``value``, but for the last bits of a binary fraction: 0.3 stays 0.3."""
    scale: int = 10**digits
    return math.ceil(value * scale * (1.0 - SLACK)) / scale


def table(robot: Robot) -> str:
    """The rows, each with a figure for every one of ``SPEEDS_MPS``."""
    rows = f'| {" | ".join(COLUMNS)} |\n{"|---" * len(COLUMNS)}|\n'
    for what, happens, said_s in FAILURES:
        times = [said_s(robot, v) for v in SPEEDS_MPS]
        pairs = list(zip(SPEEDS_MPS, times, strict=True))
        cells = (
            [f'{rounded_up(1e3 * t, 0):.0f}' for t in times],
            [f'{rounded_up(robot.coasted_m(v, t), 2):.2f}' for v, t in pairs],
            [f'{rounded_up(robot.stopped_m(v, t), 2):.2f}' for v, t in pairs],
        )
        shown = ' | '.join(cell[0] if len(set(cell)) == 1 else ' / '.join(cell) for cell in cells)
        rows += f'| {what} | {happens} | {shown} |\n'
    return rows


def replaced(page: str, rows: str) -> str:
    """The page with ``rows`` between the marks."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return before + MARKS[0] + rows + MARKS[1] + after


def main() -> int:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser('python -m tools.nav2', description=__doc__)
    parser.add_argument('--write', action='store_true', help='write it into docs/nav2.md')
    rows = table(indoor_amr())
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(encoding='utf-8'), rows), encoding='utf-8')
    else:
        sys.stdout.write(rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
