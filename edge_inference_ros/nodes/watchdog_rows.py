"""How the guard's sources stand, as rows of a heartbeat or a report."""

from __future__ import annotations

from collections.abc import Sequence

from edge_inference_ros.guard.robot import FORWARD, REVERSE, SIDE
from edge_inference_ros.guard.verdict import SourceStatus, Status, Verdict
from edge_inference_ros.ros.connections import Row
from edge_inference_ros.ros.messages import MS

_SIDES = {FORWARD: 'forward', REVERSE: 'reverse', SIDE: 'side'}
_FUTURE = {
    False: 'synchronise the clocks of sensor and computer (chrony, PTP), and check that all nodes'
    ' agree on use_sim_time',
    True: 'check that all nodes have use_sim_time and hear the same /clock, and only one',
}


def summary_row(status: Status, *, wrong: Sequence[str] = ()) -> Row:
    """The worst of the required sources, and what was assumed of the motion.

    Args:
        status: of all sources.
        wrong: what else keeps the motion from being known, in words.
    """
    motion = status.motion
    odometry = [motion.fault.value] if motion.fault else []
    values = {
        'v_assumed_mps': f'{motion.v_mps:.3f}',
        'toward': ' '.join(word for bit, word in _SIDES.items() if motion.toward & bit) or 'none',
        'odometry': '; '.join((*odometry, *wrong)) or 'ok',
        'limit_mps': 'none' if status.limit_mps is None else f'{status.limit_mps:.2f}',
    }
    return int(status.level), 'perception', status.state.name, '', values


def source_row(source: SourceStatus, *, sim_time: bool) -> Row:
    """One source: its state, what is held of it, and what seems to be wrong with it."""
    values = {'verdict': source.last.value, 'required': str(source.required).lower()}
    if held := source.held:
        values |= {
            'age_ms': f'{held.age_ns * MS:.3f}',
            'deadline_ms': f'{held.deadline_ns * MS:.3f}',
            'travelled_m': f'{held.travelled_m:.4f}',
            'stamp_ns': str(source.stamp_ns),
            'expires_at_ns': str(source.expires_at_ns),
            'v_assumed_mps': f'{held.v_assumed_mps:.3f}',
        }
    values |= _wrong(source, sim_time=sim_time)
    values |= {verdict.value: str(count) for verdict, count in source.counts.items() if count}
    return int(source.level), source.name, source.state.name, '', values


def _wrong(source: SourceStatus, *, sim_time: bool) -> dict[str, str]:
    words = {}
    if source.two_senders:
        words['senders'] = 'ASYMMETRIC: two nodes seem to publish on this topic'
    if source.drift_ppm is not None:
        way = 'fall behind' if source.drift_ppm > 0.0 else 'run ahead of'
        words['clock'] = (
            f'DRIFT: stamps {way} our clock by {abs(source.drift_ppm):.0f} ppm, or what is between'
            ' them takes longer and longer'
        )
    if source.last is Verdict.FUTURE:
        words['clock'] = f'stamps of {source.name} lie in the future of ours: {_FUTURE[sim_time]}'
    if frame := strange_frame(source):
        words['frame'] = frame
    return words


def strange_frame(source: SourceStatus) -> str:
    """Which frame was expected and which one came, in words; empty while they agree."""
    known, stranger = source.frames
    if not stranger:
        return ''
    return (
        f'expected frame_id {known!r}, got {stranger!r}: two sensors on one topic, or one renamed'
    )
