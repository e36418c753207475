"""Three times more frames than the machine can process: does the age stay, does memory?

``python -m bench.overload [--seconds 60]`` runs a real camera_detector process, measures how long
it takes for a frame, then publishes three times as many and watches the age of what comes out.
The bound is two service times and the transport: a frame arrives while its predecessor is being
worked on, waits for it, and is worked on.
"""

from __future__ import annotations

import argparse
import array
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH_PX, HEIGHT_PX = 640, 480
READY_S = 30.0
SERVICE = ('prepare', 'infer', 'decode', 'track', 'publish')


class Watch:
    """A camera and a stopwatch on one graph."""

    def __init__(self, model: str) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.node import Node
        from sensor_msgs.msg import Image

        from edge_inference_ros.ros import qos

        self.node: Any = Node('bench_overload')
        self.camera = self.node.create_publisher(Image, 'image', qos.sensor())
        self.node.create_subscription(DiagnosticArray, 'latency', self._hear, qos.output())
        self.rows: list[dict[str, float]] = []
        self._spin: Callable[[float], None] = lambda s: rclpy.spin_once(self.node, timeout_sec=s)
        args = ['model:=' + model, 'autostart:=true', 'tracker:=none']
        command = [sys.executable, '-m', 'edge_inference_ros.nodes.camera_detector', '--ros-args']
        self.detector = subprocess.Popen([*command, *(w for a in args for w in ('-p', a))])
        pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        self._msg = Image(height=HEIGHT_PX, width=WIDTH_PX, encoding='bgr8', step=3 * WIDTH_PX)
        self._msg.data = array.array('B', pixels.tobytes())

    def _hear(self, msg: Any) -> None:
        known = {item.key: item.value for item in msg.status[0].values}
        self.rows.append({k: float(v) for k, v in known.items() if _is_number(v)})

    def wait(self) -> None:
        end = time.monotonic() + READY_S
        while not self.camera.get_subscription_count():
            if self.detector.poll() is not None or time.monotonic() > end:
                sys.exit('the detector did not start; see its log above')
            self._spin(0.1)

    def publish(self, rate_hz: float, seconds: float) -> None:
        """Publish at a steady rate, listening in between."""
        end = due = time.monotonic()
        end += seconds
        while due < end:
            while (left := due - time.monotonic()) > 0:
                self._spin(left)
            now_ns = self.node.get_clock().now().nanoseconds
            self._msg.header.stamp.sec, self._msg.header.stamp.nanosec = divmod(now_ns, 10**9)
            self.camera.publish(self._msg)
            due += 1.0 / rate_hz

    def resident_mib(self) -> float:
        pages = int(Path(f'/proc/{self.detector.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 2**20

    def close(self) -> None:
        self.detector.send_signal(signal.SIGINT)
        self.detector.wait(10)
        self.node.destroy_node()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--quick', action='store_true', help='10 s')
    parser.add_argument('--model', default='street_tiny')
    args = parser.parse_args(argv)

    import rclpy

    from edge_inference_ros.ros import process

    process.prepare()
    rclpy.init()
    watch = Watch(args.model)
    try:
        _measure(watch, 10.0 if args.quick else args.seconds)
    finally:
        watch.close()
        rclpy.try_shutdown()


def _measure(watch: Watch, seconds: float) -> None:
    watch.wait()
    watch.publish(5.0, 4.0)
    service_ms = float(np.median([_service(row) for row in watch.rows[5:]]))
    rate_hz = 3000.0 / service_ms
    watch.publish(rate_hz, 3.0)
    watch.rows.clear()
    before_mib = watch.resident_mib()
    watch.publish(rate_hz, seconds)
    rows = watch.rows
    last = rows[-1]
    ages = np.array([row['sensor_to_output'] for row in rows])
    bounds = np.array([2 * _service(row) + row['transport'] for row in rows])
    loaded_ms = float(np.median([_service(row) for row in rows]))
    print(f'alone, a frame takes {service_ms:.1f} ms; {rate_hz:.0f} Hz for {seconds:.0f} s')
    print(f'processed {len(rows)}; superseded {last["superseded"]:.0f} of {last["received"]:.0f}')
    print(f'service under load    p50 {loaded_ms:.1f} ms')
    print(f'age at output         p50 {np.median(ages):.1f}  p99 {np.quantile(ages, 0.99):.1f}'
          f'  max {ages.max():.1f} ms')  # fmt: skip
    print(f'age / (2 service + transport)  p50 {np.median(ages / bounds):.2f}'
          f'  p99 {np.quantile(ages / bounds, 0.99):.2f}')  # fmt: skip
    third = len(ages) // 3
    print(f'median age, last third / first third: '
          f'{np.median(ages[-third:]) / np.median(ages[:third]):.2f}')  # fmt: skip
    print(f'resident memory {before_mib:.0f} MiB before, {watch.resident_mib():.0f} MiB after')


def _service(row: dict[str, float]) -> float:
    return sum(row[stage] for stage in SERVICE)


def _is_number(text: str) -> bool:
    return text.replace('.', '', 1).lstrip('-').isdigit()


if __name__ == '__main__':
    main()
