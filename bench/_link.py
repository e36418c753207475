"""One publisher process, one subscriber process, and what it cost to get from one to the other.

Run by the benchmarks through ``measure``; ``python -m bench._link send|receive`` is one end of it.
Stamps are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import array
import ctypes
import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = {
    '640x480': (640, 480),
    '1280x720': (1280, 720),
    '1920x1080': (1920, 1080),
    '3840x2160': (3840, 2160),
}
POINT_BYTES = 16


@dataclass(frozen=True)
class Cell:
    """What one measurement sends and how it is received.

    Attributes:
        payload: a key of ``PICTURES``, 'cloud <points>', or 'detections <count>'.
        count, rate_hz: how many messages, how fast.
        receive: 'msg' (message objects) or 'raw' (serialised bytes).
        tuned: with ros/process.py's settings or without, at both ends.
        reliable: both ends.
        env: more environment for both ends.
    """

    payload: str
    count: int
    rate_hz: float
    receive: str = 'msg'
    tuned: bool = True
    reliable: bool = False
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cost:
    """What one measurement found: latency from before publish() to after the callback's view."""

    sent: int
    received: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    rss_mb: float
    sender_cpu_ms: float


def measure(cell: Cell) -> Cost:
    """Run both ends in processes of their own and gather their accounts."""
    with ExitStack() as keep:
        env = environment(cell, keep.enter_context(free_domain()))
        receiver = keep.enter_context(end('receive', cell, env))
        assert receiver.stdout is not None
        assert receiver.stdin is not None
        receiver.stdout.readline()  # subscribed
        sender = keep.enter_context(end('send', cell, env))
        sent, _ = sender.communicate(timeout=60 + 3 * cell.count / cell.rate_hz)
        got, _ = receiver.communicate('end\n', timeout=60)
    return Cost(**json.loads(got.splitlines()[-1]), **json.loads(sent.splitlines()[-1]))


def end(role: str, cell: Cell, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """One end as a process."""
    argv = [sys.executable, '-m', 'bench._link', role, json.dumps(cell.__dict__)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=dict(env), stdin=pipe, stdout=pipe, text=True)


class free_domain:  # noqa: N801 - a context manager that reads like a function
    """A ROS domain nobody else measures on, held by a bound socket."""

    def __enter__(self) -> int:
        for domain in random.sample(range(1, 102), 101):
            self._lock = socket.socket()
            try:
                self._lock.bind(('127.0.0.1', 22119 + domain))
            except OSError:
                self._lock.close()
                continue
            return domain
        raise RuntimeError('every ROS domain is taken')

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def environment(cell: Cell, domain: int) -> dict[str, str]:
    """Ours, on loopback; without a transport profile unless tuned."""
    ours = {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    env = {name: value for name, value in os.environ.items() if 'DEFAULT_PROFILES' not in name}
    env['EDGE_INFERENCE_TRANSPORT'] = 'shm' if cell.tuned else 'default'
    return {**env, **ours, **dict(cell.env)}


# ---- inside the ends


def message(payload: str) -> Any:
    """A message of the size and type that ``payload`` names."""
    what, _, number = payload.partition(' ')
    if what in PICTURES:
        return picture(*PICTURES[what])
    return cloud(int(number)) if what == 'cloud' else detections(int(number))


def picture(width: int, height: int) -> Any:
    """A bgr8 Image."""
    from sensor_msgs.msg import Image

    msg = Image(width=width, height=height, encoding='bgr8', step=3 * width)
    msg.data = array.array('B', bytes(3 * width * height))
    return msg


def cloud(points: int) -> Any:
    """A PointCloud2 of x, y, z and intensity."""
    from sensor_msgs.msg import PointCloud2, PointField

    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(('x', 'y', 'z', 'intensity'))
    ]
    size = POINT_BYTES * points
    msg = PointCloud2(height=1, width=points, fields=fields, point_step=POINT_BYTES, row_step=size)
    msg.data = array.array('B', bytes(size))
    return msg


def detections(count: int) -> Any:
    """A Detection2DArray with ``count`` boxes."""
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    def one(i: int) -> Any:
        found = Detection2D(id=str(i))
        found.bbox.center.position.x = 10.0 * i
        found.bbox.size_x = found.bbox.size_y = 5.0
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = 'person', 0.5
        found.results.append(result)
        return found

    return Detection2DArray(detections=[one(i) for i in range(count)])


def profile(cell: Cell) -> Any:
    """Keep-last 1, as reliable as the cell says."""
    from edge_inference_ros.ros import qos

    return qos.sensor(reliability=qos.RELIABLE if cell.reliable else qos.BEST_EFFORT)


def send(cell: Cell) -> None:
    """Publish the serialised message, its stamp written in place just before."""
    import rclpy
    from rclpy.serialization import serialize_message

    rclpy.init()
    node = rclpy.create_node('sender')
    msg = message(cell.payload)
    publisher = node.create_publisher(type(msg), 'link', profile(cell))
    data = serialize_message(msg)
    while not publisher.get_subscription_count():
        rclpy.spin_once(node, timeout_sec=0.01)
    begin, used = time.monotonic(), time.process_time()
    for i in range(cell.count):
        time.sleep(max(0.0, begin + (i + 1) / cell.rate_hz - time.monotonic()))
        stamp(data, time.monotonic_ns())
        publisher.publish(data)
    cpu_ms = (time.process_time() - used) * 1e3 / cell.count
    print(json.dumps({'sent': cell.count, 'sender_cpu_ms': cpu_ms}), flush=True)
    time.sleep(0.2)  # what is still under way may arrive
    finish(node)


def stamp(data: bytes, at_ns: int) -> None:
    """Write ``at_ns`` where the header of a serialised message has its stamp.

    ``publish`` takes bytes only, and a fresh copy of a picture per message would be measured too.
    """
    struct.pack_into('<iI', _writable(data), 4, at_ns // 10**9, at_ns % 10**9)


def stamp_of(data: bytes) -> int:
    """The stamp of a serialised message, in ns."""
    seconds, rest = struct.unpack_from('<iI', data, 4)
    return int(seconds * 10**9 + rest)


def _writable(data: bytes) -> ctypes.Array[ctypes.c_char]:
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert address is not None
    return (ctypes.c_char * len(data)).from_address(address)


def receive(cell: Cell) -> None:
    """Note each message's age once its bytes can be read as an array."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init()
    node = rclpy.create_node('receiver')
    ages_ns: list[int] = []
    used: list[float] = []

    def on_raw(data: bytes) -> None:
        np.frombuffer(data, np.uint8)
        ages_ns.append(time.monotonic_ns() - stamp_of(data))
        used.append(time.process_time())

    def on_msg(msg: Any) -> None:
        if hasattr(msg, 'data'):
            np.frombuffer(msg.data, np.uint8)
        at = msg.header.stamp
        ages_ns.append(time.monotonic_ns() - at.sec * 10**9 - at.nanosec)
        used.append(time.process_time())

    kind, raw = type(message(cell.payload)), cell.receive == 'raw'
    node.create_subscription(kind, 'link', on_raw if raw else on_msg, profile(cell), raw=raw)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ended = threading.Event()
    threading.Thread(target=until_told, args=(ended,), daemon=True).start()
    print('subscribed', flush=True)
    while not ended.is_set():
        executor.spin_once(timeout_sec=0.1)
    print(json.dumps(account(ages_ns, used)), flush=True)
    finish(node)


def until_told(ended: threading.Event) -> None:
    """Wait for a line from the parent, or its end."""
    sys.stdin.readline()
    ended.set()


def account(ages_ns: list[int], used: list[float]) -> dict[str, float]:
    """Medians and means after the first tenth, which is warming up."""
    skip = len(ages_ns) // 10
    ages_ms = np.array(ages_ns[skip:], np.float64) / 1e6 if ages_ns else np.array([np.nan])
    cpu_s = (used[-1] - used[skip]) / (len(used) - 1 - skip) if len(used) - skip > 1 else np.nan
    return {
        'received': len(ages_ns),
        'p50_ms': float(np.median(ages_ms)),
        'p95_ms': float(np.quantile(ages_ms, 0.95)),
        'cpu_ms': cpu_s * 1e3,
        'rss_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def finish(node: Any) -> None:
    """Leave nothing in shared memory."""
    import rclpy

    node.destroy_node()
    rclpy.shutdown()


def main(argv: list[str] | None = None) -> None:
    """Be one end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('role', choices=('send', 'receive'))
    parser.add_argument('cell', type=json.loads)
    chosen = parser.parse_args(argv)
    cell = Cell(**chosen.cell)
    if cell.tuned:
        from edge_inference_ros.ros import process

        process.prepare()
    {'send': send, 'receive': receive}[chosen.role](cell)


if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
