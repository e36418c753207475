"""Counts what comes out, and says so twice a second: ``python -m tools.soak.listener``."""

from __future__ import annotations

import json
import sys
from typing import Any

from edge_inference_ros.ros import process, qos


def main() -> int:
    """Run it as a process."""
    return process.run(_listener, args=[])


def _listener() -> Any:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.node import Node
    from vision_msgs.msg import Detection2DArray

    node = Node('soak_listener')
    counts = {'detections': 0, 'fresh': 0, 'latency': 0}

    def count(name: str) -> Any:
        def heard(_: Any) -> None:
            counts[name] += 1

        return heard

    kinds = {'detections': Detection2DArray, 'fresh': Detection2DArray, 'latency': DiagnosticArray}
    topics = {'fresh': 'fresh/detections'}
    for name, kind in kinds.items():
        node.create_subscription(kind, topics.get(name, name), count(name), qos.output())
    node.create_timer(0.5, lambda: sys.stdout.write(json.dumps(counts) + '\n'))
    return node


if __name__ == '__main__':
    sys.exit(main())
