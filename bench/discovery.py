"""How long processes that start together need to find each other, by our profile and without.

``python -m bench.discovery [--quick]`` starts a listener and, up to three seconds later, three
talkers, again and again, with both profiles in turn. A talker counts the seconds from its node to
its first match.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._link import Cell, environment, free_domain
from edge_inference_ros.core import transport
from edge_inference_ros.ros.tool import open_node

LONGEST_S, TALKERS, STEPS = 8.0, 3, 5
_ANNOUNCEMENTS = re.compile(r'\s*<builtin>.*?</builtin>', re.DOTALL)


def listen() -> None:
    """Hear whoever talks until the input ends."""
    from std_msgs.msg import Bool

    with open_node('listener') as node:
        node.create_subscription(Bool, 'talk', lambda _: None, 10)
        print('listens', flush=True)
        sys.stdin.read()


def talk(number: str) -> None:
    """Print the seconds from the node to its match with the listener."""
    from std_msgs.msg import Bool

    with open_node(f'talker_{number}') as node:
        start_s = time.monotonic()
        publisher = node.create_publisher(Bool, 'talk', 10)
        while not publisher.get_subscription_count():
            if time.monotonic() - start_s > LONGEST_S:
                break
            time.sleep(0.005)
        print(time.monotonic() - start_s, flush=True)
        sys.stdin.read()  # who is gone has no match to lose


def matched_s(profile: Path, later_s: float) -> list[float]:
    """Seconds that each of ``TALKERS`` needed, started ``later_s`` after the listener."""
    with free_domain() as domain:
        env = environment(Cell('', 0, 1.0), domain)
        env |= dict.fromkeys(transport.PROFILE_VARIABLES, str(profile))
        names = [['listen'], *(['talk', str(n)] for n in range(TALKERS))]
        pipe = subprocess.PIPE
        processes = []
        for name in names:
            command = [sys.executable, '-m', 'bench.discovery', *name]
            processes.append(
                subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)
            )
            if name == ['listen']:
                time.sleep(later_s)
        found = [p.stdout.readline() for p in processes if p.stdout]
        for process in processes:
            process.communicate('')
    return [float(line) for line in found[1:]]


def main(argv: list[str] | None = None) -> int:
    """Measure, and print both beside each other."""
    parser = argparse.ArgumentParser(prog='python -m bench.discovery', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer repetitions')
    rounds = 4 if parser.parse_args(argv).quick else 15
    ours = transport.profile()
    seconds: dict[str, list[float]] = {'ours': [], 'without': []}
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / 'bare.xml'
        bare.write_text(_ANNOUNCEMENTS.sub('', ours.read_text()))
        assert bare.read_text() != ours.read_text()
        for n in range(rounds):
            later_s = n % STEPS * 0.7
            seconds['ours'] += matched_s(ours, later_s)
            seconds['without'] += matched_s(bare, later_s)
    for name, found in seconds.items():
        found.sort()
        late = sum(s > 0.5 for s in found)
        print(
            f'{name:8} {len(found)} matches: p50 {found[len(found) // 2]:.2f} s,'
            f' longest {found[-1]:.2f} s, {late} later than 0.5 s'
        )
    mean = {name: sum(found) / len(found) for name, found in seconds.items()}
    print(f'mean of ours over without: {mean["ours"] / mean["without"]:.2f}')
    return 0


if __name__ == '__main__':
    words = sys.argv[1:]
    if words[:1] == ['listen']:
        listen()
    elif words[:1] == ['talk']:
        talk(words[1])
    else:
        sys.exit(main())
