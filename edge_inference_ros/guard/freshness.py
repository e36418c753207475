"""The watchdog's judgement: whether a prediction may still be used, and for how long.

Judged three times: when it arrives (``Guard.judge``), on every tick of a steady timer
(``Guard.tick``, because the failure may be that nothing arrives), and by the consumer, against
``expires_at_ns``. Pure: whoever calls reads the clocks, once per call, and passes them in.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_inference_ros.core.types import NS_PER_S, Level, RosNs
from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.deadline import (
    SLACK,
    Deadline,
    deadline,
    deadline_ns,
    left_s,
)
from edge_inference_ros.guard.legs import S_PER_NS
from edge_inference_ros.guard.odometry import Motion, Odometry
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.standing import Rules, Standing, State
from edge_inference_ros.guard.timeline import Instant, Timeline
from edge_inference_ros.guard.verdict import (
    FORWARDED,
    UNCOUNTED,
    Judgement,
    Source,
    SourceStatus,
    Status,
    Verdict,
)
from edge_inference_ros.guard.watch import SourceWatch

_NEVER = RosNs(0)
_JUMPS, _JUMPS_NS = 3, 5 * NS_PER_S
_PATIENCE_NS = 5 * NS_PER_S

_Here = tuple[Instant, int, Motion]
"""What is known at one instant: both clocks, the axis, and how the robot moves."""


class Guard:
    """Judges every source against the robot's own motion.

    Not thread-safe: feed it from one executor thread.

    Attributes:
        odometry: how the robot moved; ``motion`` and ``command`` feed it.
        clock_jumps: simulated time went back several times within five seconds.
        resume_mps: the speed the robot will take up when it is released, by default v_cap. A
            source that went stale is judged at this speed, not at the speed 0 it stopped the
            robot to: else it would be released, go, and go stale again.

    Raises:
        ParameterError: no source is required, or two have one name.
    """

    def __init__(
        self,
        robot: RobotProfile,
        sources: Sequence[Source],
        *,
        rules: Rules | None = None,
        sim_time: bool = False,
    ) -> None:
        if not any(source.required for source in sources):
            raise ParameterError('no source is required; nothing would ever stop the robot')
        names = [source.name for source in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ParameterError(f'sources named twice: {", ".join(twice)}')
        self._rules = rules or Rules()
        self._robot = robot
        self._sim = sim_time
        self.resume_mps: float | None = None
        self._timeline = Timeline(sim_time=sim_time)
        self.odometry = Odometry(robot)
        self._moves = self._timeline.track()
        self._since_ns: int | None = None
        self._rewound: list[int] = []
        self.clock_jumps = False
        self._watches = {
            s.name: SourceWatch(
                s, robot, Standing(self._rules), self._timeline.track(), s.frame_id
            )
            for s in sources
        }
        self.reconfigure(robot, rules=self._rules)

    def reconfigure(self, robot: RobotProfile, *, rules: Rules | None = None) -> None:
        """Judge by another profile from the next call on; sources with their own keep it.

        Args:
            robot: the profile.
            rules: None: those there were.
        """
        self._robot = robot
        self.odometry.reconfigure(robot)
        self._rules = rules or self._rules
        self._timeline.skew_ns = int(self._rules.skew_tol_s * NS_PER_S)
        self._skew_ns = self.odometry.skew_ns = self._timeline.tolerance_ns()
        for watch in self._watches.values():
            watch.robot = watch.source.robot or robot
            watch.standing.rules = self._rules

    def moved(
        self,
        stamp_ns: RosNs,
        vx: float,
        vy: float,
        wz: float,
        now: Instant,
        *,
        pose: tuple[float, float, float] | None = None,
    ) -> bool:
        """Take an odometry sample, m/s and rad/s in the base frame; False if unusable.

        Args:
            stamp_ns: when it was measured.
            vx: forward.
            vy: to the left.
            wz: yaw rate.
            now: when it arrived.
            pose: x and y in m, yaw in rad, in odometry's own frame, to check the rates against.
        """
        axis_ns = self._look(now)
        place_ns = self._timeline.place(stamp_ns, self._moves)
        if self._moves.doubtful:
            # It may have been measured later than that, when the robot had moved faster: as if
            # it had not come, until the time of its source is known again.
            return False
        self._look_at_everything_held(axis_ns)
        taken = self.odometry.add(place_ns, vx, vy, wz, now_ns=axis_ns, pose=pose)
        if taken:
            self._moves.came(place_ns)
        return taken

    def commanded(self, vx: float, vy: float, wz: float, now: Instant) -> None:
        """Take a velocity command: it leads motion.

        Three times NaN for one that cannot be read, such as one of another message type: what
        is unknown is not zero.
        """
        axis_ns = self._look(now)
        self._look_at_everything_held(axis_ns)
        self.odometry.command(vx, vy, wz, now_ns=axis_ns)

    def judge(
        self,
        name: str,
        stamp_ns: RosNs,
        frame_id: str,
        now: Instant,
        *,
        payload: Verdict | None = None,
    ) -> Judgement:
        """Judge a message of source ``name`` on arrival.

        Args:
            name: of the source.
            stamp_ns: its capture time, 0 if it could not be read.
            frame_id: of its header.
            now: when it arrived.
            payload: NONFINITE or MALFORMED if its contents are no good.
        """
        watch = self._watches[name]
        _, axis_ns, motion = here = self._here(now)
        limit_ns = _limit_ns(watch.robot, motion)
        self._look_at_held(watch, limit_ns, axis_ns)
        place_ns = self._timeline.place(stamp_ns + watch.source.stamp_offset_ns, watch.track)
        age_ns = axis_ns - place_ns
        alien = watch.is_of_another_frame(frame_id, now.mono_ns)
        if refusal := payload or self._refusal(watch, stamp_ns, place_ns, age_ns, alien=alien):
            judgement = Judgement(refusal, age_ns, 0, 0.0, motion.v_mps)
        else:
            # Captured after what is held, whatever the clock was set to in between.
            place_ns = min(max(place_ns, watch.place_ns or place_ns), axis_ns)
            judgement = self._measure(watch.robot, limit_ns, place_ns, here)
            watch.track.came(place_ns)
        verdict = judgement.verdict
        watch.note(verdict)
        if verdict in FORWARDED:
            watch.hold(stamp_ns, frame_id, place_ns)
            watch.drift.observe(age_ns, now.mono_ns)
            watch.sound_since_ns = watch.sound_since_ns or now.mono_ns
            patient = now.mono_ns - watch.sound_since_ns >= _PATIENCE_NS
            share = 1.0 if patient else self._rules.resume_share
            watch.standing.good(resumable=self._resumable(watch, here, share))
        elif verdict not in UNCOUNTED:
            watch.sound_since_ns = 0
            watch.standing.bad()
        return judgement

    def tick(self, now: Instant) -> Status:
        """Judge again what is held; to be called at a steady rate, whatever arrives."""
        _, _, motion = here = self._here(now)
        stalled = self._timeline.stalled_ns(now) >= self._rules.clock_stall_s * NS_PER_S
        sources = tuple(
            self._review(watch, here, stalled=stalled) for watch in self._watches.values()
        )
        return _together(sources, motion)

    def _here(self, now: Instant) -> _Here:
        axis_ns = self._look(now)
        return now, axis_ns, self.odometry.motion(axis_ns)

    def _look(self, now: Instant) -> int:
        """Now on the axis, after dealing with clocks that jumped."""
        axis_ns = self._timeline.read(now)
        if self._since_ns is None:
            self._since_ns = now.mono_ns
        if self._timeline.rewound:
            # Two clocks that take turns must not be forgiven at every turn.
            self._rewound = [*self._rewound[-(_JUMPS - 1) :], now.mono_ns]
            if not self._jumps_at(now.mono_ns):
                self._since_ns = now.mono_ns
            self.odometry.flush()
            for watch in self._watches.values():
                watch.forget()
        self.clock_jumps = self._sim and self._jumps_at(now.mono_ns)
        if self._sim:
            self._skew_ns = self.odometry.skew_ns = self._timeline.tolerance_ns()
        return axis_ns

    def _jumps_at(self, mono_ns: int) -> bool:
        return len(self._rewound) == _JUMPS and mono_ns - self._rewound[0] < _JUMPS_NS

    def _refusal(
        self, watch: SourceWatch, stamp_ns: int, place_ns: int, age_ns: int, *, alien: bool
    ) -> Verdict | None:
        """Why a message is refused before its freshness is looked at."""
        if stamp_ns == 0:
            return Verdict.ZERO_STAMP
        if alien:
            return Verdict.MALFORMED
        if watch.stamp_ns and (order_ns := watch.order(stamp_ns, place_ns)) <= 0:
            return Verdict.REPEATED if order_ns == 0 else Verdict.OUT_OF_ORDER
        if age_ns < -self._skew_ns:
            return Verdict.FUTURE
        return None

    def _measure(
        self, robot: RobotProfile, limit_ns: int, place_ns: int, here: _Here
    ) -> Judgement:
        """Judge what was captured at ``place_ns``."""
        _, axis_ns, (v, _, _, fault) = here
        age_ns = axis_ns - place_ns
        off_m = self.odometry.off_m(robot, place_ns, axis_ns)
        verdict = _stale(robot, age_ns, limit_ns, off_m)
        verdict = verdict or (Verdict.NO_ODOM if fault else Verdict.OK)
        return Judgement(verdict, age_ns, limit_ns, off_m, v)

    def _expires_ns(self, robot: RobotProfile, held: Judgement, here: _Here) -> RosNs:
        """Until when what is fresh now may be used whatever the robot does within its limits."""
        now, axis_ns, (v, w, toward, _) = here
        _, age_ns, limit_ns, off_m, _ = held
        age_s, range_m = age_ns * S_PER_NS, robot.range_toward(toward)
        holds_s = left_s(robot, v, w, range_m=range_m, off_m=off_m, age_s=age_s)
        for turn_s, way in self.odometry.turns(axis_ns, within_s=holds_s):
            # From then on the robot may go where less is seen.
            toward |= way
            if holds_s > turn_s and (less_m := robot.range_toward(toward)) < range_m:
                after_s = left_s(robot, v, w, range_m=less_m, off_m=off_m, age_s=age_s)
                holds_s, range_m = max(turn_s, after_s), less_m
        left_ns = int(min(holds_s, (limit_ns - age_ns) * S_PER_NS) * NS_PER_S)
        return RosNs(now.ros_ns + max(0, left_ns))

    def _look_at_everything_held(self, axis_ns: int) -> None:
        """Let lapse what lapses before the news that comes now is taken.

        Between two pieces of news what is held only grows more doubtful. So whoever looks before
        each of them, and at each tick, misses no lapse, whether or not messages came in between.
        """
        motion = self.odometry.motion(axis_ns)
        for watch in self._watches.values():
            self._look_at_held(watch, _limit_ns(watch.robot, motion), axis_ns)

    def _look_at_held(self, watch: SourceWatch, limit_ns: int, axis_ns: int) -> None:
        """Let what is held lapse before what comes instead of it is judged."""
        if watch.place_ns is None or watch.lapsed:
            return
        off_m = self.odometry.off_m(watch.robot, watch.place_ns, axis_ns)
        if stale := _stale(watch.robot, axis_ns - watch.place_ns, limit_ns, off_m):
            watch.lapse(stale)

    def _resumable(self, watch: SourceWatch, here: _Here, share: float) -> bool:
        """Whether what is held would be fresh at the speed to be resumed, with time to spare."""
        if watch.standing.state is not State.STALE or watch.place_ns is None:
            return True
        resume = watch.robot.v_cap_mps if self.resume_mps is None else self.resume_mps
        _, axis_ns, motion = here
        limit = _limit(watch.robot, motion._replace(v_mps=max(motion.v_mps, resume)))
        return limit.feasible and axis_ns - watch.place_ns <= share * limit.limit_ns

    def _review(self, watch: SourceWatch, here: _Here, *, stalled: bool) -> SourceStatus:
        now, _, motion = here
        limit = _limit(watch.robot, motion)
        held, expires_ns = self._held(watch, limit.limit_ns, here)
        if not self._resumable(watch, here, 1.0):
            watch.standing.lapse()
        state = watch.standing.state
        if stalled:
            state = State.CLOCK_STALLED
        elif not (limit.feasible or watch.silent) and (state is State.VALID or not motion.fault):
            # Of a speed that is not known nobody can ask for less; but nothing is trusted there.
            state = State.SPEED_INFEASIBLE
        status = SourceStatus(
            watch.source.name,
            watch.source.required,
            state,
            self._level(watch, state, now, motion),
            watch.last,
            held,
            expires_ns,
            watch.stamp_ns,
            watch.counts,
            watch.two_senders,
            watch.drift.ppm,
            (watch.frame_id, '' if watch.other_since_ns is None else watch.other_frame),
        )
        watch.news = False
        return status

    def _held(
        self, watch: SourceWatch, limit_ns: int, here: _Here
    ) -> tuple[Judgement | None, RosNs]:
        """What is held, judged again, and its expiry; it lapses if it is found to be stale."""
        if watch.place_ns is None:
            return None, _NEVER
        held = self._measure(watch.robot, limit_ns, watch.place_ns, here)
        if not held.forwarded:
            watch.lapse(held.verdict)
        if watch.lapsed:
            return held._replace(verdict=watch.lapsed), _NEVER
        expires_ns = self._expires_ns(watch.robot, held, here)
        return (held if watch.news else held._replace(verdict=Verdict.NONEWDATA)), expires_ns

    def _level(self, watch: SourceWatch, state: State, now: Instant, motion: Motion) -> Level:
        if state is State.NODATA:
            waited_ns = now.mono_ns - (self._since_ns or 0)
            return Level.ERROR if waited_ns > self._rules.grace_s * NS_PER_S else Level.WARN
        if state is State.INIT:
            return Level.WARN
        if state is not State.VALID:
            return Level.ERROR
        drifts = watch.drift.ppm is not None
        doubtful = watch.two_senders or drifts or motion.fault or watch.standing.errors
        return Level.WARN if doubtful or watch.last is not Verdict.OK else Level.OK


def _limit(robot: RobotProfile, motion: Motion) -> Deadline:
    return deadline(robot, motion.v_mps, motion.w_radps, range_m=robot.range_toward(motion.toward))


def _limit_ns(robot: RobotProfile, motion: Motion) -> int:
    range_m = robot.range_toward(motion.toward)
    return deadline_ns(robot, motion.v_mps, motion.w_radps, range_m=range_m)


def _stale(robot: RobotProfile, age_ns: int, limit_ns: int, off_m: float) -> Verdict | None:
    """Why data may not be used; None if it may.

    Acceptance is written positively, since every comparison with NaN refuses. A deadline of 0
    accepts nothing, not even data of age 0: the robot could not stop in time.
    """
    if not (limit_ns > 0 and age_ns <= limit_ns):
        return Verdict.STALE_AGE
    if not off_m <= robot.d_max_m * (1.0 + SLACK):
        return Verdict.STALE_MOVED
    return None


_SEVERITY = {state: rank for rank, state in enumerate(State)}


def _together(sources: tuple[SourceStatus, ...], motion: Motion) -> Status:
    """The worst of the required sources; optional ones can warn, no more."""
    required = [source for source in sources if source.required]
    state = max((source.state for source in required), key=_SEVERITY.__getitem__)
    level = max(s.level if s.required else min(s.level, Level.WARN) for s in sources)
    ages = [source.held.age_ns for source in required if source.held]
    age_ns = max(ages) if len(ages) == len(required) else None
    return Status(state, level, sources, motion, age_ns)
