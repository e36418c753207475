"""An independent judge of freshness: definitions instead of closed forms, sums instead of roots.

It shares no code with the package. It keeps every sample it was ever given, evaluates the bound
of the speed instant by instant, integrates it with the midpoint rule, and asks of every message
the three questions of the specification as inequalities. Next to each answer it says how near it
was, because a sum on a grid cannot decide the last micrometre.
"""

from __future__ import annotations

import math

import numpy as np

POINTS = 96


class SlowJudge:
    """Judges what it is told, slowly."""

    def __init__(self, robot):
        self.robot = robot
        self.times, self.speeds, self.rates, self.raw = [], [], [], []
        self.floors = []
        self.bad = 'no sample yet'
        self.command = None
        self.toward = 0

    def odometry(self, at_s, vx, vy, wz, *, now_s, skew_s):
        """Sort a sample in; what cannot be used spoils the time since the last good one."""
        one, v, w = self.robot, math.hypot(vx, vy), abs(wz)
        if not (math.isfinite(v) and math.isfinite(w)) or at_s > now_s + skew_s:
            self.bad = 'bad sample'
            self._floor(one.v_cap_mps, one.w_cap_radps)
            return
        if self.times and at_s <= self.times[-1]:
            return
        sure_v, sure_w = v, w
        if self.times:
            gone_s = at_s - self.times[-1]
            before_v, before_w = self.raw[-1]
            if v > one.v_cap_mps and v > before_v + 9.80665 * gone_s:
                sure_v = max(one.v_cap_mps, before_v)
            if w > one.w_cap_radps and w > before_w + 30.0 * gone_s:
                sure_w = max(one.w_cap_radps, before_w)
        self.times.append(at_s)
        self.speeds.append(sure_v)
        self.rates.append(sure_w)
        self.raw.append((v, w))
        self.bad = ''
        self.toward = _quarter(one, vx, vy)
        v, w, _ = self._commanded(now_s)
        self.floors.append((v, w))

    def commanded(self, vx, vy, wz, *, now_s):
        """A command is motion from now on."""
        v, w = math.hypot(vx, vy), abs(wz)
        if math.isfinite(v) and math.isfinite(w):
            self.command = (now_s, v, w, _quarter(self.robot, vx, vy))
        else:
            v, w = self.robot.v_cap_mps, self.robot.w_cap_radps
            self.command = (now_s, v, w, 0)
        self._floor(v, w)

    def motion(self, now_s):
        """Speed, yaw rate, directions, and whether odometry is sound."""
        one = self.robot
        command_v, command_w, toward = self._commanded(now_s)
        late = not self.times or now_s - self.times[-1] > one.odom_timeout_s
        if self.bad or late:
            sure_v, sure_w = (self.speeds[-1], self.rates[-1]) if self.times else (0.0, 0.0)
            v, w = max(one.v_cap_mps, command_v, sure_v), max(one.w_cap_radps, command_w, sure_w)
            return v, w, toward, False
        v, w = self.raw[-1]
        v = max(v, command_v)
        gain = one.a_acc_mps2 * max(0.0, now_s - self.times[-1])
        v = v if v >= one.v_cap_mps else min(one.v_cap_mps, v + gain)
        return v, max(w, command_w), toward | self.toward, True

    def verdict(self, stamp_s, now_s):
        """Name of the verdict on a message, and how near another one was (m, or s)."""
        one, age_s = self.robot, max(0.0, now_s - stamp_s)
        v, w, toward, sound = self.motion(now_s)
        range_m = min(
            [one.range_m if toward in (0, 1) else math.inf]
            + [
                r
                for bit, r in ((1, one.range_m), (2, one.range_reverse_m), (4, one.range_side_m))
                if toward & bit
            ]
        )
        v_o, b = one.v_other_mps, one.b_mps2
        at = (np.arange(POINTS) + 0.5) / POINTS * age_s
        ahead = np.minimum(v + one.a_acc_mps2 * at, max(one.v_cap_mps, v))
        off_m = float(ahead.mean()) * age_s + (v_o + w * one.lever_m) * age_s
        stop_m = (v + v_o) * (one.confirm_s + age_s + one.after_s)
        stop_m += v * v / (2 * b) + v_o * v / b + one.margin_m
        reserve_m = range_m - stop_m
        at_once_m = reserve_m + (v + v_o) * age_s
        worst = max(off_m - one.d_max_m, -reserve_m, age_s - one.deadline_cap_s, -at_once_m)
        if worst > 0 or at_once_m <= 0:
            return 'STALE_AGE', worst
        moved_m = self.moved_m(stamp_s, now_s, sound=sound) + v_o * age_s
        near = min(-worst, abs(moved_m - one.d_max_m))
        if moved_m > one.d_max_m:
            return 'STALE_MOVED', near
        return ('OK' if sound else 'NO_ODOM'), near

    def moved_m(self, since_s, now_s, *, sound):
        """Path plus rotation at the lever, over the bound of the speed."""
        one, total = self.robot, 0.0
        first_s = self.times[0] if self.times else now_s
        if since_s < first_s:
            v = max([one.v_cap_mps, *self.speeds[:1]])
            w = max([one.w_cap_radps, *self.rates[:1]])
            total += (v + w * one.lever_m) * (min(first_s, now_s) - since_s)
        k = len(self.times) - 1
        legs = []
        while k >= 0 and (k == len(self.times) - 1 or self.times[k + 1] > since_s):
            legs.append(self._leg(k, since_s, now_s, sound=sound))
            k -= 1
        if not legs:
            return total
        frm, to, t0, v, gain, top, w = np.array(legs).T
        span = to - frm
        at = frm[:, None] + span[:, None] * (np.arange(POINTS) + 0.5) / POINTS - t0[:, None]
        fast = np.minimum(v[:, None] + gain[:, None] * at, top[:, None])
        return total + float(((fast.mean(axis=1) + w * one.lever_m) * span).sum())

    def _leg(self, k, since_s, now_s, *, sound):
        one, t0 = self.robot, self.times[k]
        floor_v, floor_w = self.floors[k]
        v, w = max(self.speeds[k], floor_v), max(self.rates[k], floor_w)
        gain = one.a_acc_mps2
        if k + 1 < len(self.times):
            end_s = self.times[k + 1]
            next_v, next_w = max(self.speeds[k + 1], floor_v), max(self.rates[k + 1], floor_w)
            top, top_w = max(one.v_cap_mps, v, next_v), max(one.w_cap_radps, w, next_w)
            w = max(w, next_w)
            if end_s - t0 > one.odom_timeout_s:
                v, w = top, top_w
            elif next_v > v + gain * (end_s - t0):
                v = top = next_v
        else:
            end_s, top = now_s, max(one.v_cap_mps, v)
            if not sound:
                v, w = top, max(one.w_cap_radps, w)
        return max(since_s, t0), min(end_s, now_s), t0, v, gain, top, w

    def _commanded(self, now_s):
        if self.command is None or now_s - self.command[0] > self.robot.command_timeout_s:
            return 0.0, 0.0, 0
        return self.command[1:]

    def _floor(self, v, w):
        if self.floors:
            self.floors[-1] = (max(self.floors[-1][0], v), max(self.floors[-1][1], w))


def _quarter(robot, vx, vy):
    if math.hypot(vx, vy) <= robot.still_mps:
        return 0
    if abs(vy) > abs(vx):
        return 4
    return 1 if vx > 0 else 2
