"""A guard on a bench: clocks that only the test advances."""

from __future__ import annotations

from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source
from support.robots import AMR

MS = 1_000_000
S = 1_000_000_000
EPOCH_NS = 1_700_000_000 * S
TICK_NS = 20 * MS


class Stand:
    """One source called camera, odometry at 50 Hz, ticks of 20 ms.

    Attributes:
        mono_ns: steady time; ``wall_ns`` beyond it is the ROS clock.
        v: what the odometer reads.
        forwarded: stamps that went through.
    """

    def __init__(self, *, robot=AMR, v=1.0, sim_time=False, odometry=True):
        self.guard = Guard(robot, [Source('camera')], sim_time=sim_time)
        self.mono_ns, self.wall_ns, self.v, self.odometry = 0, EPOCH_NS, v, odometry
        self.forwarded = []

    @property
    def now(self):
        return Instant(self.wall_ns + self.mono_ns, self.mono_ns)

    def pass_(self, ns):
        """Let time pass, with odometry and ticks where they fall; the last status, if any."""
        end_ns, status = self.mono_ns + ns, None
        while (next_ns := (self.mono_ns // TICK_NS + 1) * TICK_NS) <= end_ns:
            self.mono_ns = next_ns
            if self.odometry:
                self.guard.moved(self.now.ros_ns, self.v, 0.0, 0.0, self.now)
            status = self.guard.tick(self.now)
        self.mono_ns = end_ns
        return status

    def say(self, *, age_ns=50 * MS, stamp_ns=None, frame='optical'):
        stamp_ns = self.now.ros_ns - age_ns if stamp_ns is None else stamp_ns
        judgement = self.guard.judge('camera', stamp_ns, frame, self.now)
        if judgement.forwarded:
            self.forwarded.append(stamp_ns)
        return judgement

    def stream(self, count, *, period_ns=33 * MS, age_ns=50 * MS):
        status = None
        for _ in range(count):
            status = self.pass_(period_ns) or status
            self.say(age_ns=age_ns)
        return status

    def tick(self):
        return self.guard.tick(self.now)
