"""What command-line tools need of rclpy: a bare node, and message classes by name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edge_inference_ros.core import transport
from edge_inference_ros.errors import BagError, ConfigError, EdgeInferenceError


@contextmanager
def open_node(name: str) -> Iterator[Any]:
    """A bare node; the middleware is started before it and stopped after it.

    SIGINT and SIGTERM end the ``with`` block quietly: they are how one stops a tool.

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
