"""Whether an input arrives as it should, judged from stamps, arrival times and writers' counts.

Pure: the node tells it what arrived and what discovery knows, and asks once a second.

What is lost is known from whoever counts it: the writer numbers its messages, the middleware says
how many it dropped. Stamps alone say nothing of the kind: a camera may change its rate, pause, or
alternate two intervals, and a recording starts over. So a gap between stamps is called a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edge_inference_ros.core.types import Level
from edge_inference_ros.ros.account import FEW, Facts

GRACE_S = 2.0  # a driver may take this long to say its first word
BIG_BYTES = 500_000  # what the middleware's ordinary transports no longer carry (docs/latency.md)
NOTABLE_LOSS, SEVERE_LOSS = 0.02, 0.2


class Ends(NamedTuple):
    """What discovery says of the other end of an input.

    Attributes:
        writers: full names of the nodes that publish a type we read on the topic.
        others: types published on it that we do not read.
        elsewhere: topics on which a type we read is published.
    """

    writers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


class InputState(NamedTuple):
    """What to tell the operator: how bad, what, and what to do."""

    level: Level
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        return f'{self.message}; {self.remedy}' if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Judge:
    """Says the most important thing that is wrong with an input, or that nothing is.

    Attributes:
        topic: as the operator knows it.
        profile: path of the transport profile to recommend.
        expected_hz: at which it should arrive; 0 when nobody said.
        remedies: type published on the topic → what to do about it, where that is not to remap.
        shortage: what to do about shared memory that is too small here; empty when it is not.
    """

    topic: str
    profile: str
    expected_hz: float = 0.0
    remedies: tuple[tuple[str, str], ...] = ()
    shortage: str = ''

    def __call__(self, facts: Facts, ends: Ends) -> InputState:
        """The verdict on what ``Account.facts`` found."""
        return (
            self._silence(facts, ends)
            or self._stamps(facts)
            or self._crowd(facts, ends)
            or self._loss(facts)
            or self._unnumbered(facts, ends)
            or self._time(facts)
            or self._rate(facts)
            or self._fine(facts)
        )

    def _silence(self, facts: Facts, ends: Ends) -> InputState | None:
        period_s = 1.0 / facts.sent_hz if facts.sent_hz else 0.0
        if facts.silent_s < max(GRACE_S, 5.0 * period_s):
            return None
        silent = f'nothing on {self.topic} for {facts.silent_s:.1f} s'
        if ends.writers:
            return InputState(Level.ERROR, *self._mute(silent, facts, ', '.join(ends.writers)))
        if ends.others:
            kind = ends.others[0]
            remedy = dict(self.remedies).get(kind, 'remap to a topic of a type we read')
            return InputState(
                Level.ERROR, silent, f'it carries {", ".join(ends.others)}: {remedy}'
            )
        hint = f' to one of {", ".join(ends.elsewhere[:5])}' if ends.elsewhere else ''
        return InputState(
            Level.ERROR,
            silent,
            f'nobody publishes it: start the driver, or remap{hint} (ros2 topic list)',
        )

    def _mute(self, silent: str, facts: Facts, who: str) -> tuple[str, str]:
        """A writer that is there, and of which nothing arrives."""
        if facts.newly_lost:
            lost = f'{silent}: {facts.newly_lost} messages of {who} were lost on the way'
            return lost, self._to_driver(facts)
        if facts.received:
            return (
                f'{silent}; {who} is still there, and {facts.received} messages came before',
                'its driver has stopped sending: look at the sensor, its cable, its log',
            )
        return (
            f'{silent}, though {who} has announced it',
            (
                'either it sends nothing (look at its log), or every message is lost on the way:'
                f' {self._transport()}'
            ),
        )

    def _stamps(self, facts: Facts) -> InputState | None:
        if facts.unstamped:
            return InputState(
                Level.ERROR,
                f'{facts.unstamped} of the last {facts.held} messages on {self.topic} carry no'
                ' usable stamp and are rejected',
                'the driver must stamp the acquisition time (header.stamp)',
            )
        if fault := facts.clock:
            return InputState(Level.ERROR, f'{self.topic} is {fault.words}', fault.remedy)
        if facts.is_frozen:
            return InputState(
                Level.ERROR,
                f'the last messages on {self.topic} all carry the same stamp',
                'the driver must stamp the time at which it took each (header.stamp); in'
                ' simulation, /clock must run',
            )
        return None

    def _crowd(self, facts: Facts, ends: Ends) -> InputState | None:
        if not facts.interleaved or len(ends.writers) < 2:
            return None
        return self._crowded(Level.ERROR, ' that send by turns', ends)

    def _unnumbered(self, facts: Facts, ends: Ends) -> InputState | None:
        """Several publishers, and no numbers that would say how many of them send."""
        if facts.is_numbered or not facts.received or len(ends.writers) < 2:
            return None
        return self._crowded(Level.WARN, ', of which more than one may send', ends)

    def _crowded(self, level: Level, what: str, ends: Ends) -> InputState:
        return InputState(
            level,
            f'{self.topic} has {len(ends.writers)} publishers{what}: {", ".join(ends.writers)}',
            'remap all but one of them: a detector follows one camera',
        )

    def _loss(self, facts: Facts) -> InputState | None:
        if facts.missing <= NOTABLE_LOSS:
            return None
        level = Level.ERROR if facts.missing > SEVERE_LOSS else Level.WARN
        words = (
            f'{100.0 * facts.missing:.0f} % of {self.topic} is missing:'
            f' {facts.rate_hz:.1f} of {facts.sent_hz:.1f} Hz arrive'
        )
        if 2 * facts.newly_lost < facts.skipped:
            return InputState(
                level,
                words,
                'they reach this host and are replaced before they are taken: this process is'
                ' overloaded; look at its processor load, and at what else runs in its executor',
            )
        return InputState(level, f'{words}, the rest is lost on the way', self._to_driver(facts))

    def _time(self, facts: Facts) -> InputState | None:
        if facts.back_s:
            return InputState(
                Level.WARN,
                f'stamps of {self.topic} went back by {facts.back_s:.1f} s',
                'a recording that starts over, or a clock that was set: nothing to do if you know'
                ' of either',
            )
        if facts.leap_s:
            return InputState(
                Level.WARN,
                f'stamps of {self.topic} leapt ahead by {facts.leap_s:.1f} s',
                'the clock of the sensor was set; nothing to do if it stays so',
            )
        if facts.pause_s:
            return InputState(
                Level.WARN,
                f'{self.topic} paused for {facts.pause_s:.1f} s',
                f'{_not_lost(facts)}the driver sent nothing meanwhile: look at its log',
            )
        return None

    def _rate(self, facts: Facts) -> InputState | None:
        wanted, is_so = self.expected_hz, facts.sent_hz or facts.rate_hz
        if wanted and facts.held > FEW and is_so < 0.9 * wanted:
            return InputState(
                Level.WARN,
                f'{self.topic} arrives at {facts.rate_hz:.1f} of {wanted:.1f} Hz',
                f'{_not_lost(facts)}the driver sends no faster: check its settings (exposure,'
                ' frame rate, the bandwidth of its bus)',
            )
        if facts.rate_before_hz:
            return InputState(
                Level.WARN,
                f'the rate of {self.topic} changed from {facts.rate_before_hz:.1f} to'
                f' {facts.sent_hz:.1f} Hz',
                f'{_not_lost(facts)}the driver does so (a longer exposure in the dark, a setting)',
            )
        return None

    def _fine(self, facts: Facts) -> InputState:
        if not facts.received:
            return InputState(Level.OK, f'waiting for {self.topic}')
        return InputState(Level.OK, f'{self.topic} at {facts.rate_hz:.1f} Hz')

    def _to_driver(self, facts: Facts) -> str:
        if facts.received and facts.message_bytes < BIG_BYTES:
            return 'the network or this processor is overloaded: look at the load and the link'
        return self._transport()

    def _transport(self) -> str:
        if self.shortage:
            return f'there is too little shared memory for messages over 0.5 MB: {self.shortage}'
        return (
            'messages over 0.5 MB need more shared memory than its publisher reserves by default:'
            f' set FASTRTPS_DEFAULT_PROFILES_FILE={self.profile} in the environment of its driver;'
            ' if it is set there, see what its log says of /dev/shm'
        )


def _not_lost(facts: Facts) -> str:
    if facts.is_counted:
        return 'nothing was lost on the way: '
    return 'unless messages are lost on the way, which nobody counts here, '
