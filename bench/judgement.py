"""What one judgement of the watchdog costs: ``python -m bench.judgement``.

Times ``Guard.judge`` and ``Guard.tick`` with odometry at 50 Hz and a source at 30 Hz, and an
empty call of the same shape, interleaved in one run, so that the ratio means something on any
machine. Garbage collection is off, as in the node after warm-up. ``--beside PATH`` measures the
package of another checkout in the same run, call by call in turn.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_inference_ros.core.types import MonoNs, RosNs
from edge_inference_ros.guard.freshness import Guard
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.guard.timeline import Instant
from edge_inference_ros.guard.verdict import Source

PACKAGE = 'edge_inference_ros'
EPOCH_NS = 1_700_000_000 * 10**9
STEP_NS = 10_000_000
NAME = 'detections'


def _instants(count: int) -> Iterator[Instant]:
    for k in range(count):
        yield Instant(RosNs(EPOCH_NS + k * STEP_NS), MonoNs(k * STEP_NS))


def _empty(_name: str, _stamp_ns: int, _frame: str, _now: Instant) -> None:
    return None


def _took(call: Callable[[], object]) -> float:
    start_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start_ns) / 1e3


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def of_another_checkout(path: str) -> Any:
    """The guard of a package elsewhere, beside ours; ``core`` is where it used to be."""
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PACKAGE)}
    sys.path.insert(0, path)
    try:
        room = 'guard' if Path(path, PACKAGE, 'guard').is_dir() else 'core'
        guard = import_module(f'{PACKAGE}.{room}.freshness').Guard
        robot = import_module(f'{PACKAGE}.{room}.robot').RobotProfile()
        return guard(robot, [import_module(f'{PACKAGE}.{room}.verdict').Source(NAME)])
    finally:
        sys.path.remove(path)
        for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
            del sys.modules[name]
        sys.modules.update(ours)


def measure(count: int, guards: dict[str, Any]) -> dict[str, list[float]]:
    """Microseconds of each call of each guard, warm-up left out."""
    took: dict[str, list[float]] = {'empty': []}
    for k, now in enumerate(_instants(count)):
        stamp_ns = RosNs(now.ros_ns - 70_000_000)
        odom_ns = RosNs(now.ros_ns - 4_000_000)
        for mark, guard in guards.items():
            calls: dict[str, Callable[[], object]] = {}
            if k % 2 == 0:
                calls[f'odometry{mark}'] = lambda: guard.moved(odom_ns, 1.0, 0.0, 0.2, now)  # noqa: B023
                calls[f'tick{mark}'] = lambda: guard.tick(now)  # noqa: B023
            if k % 3 == 0:
                calls['empty'] = lambda: _empty(NAME, stamp_ns, 'camera', now)  # noqa: B023
                calls[f'judge{mark}'] = lambda: guard.judge(NAME, stamp_ns, 'camera', now)  # noqa: B023
            for name, call in calls.items():
                took.setdefault(name, []).append(_took(call))
    return {name: values[len(values) // 10 :] for name, values in took.items()}


def main(argv: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=120_000, help='steps of 10 ms')
    parser.add_argument('--quick', action='store_true', help='a sixth of the steps')
    parser.add_argument('--beside', metavar='PATH', help='another checkout to measure in turn')
    chosen = parser.parse_args(argv)
    count = chosen.count // 6 if chosen.quick else chosen.count
    gc.disable()
    guards = {'': Guard(RobotProfile(), [Source(NAME)])}
    if chosen.beside:
        guards[' beside'] = of_another_checkout(chosen.beside)
    took = measure(count, guards)
    base = statistics.median(took['empty'])
    lines = [f'{"call":<16} {"p5 µs":>7} {"median µs":>10} {"p99 µs":>8} {"x empty":>8}']
    lines += [
        f'{name:<16} {_percentile(values, 5):>7.2f} {(median := statistics.median(values)):>10.2f}'
        f' {_percentile(values, 99):>8.2f}'
        f' {median / base:>8.1f}'
        for name, values in took.items()
    ]
    sys.stdout.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
