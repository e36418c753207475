"""Processes are ended in every case, and what they leave behind is removed."""

import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from edge_inference_ros.errors import ConfigError
from edge_inference_ros.replay import graph
from edge_inference_ros.replay.graph import ChildEnded, Processes, environment, free_domain

SLEEPER = 'import signal, sys; print(\'{"event": "up"}\', flush=True); signal.pause()'
STUBBORN = (
    'import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)];'
    'print(\'{"event": "up"}\', flush=True)\nwhile True: signal.pause()'
)


@pytest.fixture
def env():
    return dict(os.environ)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_event(running):
    for _ in range(300):
        if heard := running.hear(0.1):
            return heard
    pytest.fail('nothing was said in 30 s')


def test_a_child_is_ended_when_the_block_ends(tmp_path, env):
    with Processes(env, tmp_path / 'log') as running:
        child = running.start('sleeper', ['-c', SLEEPER], tells=True)
        assert wait_for_event(running) == ('sleeper', {'event': 'up'})

    assert child.process.poll() is not None
    assert not alive(child.process.pid)


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_a_child_is_ended_when_the_block_fails(tmp_path, env, error):
    def fails():
        with Processes(env, tmp_path / 'log') as running:
            children.append(running.start('sleeper', ['-c', SLEEPER], tells=True))
            wait_for_event(running)
            raise error

    children = []
    with pytest.raises(error):
        fails()

    assert not alive(children[0].process.pid)


def test_a_child_that_ignores_being_asked_is_killed(tmp_path, env, monkeypatch):
    monkeypatch.setattr(graph, '_GRACE_S', (0.1, 0.1))
    with Processes(env, tmp_path / 'log') as running:
        child = running.start('stubborn', ['-c', STUBBORN], tells=True)
        wait_for_event(running)

    assert child.process.wait(10) == -signal.SIGKILL


def test_a_node_that_ends_by_itself_is_reported_with_its_last_words(tmp_path, env):
    with Processes(env, tmp_path / 'log') as running:
        child = running.start('node', ['-c', 'import sys; sys.exit("no such camera")'])
        child.process.wait(30)

        with pytest.raises(ChildEnded, match='node ended with status 1: no such camera'):
            running.check()


def test_a_tool_may_end_by_itself(tmp_path, env):
    with Processes(env, tmp_path / 'log') as running:
        running.start('tool', ['-c', ''], needed=False).process.wait(30)

        running.check()


def test_lines_that_are_not_json_are_not_events(tmp_path, env):
    program = 'print("hello"); print(\'{"event": "end"}\')'
    with Processes(env, tmp_path / 'log') as running:
        running.start('tool', ['-c', program], tells=True, needed=False)

        assert wait_for_event(running) == ('tool', {'event': 'end'})


def test_children_end_with_a_parent_that_is_killed(tmp_path):
    program = (
        'import os, sys\n'
        'from pathlib import Path\n'
        'from edge_inference_ros.replay.graph import Processes\n'
        f'running = Processes(dict(os.environ), Path({str(tmp_path)!r})).__enter__()\n'
        f'child = running.start("sleeper", ["-c", {SLEEPER!r}], tells=True)\n'
        'while running.hear(0.1) is None: pass\n'
        'print(child.process.pid, flush=True)\n'
        'child.process.wait()\n'
    )
    parent = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True)  # noqa: S603
    with parent, parent.stdout:
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        parent.kill()

    import select

    assert select.select([handle], [], [], 30.0)[0], 'the child outlived its parent'
    os.close(handle)


def test_a_domain_somebody_is_in_is_not_taken(monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for domain in range(1, 102):
            try:
                other.bind(('', 7410 + 250 * domain))
                break
            except OSError:
                continue
        monkeypatch.setattr(graph, '_DOMAINS', range(domain, domain + 1))

        with pytest.raises(ConfigError, match='every ROS domain'):
            free_domain()


def test_the_graph_is_alone_on_loopback(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    said = environment(tmp_path)

    assert said['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert 1 <= int(said['ROS_DOMAIN_ID']) <= 101
    assert said['ROS_LOG_DIR'] == str(tmp_path)

    monkeypatch.setenv('ROS_DISTRO', 'humble')
    assert environment(tmp_path)['ROS_LOCALHOST_ONLY'] == '1'


@pytest.mark.parametrize(('free', 'words'), [(0, 'the disk of .* is full'), (1 << 30, 'nothing')])
def test_a_child_that_ends_without_a_word_may_lack_room_for_it(
    tmp_path, env, monkeypatch, free, words
):
    monkeypatch.setattr(graph.shutil, 'disk_usage', lambda _: SimpleNamespace(free=free))

    with Processes(env, tmp_path / 'log') as running:
        running.start('mute', ['-c', 'exit(1)']).process.wait()
        with pytest.raises(ChildEnded, match=f'mute ended with status 1: .*{words}'):
            running.check()
