"""A run that hangs ends the process; one that is long, or stopped from outside, does not."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.ros import Child, wait_until

from edge_inference_ros.ros import pulse
from edge_inference_ros.ros.hang import EXIT_CODE, PERIOD_S, HangGuard

REPOSITORY = Path(__file__).parents[2]


class Beats:
    """A pulse that is counted."""

    def __init__(self, limit_s):
        self.count, self.closed, self.beaten = 0, False, threading.Event()

    def beat(self):
        self.count += 1
        self.beaten.set()

    def close(self):
        self.closed = True


class Bench:
    def __init__(self, limit_s=2.0):
        self.lane = SimpleNamespace(busy_with=None)
        self.ends, self.pulses = [], []
        self.guard = HangGuard(self.lane, limit_s=limit_s, end=self.ends.append, pulse=self._pulse)

    def _pulse(self, limit_s):
        self.pulses.append(Beats(limit_s))
        return self.pulses[-1]

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


def test_it_beats_by_itself_from_entering_to_leaving():
    bench = Bench()

    with bench.guard:
        (beats,) = bench.pulses
        assert beats.beaten.wait(30.0)
        assert not beats.closed

    count = beats.count
    assert beats.closed
    assert count > 0
    assert not bench.guard._thread.is_alive()


SCRIPT = """
import re, sys, threading
from types import SimpleNamespace
from edge_inference_ros.ros.hang import HangGuard
lane = SimpleNamespace(busy_with=None)
def stuck_in_the_device():
    lane.busy_with = 1
    {work}
with HangGuard(lane, limit_s=float(sys.argv[1])):
    threading.Thread(target=stuck_in_the_device, daemon=True).start()
    while True:
        threading.Event().wait(0.05)
        print('alive', flush=True)
"""
KEEPS_THE_LOCK = 're.match("(a+)+$", "a" * 64 + "b")'  # for years


@pytest.mark.parametrize(
    ('work', 'code', 'words'),
    [
        ('threading.Event().wait()', EXIT_CODE, 'one run has taken 0.5 s'),
        (KEEPS_THE_LOCK, -signal.SIGABRT, 'the interpreter has not answered for 0.5 s'),
    ],
)
def test_the_process_says_where_it_hangs(work, code, words):
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, '-c', SCRIPT.format(work=work), '0.5'],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert 'stuck_in_the_device' in ended.stderr


@pytest.fixture
def child():
    """A process under guard whose lane is idle."""
    env = {**os.environ, 'PYTHONPATH': str(REPOSITORY)}
    made = Child([sys.executable, '-c', SCRIPT.format(work='lane.busy_with = None'), '1.0'], env)
    made.wait_for('alive')
    yield made
    made.end()


def state(process):
    return Path(f'/proc/{process}/stat').read_text().rpartition(') ')[2][0]


def children(process):
    return [int(n) for n in Path(f'/proc/{process}/task/{process}/children').read_text().split()]


@pytest.mark.parametrize('whom', ['the process', 'the process and its watcher'])
def test_a_process_that_was_stopped_goes_on_afterwards(child, whom):
    both = [child.process.pid, *children(child.process.pid)]
    stopped = both if whom.endswith('watcher') else both[:1]
    for _ in range(2):
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        wait_until(lambda: all(state(process) == 'T' for process in stopped))
        since = time.monotonic()
        wait_until(lambda since=since: time.monotonic() > since + 2.0)  # twice the limit
        for process in stopped:
            os.kill(process, signal.SIGCONT)
        said = len(child.lines)
        wait_until(lambda said=said: len(child.lines) > said + 30)  # again longer than the limit

    assert child.process.poll() is None


def test_a_process_that_ends_takes_its_watcher_with_it(child):
    (watcher,) = children(child.process.pid)

    child.signal(signal.SIGKILL)

    wait_until(lambda: not Path(f'/proc/{watcher}').exists() or state(watcher) == 'Z')


def test_an_interrupt_for_the_whole_group_does_not_reach_the_watcher(child):
    (watcher,) = children(child.process.pid)

    assert os.getpgid(watcher) != os.getpgid(child.process.pid)


def test_who_is_stopped_is_known_and_who_is_not_there_is_not_stopped():
    assert not pulse.is_stopped(os.getpid())
    assert not pulse.is_stopped(2**22 + 1)
