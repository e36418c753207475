"""The little of rclpy that playing and recording need."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edge_inference_ros.core import transport
from edge_inference_ros.errors import BagError, ConfigError, EdgeInferenceError

_DEEPEST = 100
SENSOR_TYPES = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
    'sensor_msgs/msg/PointCloud2',
)


@contextmanager
def open_node(name: str) -> Iterator[Any]:
    """A bare node; the middleware is started before it and stopped after it.

    SIGINT and SIGTERM end the ``with`` block quietly: they are how one stops a player.

    Raises:
        ConfigError: there is no ROS 2 here, or ``EDGE_INFERENCE_TRANSPORT`` names no profile.
    """
    os.environ.update(transport.settings())
    try:
        import rclpy
        from rclpy.executors import ExternalShutdownException
    except ImportError as error:
        raise ConfigError(f'needs ROS 2: {error}; source one, or run `make env`') from error
    rclpy.init(args=[])
    node = rclpy.create_node(name, start_parameter_services=False, enable_rosout=False)
    try:
        yield node
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except EdgeInferenceError:
        raise
    except Exception:
        if rclpy.ok():
            raise  # otherwise SIGTERM pulled the context from under a call in progress
    finally:
        with suppress(KeyboardInterrupt):  # a second Ctrl-C must not cut the tidying short
            node.destroy_node()
            rclpy.try_shutdown()


def message_class(msgtype: str) -> Any:
    """The Python class of ``msgtype``, such as ``sensor_msgs/msg/Image``.

    Raises:
        BagError: the package is not installed here or has no such message.
    """
    package, _, name = msgtype.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BagError(f'{msgtype}: not installed here ({error})') from error


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
