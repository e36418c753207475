"""Whether a source may be trusted: AUTOSAR's end-to-end state machine, with our own numbers.

NODATA -> INIT on the first good message; INIT -> VALID after ``init_ok`` good ones of the last
``init_window``; VALID -> INVALID after more than ``valid_errors`` errors in ``valid_window``;
INVALID -> VALID after ``resume_ok`` good ones in a row. Getting in is harder than staying in: that
is the debounce. It is for single bad messages while the one before them is still fresh, never for
absence: when nothing acceptable is held, ``lapse`` ends VALID and INIT at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_inference_ros.core.params import check, param


class State(Enum):
    """What a source, or all of them together, are good for; the worst last."""

    VALID = 'VALID'
    INIT = 'INIT'
    NODATA = 'NODATA'
    SPEED_INFEASIBLE = 'SPEED_INFEASIBLE'
    STALE = 'STALE'
    CLOCK_STALLED = 'CLOCK_STALLED'


@dataclass(frozen=True)
class Rules:
    """Tolerances and counts of the watchdog; an instance exists only if it is sound.

    Raises:
        ParameterError: on construction, naming every fault.
    """

    skew_tol_s: float = param(
        0.005,
        'how far in the future a stamp may be: about 0.001 with PTP, 0.020 with NTP',
        low=0.0,
        high=0.5,
        live=True,
    )
    grace_s: float = param(
        5.0, 'a source that has sent nothing yet is an error after this', low=0.0, high=600.0
    )
    clock_stall_s: float = param(
        0.5, 'simulated time that stands still for so long has stalled', low=0.01, high=60.0
    )
    init_ok: int = param(
        3, 'good messages, among init_window, that make a source valid', low=1, high=60
    )
    init_window: int = param(
        5, 'messages among which init_ok must be good for a source to become valid', low=1, high=60
    )
    valid_errors: int = param(
        2, 'errors that a valid source may have among valid_window messages', low=0, high=60
    )
    valid_window: int = param(
        10, 'messages in which a valid source may have valid_errors errors', low=1, high=60
    )
    resume_ok: int = param(
        5, 'good messages in a row that make a source valid again', low=1, high=60
    )
    resume_share: float = param(
        0.8,
        'oldest that a message may be to count towards resuming, as a share of the deadline'
        ' at the speed to be resumed',
        low=0.01,
        high=1.0,
    )

    def __post_init__(self) -> None:
        check(self)

    def faults(self) -> list[str]:
        """What the fields say against each other."""
        pairs = (
            ('init_ok', 'init_window', self.init_ok <= self.init_window),
            ('valid_errors', 'valid_window', self.valid_errors < self.valid_window),
        )
        return [
            f'{small} = {getattr(self, small)} does not fit into {large} = {getattr(self, large)}'
            for small, large, holds in pairs
            if not holds
        ]


class Standing:
    """One source's state. Feed it every message that is good or bad, and every lapse.

    Attributes:
        state: NODATA, INIT, VALID or STALE (AUTOSAR's INVALID).
        rules: the counts.
    """

    __slots__ = ('_bad', '_good', 'rules', 'state')

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state = State.NODATA
        self._good = self._bad = 0

    @property
    def errors(self) -> int:
        """Errors among the last ``valid_window`` messages."""
        return _count(self._bad, self.rules.valid_window)

    def good(self, *, resumable: bool = True) -> None:
        """An acceptable message; ``resumable`` if it would also be at the speed to be resumed."""
        if self.state is State.VALID:
            self._bad = self._bad << 1 & _REGISTER
            return
        if self.state is State.NODATA:
            self._enter(State.INIT)
        self._note(good=resumable or self.state is not State.STALE)
        self._move()

    def bad(self) -> None:
        """A message that counts as an error. Before the first good one nothing is expected."""
        if self.state is not State.NODATA:
            self._note(good=False)
            self._move()

    def lapse(self) -> None:
        """Nothing acceptable is held any more."""
        if self.state is not State.NODATA:
            self._enter(State.STALE)

    def reset(self) -> None:
        """Time itself has jumped: wait for data again."""
        self._enter(State.NODATA)
        self._bad = 0

    def _enter(self, state: State) -> None:
        """Begin to count what is good again; errors are forgotten by good messages only.

        Else a source that lost its trust once more, because less was known, would be allowed more
        errors afterwards.
        """
        self.state = state
        self._good = 0

    def _note(self, *, good: bool) -> None:
        """Shift the message into two registers of bits, newest lowest."""
        self._good = (self._good << 1 | good) & _REGISTER
        self._bad = (self._bad << 1 | (not good)) & _REGISTER

    def _move(self) -> None:
        rules = self.rules
        if self.state is State.INIT:
            if _count(self._bad, rules.init_window) > rules.init_window - rules.init_ok:
                self._enter(State.STALE)
            elif _count(self._good, rules.init_window) >= rules.init_ok:
                self._enter(State.VALID)
        elif self.state is State.VALID:
            if self.errors > rules.valid_errors:
                self._enter(State.STALE)
        elif _count(self._good, rules.resume_ok) >= rules.resume_ok:
            self._enter(State.VALID)


_REGISTER = (1 << 64) - 1


def _count(register: int, window: int) -> int:
    return (register & ((1 << window) - 1)).bit_count()
