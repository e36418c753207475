"""What the last messages of an input amount to: rates, gaps, losses, ages, oddities of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.ros.clock_fault import ClockFault, clock_fault

WINDOW = 128
FEW = 8
"""Intervals, before a rate can be told."""

_RECENT = 16  # intervals whose rate is compared with that of as many oldest ones
_OTHER_RATE = 1.25
_PAUSE_S, _PAUSE_PERIODS = 1.0, 5.0
_LEAP_FACTOR = 10.0  # of stamps over arrivals: no recording is played that fast
_FIELDS = ('arrivals_ns', 'stamps_ns', 'ages_ns', 'sequences', 'losses')


@dataclass(frozen=True, slots=True)
class Facts:
    """How an input has fared over the last ``WINDOW`` messages.

    Attributes:
        received: messages so far, usable or not.
        held: of them, those in the window.
        rate_hz: at which they arrive, pauses left out; 0 while fewer than two have.
        sent_hz: at which they are taken, by their stamps and the writer's own count; 0 unknown.
        rate_before_hz: at which they were taken before that became another; 0 if it did not.
        missing: the share of messages sent that did not arrive, by who counts them.
        skipped: messages the writer numbered that did not come, in the window.
        newly_lost: messages the middleware says it lost, in the window and since.
        is_counted: somebody counts what is lost; else nothing is known of it.
        gaps: how many times at least one was missing.
        longest_gap_s: between two stamps.
        pause_s: longest time in which nothing was sent, if it was a pause.
        leap_s: how far the stamps leapt ahead of time; 0 if they did not.
        back_s: how far the stamps went back, farther than disorder explains; 0 if they did not.
        interleaved: more than one writer sends.
        is_numbered: writers number their messages (not on Humble); else nobody knows of that.
        is_frozen: the newest messages all carry the same stamp.
        unstamped: messages without a usable stamp, in the window.
        age_s: of the newest message when it arrived; negative means disagreeing clocks.
        least_age_s: the least in the window.
        worst_age_s: the greatest in the window.
        clock: what is wrong with the clock behind the stamps.
        silent_s: since the last arrival, or since the start.
        lost: messages the middleware itself says it lost, so far.
        disordered: stamps equal to or before their predecessor's, so far.
        message_bytes: size of the newest.
    """

    received: int = 0
    held: int = 0
    rate_hz: float = 0.0
    sent_hz: float = 0.0
    rate_before_hz: float = 0.0
    missing: float = 0.0
    skipped: int = 0
    newly_lost: int = 0
    is_counted: bool = False
    gaps: int = 0
    longest_gap_s: float = 0.0
    pause_s: float = 0.0
    leap_s: float = 0.0
    back_s: float = 0.0
    interleaved: bool = False
    is_numbered: bool = False
    is_frozen: bool = False
    unstamped: int = 0
    age_s: float = 0.0
    least_age_s: float = 0.0
    worst_age_s: float = 0.0
    clock: ClockFault | None = None
    silent_s: float = 0.0
    lost: int = 0
    disordered: int = 0
    message_bytes: int = 0

    def values(self) -> dict[str, str]:
        """The facts as diagnostics carry them."""
        return {
            'received': str(self.received),
            'rate_hz': f'{self.rate_hz:.1f}',
            'sent_hz': f'{self.sent_hz:.1f}',
            'missing_percent': f'{100.0 * self.missing:.1f}' if self.is_counted else 'n/a',
            'gaps': str(self.gaps),
            'longest_gap_ms': f'{1e3 * self.longest_gap_s:.1f}',
            'age_ms': f'{1e3 * self.age_s:.1f}',
            'least_age_ms': f'{1e3 * self.least_age_s:.1f}',
            'worst_age_ms': f'{1e3 * self.worst_age_s:.1f}',
            'silent_ms': f'{1e3 * self.silent_s:.0f}',
            'lost': str(self.lost),
            'unstamped': str(self.unstamped),
            'disordered': str(self.disordered),
            'message_bytes': str(self.message_bytes),
        }


class Account:
    """The record of one input.

    Args:
        now_ns: monotonic time of the start.

    Attributes:
        received, lost, disordered, message_bytes, is_counted: as in ``Facts``.
    """

    def __init__(self, now_ns: int) -> None:
        self._start_ns = now_ns
        self._rows = {name: np.zeros(WINDOW, np.int64) for name in _FIELDS}
        self.received = self.lost = self.disordered = self.message_bytes = 0
        self._newest_stamp_ns = 0
        self.is_counted = False

    def seen(
        self, now_ns: int, stamp_ns: int, age_ns: int, message_bytes: int, *, sequence: int = 0
    ) -> None:
        """A message arrived. Called for each, so it only writes down.

        Args:
            now_ns: monotonic.
            stamp_ns: of its header; 0 or less is none that can be used.
            age_ns: the ROS clock minus the stamp.
            message_bytes: its size.
            sequence: its number among those its writer sent, from 1; 0 unknown.
        """
        if stamp_ns > 0:
            self.disordered += stamp_ns <= self._newest_stamp_ns
            self._newest_stamp_ns = stamp_ns
        slot, rows = self.received % WINDOW, self._rows
        rows['arrivals_ns'][slot] = now_ns
        rows['stamps_ns'][slot] = max(stamp_ns, 0)
        rows['ages_ns'][slot] = age_ns
        rows['sequences'][slot] = sequence
        rows['losses'][slot] = self.lost
        self.received += 1
        self.is_counted |= sequence > 0
        self.message_bytes = message_bytes

    def lose(self, count: int) -> None:
        """The middleware says it lost ``count`` messages."""
        self.lost += count
        self.is_counted = True

    def facts(self, now_ns: int) -> Facts:
        """What the record amounts to."""
        if not self.received:
            return Facts(
                silent_s=(now_ns - self._start_ns) / 1e9,
                lost=self.lost,
                newly_lost=self.lost,
                is_counted=self.is_counted,
            )
        return _facts(self, self._window(), now_ns)

    def _window(self) -> dict[str, NDArray[np.int64]]:
        """The rows held, in the order they arrived."""
        held = min(self.received, WINDOW)
        first = self.received % WINDOW if held == WINDOW else 0
        return {name: np.roll(row[:held], -first) for name, row in self._rows.items()}


@dataclass(frozen=True, slots=True)
class _Steps:
    """From each usable message of the window to the next.

    Attributes:
        stamps_s: (N,) differences of their stamps.
        arrivals_s: (N,) differences of their times of arrival.
        skipped: (N,) messages their writer numbered in between.
        is_even: (N,) neither a pause nor a jump of the clock.
    """

    stamps_s: NDArray[np.float64]
    arrivals_s: NDArray[np.float64]
    skipped: NDArray[np.int64]
    is_even: NDArray[np.bool_]

    def hz(self, which: slice = slice(None)) -> float:
        """The rate at which messages were taken over some of the even steps; 0 unknown."""
        stamps_s, skipped = self.stamps_s[self.is_even][which], self.skipped[self.is_even][which]
        whole_s = float(stamps_s.sum())
        return float(len(stamps_s) + skipped.sum()) / whole_s if whole_s > 0.0 else 0.0


def _facts(account: Account, rows: dict[str, NDArray[np.int64]], now_ns: int) -> Facts:
    usable = rows['stamps_ns'] > 0
    held, (every, interleaved) = len(usable), _counted(rows['sequences'])
    newly_lost = account.lost - int(rows['losses'][0])
    missed = int(every.sum()) if rows['sequences'].all() else newly_lost
    steps = _steps({name: row[usable] for name, row in rows.items()})
    sent_hz, before_hz = _sent(steps)
    ages_ns = rows['ages_ns'][usable] if usable.any() else np.zeros(1, np.int64)
    pause_s, leap_s, back_s = _oddities(steps)
    return Facts(
        received=account.received,
        held=held,
        rate_hz=_rate_hz(rows['arrivals_ns']),
        sent_hz=sent_hz,
        rate_before_hz=before_hz,
        missing=missed / (missed + held),
        skipped=int(every.sum()),
        newly_lost=newly_lost,
        is_counted=account.is_counted,
        gaps=int(np.count_nonzero(every)),
        longest_gap_s=float(steps.stamps_s.max(initial=0.0)),
        pause_s=pause_s,
        leap_s=leap_s,
        back_s=back_s,
        interleaved=interleaved,
        is_numbered=bool(rows['sequences'].any()),
        is_frozen=_is_frozen(steps.stamps_s),
        unstamped=held - int(np.count_nonzero(usable)),
        age_s=float(ages_ns[-1]) / 1e9,
        least_age_s=float(ages_ns.min()) / 1e9,
        worst_age_s=float(ages_ns.max()) / 1e9,
        clock=_clock(rows, usable),
        silent_s=float(now_ns - rows['arrivals_ns'][-1]) / 1e9,
        lost=account.lost,
        disordered=account.disordered,
        message_bytes=account.message_bytes,
    )


class _Counted(NamedTuple):
    """What the writers' numbers say, where nobody says which writer sent a message.

    Attributes:
        skipped: (N - 1,) numbers left out before each message but the first, by its own writer.
        interleaved: a writer went on after another one had sent. One that starts over does not.
    """

    skipped: NDArray[np.int64]
    interleaved: bool


@dataclass(slots=True, eq=False)
class _Writer:
    """One that counts: its newest number, and its newest gap, from number to number."""

    last: int
    gap: tuple[int, int] = (0, 0)
    gap_at: int = 0


def _counted(sequences: NDArray[np.int64]) -> _Counted:
    """Tell the writers apart, each of which counts up by one.

    What the newest number leaves out counts once another message has come: until then it may be
    the first one of another writer.

    Args:
        sequences: (N,) as the messages arrived; 0 or less is unknown.
    """
    steps = np.diff(sequences)
    known = (sequences[:-1] > 0) & (sequences[1:] > 0)
    if not (known & (steps <= 0)).any():
        skipped, interleaved = np.where(known, steps - 1, 0), False
    else:
        skipped, interleaved = _told_apart(sequences.tolist())
    skipped[-1:] = 0
    return _Counted(skipped, interleaved)


def _told_apart(sequences: list[int]) -> _Counted:
    skipped = np.zeros(len(sequences), np.int64)
    writers: list[_Writer] = []
    before: _Writer | None = None
    interleaved = False
    for at, number in enumerate(sequences):
        if number <= 0:
            continue
        writer = _next_of(writers, number)
        if writer is not None:
            interleaved |= writer is not before
        elif (writer := _split(writers, number, skipped)) is not None:
            interleaved = True
        else:
            writers.append(writer := _Writer(number - 1))
        if left_out := number - writer.last - 1:
            skipped[at] = left_out
            writer.gap, writer.gap_at = (writer.last, number), at
        writer.last, before = number, writer
    return _Counted(skipped[1:], interleaved)


def _next_of(writers: list[_Writer], number: int) -> _Writer | None:
    """The writer that ``number`` follows most closely."""
    return max((w for w in writers if w.last < number), key=lambda w: w.last, default=None)


def _split(writers: list[_Writer], number: int, skipped: NDArray[np.int64]) -> _Writer | None:
    """The writer in whose gap ``number`` lies: what came after the gap was another writer's."""
    for writer in writers:
        low, high = writer.gap
        if low < number < high:
            writers.append(_Writer(writer.last))
            skipped[writer.gap_at] = 0
            writer.last, writer.gap = low, (0, 0)
            return writer
    return None


def _steps(rows: dict[str, NDArray[np.int64]]) -> _Steps:
    stamps_s = np.diff(rows['stamps_ns']) / 1e9
    arrivals_s = np.diff(rows['arrivals_ns']) / 1e9
    skipped = _counted(rows['sequences']).skipped
    sizes_s = np.abs(stamps_s) / (1 + skipped)
    usual_s = float(np.median(sizes_s)) if len(sizes_s) else 0.0
    return _Steps(
        stamps_s, arrivals_s, skipped, sizes_s <= max(_PAUSE_S, _PAUSE_PERIODS * usual_s)
    )


def _sent(steps: _Steps) -> tuple[float, float]:
    """The rate now, and another one before it if there was one."""
    count = int(np.count_nonzero(steps.is_even))
    if count < FEW:
        return 0.0, 0.0
    if count >= 2 * _RECENT:
        now_hz, before_hz = steps.hz(slice(-_RECENT, None)), steps.hz(slice(_RECENT))
        if max(now_hz, before_hz) > _OTHER_RATE * min(now_hz, before_hz):
            return now_hz, before_hz
    return steps.hz(), 0.0


def _rate_hz(arrivals_ns: NDArray[np.int64]) -> float:
    steps_s = np.diff(arrivals_ns) / 1e9
    if not len(steps_s):
        return 0.0
    even_s = steps_s[steps_s <= max(_PAUSE_S, _PAUSE_PERIODS * float(np.median(steps_s)))]
    whole_s = float(even_s.sum())
    return len(even_s) / whole_s if whole_s > 0.0 else 0.0


def _oddities(steps: _Steps) -> tuple[float, float, float]:
    """Longest pause, farthest leap ahead and farthest way back, in seconds; 0 where none."""
    odd, stamps_s = ~steps.is_even, steps.stamps_s
    is_back = odd & (stamps_s < 0.0)
    is_leap = odd & ~is_back & (stamps_s > _LEAP_FACTOR * steps.arrivals_s)
    is_pause = odd & ~is_back & ~is_leap
    pause_s, leap_s, back_s = (
        float(np.abs(stamps_s[which]).max(initial=0.0)) for which in (is_pause, is_leap, is_back)
    )
    return pause_s, leap_s, back_s


def _is_frozen(stamps_s: NDArray[np.float64]) -> bool:
    """Whether the newest stamps stand still."""
    newest_s = stamps_s[-_RECENT:]
    return len(newest_s) >= FEW and not newest_s.any()


def _clock(rows: dict[str, NDArray[np.int64]], usable: NDArray[np.bool_]) -> ClockFault | None:
    """By the youngest of the newest messages: one that waited long has no other clock."""
    if not usable.any():
        return None
    ages_ns, stamps_ns, arrivals_ns = (
        rows[name][usable][-_RECENT:] for name in ('ages_ns', 'stamps_ns', 'arrivals_ns')
    )
    at = int(ages_ns.argmin())
    stamp_ns, arrived_ns = stamps_ns[at], arrivals_ns[at]
    return clock_fault(int(ages_ns[at]), int(stamp_ns), int(arrived_ns))
