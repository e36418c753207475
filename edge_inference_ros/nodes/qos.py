"""What we ask of a topic, what we offer on one, and words for when the two sides disagree.

| topic | profile | why |
|---|---|---|
| sensors | `sensor` | newest only: a queue would add its length to every latency |
| detections, latency, objects | `output` | a reliable writer serves both kinds of reader |
| label_info, and what else is said once | `latched` | whoever comes late still hears it |
| freshness | `heartbeat` | silence must be noticed within the lease, even of a frozen process |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

try:
    from rclpy import event_handler as events
except ImportError:  # Humble
    from rclpy import qos_event as events

RELIABLE = ReliabilityPolicy.RELIABLE
BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
LEASE_S = 0.1

REMEDIES = {
    'reliability': 'the writer is best effort and the reader insists on reliable;'
    ' make the reader best effort or the writer reliable',
    'durability': 'the writer is volatile and the reader wants what was said before it came;'
    ' make the reader volatile or the writer transient local',
    'deadline': 'the writer promises messages less often than the reader demands;'
    ' demand less of the reader or promise more of the writer',
    'liveliness': 'the writer promises signs of life of a weaker kind, or less often, than the'
    ' reader demands; relax the liveliness or the lease of the reader',
}


def sensor(*, reliability: ReliabilityPolicy = BEST_EFFORT) -> QoSProfile:
    """For sensor streams: the newest sample only, best effort, nothing from before we came.

    A best-effort reader meets every writer. Depth 1 because what is superseded must not be read.
    """
    return _last(reliability, DurabilityPolicy.VOLATILE)


def output() -> QoSProfile:
    """For what we compute: the newest, reliable, so that either kind of reader may subscribe.

    With depth 1 a slow reliable reader never holds up the writer: it misses what was superseded.
    """
    return _last(RELIABLE, DurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """For what is said once: the last message is kept for readers to come."""
    return _last(RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def heartbeat(*, lease_s: float = LEASE_S, deadline_s: float | None = None) -> QoSProfile:
    """For signs of life: alive only while it publishes, dead to every reader after ``lease_s``.

    Manual by topic, because automatic liveliness is asserted by a thread of the middleware that
    lives on while the node hangs.

    Args:
        lease_s: without a message for so long the writer counts as dead.
        deadline_s: promised time between messages; the lease unless said.
    """
    profile = output()
    profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC
    profile.liveliness_lease_duration = Duration(seconds=lease_s)
    profile.deadline = Duration(seconds=lease_s if deadline_s is None else deadline_s)
    return profile


def _last(reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability
    )


def follow(node: Any, topic: str) -> QoSProfile:
    """The sensor profile as reliable as what is offered on ``topic`` now.

    Reliable only when every writer is: a reliable reader gets lost fragments of a big message sent
    again, but is deaf to a best-effort writer. Nobody there yet means best effort.
    """
    offers = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    agreed = bool(offers) and all(offer.reliability == RELIABLE for offer in offers)
    return sensor(reliability=RELIABLE if agreed else BEST_EFFORT)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two ends of a topic that cannot talk, because of one policy.

    Attributes:
        topic: its full name.
        policy: 'reliability', 'durability', 'deadline', 'liveliness', …
        others: full names of the nodes at the other end, as far as discovery knows them.
        reading: whether we are the reader.
    """

    topic: str
    policy: str
    others: tuple[str, ...]
    reading: bool

    def __str__(self) -> str:
        who = ', '.join(self.others) or 'another node'
        lost = f'nothing arrives from {who}' if self.reading else f'nothing reaches {who}'
        remedy = REMEDIES.get(self.policy, 'compare both with `ros2 topic info --verbose`')
        return f'{self.topic}: {lost}, incompatible {self.policy}: {remedy}'


def subscribe(  # noqa: D417 - node, kind, topic, callback as in rclpy
    node: Any,
    kind: Any,
    topic: str,
    callback: Callable[..., None],
    *,
    qos: QoSProfile | None = None,
    on_mismatch: Callable[[Mismatch], None],
    on_lost: Callable[[int], None] | None = None,
    raw: bool = False,
) -> Any:
    """Subscribe, and hear of writers that cannot reach us and of messages lost on the way.

    Args:
        qos: what the writers offer (``follow``) unless said.
        on_mismatch: called while the executor spins, for each incompatible writer that appears.
        on_lost: called with how many messages are known lost since the last call, where the
            middleware counts them.
        raw: hand ``callback`` the serialised bytes.
    """
    profile = follow(node, topic) if qos is None else qos

    def mismatch(event: Any) -> None:
        others = node.get_publishers_info_by_topic(topic)
        on_mismatch(_mismatch(subscription.topic_name, event, others, reads=profile))

    calls: dict[str, Any] = {'incompatible_qos': mismatch}
    if on_lost is not None:
        calls['message_lost'] = lambda event: on_lost(event.total_count_change)
    options = {'qos_profile': profile, 'raw': raw}
    try:
        subscription = node.create_subscription(
            kind, topic, callback, event_callbacks=_reader_events(calls), **options
        )
    except events.UnsupportedEventTypeError:  # this middleware does not count losses
        calls.pop('message_lost', None)
        subscription = node.create_subscription(
            kind, topic, callback, event_callbacks=_reader_events(calls), **options
        )
    return subscription


def publisher_events(
    node: Any, topic: str, profile: QoSProfile, on_mismatch: Callable[[Mismatch], None]
) -> Any:
    """``event_callbacks`` for a publisher: hear of readers we cannot reach."""

    def mismatch(event: Any) -> None:
        others = node.get_subscriptions_info_by_topic(topic)
        name = node.resolve_topic_name(topic)
        on_mismatch(_mismatch(name, event, others, writes=profile))

    return events.PublisherEventCallbacks(incompatible_qos=mismatch)


def _reader_events(calls: dict[str, Any]) -> Any:
    return events.SubscriptionEventCallbacks(**calls)


def _mismatch(
    topic: str,
    event: Any,
    others: list[Any],
    *,
    reads: QoSProfile | None = None,
    writes: QoSProfile | None = None,
) -> Mismatch:
    def cannot(other: QoSProfile) -> bool:
        ours = (other, reads) if reads is not None else (writes, other)
        return bool(qos_check_compatible(*ours)[0] == QoSCompatibility.ERROR)

    deaf = {_full_name(info) for info in others if cannot(info.qos_profile)}
    policy = QoSPolicyKind(event.last_policy_kind).name.lower()
    return Mismatch(topic, policy, tuple(sorted(deaf)), reads is not None)


def _full_name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
