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
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)

from edge_inference_ros.core.types import LEASE_S

try:
    from rclpy import event_handler as events
except ImportError:  # Humble
    from rclpy import qos_event as events

RELIABLE = ReliabilityPolicy.RELIABLE
BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
_FOREVER_NS = 2**63 - 1

UNKNOWN_NODE = 'a node whose name is not known yet'

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
        other: full name of the node at the other end; empty when discovery does not know it.
        reading: whether we are the reader.
    """

    topic: str
    policy: str
    other: str
    reading: bool

    def __str__(self) -> str:
        who = self.other or 'another node'
        lost = f'nothing arrives from {who}' if self.reading else f'nothing reaches {who}'
        remedy = REMEDIES.get(self.policy, 'compare both with `ros2 topic info --verbose`')
        return f'{self.topic}: {lost}, incompatible {self.policy}: {remedy}'


def clashes(offered: QoSProfile, requested: QoSProfile) -> list[str]:
    """Every policy in which a writer offers less than a reader requests.

    By the rules of DDS (OMG DDS 1.4, section 2.2.3, "RxO"). rmw's own check names them in one
    sentence for people, and its event names only the last.
    """
    policies = []
    if requested.reliability == RELIABLE and offered.reliability == BEST_EFFORT:
        policies.append('reliability')
    if (
        requested.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and offered.durability == DurabilityPolicy.VOLATILE
    ):
        policies.append('durability')
    if _longer(offered.deadline, requested.deadline):
        policies.append('deadline')
    weaker = (
        requested.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
        and offered.liveliness == LivelinessPolicy.AUTOMATIC
    )
    lease, wanted = offered.liveliness_lease_duration, requested.liveliness_lease_duration
    if weaker or _longer(lease, wanted):
        policies.append('liveliness')
    return policies


def _longer(offered: Duration, requested: Duration) -> bool:
    """Whether a promise is longer than the demand."""
    return _at_most_ns(offered) > _at_most_ns(requested)


def _at_most_ns(duration: Duration) -> int:
    """A duration; zero says 'not set', which is forever: what discovery calls 2^63 - 1."""
    return duration.nanoseconds or _FOREVER_NS


class QosWatch:
    """Finds the ends of one topic that cannot talk to ours, and reports each of them once.

    The middleware's event alone does not do: it is lost when the other end was there before ours,
    as it is when a node is activated again (seen in two of three activations, Fast DDS 2.14).
    """

    def __init__(
        self, node: Any, topic: str, ours: QoSProfile, report: Callable[[Mismatch], None],
        *, reading: bool,
    ) -> None:  # fmt: skip
        self._topic = node.resolve_topic_name(topic)
        self._ours = ours
        self._report = report
        self._reading = reading
        sides = 'publishers' if reading else 'subscriptions'
        self._others = getattr(node, f'get_{sides}_info_by_topic')
        self._known: set[Mismatch] = set()

    def look(self) -> list[Mismatch]:
        """Compare with every other end that discovery knows now; returns all that cannot talk."""
        standing = []
        for info in self._others(self._topic):
            theirs = info.qos_profile
            pair = (theirs, self._ours) if self._reading else (self._ours, theirs)
            standing += [self._report_new(policy, full_name(info)) for policy in clashes(*pair)]
        return standing

    def on_event(self, event: Any) -> None:
        """What the middleware calls; it knows one policy and no names."""
        self.look()
        policy = QoSPolicyKind(event.last_policy_kind).name.lower()
        if not any(known.policy == policy for known in self._known):
            self._report_new(policy, '')

    def _report_new(self, policy: str, node_name: str) -> Mismatch:
        mismatch = Mismatch(self._topic, policy, node_name, self._reading)
        if mismatch not in self._known:
            self._known.add(mismatch)
            self._report(mismatch)
        return mismatch


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
        on_mismatch: called at once or while the executor spins, once for each incompatible writer.
        on_lost: called with how many messages are known lost since the last call, where the
            middleware counts them.
        raw: hand ``callback`` the serialised bytes.
    """
    profile = follow(node, topic) if qos is None else qos
    watch = QosWatch(node, topic, profile, on_mismatch, reading=True)
    calls: dict[str, Any] = {'incompatible_qos': watch.on_event}
    if on_lost is not None:
        calls['message_lost'] = lambda event: on_lost(event.total_count_change)

    def create() -> Any:
        heard = events.SubscriptionEventCallbacks(**calls)
        return node.create_subscription(
            kind, topic, callback, profile, event_callbacks=heard, raw=raw
        )

    try:
        subscription = create()
    except events.UnsupportedEventTypeError:  # this middleware does not count losses
        calls.pop('message_lost', None)
        subscription = create()
    watch.look()
    return subscription


def advertise(  # noqa: D417 - node, kind, topic as in rclpy
    node: Any,
    kind: Any,
    topic: str,
    qos: QoSProfile,
    *,
    on_mismatch: Callable[[Mismatch], None],
    create: Callable[..., Any] | None = None,
) -> Any:
    """Create a publisher, and hear of readers it cannot reach.

    Args:
        on_mismatch: called at once or while the executor spins, once for each incompatible reader.
        create: what makes it: ``node.create_publisher`` unless said.
    """
    watch = QosWatch(node, topic, qos, on_mismatch, reading=False)
    heard = events.PublisherEventCallbacks(incompatible_qos=watch.on_event)
    publisher = (create or node.create_publisher)(kind, topic, qos, event_callbacks=heard)
    watch.look()
    return publisher


def unheard(node: Any, topic: str, kind: Any, lost: str) -> str:
    """Words for an input of ``node`` that nobody publishes; empty when somebody does.

    ``topic`` is what the node calls it, before remapping; ``lost`` says what is lost without it.
    """
    name = node.resolve_topic_name(topic)
    kinds = {info.topic_type for info in node.get_publishers_info_by_topic(name)}
    if (wanted := type_name(kind)) in kinds:
        return ''
    if kinds:
        carried = ', '.join(sorted(kinds))
        return f'{name} carries {carried}, not {wanted}: {lost}; remap {topic} to another topic'
    return (
        f'nobody publishes {name}: {lost}; start what publishes it, or remap {topic}, an argument'
        ' of the launch file (ros2 topic list)'
    )


def type_name(kind: Any) -> str:
    """As discovery spells it: 'sensor_msgs/msg/Image'."""
    package, folder, *_ = kind.__module__.split('.')
    return f'{package}/{folder}/{kind.__name__}'


def retire(entity: Any) -> None:
    """Let no event of a subscription or publisher be taken any more; call it before destroying.

    The events executor may have noted that one is due, and would take it from a handle that is
    gone: ``InvalidHandle``, which ends the process.
    """
    for handler in getattr(entity, 'event_handlers', ()):
        handler.take_data = lambda: None


def full_name(info: Any) -> str:
    """The node of an endpoint that discovery knows, with its namespace."""
    if 'UNKNOWN' in info.node_name:  # its endpoint was heard of before the node itself
        return UNKNOWN_NODE
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'
