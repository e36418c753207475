"""Processes of one ROS graph, started together and ended in every case.

They live in a domain of their own on the loopback interface, so neither a robot nor another run
on this machine hears them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_inference_ros.core import transport
from edge_inference_ros.errors import ConfigError, EdgeInferenceError
from edge_inference_ros.ros import segments

_DOMAINS = range(1, 102)  # above 101 the ports of a domain collide with ephemeral ones
_PARENT_DIED = 1  # PR_SET_PDEATHSIG, from linux/prctl.h
_GRACE_S = (8.0, 3.0)
_LEAST_FREE_BYTES = 1 << 16


class ChildEnded(EdgeInferenceError):
    """A process of the graph ended before its time."""


def free_domain() -> int:
    """A ROS domain in which nobody on this machine has a participant."""
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', 7400 + 250 * domain + 10))  # of participant 0, DDSI-RTPS 9.6.1
            except OSError:
                continue
            return domain
    raise ConfigError('every ROS domain from 1 to 101 is in use on this machine')


def environment(folder: Path) -> dict[str, str]:
    """What the processes of a graph of its own need to know; logs go to ``folder``."""
    changes = {
        'ROS_DOMAIN_ID': str(free_domain()),
        'ROS_LOG_DIR': str(folder),
        'PYTHONUNBUFFERED': '1',
        'RCUTILS_COLORIZED_OUTPUT': '0',
        'MALLOC_MMAP_THRESHOLD_': str(256 << 20),
        'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
    }
    if os.environ.get('ROS_DISTRO') == 'humble':
        changes['ROS_LOCALHOST_ONLY'] = '1'
    else:
        changes['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    checkout = str(Path(__file__).parents[2])
    changes['PYTHONPATH'] = os.pathsep.join(
        filter(None, [checkout, os.environ.get('PYTHONPATH', '')])
    )
    return {**os.environ, **transport.settings(), **changes}


@dataclass
class Child:
    """A running process.

    Attributes:
        log: file with what it says to people.
        needed: whether the graph has failed when it ends by itself.
    """

    name: str
    process: subprocess.Popen[str]
    log: Path
    needed: bool = True

    def last_words(self, lines: int = 6) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding='utf-8', errors='replace') if self.log.exists() else ''
        return '\n'.join(text.strip().splitlines()[-lines:])


@dataclass
class Processes:
    """Starts processes; on exit ends them all: asks first, then insists, then sweeps up."""

    env: Mapping[str, str]
    logs: Path
    children: list[Child] = field(default_factory=list)
    events: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)

    def __enter__(self) -> Processes:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever presses Ctrl-C twice must not leave processes behind.
        with _uninterrupted():
            self.end(self.children)
            segments.sweep()

    def start(  # noqa: D417 - name and arguments are what they are called
        self, name: str, arguments: Sequence[str], *, tells: bool = False, needed: bool = True
    ) -> Child:
        """Run ``python arguments…``.

        Args:
            tells: it prints JSON lines; they arrive in ``events`` with its name.
            needed: it must not end before ``end`` ends it.
        """
        log = self.logs / f'{name}.log'
        with log.open('w', encoding='utf-8') as stream:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, *arguments],
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if tells else stream,
                stderr=stream if tells else subprocess.STDOUT,
                text=True,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl, no locks
            )
        child = Child(name, process, log, needed)
        self.children.append(child)
        if tells:
            threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def check(self) -> None:
        """Raise ``ChildEnded`` if a process that is needed has ended."""
        for child in self.children:
            if child.needed and child.process.poll() is not None:
                raise ChildEnded(
                    f'{child.name} ended with status {child.process.returncode}:'
                    f' {child.last_words() or self._silence()} (log: {child.log})'
                )

    def _silence(self) -> str:
        """Why a process may have left no word."""
        if shutil.disk_usage(self.logs).free < _LEAST_FREE_BYTES:
            return f'the disk of {self.logs} is full'
        return 'it said nothing'

    def hear(self, timeout_s: float) -> tuple[str, dict[str, Any]] | None:
        """The next event, if one comes within ``timeout_s``; checks the processes first."""
        self.check()
        with contextlib.suppress(queue.Empty):
            return self.events.get(timeout=timeout_s)
        return None

    def end(self, children: Sequence[Child]) -> None:
        """SIGINT and patience, SIGTERM and less, SIGKILL."""
        for child in children:
            child.needed = False
        for number, grace_s in zip((signal.SIGINT, signal.SIGTERM), _GRACE_S, strict=True):
            _signal(children, number)
            _wait(children, grace_s)
        _signal(children, signal.SIGKILL)
        _wait(children, _GRACE_S[-1])

    def _listen(self, child: Child) -> None:
        if child.process.stdout is None:
            return
        with child.process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    self.events.put((child.name, json.loads(line)))


def _signal(children: Sequence[Child], number: int) -> None:
    for child in children:
        if child.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, number)


def _wait(children: Sequence[Child], seconds: float) -> None:
    end_s = time.monotonic() + seconds
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, end_s - time.monotonic()))


@contextlib.contextmanager
def _uninterrupted() -> Any:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die_with_parent() -> None:
    """In the child: end when the parent is killed, which no ``finally`` survives."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)


def complaint(log: Path) -> str:
    """The newest of what a node complained of in ``log``, and where the rest is."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    grave = [line for line in lines if '[ERROR]' in line] or [
        line for line in lines if '[WARN]' in line
    ]
    said = f'{log.stem} said: {grave[-1].rpartition("]: ")[2]}; ' if grave else ''
    return f'{said}its log is {log}'
