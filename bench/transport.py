"""Receiving camera images and LiDAR sweeps: rclpy as it comes, and as ros/process.py sets it.

Each row is a publisher process and a subscriber process of its own, on loopback, best effort,
depth 1, in turn: as it comes; with our transport profile; with our allocator settings as well.
The ratios are to the second, because next to nothing arrives by the first.

    python -m bench.transport [--quick]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection
from dataclasses import replace

from bench._link import Cell, Cost, measure
from edge_inference_ros.core.transport import PROFILE_VARIABLES, TRANSPORT, profile

RATE_HZ = 25.0
BLOBS = {
    '640x480': '640x480 bgr8, 0.9 MB',
    '1280x720': '1280x720 bgr8, 2.8 MB',
    '1920x1080': '1920x1080 bgr8, 6.2 MB',
    '3840x2160': '3840x2160 bgr8, 24.9 MB',
    'cloud 30000': 'cloud 30 k points, 0.5 MB',
    'cloud 130000': 'cloud 130 k points, 2.1 MB',
}
PROFILES = {'3840x2160': 'shm_4k'}
RAW_TOO = ('640x480', '1920x1080', 'cloud 130000')
ARRAYS = (1, 20, 100)


def main(argv: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog='python -m bench.transport', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='1 s a row instead of 4')
    chosen = parser.parse_args(argv)
    count = int(RATE_HZ * (1.0 if chosen.quick else 4.0))
    blobs(count, () if chosen.quick else RAW_TOO)
    arrays(count)


def blobs(count: int, raw_too: Collection[str]) -> None:
    """Images and clouds, from ordinary to tuned."""
    head('images and clouds')
    for payload, title in BLOBS.items():
        name = PROFILES.get(payload, 'shm')
        ours = (PROFILE_VARIABLES[0], str(profile(name)))
        cell = Cell(payload, count, RATE_HZ, tuned=False)
        show(title, 'ordinary', measure(cell))
        transport = measure(replace(cell, env=(ours,)))
        show('', '+ transport', transport)
        tuned = replace(cell, tuned=True, env=((TRANSPORT, name),))
        show('', '+ allocator', measure(tuned), transport)
        if payload in raw_too:
            show('', '+ raw', measure(replace(tuned, receive='raw')), transport)


def arrays(count: int) -> None:
    """Detections as message objects and as serialised bytes with their stamp read from them."""
    head('Detection2DArray')
    for boxes in ARRAYS:
        cell = Cell(f'detections {boxes}', count, RATE_HZ, reliable=True)
        typed = measure(cell)
        show(f'{boxes} detections', 'message', typed)
        show('', 'raw', measure(replace(cell, receive='raw')), typed)


def head(title: str) -> None:
    """Column names."""
    print(f'\n{title:28s}{"":12s}{"arrived":>9s}{"p50 ms":>8s}{"p95 ms":>8s}{"CPU ms":>8s}'
          f'{"RSS MB":>8s}{"sender CPU ms":>15s}{"p50":>8s}{"CPU":>7s}', flush=True)  # fmt: skip


def show(title: str, way: str, cost: Cost, base: Cost | None = None) -> None:
    """One row, with ratios to ``base``: below 1 is better."""
    arrived = f'{cost.received}/{cost.sent}'
    row = (
        f'{title:28s}{way:12s}{arrived:>9s}{figure(cost.p50_ms)}{figure(cost.p95_ms)}'
        f'{figure(cost.cpu_ms)}{cost.rss_mb:8.0f}{cost.sender_cpu_ms:15.2f}'
    )
    if base is not None:
        row += f'{ratio(cost.p50_ms, base.p50_ms)}{ratio(cost.cpu_ms, base.cpu_ms)}'
    print(row, flush=True)


def figure(value: float) -> str:
    """A measured value, or a dash where too little arrived to measure."""
    return f'{"-":>8s}' if math.isnan(value) else f'{value:8.2f}'


def ratio(ours: float, base: float) -> str:
    """Ours over the base's, if both were measured."""
    return f'{"-":>8s}' if math.isnan(ours) or math.isnan(base) else f'{ours / base:7.2f}x'


if __name__ == '__main__':
    main()
