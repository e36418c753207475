"""An independent judge of freshness: the sentences of docs/safety.md, sums instead of roots.

It shares no code with the package. It keeps every sample it was ever given, evaluates the bound
of the speed instant by instant, integrates it with the midpoint rule, and asks of every message
the questions of the specification as inequalities. Next to each answer it says how near it was to
another one, because a sum on a grid cannot decide the last micrometre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

POINTS = 96
GRAVITY, SPIKE = 9.80665, 30.0
FORWARD, REVERSE, SIDE = 1, 2, 4


@dataclass
class Sample:
    """What one good sample said, and what is known of the time after it."""

    at_s: float
    vx: float
    vy: float
    v: float
    w: float
    sure_v: float
    sure_w: float
    floor: tuple[float, float] = (0.0, 0.0)
    way: int = 0
    run_m: float = 0.0
    likely: tuple[float, float] = (0.0, 0.0)
    told: tuple[float, float] = (0.0, 0.0)
    speed: float = 0.0
    kept: int = 0


@dataclass
class SlowJudge:
    """Judges what it is told, slowly."""

    robot: object
    samples: list[Sample] = field(default_factory=list)
    named: bool = False
    commands: list[tuple[float, float, float, int]] = field(default_factory=list)

    @property
    def alpha(self):
        return self.robot.alpha_acc_radps2 or SPIKE

    def believes(self, v, w):
        """Numbers that a robot of this profile can be thought to reach."""
        one = self.robot
        return v <= 20 * one.v_cap_mps and w <= 20 * one.w_cap_radps + SPIKE

    def odometry(self, at_s, vx, vy, wz, *, now_s, skew_s):  # noqa: C901 - as the sentences are
        """Sort a sample in; what cannot be used is named and changes nothing else."""
        one, v, w = self.robot, math.hypot(vx, vy), abs(wz)
        if not self.believes(v, w) or at_s > now_s + skew_s:
            self.named = True
            return
        at_s = min(at_s, now_s)
        if self.samples and at_s <= self.samples[-1].at_s:
            self.late(at_s, vx, vy, v, w)
            return
        sure_v, sure_w, way, run_m = v, w, self.way(vx, vy), 0.0
        likely, speed, kept = (v, w), v, 0
        if self.samples:
            last = self.samples[-1]
            gone_s = at_s - last.at_s
            likely = tuple(
                max(
                    was - most * gone_s, was if said > cap and said > was + most * gone_s else said
                )
                for was, said, cap, most in (
                    (last.likely[0], v, one.v_cap_mps, GRAVITY),
                    (last.likely[1], w, one.w_cap_radps, SPIKE),
                )
            )
            before, left = self.counted(last) & ~FORWARD, last.speed - GRAVITY * gone_s
            if left > one.still_mps and not way & before:
                kept = before
            speed = left if kept else max(v, left) if way & before else v
            if v > one.v_cap_mps and v > last.told[0] + GRAVITY * gone_s:
                sure_v = max(one.v_cap_mps, last.told[0])
            if w > one.w_cap_radps and w > last.told[1] + SPIKE * gone_s:
                sure_w = max(one.w_cap_radps, last.told[1])
            if way in (REVERSE, SIDE):
                run_m = self.run_m(last, way, gone_s)
        self.named = False
        counted = [c for c in self.commands if c[0] > at_s]
        if older := [c for c in self.commands if c[0] <= at_s]:
            counted += [older[-1]] if at_s - older[-1][0] <= one.command_timeout_s else []
        floor = (
            max((c[1] for c in counted), default=0.0),
            max((c[2] for c in counted), default=0.0),
        )
        told = max(v, likely[0]), max(w, likely[1])
        self.samples.append(
            Sample(
                at_s, vx, vy, v, w, sure_v, sure_w, floor, way, run_m, likely, told, speed, kept
            )
        )

    def late(self, at_s, vx, vy, v, w):
        """What comes out of order counts as far as brakes can have left of it since."""
        one, newest = self.robot, self.samples[-1]
        gone_s = newest.at_s - at_s
        left = v - GRAVITY * gone_s, w - SPIKE * gone_s
        if left[0] > one.still_mps:
            newest.kept |= self.way(vx, vy)
        newest.told = tuple(map(max, newest.told, left))
        newest.likely = tuple(map(max, newest.likely, left))
        newest.floor = tuple(map(max, newest.floor, left))

    def commanded(self, vx, vy, wz, *, now_s):
        """A command is motion from now on."""
        one, v, w = self.robot, math.hypot(vx, vy), abs(wz)
        toward = self.way(vx, vy) if self.believes(v, w) else self.all_ways()
        if not self.believes(v, w):
            before = self.commanded_at(now_s)
            v, w = max(one.v_cap_mps, before[0]), max(one.w_cap_radps, before[1])
            toward |= before[2]
        self.commands.append((now_s, v, w, toward))
        if self.samples:
            before_v, before_w = self.samples[-1].floor
            self.samples[-1].floor = (max(before_v, v), max(before_w, w))

    def motion(self, now_s):
        """Speed, yaw rate, directions besides forward, whether odometry is sound, and lost."""
        one = self.robot
        command_v, command_w, toward = self.commanded_at(now_s)
        if not self.samples or now_s - self.samples[-1].at_s > one.odom_timeout_s:
            sure_v, sure_w = 0.0, 0.0
            if self.samples:
                sure_v, sure_w = self.samples[-1].sure_v, self.samples[-1].sure_w
                toward |= self.counted(self.samples[-1])
            v, w = max(one.v_cap_mps, command_v, sure_v), max(one.w_cap_radps, command_w, sure_w)
            return v, w, toward | self.all_ways(), False, True
        last = self.samples[-1]
        age_s = max(0.0, now_s - last.at_s)
        v = grown(max(last.told[0], command_v), one.a_acc_mps2 * age_s, one.v_cap_mps)
        w = grown(max(last.told[1], command_w), self.alpha * age_s, one.w_cap_radps)
        toward |= self.counted(last)
        for way, short_m in self.may_have_turned(last, age_s):
            toward |= way if short_m < 0.0 else 0
        return v, w, toward, not self.named, False

    def verdict(self, stamp_s, now_s):
        """Name of the verdict on a message, and how near another one was (m, or s)."""
        one, age_s = self.robot, max(0.0, now_s - stamp_s)
        v, w, toward, sound, lost = self.motion(now_s)
        range_m = min(
            one.range_m,
            one.range_reverse_m if toward & REVERSE else math.inf,
            one.range_side_m if toward & SIDE else math.inf,
        )
        v_o, b = one.v_other_mps, one.b_mps2
        at = (np.arange(POINTS) + 0.5) / POINTS * age_s
        ahead = np.minimum(v + one.a_acc_mps2 * at, max(one.v_cap_mps, v))
        off_m = float(ahead.mean()) * age_s + (v_o + w * one.lever_m) * age_s
        stop_m = (v + v_o) * (one.confirm_s + age_s + one.after_s)
        stop_m += v * v / (2 * b) + v_o * v / b + one.margin_m
        reserve_m = range_m - stop_m
        at_once_m = reserve_m + (v + v_o) * age_s
        near_m = self.nearly_turned_m(now_s) if not lost else math.inf
        worst = max(off_m - one.d_max_m, -reserve_m, age_s - one.deadline_cap_s, -at_once_m)
        if worst > 0 or at_once_m <= 0:
            return 'STALE_AGE', min(worst, near_m)
        moved_m = self.moved_m(stamp_s, now_s, lost=lost) + v_o * age_s
        near = min(-worst, abs(moved_m - one.d_max_m), near_m)
        if moved_m > one.d_max_m:
            return 'STALE_MOVED', near
        return ('OK' if sound else 'NO_ODOM'), near

    # Which way it goes.

    def way(self, vx, vy):
        if math.hypot(vx, vy) <= self.robot.still_mps:
            return 0
        if abs(vy) > abs(vx):
            return SIDE
        return FORWARD if vx > 0 else REVERSE

    def all_ways(self):
        return (
            FORWARD | (REVERSE if self.robot.reverses else 0) | (SIDE if self.robot.strafes else 0)
        )

    def counted(self, sample):
        if sample.way in (REVERSE, SIDE) and self.reach_m(sample.run_m, sample.v, 0.0) < 0.0:
            return sample.kept
        return sample.way | sample.kept

    def reach_m(self, run_m, v, for_s):
        """How far beyond creep_m a run is, its stop included, after gaining speed for a while."""
        one = self.robot
        end = v + one.a_acc_mps2 * for_s
        return run_m + (v + end) / 2 * for_s + end * end / (2 * one.b_mps2) - one.creep_m

    def begins(self, sample, way):
        """When it may be going another way, and how fast."""
        if way == SIDE:
            return max(0.0, abs(sample.vx) - abs(sample.vy)) / (
                GRAVITY + self.robot.a_acc_mps2
            ), sample.v
        if sample.vx > 0:
            return sample.vx / GRAVITY, 0.0
        return 0.0, sample.v

    def run_m(self, last, way, gone_s):
        """How far it may have gone this way already, at a sample ``gone_s`` after the last."""
        one = self.robot
        if way == last.way:
            begun_m, v, for_s = last.run_m, last.v, gone_s
        else:
            begins_s, v = self.begins(last, way)
            begun_m, for_s = 0.0, max(0.0, gone_s - begins_s)
        at = (np.arange(POINTS) + 0.5) / POINTS * for_s
        fast = np.minimum(v + one.a_acc_mps2 * at, max(one.v_cap_mps, v))
        return begun_m + float(fast.mean()) * for_s

    def may_have_turned(self, last, age_s):
        """Directions that do not count, and how far it is from that; negative once they do."""
        for way in (REVERSE, SIDE):
            if self.counted(last) & way:
                continue
            if way == last.way:
                yield way, -self.reach_m(last.run_m, last.v, age_s)
            elif self.all_ways() & way:
                begins_s, v = self.begins(last, way)
                for_s = age_s - begins_s
                # A run that cannot have begun is as far away as the time until then.
                yield way, -self.reach_m(0.0, v, for_s) if for_s >= 0.0 else max(-for_s, 1e-9)

    def nearly_turned_m(self, now_s):
        last = self.samples[-1]
        age_s = max(0.0, now_s - last.at_s)
        near_m = min([abs(short_m) for _, short_m in self.may_have_turned(last, age_s)] + [1.0])
        if last.way in (REVERSE, SIDE):
            near_m = min(near_m, abs(self.reach_m(last.run_m, last.v, 0.0)))
        return near_m

    # How far it moved.

    def moved_m(self, since_s, now_s, *, lost):
        """Path plus rotation at the lever, over the bound of the speed."""
        one, total = self.robot, 0.0
        first = self.samples[0] if self.samples else None
        first_s = first.at_s if first else now_s
        if since_s < first_s:
            v = max(one.v_cap_mps, first.sure_v if first else 0.0)
            w = max(one.w_cap_radps, first.sure_w if first else 0.0)
            total += (v + w * one.lever_m) * (min(first_s, now_s) - since_s)
        k = len(self.samples) - 1
        legs = []
        while k >= 0 and (k == len(self.samples) - 1 or self.samples[k + 1].at_s > since_s):
            legs.append(self.leg(k, since_s, now_s, lost=lost))
            k -= 1
        if not legs:
            return total
        frm, to, t0, *bounds = np.array(legs).T
        span = to - frm
        at = frm[:, None] + span[:, None] * (np.arange(POINTS) + 0.5) / POINTS - t0[:, None]
        rates = []
        for start, gain, top in (bounds[:3], bounds[3:]):
            fast = np.minimum(start[:, None] + gain[:, None] * at, top[:, None])
            rates.append(fast.mean(axis=1))
        return total + float(((rates[0] + rates[1] * one.lever_m) * span).sum())

    def leg(self, k, since_s, now_s, *, lost):
        one, here = self.robot, self.samples[k]
        after = self.samples[k + 1] if k + 1 < len(self.samples) else None
        end_s = after.at_s if after else now_s
        bounds = []
        for which, gain, cap in (('v', one.a_acc_mps2, one.v_cap_mps),
                                 ('w', self.alpha, one.w_cap_radps)):  # fmt: skip
            floor = here.floor['vw'.index(which)]
            start = max(getattr(here, f'sure_{which}'), floor)
            end = max(getattr(after, f'sure_{which}'), floor) if after else 0.0
            top = max(cap, start, end)
            gap = end_s - here.at_s > one.odom_timeout_s if after else lost
            if gap:
                start = top
            elif after and end > (start + gain * (end_s - here.at_s)) * (1 + 1e-9):
                start = top = end
            bounds += [start, gain, top]
        frm_s = max(since_s, here.at_s)  # a sample may be from just ahead of now
        return [frm_s, max(frm_s, min(end_s, now_s)), here.at_s, *bounds]

    def commanded_at(self, now_s):
        if not self.commands or now_s - self.commands[-1][0] > self.robot.command_timeout_s:
            return 0.0, 0.0, 0
        return self.commands[-1][1:]


def grown(rate, gain, cap):
    return rate if rate >= cap else min(rate + gain, cap)
