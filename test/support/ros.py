"""A small ROS of its own for each test: loopback, own domain, no sleeps.

Import this module's helpers as ``from support.ros import wait_until``; the fixtures ``ros`` and
``ros_env`` are known to every test. rclpy is imported only when a test asks for it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_inference_ros.ros import segments

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300.0  # for what hangs, not for what is slow: a busy machine may take a minute
_DOMAINS = range(1, 102)  # above 101 the ports of a domain collide with ephemeral ones
_FIRST_LOCK_PORT = 22119


@contextlib.contextmanager
def reserved_domain():
    """A ROS domain no other test process of this machine uses, held by a bound socket."""
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as lock:
            try:
                lock.bind(('127.0.0.1', _FIRST_LOCK_PORT + domain))
            except OSError:
                continue
            yield domain
            return
    raise RuntimeError('every ROS domain from 1 to 101 is taken by another test')


def wait_until(  # noqa: D417
    condition, executor=None, *, deadline_s=DEADLINE_S, what=''
):
    """Spin ``executor`` until ``condition`` holds; fail the test after ``deadline_s``.

    Args:
        condition: a callable, or a ``threading.Event``.
        executor: an rclpy executor to turn meanwhile; without one the event is waited for.
        what: said when it fails; by default the condition itself.
    """
    holds = condition.is_set if isinstance(condition, threading.Event) else condition
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f'waited {deadline_s:g} s in vain for {what or condition}')
        if executor is not None:
            executor.spin_once(timeout_sec=0.02)
        elif isinstance(condition, threading.Event):
            condition.wait(0.02)
        else:
            threading.Event().wait(0.005)


class Ros:
    """One context on one domain with one single-threaded executor; everything ends with the test.

    Attributes:
        context, executor: pass ``context=ros.context`` to what is built by hand.
        env: the environment a child process needs to meet this context.
    """

    def __init__(self, env, tmp_path):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.env = dict(env)
        self.domain_id = int(env['ROS_DOMAIN_ID'])
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self.children = []
        self._tmp_path = tmp_path
        self._helper = None

    def add(self, node):
        """Spin ``node``, made with ``context=ros.context``, and destroy it at the end."""
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def node(self, name='probe', **options):
        """A plain node, spun here."""
        from rclpy.node import Node

        return self.add(Node(name, context=self.context, **options))

    @property
    def helper(self):
        """The node behind ``collect`` and ``publisher``."""
        if self._helper is None:
            self._helper = self.node('test_helper')
        return self._helper

    def collect(self, kind, topic, qos=10, **options):
        """A list that grows by every message of ``kind`` on ``topic``."""
        held = []
        self.helper.create_subscription(kind, topic, held.append, qos, **options)
        return held

    def publisher(self, kind, topic, qos=10, *, readers=0):
        """A publisher on ``topic``, once it has at least ``readers`` matched subscriptions."""
        publisher = self.helper.create_publisher(kind, topic, qos)
        if readers:
            self.until(lambda: publisher.get_subscription_count() >= readers, what=f'{topic} read')
        return publisher

    def until(self, condition, *, deadline_s=DEADLINE_S, what=''):
        """Spin until ``condition`` (callable or Event) holds, else fail the test."""
        wait_until(condition, self.executor, deadline_s=deadline_s, what=what)

    def child(self, *argv, env=None):
        """Start ``python argv…`` in this domain, with changes to its environment (None removes).

        It is ended with the test.
        """
        changed = {**self.env, **(env or {})}
        changed = {name: value for name, value in changed.items() if value is not None}
        child = Child([sys.executable, *map(str, argv)], changed)
        self.children.append(child)
        return child

    def close(self):
        """End children, nodes and context."""
        for child in self.children:
            child.end()
        self.executor.shutdown(timeout_sec=5.0)
        for node in reversed(self.nodes):
            with contextlib.suppress(Exception):  # a test may have destroyed it
                node.destroy_node()
        self.context.try_shutdown()
        # A node that has settled froze what lived then, contexts of this process included. Nobody
        # would ever collect them, and their participants would crowd every later test.
        self.nodes.clear()
        gc.unfreeze()
        gc.collect()


class Child:
    """A process whose output is read line by line while it runs.

    Attributes:
        lines: what it has said so far, stdout and stderr together.
    """

    def __init__(self, argv, env):
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
            argv,
            env=env,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # under nohup the tests ignore SIGHUP, and what they start would too
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def said(self):
        """Everything said so far, as one text."""
        return '\n'.join(self.lines)

    def wait_for(self, text, executor=None, *, deadline_s=DEADLINE_S):
        """Until a line holds ``text``; fails the test with all it said instead."""

        def heard():
            if self.process.poll() is not None:
                self._reader.join(DEADLINE_S)
                if not any(text in line for line in self.lines):
                    pytest.fail(
                        f'ended ({self.process.returncode}) without {text!r}:\n{self.said}'
                    )
            return any(text in line for line in self.lines)

        wait_until(heard, executor, deadline_s=deadline_s, what=f'{text!r} in:\n{self.said}')

    def signal(self, number):
        """Send a signal."""
        self.process.send_signal(number)

    def code(self, *, deadline_s=DEADLINE_S):
        """The exit status, once it has ended by itself; fails the test when it does not."""
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f'still runs after {deadline_s:g} s; it said:\n{self.said}')
        self._reader.join(deadline_s)
        return self.process.returncode

    def end(self):
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE_S)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def ros_env(tmp_path, monkeypatch):
    """Environment of a private ROS domain on loopback, also set in this process."""
    with reserved_domain() as domain:
        changes = {'ROS_DOMAIN_ID': str(domain), 'ROS_LOG_DIR': str(tmp_path / 'ros_log')}
        if os.environ.get('ROS_DISTRO') == 'humble':
            changes['ROS_LOCALHOST_ONLY'] = '1'
        else:
            changes['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv('ROS_STATIC_PEERS', raising=False)
        yield {**os.environ, 'PYTHONPATH': _python_path(), 'PYTHONUNBUFFERED': '1'}
        segments.sweep()


def _python_path():
    return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get('PYTHONPATH', '')]))


@pytest.fixture
def ros(ros_env, tmp_path):
    """A fresh context, see ``Ros``."""
    ros = Ros(ros_env, tmp_path)
    yield ros
    ros.close()
