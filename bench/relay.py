"""What one hop costs: through a bare rclpy relay under each executor, and through the watchdog.

The source publishes stamped messages and listens for them to come back; a bare relay re-publishes
the serialised bytes, the watchdog those it judges fresh, beside its ticks and heartbeats. The
relay's processor time is read from outside, from the kernel, and divided by the messages that
came back; ``own`` is what is left of it without what the relay uses in the same time when there is
nothing to relay, which is the ticks and heartbeats; ``idle`` is that, per second.

Relays take turns. Shown are the medians of the rounds, and of the ratios to ``rclpy.spin``, the
first relay, in the same round.

    python -m bench.relay [--quick] [--only watchdog]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import _link as link
from edge_inference_ros.core.share import share

PAYLOADS = {'detections 20': 200.0, 'cloud 65536': 50.0}  # messages per second of each
SHOWN = ('p50_ms', 'p95_ms', 'cpu_ms', 'own_ms', 'idle_ms')
IDLE_S = 1.0


@dataclass(frozen=True)
class Hop:
    """There and back: two hops of transport, one relay.

    Attributes:
        cpu_ms: processor time of the relay process per message, all its threads.
        own_ms: of that, what would not have been used without messages.
        idle_ms: processor time of the relay process per second without messages.
    """

    sent: int
    back: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    own_ms: float
    idle_ms: float


@dataclass(frozen=True)
class Trip:
    """What is sent, how often, and under which names."""

    payload: str
    count: int
    rate_hz: float
    to: str = 'there'
    back: str = 'fresh/there'


def measure(trip: Trip, command: list[str]) -> Hop:
    """Run ``command`` as the relay between ``trip.to`` and ``trip.back``; both ends are tuned."""
    with link.free_domain() as domain:
        env = link.environment(link.Cell(trip.payload, trip.count, trip.rate_hz), domain)
        relay = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        try:
            said = subprocess.run(
                [sys.executable, '-m', 'bench.relay', '--source', json.dumps(trip.__dict__),
                 '--pid', str(relay.pid)],
                env=env, stdout=subprocess.PIPE, text=True, check=True,
                timeout=60 + 3 * trip.count / trip.rate_hz,
            )  # fmt: skip
        finally:
            end(relay)
    return Hop(**json.loads(said.stdout.splitlines()[-1]))


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then insist."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def bare(trip: Trip, executor: str) -> list[str]:
    """The command of the bare relay under ``executor``."""
    end = json.dumps(trip.__dict__)
    return [sys.executable, '-m', 'bench.relay', '--relay', end, '--executor', executor]


def cpu_ns(pid: int) -> int:
    """Processor time all threads of ``pid`` have used so far, as the kernel counts it."""
    used = 0
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(FileNotFoundError):
            used += int((task / 'schedstat').read_text().split()[0])
    return used


# ---- inside the source


def source(trip: Trip, pid: int) -> None:
    """Send, and note when each stamp comes back."""
    import rclpy
    from rclpy.serialization import serialize_message

    from edge_inference_ros.ros import process, qos

    process.prepare()
    rclpy.init()
    node = rclpy.create_node('source')
    msg = link.message(trip.payload)
    data = serialize_message(msg)
    trips_ns: list[int] = []

    def on_back(got: bytes) -> None:
        trips_ns.append(time.time_ns() - link.stamp_of(got))

    node.create_subscription(type(msg), trip.back, on_back, qos.sensor(), raw=True)
    publisher = node.create_publisher(type(msg), trip.to, qos.output())
    spinner = threading.Thread(target=rclpy.spin, args=(node,), daemon=True)
    spinner.start()
    while not (publisher.get_subscription_count() and trips_ns):  # until the way is open
        link.stamp(data, time.time_ns())
        publisher.publish(data)
        time.sleep(0.1)
    settle(trips_ns)
    idle_ns = cpu_ns(pid)
    time.sleep(IDLE_S)
    used_ns = cpu_ns(pid)
    idle_ns = used_ns - idle_ns
    begin = time.monotonic()
    for i in range(trip.count):
        time.sleep(max(0.0, begin + (i + 1) / trip.rate_hz - time.monotonic()))
        link.stamp(data, time.time_ns())
        publisher.publish(data)
    time.sleep(1.0 / trip.rate_hz)
    used_ns = cpu_ns(pid) - used_ns
    lasted_s = time.monotonic() - begin
    settle(trips_ns, keep=True)
    hop = account(trip, trips_ns, used_ns / 1e6, idle_ns / 1e6 / IDLE_S, lasted_s)
    print(json.dumps(hop.__dict__), flush=True)
    rclpy.shutdown()
    spinner.join()


def settle(trips_ns: list[int], *, keep: bool = False) -> None:
    """Let what is under way arrive."""
    time.sleep(0.3)
    if not keep:
        trips_ns.clear()


def account(
    trip: Trip, trips_ns: list[int], used_ms: float, idle_ms: float, lasted_s: float
) -> Hop:
    """Quantiles of the way there and back; processor time per message that came back."""
    ms = np.array(trips_ns, np.float64) / 1e6 if trips_ns else np.array([np.nan])
    p50_ms, p95_ms = float(np.median(ms)), float(np.quantile(ms, 0.95))
    back = max(1, len(trips_ns))
    own_ms = (used_ms - idle_ms * lasted_s) / back
    return Hop(trip.count, len(trips_ns), p50_ms, p95_ms, used_ms / back, own_ms, idle_ms)


# ---- inside the bare relay


def relay(trip: Trip, executor: str) -> None:
    """Re-publish the bytes, nothing else."""
    import rclpy

    from edge_inference_ros.ros import process, qos

    process.prepare()
    rclpy.init()
    node = rclpy.create_node('relay')
    kind = type(link.message(trip.payload))
    publisher = node.create_publisher(kind, trip.back, qos.output())
    node.create_subscription(kind, trip.to, publisher.publish, qos.sensor(), raw=True)
    try:
        SPINS[executor](node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def single(node: Any) -> None:
    """``rclpy.spin`` as everybody writes it."""
    import rclpy

    rclpy.spin(node)


def single_once(node: Any) -> None:
    """The same executor with a time limit on each wait, which costs it a timer each time."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for _ in alive():
        executor.spin_once(timeout_sec=1.0)


def events(node: Any) -> None:
    """The experimental executor, which dispatches nothing unless its wait is limited."""
    from rclpy.experimental.events_executor import EventsExecutor

    executor = EventsExecutor()
    executor.add_node(node)
    for _ in alive():
        executor.spin_once(timeout_sec=1.0)


def waitset(node: Any) -> None:
    """The least a wait-set loop can do: one subscription, rclpy's private parts, no services."""
    from rclpy.impl.implementation_singleton import rclpy_implementation as rcl
    from rclpy.signals import SignalHandlerGuardCondition

    (reader,) = [sub for sub in node.subscriptions if sub.topic_name.startswith('/')][-1:]
    guard = SignalHandlerGuardCondition()
    waiting = rcl.WaitSet(1, 1, 0, 0, 0, 0, node.context.handle)
    with waiting:
        for _ in alive():
            waiting.clear_entities()
            waiting.add_subscription(reader.handle)
            waiting.add_guard_condition(guard.handle)
            waiting.wait(10**9)
            if waiting.get_ready_entities('subscription'):
                taken = reader.handle.take_message(reader.msg_type, reader.raw)
                if taken is not None:
                    reader.callback(taken[0])


def alive() -> Iterator[None]:
    """As long as the context is."""
    import rclpy

    while rclpy.ok():
        yield


SPINS: dict[str, Callable[[Any], None]] = {
    'single': single, 'single/once': single_once, 'events': events, 'waitset': waitset
}  # fmt: skip


def table(trip: Trip, relays: dict[str, list[str]], rounds: int) -> None:
    """Every relay, in turn, ``rounds`` times over, each round in the other direction."""
    hops: dict[str, list[Hop]] = {name: [] for name in relays}
    for turn in range(rounds):
        for name, command in list(relays.items())[:: -1 if turn % 2 else 1]:
            hops[name].append(measure(trip, command))
    for name, found in hops.items():
        show(f'{trip.payload:15s}{name:13s}', found, next(iter(hops.values())))


def show(title: str, hops: list[Hop], ordinary: list[Hop]) -> None:
    """One row: medians, and medians of the ratios within a round."""
    figures, pairs = '', list(zip(hops, ordinary, strict=True))
    for name in SHOWN:
        values = [(getattr(hop, name), getattr(one, name)) for hop, one in pairs]
        ratio = np.median([ours / theirs if theirs else np.nan for ours, theirs in values])
        figures += f'{np.median([ours for ours, _ in values]):9.3f}{ratio:6.2f}x'
    back, sent = sum(hop.back for hop in hops), sum(hop.sent for hop in hops)
    print(f'{title}{back:>6d}/{sent:<6d}{figures}', flush=True)


def watchdog(trip: Trip) -> list[str]:
    """The command of the watchdog as a relay of ``trip``."""
    msg = type(link.message(trip.payload))
    kind = f'{msg.__module__.split(".")[0]}/msg/{msg.__name__}'
    words = ['autostart:=true', f'topics:=[{trip.to}]', f'types:=[{kind}]']
    words.append('range_reverse_m:=4.0')  # there is no odometry to say which way
    robot = ['--params-file', str(share('config/robots/indoor_amr.yaml'))]
    options = [*robot, *(word for pair in words for word in ('-p', pair))]
    module = 'edge_inference_ros.nodes.watchdog'
    return [sys.executable, '-m', module, '--ros-args', *options]


def main(argv: list[str] | None = None) -> None:
    """Print the table, or be one of the processes behind it."""
    parser = argparse.ArgumentParser(prog='python -m bench.relay', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='one round of 2 s instead of 5 of 3')
    parser.add_argument('--only', choices=(*SPINS, 'watchdog'), help='this beside rclpy.spin')
    hidden = argparse.SUPPRESS
    parser.add_argument('--source', type=a_trip, help=hidden)
    parser.add_argument('--relay', type=a_trip, help=hidden)
    parser.add_argument('--pid', type=int, help=hidden)
    parser.add_argument('--executor', choices=SPINS, help=hidden)
    chosen = parser.parse_args(argv)
    if chosen.source:
        source(chosen.source, chosen.pid)
    elif chosen.relay:
        relay(chosen.relay, chosen.executor)
    else:
        compare(chosen)


def a_trip(text: str) -> Trip:
    """A trip as it travels on a command line."""
    return Trip(**json.loads(text))


def compare(chosen: argparse.Namespace) -> None:
    """The tables asked for."""
    print(f'{"payload":15s}{"relay":13s}{"back/sent":>13s}'
          + ''.join(f'{name:>9s}{"ratio":>7s}' for name in SHOWN))  # fmt: skip
    rounds, seconds = (1, 2.0) if chosen.quick else (5, 3.0)
    for payload, rate_hz in PAYLOADS.items():
        trip = Trip(payload, int(seconds * rate_hz), rate_hz)
        relays = {executor: bare(trip, executor) for executor in SPINS}
        relays['watchdog'] = watchdog(trip)
        shown = ('single', chosen.only) if chosen.only else relays
        table(trip, {name: relays[name] for name in shown}, rounds)
    print('(goal: the watchdog at most 1.15x in p50 and 1.25x in cpu)')


if __name__ == '__main__':
    main()
