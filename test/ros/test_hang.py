"""A run that hangs ends the process; one that is merely long does not."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from edge_inference_ros.ros.hang import EXIT_CODE, PERIOD_S, HangGuard


class Bench:
    def __init__(self, limit_s=2.0):
        self.lane = SimpleNamespace(busy_with=None)
        self.ends, self.alarms = [], []
        self.guard = HangGuard(
            self.lane, limit_s=limit_s, end=self.ends.append, alarm=self.alarms.append
        )

    def look(self, *runs):
        for run in runs:
            self.lane.busy_with = run
            self.guard.look()


def test_a_run_found_in_progress_for_the_whole_limit_ends_the_process():
    bench = Bench(limit_s=2.0)

    bench.look(*[7] * int(2.0 / PERIOD_S))
    assert not bench.ends

    bench.look(7)
    assert bench.ends == [2.0]


def test_runs_that_follow_one_another_are_no_hang():
    bench = Bench()

    bench.look(*range(1, 101, 2))

    assert not bench.ends


def test_an_idle_lane_is_no_hang():
    bench = Bench()

    bench.look(1, *[None] * 100, 3)

    assert not bench.ends


def test_the_alarm_that_needs_no_lock_is_armed_while_there_is_work_and_only_then():
    bench = Bench(limit_s=2.0)

    bench.look(None, 1, 3, None, None)
    bench.guard.close()

    assert bench.alarms == [2.5, 2.5, None, None]


SCRIPT = """
import sys, threading
from types import SimpleNamespace
from edge_inference_ros.ros.hang import HangGuard
lane = SimpleNamespace(busy_with=1)
guard = HangGuard(lane, limit_s=float(sys.argv[1]))
def stuck_in_the_device():
    threading.Event().wait()
threading.Thread(target=stuck_in_the_device, daemon=True).start()
guard.look()
{then}
"""


@pytest.mark.parametrize(
    ('then', 'limit', 'code'),
    [
        ('guard.look()', '0.5', EXIT_CODE),
        ('import re; re.match("(a+)+$", "a" * 64 + "b")', '0.1', 1),  # holds the lock for years
    ],
)
def test_the_process_says_where_it_hangs(then, limit, code):
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, '-c', SCRIPT.format(then=then), limit],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == code
    assert 'stuck_in_the_device' in ended.stderr
