"""Sends real messages of every size from another process, and says which arrived."""

from __future__ import annotations

import array
import sys
import threading
import time
from collections.abc import Iterator
from subprocess import PIPE, Popen
from typing import Any

from edge_inference_ros.core.types import Level
from edge_inference_ros.monitor.finding import Finding
from edge_inference_ros.ros import qos

SIZES_PX = {'VGA': (640, 480), '720p': (1280, 720), '1080p': (1920, 1080)}
COUNT = 20
RATE_HZ = 20.0
TOPIC = 'edge_inference_doctor/probe'
START_S = 20.0


def transport(node: Any) -> Iterator[Finding]:
    """One finding a size: how many images of a process of its own arrived here.

    Args:
        node: a node that nobody spins.
    """
    from sensor_msgs.msg import Image

    reader = node.create_subscription(Image, TOPIC, lambda _: None, qos.sensor(), raw=True)
    command = [sys.executable, '-m', 'edge_inference_ros.monitor.probe', node.get_namespace()]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as child:  # noqa: S603
        try:
            for name, (width, height) in SIZES_PX.items():
                yield _judge(name, _arrived(child, reader, width, height))
        finally:
            child.kill()
            node.destroy_subscription(reader)


def _arrived(child: Any, reader: Any, width: int, height: int) -> int | None:
    """Messages that came of ``COUNT``; None when the child did not get to send."""
    assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018
    done = threading.Event()

    def sent() -> None:
        child.stdout.readline()
        done.set()

    child.stdin.write(f'{width} {height}\n')
    child.stdin.flush()
    threading.Thread(target=sent, daemon=True).start()
    count, end_s = 0, time.monotonic() + START_S + COUNT / RATE_HZ
    last_look = False
    while time.monotonic() < end_s:
        with reader.handle:
            while reader.handle.take_message(reader.msg_type, reader.raw) is not None:
                count += 1
        if last_look:
            return count
        last_look = done.wait(0.5 / RATE_HZ)
    return None


def _judge(name: str, arrived: int | None) -> Finding:
    check, see = f'transport {name}', 'edge_inference doctor'
    if arrived is None:
        return Finding(check, Level.ERROR, 'a process of its own could not send', '', see)
    text = f'{arrived} of {COUNT} images arrived from another process'
    if arrived >= COUNT - 2:
        return Finding(check, Level.OK, text)
    return Finding(
        check, Level.ERROR, text,
        'start every node with our transport profile (docs/latency.md), and give /dev/shm room'
        ' (docker: --shm-size=1g)', see,
    )  # fmt: skip


def main() -> int:
    """Send ``COUNT`` images for every line ``width height`` on standard input."""
    from sensor_msgs.msg import Image

    from edge_inference_ros.ros.tool import open_node

    with open_node('edge_inference_doctor_probe') as node:
        sender = node.create_publisher(Image, TOPIC, qos.output())
        for line in sys.stdin:
            width, height = map(int, line.split())
            end_s = time.monotonic() + START_S
            while not sender.get_subscription_count() and time.monotonic() < end_s:
                time.sleep(0.02)
            msg = Image(width=width, height=height, encoding='bgr8', step=3 * width)
            msg.data = array.array('B', bytes(3 * width * height))
            for _ in range(COUNT):
                sender.publish(msg)
                time.sleep(1 / RATE_HZ)
            sys.stdout.write('sent\n')
            sys.stdout.flush()
    return 0


if __name__ == '__main__':
    sys.exit(main())
