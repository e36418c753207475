"""What `edge_inference top` costs: its share of a core, and what it adds to a detector's tail.

``python -m bench.watching [--seconds 15] [--rounds 2]`` runs a real camera_detector and publishes
frames at a rate it can keep. Rounds of alone, watched, watched, alone follow each other in the one
run, so that both see the same machine. The screen runs on a pseudo-terminal of 80 x 24.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.overload import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ, START_S = 20.0, 6.0


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used, its threads included."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@contextmanager
def top() -> Iterator[int]:
    """The screen on a terminal of its own, which is read so that it never waits; its process."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    command = [sys.executable, '-m', 'edge_inference_ros.cli', 'top']
    env = {**os.environ, 'TERM': 'xterm-256color'}
    screen = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)

    def read() -> None:
        with suppress(OSError):  # the other end is gone
            while os.read(ours, 65536):
                pass

    threading.Thread(target=read, daemon=True).start()
    try:
        yield screen.pid
    finally:
        screen.send_signal(signal.SIGTERM)
        screen.wait(10)


def main(argv: list[str] | None = None) -> None:
    """Print the two figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=15.0, help='of each part of a round')
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--quick', action='store_true', help='one round of 3 s each')
    parser.add_argument('--model', default='street_tiny')
    chosen = parser.parse_args(argv)
    seconds, rounds = (3.0, 1) if chosen.quick else (chosen.seconds, chosen.rounds)

    import rclpy

    from edge_inference_ros.ros import process

    process.prepare()
    rclpy.init()
    watch = Watch(chosen.model)
    ages: dict[bool, list[float]] = {False: [], True: []}
    shares: list[float] = []
    try:
        watch.wait()
        watch.publish(RATE_HZ, 4.0)
        for _ in range(rounds):
            for watched in (False, True, True, False):
                ages[watched] += _part(watch, seconds, shares if watched else None)
    finally:
        watch.close()
        rclpy.try_shutdown()
    lines = []
    for percent in (50, 99):
        alone, seen = (np.percentile(ages[watched], percent) for watched in (False, True))
        lines.append(
            f'detector age p{percent}: {alone:.1f} ms alone, {seen:.1f} ms watched,'
            f' ratio {seen / alone:.2f}  ({len(ages[False])} and {len(ages[True])} frames)'
        )
    lines.append(f'top: {np.mean(shares):.1%} of one core')
    sys.stdout.write('\n'.join(lines) + '\n')


def _part(watch: Watch, seconds: float, shares: list[float] | None) -> list[float]:
    """Ages of the outputs, ms; the watcher's share of a core is appended to ``shares``."""
    if shares is None:
        return _ages(watch, seconds)
    with top() as pid:
        watch.publish(RATE_HZ, START_S)  # until it has started
        start_s, used_s = time.monotonic(), cpu_s(pid)
        ages = _ages(watch, seconds)
        shares.append((cpu_s(pid) - used_s) / (time.monotonic() - start_s))
        return ages


def _ages(watch: Watch, seconds: float) -> list[float]:
    watch.rows.clear()
    watch.publish(RATE_HZ, seconds)
    return [row['sensor_to_output'] for row in watch.rows]


if __name__ == '__main__':
    main()
