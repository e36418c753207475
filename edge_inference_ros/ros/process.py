"""The one way every executable starts, runs and ends.

What must be set before the first big message is set here: where glibc takes big buffers from,
which transport the middleware builds, how soon one Python thread lets another run. What each of
them is worth is in docs/latency.md, and ``python -m bench`` measures it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edge_inference_ros.core import transport
from edge_inference_ros.errors import BAD_CONFIGURATION, ConfigError
from edge_inference_ros.ros import segments, words

EXECUTOR = 'EDGE_INFERENCE_EXECUTOR'
"""Environment: ``single`` or ``events``, see ``executor``."""

SWITCH_INTERVAL_S = 0.0005
"""How long a Python thread may keep the interpreter from the executor (Python's default: 5 ms)."""

SECURITY_WORDS = {
    'ROS_SECURITY_ENABLE': ('true', 'false'),
    'ROS_SECURITY_STRATEGY': ('Enforce', 'Permissive'),
}
"""Environment: what rcl understands. Of any other word it makes ``false`` and ``Permissive``."""

WORDS = {**SECURITY_WORDS, EXECUTOR: ('single', 'events')}
"""Environment: every variable that may hold one of a few words only."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
_WAKE_S = 0.01

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 512 << 20
_MMAP_BYTES = (256 << 20, 32 << 20)  # older glibc refuses more than half a heap, 32 MiB


def prepare() -> str:
    """Set what must be set before rclpy is initialised. Calling it again changes nothing.

    Returns:
        What the operator should know of the shared memory; empty when all is well.

    Raises:
        ConfigError: a variable of ours, or one of SROS2's, is set to what nobody understands.
    """
    check_words(WORDS)
    keep_big_buffers()
    segments.sweep()
    choice = transport.choose()
    os.environ.update(choice.settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return choice.warning


def check_words(words: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a misspelt setting: of one about security, ROS would silently open the graph.

    Raises:
        ConfigError: a variable is set to another word than its own; all of them are named.
    """
    values = {variable: os.environ.get(variable) for variable in words}
    faults = [
        f'{variable}={word}: expected {" or ".join(words[variable])}'
        for variable, word in values.items()
        if word and word not in words[variable]
    ]
    if faults:
        raise ConfigError('; '.join(faults))


def keep_big_buffers() -> bool:
    """Let malloc keep and reuse the megabytes of one message for the next.

    By default glibc maps every big buffer afresh and gives it back at once, so that each message
    pays one page fault per 4 KiB: three quarters of the price of receiving a 1080p image. In
    return, memory once used stays with the process.

    Returns:
        False where there is no such knob (not glibc): nothing has changed then.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mapped = any(mallopt(_M_MMAP_THRESHOLD, size_bytes) for size_bytes in _MMAP_BYTES)
    return bool(mapped and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))


def settle() -> None:
    """Call once everything is loaded and warm: what lives now is never looked at by gc again.

    The collector stays on: rclpy makes a cycle here and there, and young collections cost
    microseconds once the old objects are out of its sight.
    """
    gc.collect()
    gc.freeze()


def real_time(*, priority: int = 0, cpus: Sequence[int] = ()) -> list[str]:
    """Ask the kernel for a fixed priority and processors of our own, for this thread.

    Args:
        priority: of SCHED_FIFO, 1 to 99; 0 leaves the scheduler alone.
        cpus: the processors to stay on; empty leaves that alone.

    Returns:
        What was refused, in words an operator can act on; empty when all was granted.
    """
    refused = []
    if priority:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except (OSError, ValueError) as error:
            refused.append(
                f'SCHED_FIFO priority {priority} was refused ({error}): grant it with'
                f' `ulimit -r {priority}`, LimitRTPRIO={priority} in the systemd unit'
                ' or CAP_SYS_NICE'
            )
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except (OSError, ValueError) as error:
            allowed = ','.join(map(str, sorted(os.sched_getaffinity(0))))
            refused.append(
                f'processors {list(cpus)} were refused ({error}): this process may use {allowed}'
            )
    return refused


def run(
    make_node: Callable[[], Any], *, args: Sequence[str] | None = None, events: bool = False
) -> int:
    """Spin what ``make_node`` makes until SIGINT, SIGTERM or SIGHUP; then take it down.

    A lifecycle node with the parameter ``autostart`` set configures and activates by itself. When
    that fails the process goes on, unconfigured, so that whoever corrects the cause can configure
    it in place; the log says why and how.

    Args:
        make_node: called once rclpy is initialised.
        args: the command line; the process's own unless said.
        events: offer the events executor and spin it by default, see ``executor``.

    Returns:
        The exit status: 0 when asked to end, ``BAD_CONFIGURATION`` when the node could not be
        made or ROS would not start: an enclave without keys, a malformed command line. Starting
        the process again heals none of that.

    Raises:
        Exception: whatever a callback let escape, after the node was destroyed.
    """
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.logging import get_logger

    interrupt = _Interrupt()
    try:
        warning = prepare()
        _hear(interrupt)
        _join(args)
        if not events and os.environ.get(EXECUTOR) == 'events':
            warning = (
                f'{EXECUTOR}=events: this node offers the single-threaded one only; {warning}'
            )
        interrupt.gentle = True
        if warning:
            get_logger('edge_inference_ros').warning(warning.rstrip(' ;'))
        return _live(make_node, interrupt, events=events)
    except ConfigError as error:
        get_logger('edge_inference_ros').fatal(f'cannot start: {error}')
        return BAD_CONFIGURATION
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception:
        if rclpy.ok():
            raise
        return 0  # SIGTERM pulled the context from under a call in progress
    finally:
        interrupt.over = True
        _ignore_interrupts()
        rclpy.try_shutdown()


def _hear(interrupt: _Interrupt) -> None:
    """Let signals end this process, whatever its main thread waits for.

    A handler in Python runs on the main thread only, when that turns to Python, which may be
    never. So the interpreter writes the signal's number to a socket at once, and a thread sleeps
    there.

    SIGHUP, which a closed terminal sends, would by default end the process with nothing released:
    it ends it as SIGTERM does. Who ignores it (``nohup``) goes on.
    """
    ear, mouth = socket.socketpair()
    mouth.settimeout(0.0)
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    for number in _ENDING:  # before rclpy's: it calls what it finds
        signal.signal(number, interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)
    threading.Thread(
        target=_answer, args=(ear, mouth, interrupt), daemon=True, name='signals'
    ).start()


def _answer(ear: socket.socket, _mouth: socket.socket, interrupt: _Interrupt) -> None:
    """What each signal needs besides its handler; the other end is held so that it is not closed.

    rclpy's own thread wakes the executor first and shuts ROS down after that, which wakes nobody:
    an executor that was back at its wait in between would never look again.
    """
    while number := ear.recv(1):
        if number[0] == signal.SIGHUP:
            os.kill(os.getpid(), signal.SIGTERM)
        while number[0] in _ENDING and not interrupt.over:
            with contextlib.suppress(Exception):  # what it wakes may be gone by now
                interrupt.wake()
            time.sleep(_WAKE_S)


def _join(args: Sequence[str] | None) -> None:
    import rclpy

    try:
        rclpy.init(args=None if args is None else list(args))
    except RuntimeError as error:  # every error of rcl; its text holds source lines of rcl too
        raise ConfigError(f'ROS would not start: {error}') from error


class _Interrupt:
    """What SIGINT and SIGTERM do besides ending rclpy's spinning.

    Python's own handler raises KeyboardInterrupt in whatever runs. That is right while there is no
    ROS to shut down yet. Afterwards it could end a library's work half done, with a lock held, and
    out of a callback the events executor logs it with a traceback, as an error.

    Attributes:
        gentle: let the step or callback in progress finish; it sees that ROS is shut down. Once:
            who asks again will not wait for it.
        wake: wakes the executor, once there is one.
        over: the executor will not wait again.
    """

    def __init__(self) -> None:
        self.gentle = False
        self.wake: Callable[[], object] = bool
        self.over = False  # an Event's lock could be left locked, see core/lane.py

    def __call__(self, *_: object) -> None:
        if not self.gentle:
            raise KeyboardInterrupt
        self.gentle = False


def _live(make_node: Callable[[], Any], interrupt: _Interrupt, *, events: bool) -> int:
    import rclpy

    node = make_node()
    spinner, turn_s = executor(events=events)
    with _undone(node), spinner:
        spinner.add_node(node)
        interrupt.wake = spinner.wake
        autostart(node)
        try:
            while rclpy.ok():
                spinner.spin_once(turn_s)
        finally:
            interrupt.over = True
            spinner.remove_node(node)  # the events executor aborts if it ends with callbacks left
    return 0


@contextlib.contextmanager
def _undone(node: Any) -> Iterator[None]:
    """Destroy ``node`` whatever happens, and do not let a second Ctrl-C cut that short."""
    try:
        yield
    finally:
        _ignore_interrupts()
        node.destroy_node()


def _ignore_interrupts() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def executor(*, events: bool = False) -> tuple[Any, float | None]:
    """An executor, and the time limit of each of its turns.

    The single-threaded one, or, with ``events`` and where rclpy has it (not on Humble), the events
    executor, which keeps no wait set to rebuild in Python and halves the processor time of a small
    message (``python -m bench.relay``). It is called experimental for good reasons: it dispatches
    nothing unless each turn has a time limit, knows no guard conditions, and ends the process with
    a segmentation fault when a task of ``create_task`` raises. Under it a detector ended so once
    in a thousand activations, and once in six when it was told to end after error processing. So
    it is for nodes that relay many small messages and need none of that; the others do not offer
    it. A limit would cost the single-threaded one a timer each turn.
    Never the multi-threaded one: it loses messages.

    ``EDGE_INFERENCE_EXECUTOR`` set to ``single`` overrules ``events``.
    """
    from rclpy.executors import SingleThreadedExecutor

    if events and os.environ.get(EXECUTOR, 'events') != 'single':
        with contextlib.suppress(ImportError):
            from rclpy.experimental.events_executor import EventsExecutor

            return EventsExecutor(), 1.0
    return SingleThreadedExecutor(), None


def autostart(node: Any) -> bool:
    """Configure and activate ``node`` if it is a lifecycle node whose ``autostart`` is true.

    Returns:
        Whether it is active now because of this call.
    """
    if not hasattr(node, 'trigger_configure'):
        return False
    if not _wants_autostart(node):
        node.get_logger().info(words.unconfigured(node))
        return False
    import rclpy
    from rclpy.lifecycle import TransitionCallbackReturn

    for verb in ('configure', 'activate'):
        answer = getattr(node, f'trigger_{verb}')()
        if not rclpy.ok():
            return False
        if answer != TransitionCallbackReturn.SUCCESS:
            node.get_logger().error(
                f'could not {verb} at start; correct the cause, then'
                f' `ros2 lifecycle set {node.get_fully_qualified_name()} {verb}`'
            )
            return False
    return True


def _wants_autostart(node: Any) -> bool:
    if not node.has_parameter('autostart'):
        node.declare_parameter('autostart', value=False)
    return bool(node.get_parameter('autostart').value)
