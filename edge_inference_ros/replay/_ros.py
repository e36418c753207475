"""The QoS that playing and recording ask for."""

from __future__ import annotations

from typing import Any

_DEEPEST = 100
SENSOR_TYPES = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
    'sensor_msgs/msg/PointCloud2',
)


def offered_qos(msgtype: str, recorded: Any) -> Any:
    """What to offer for a topic: as recorded; otherwise sensors best effort, the rest reliable."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    qos = QoSProfile(depth=1 if msgtype in SENSOR_TYPES else 10)
    qos.reliability = (
        ReliabilityPolicy.BEST_EFFORT if msgtype in SENSOR_TYPES else ReliabilityPolicy.RELIABLE
    )
    if recorded is not None:
        qos.depth = min(max(recorded.depth, qos.depth), _DEEPEST)
        if recorded.reliability.name in ('RELIABLE', 'BEST_EFFORT'):
            qos.reliability = ReliabilityPolicy[recorded.reliability.name]
        if recorded.durability.name in ('VOLATILE', 'TRANSIENT_LOCAL'):
            qos.durability = DurabilityPolicy[recorded.durability.name]
    return qos


def matching_qos(publishers: list[Any], depth: int) -> Any:
    """What to ask for so that every one of ``publishers`` is heard."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    offered = [info.qos_profile for info in publishers]
    reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
