"""Processes start tuned, end cleanly however they are told to, and say what went wrong."""

import ctypes
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_inference_ros.core import transport
from edge_inference_ros.errors import BAD_CONFIGURATION
from edge_inference_ros.ros import process


def test_big_buffers_are_kept_where_malloc_is_glibcs():
    assert process.keep_big_buffers() is hasattr(ctypes.CDLL(None), 'gnu_get_libc_version')


def test_another_libc_is_left_alone(monkeypatch):
    monkeypatch.setattr(process.ctypes, 'CDLL', lambda _: object())

    assert process.keep_big_buffers() is False


def test_an_old_glibc_gets_the_greatest_threshold_it_takes(monkeypatch):
    set_to = {}

    class Old:
        @staticmethod
        def mallopt(knob, value):
            refused = knob == -3 and value > 32 << 20
            set_to.update({} if refused else {knob: value})
            return int(not refused)

    monkeypatch.setattr(process.ctypes, 'CDLL', lambda _: Old)

    assert process.keep_big_buffers()
    assert set_to == {-3: 32 << 20, -1: 512 << 20}


def test_what_is_loaded_is_out_of_the_collectors_sight():
    process.settle()
    try:
        assert gc.get_freeze_count() > 1000
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_what_the_kernel_refuses_is_said_in_words(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    monkeypatch.setattr(os, 'sched_setaffinity', refuse)

    refused = process.real_time(priority=50, cpus=[3])

    assert 'LimitRTPRIO=50' in refused[0]
    assert 'this process may use' in refused[1]


def test_what_the_kernel_grants_needs_no_words(monkeypatch):
    asked = []
    monkeypatch.setattr(os, 'sched_setscheduler', lambda *a: asked.append(a[1]))
    monkeypatch.setattr(os, 'sched_setaffinity', lambda *a: asked.append(a[1]))

    assert process.real_time(priority=50, cpus=[0]) == []
    assert process.real_time() == []
    assert asked == [os.SCHED_FIFO, [0]]


IGNORING = """
import atexit, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
atexit.register(lambda: print('SIGHUP is ignored', flush=True)
                if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else None)
"""
LATE_SHUTDOWN = """
import os, signal, sys, threading
from functools import partial

import rclpy.executors
from rclpy.lifecycle import LifecycleNode
from rclpy.signals import SignalHandlerOptions

from edge_inference_ros.ros import process

# What a thread of rclpy does at a signal, and no sooner than the executor waits again.
rclpy.init = partial(rclpy.init, signal_handler_options=SignalHandlerOptions.NO)
looks = threading.Semaphore(0)


class Executor(rclpy.executors.SingleThreadedExecutor):
    def get_nodes(self):
        looks.release()
        return super().get_nodes()


def end_it(executor):
    while looks.acquire(timeout=0.3):  # until it waits
        pass
    os.kill(os.getpid(), {number})
    executor.wake()
    looks.acquire()
    context = rclpy.get_default_context()
    with context.handle:
        context.handle.shutdown()
    print('shut down', flush=True)


def make_executor(*, events):
    executor = Executor()
    threading.Thread(target=end_it, args=(executor,)).start()
    return executor, None


process.executor = make_executor
process.autostart = lambda _: None
sys.exit(process.run(lambda: LifecycleNode('idle')))
"""


@pytest.mark.ros
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('stage', ['spinning', 'configuring', 'active'])
@pytest.mark.parametrize('executor', ['events', 'single'])
def test_a_signal_ends_it_cleanly_and_releases_what_it_held(ros, number, stage, executor):
    start = f'autostart:={stage != "spinning"}'.lower()
    env = {'STAGE': stage, process.EXECUTOR: executor}
    child = ros.child('-c', NODE, '--ros-args', '-p', start, env=env)
    child.wait_for(f'now {stage}')

    child.signal(number)

    assert child.code() == 0, child.said
    assert 'released' in child.said
    assert 'Traceback' not in child.said


@pytest.mark.ros
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_though_ros_is_shut_down_only_when_the_executor_waits_again(ros, number):
    child = ros.child('-c', LATE_SHUTDOWN.format(number=int(number)))

    assert child.code() == 0, child.said
    assert child.lines == ['shut down']


@pytest.mark.ros
def test_who_ignores_a_hang_up_goes_on_doing_so(ros):
    child = ros.child('-c', f'{IGNORING}\n{NODE}', env={'STAGE': 'spinning'})
    child.wait_for('now spinning')

    child.signal(signal.SIGHUP)
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
    assert 'SIGHUP is ignored' in child.said


@pytest.mark.ros
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('executor', ['events', 'single'])
def test_a_signal_lets_the_callback_in_progress_finish_without_an_error(ros, number, executor):
    env = {process.EXECUTOR: executor}
    child = ros.child('-c', BUSY, '--ros-args', '-p', 'autostart:=true', env=env)
    child.wait_for('now busy')

    child.signal(number)

    assert child.code() == 0, child.said
    assert child.lines[-1] == 'released'
    assert 'Exception' not in child.said
    assert 'Error' not in child.said


@pytest.mark.ros
@pytest.mark.parametrize('executor', ['events', 'single'])
def test_a_second_interrupt_cuts_a_callback_short_that_does_not_end(ros, executor):
    env = {process.EXECUTOR: executor, 'FOREVER': '1'}
    child = ros.child('-c', BUSY, '--ros-args', '-p', 'autostart:=true', env=env)
    child.wait_for('now busy')

    child.signal(signal.SIGINT)
    child.wait_for('context ended')
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
    assert child.lines[-1] == 'released'


@pytest.mark.ros
def test_a_second_interrupt_does_not_cut_the_release_short(ros):
    child = ros.child('-c', NODE, '--ros-args', '-p', 'autostart:=true', env={'SLOW': '1'})
    child.wait_for('now active')
    child.signal(signal.SIGINT)
    child.wait_for('releasing')

    child.signal(signal.SIGINT)
    child.process.stdin.close()

    assert child.code() == 0, child.said
    assert child.lines[-1] == 'released'


@pytest.mark.ros
def test_humble_has_no_events_executor_and_gets_the_single_threaded_one(ros_env, monkeypatch):
    monkeypatch.delenv(process.EXECUTOR, raising=False)
    monkeypatch.setitem(sys.modules, 'rclpy.experimental.events_executor', None)
    import rclpy

    rclpy.init()
    try:
        spinner, turn_s = process.executor(events=True)
        assert type(spinner).__name__ == 'SingleThreadedExecutor'
        assert turn_s is None
    finally:
        rclpy.shutdown()


@pytest.mark.ros
@pytest.mark.parametrize(
    ('asked', 'said', 'kind'),
    [
        (False, None, 'SingleThreadedExecutor'),
        (True, None, 'EventsExecutor'),
        (True, 'single', 'SingleThreadedExecutor'),
        (True, 'events', 'EventsExecutor'),
        (False, 'events', 'SingleThreadedExecutor'),
    ],
)
def test_the_node_offers_executors_and_the_environment_chooses_among_them(
    ros_env, monkeypatch, asked, said, kind
):
    monkeypatch.delenv(process.EXECUTOR, raising=False)
    if said:
        monkeypatch.setenv(process.EXECUTOR, said)
    if kind == 'EventsExecutor':
        pytest.importorskip('rclpy.experimental.events_executor')
    import rclpy

    rclpy.init()
    try:
        assert type(process.executor(events=asked)[0]).__name__ == kind
    finally:
        rclpy.shutdown()


@pytest.mark.ros
def test_without_autostart_it_waits_to_be_configured(ros):
    child = ros.child('-c', NODE)
    child.wait_for('now spinning')

    child.signal(signal.SIGINT)

    assert child.code() == 0
    assert 'now configuring' not in child.said


@pytest.mark.ros
def test_a_failed_start_is_logged_and_can_be_repaired_in_place(ros):
    from lifecycle_msgs.srv import ChangeState

    child = ros.child('-c', NODE, '--ros-args', '-p', 'autostart:=true', env={'FAIL': '1'})
    child.wait_for('ros2 lifecycle set /probe configure', ros.executor)

    service = ros.helper.create_client(ChangeState, 'probe/change_state')
    ros.until(service.service_is_ready)
    request = ChangeState.Request()
    request.transition.id = 1
    answer = service.call_async(request)
    ros.until(answer.done)

    assert answer.result().success
    child.signal(signal.SIGINT)
    assert child.code() == 0


@pytest.mark.ros
def test_an_error_in_a_callback_ends_it_with_a_traceback_after_the_release(ros):
    child = ros.child('-c', NODE, '--ros-args', '-p', 'autostart:=true', env={'STAGE': 'broken'})

    assert child.code() == 1
    assert child.said.index('released') < child.said.index('ZeroDivisionError')


@pytest.mark.ros
def test_a_node_that_cannot_be_made_is_a_sentence_and_not_a_traceback(ros):
    child = ros.child('-c', NODE, env={'STAGE': 'refused'})

    assert child.code() == BAD_CONFIGURATION
    assert 'cannot start: rate_hz = -1' in child.said
    assert 'Traceback' not in child.said


@pytest.mark.ros
def test_a_command_line_ros_does_not_take_is_a_sentence_too(ros):
    child = ros.child('-c', NODE, '--ros-args', '--bogus')

    assert child.code() == BAD_CONFIGURATION
    assert 'cannot start: ROS would not start' in child.said
    assert '--bogus' in child.said


def test_every_word_that_is_known_is_let_through(monkeypatch):
    for variable, words in process.WORDS.items():
        for word in ('', *words):
            monkeypatch.setenv(variable, word)
            process.check_words(process.WORDS)


@pytest.mark.ros
def test_every_word_that_is_not_known_is_a_sentence(ros):
    assert process.EXECUTOR in process.WORDS
    child = ros.child('-c', NODE, env=dict.fromkeys(process.WORDS, 'evnets'))

    assert child.code() == BAD_CONFIGURATION
    assert 'cannot start:' in child.said
    for variable, words in process.WORDS.items():
        assert f'{variable}=evnets: expected {" or ".join(words)}' in child.said


@pytest.mark.ros
def test_an_unknown_transport_is_a_sentence_too(ros):
    child = ros.child('-c', NODE, env={transport.TRANSPORT: 'smh'})

    assert child.code() == BAD_CONFIGURATION
    assert 'cannot start: EDGE_INFERENCE_TRANSPORT=smh' in child.said


@pytest.mark.ros
def test_the_process_is_tuned_before_the_node_is_made(ros):
    child = ros.child('-c', TUNED, env=dict.fromkeys([transport.TRANSPORT, *VARIABLES]))

    assert child.code() == 0, child.said
    assert 'shm.xml 0.0005' in child.said


@pytest.mark.ros
@pytest.mark.parametrize(
    ('profile', 'low_mib', 'high_mib'), [('shm', 32, 40), ('shm_4k', 64, 75), ('default', 0, 1)]
)
def test_the_middleware_takes_the_profile_and_reserves_its_segment(
    ros, profile, low_mib, high_mib
):
    env = dict.fromkeys(VARIABLES) | {transport.TRANSPORT: profile}
    child = ros.child('-c', NODE, env=env)
    child.wait_for('now spinning')

    reserved_mib = biggest_segment_bytes(child.process.pid) / 2**20

    assert low_mib <= reserved_mib < high_mib
    assert 'XML' not in child.said


IN_SMALL_MEMORY = """
import os, sys
mount = f'mount -t tmpfs -o size={sys.argv[1]} tmpfs /dev/shm && exec "$0" -c "$1"'
os.execvp('unshare', ['unshare', '-m', 'sh', '-c', mount, sys.executable, sys.argv[2]])
"""


@pytest.mark.ros
@pytest.mark.parametrize(
    ('size', 'taken', 'mib'), [('64m', 'shm_small', 8), ('1m', 'udp', 0), ('64k', 'udp', 0)]
)
def test_a_small_shared_memory_is_said_and_kept_to(ros, size, taken, mib):
    if not may_mount():
        pytest.skip('may not mount a file system of its own here')
    env = dict.fromkeys([transport.TRANSPORT, *VARIABLES])
    child = ros.child('-c', IN_SMALL_MEMORY, size, NODE, env=env)
    child.wait_for('now spinning')

    reserved_mib = biggest_segment_bytes(child.process.pid) / 2**20
    child.signal(signal.SIGINT)

    assert child.code() == 0, child.said
    assert f'took {taken}.xml instead' in child.said
    assert '--shm-size' in child.said
    assert mib <= reserved_mib < mib + 1


@pytest.mark.ros
def test_a_full_shared_memory_is_a_sentence_and_no_signal(ros):
    if not may_mount():
        pytest.skip('may not mount a file system of its own here')

    child = ros.child('-c', IN_SMALL_MEMORY, '4k', 'import edge_inference_ros.nodes.watchdog')

    assert child.code() == 1, child.said
    assert 'is full, and importing rclpy would end by SIGBUS: start the container' in child.said


def may_mount():
    tried = ['unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/dev/shm']  # noqa: S108
    return bool(shutil.which(tried[0])) and not subprocess.run(tried, check=False).returncode  # noqa: S603


def biggest_segment_bytes(pid):
    """The biggest piece of the middleware's shared memory mapped by ``pid``."""
    sizes = []
    for line in Path(f'/proc/{pid}/maps').read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        if re.search(r'/fast(rtps|dds)_[0-9a-f]{16}', name):
            low, high = (int(end, 16) for end in span.split('-'))
            sizes.append(high - low)
    return max(sizes, default=0)


VARIABLES = transport.PROFILE_VARIABLES
TUNED = """
import os, sys
from rclpy.node import Node
from edge_inference_ros.ros import process
class Probe(Node):
    def __init__(self):
        super().__init__('probe')
        print(os.environ['FASTRTPS_DEFAULT_PROFILES_FILE'], sys.getswitchinterval())
        raise KeyboardInterrupt
sys.exit(process.run(Probe))
"""
BUSY = """
import os, sys, threading
from std_msgs.msg import Bool
from edge_inference_ros.ros import process
from edge_inference_ros.ros.base import EdgeNode
from edge_inference_ros.nodes.watchdog_params import WatchdogParams
class Probe(EdgeNode):
    def __init__(self):
        super().__init__('probe', WatchdogParams)
        self.publisher = self.create_publisher(Bool, 'lock', 1)
        self.create_timer(0.01, self.while_open(self.tick, self._configured))
    def tick(self):
        print('now busy')
        while self.context.ok() or 'FOREVER' in os.environ:
            threading.Event().wait(0.01)
            if not self.context.ok():
                print('context ended')
        self.publisher.publish(Bool())
    def destroy_node(self):
        super().destroy_node()
        print('released')
sys.exit(process.run(Probe))
"""
NODE = """
import os, sys
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn as Answer
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.ros import process
stage = os.environ.get('STAGE', 'active')
class Probe(LifecycleNode):
    def __init__(self):
        if stage == 'refused':
            raise ConfigError('rate_hz = -1: below 0')
        super().__init__('probe')
        self.failing = 'FAIL' in os.environ
        self.create_timer(0.0 if stage == 'broken' else 0.01, self.tick)
    def tick(self):
        if stage == 'broken':
            1 / 0
        self.ticks = getattr(self, 'ticks', 0) + 1
        if self.ticks == 1:
            print('now spinning')
    def on_configure(self, state):
        print('now configuring')
        if stage == 'configuring':
            self.wait_for_end()
        if self.failing:
            self.failing = False
            return Answer.FAILURE
        return Answer.SUCCESS
    def wait_for_end(self):
        import rclpy, threading
        while rclpy.ok():
            threading.Event().wait(0.01)
    def on_activate(self, state):
        print('now active')
        return super().on_activate(state)
    def destroy_node(self):
        print('releasing')
        if 'SLOW' in os.environ:
            sys.stdin.read()
        super().destroy_node()
        print('released')
sys.exit(process.run(Probe))
"""
