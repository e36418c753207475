"""``python -m tools.faults.mutants``: breaks the code in ways the suite must notice.

Each mutant is made in a copy of the repository, so that nothing here is ever changed, and the
tests named with it are run there, one mutant after the other. One that survives is a hole in the
suite, and the exit status says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ('edge_inference_ros', 'test', 'tools', 'config', 'models', 'pyproject.toml')
LIMIT_S = 300.0
PURE = ('test/faults/test_freshness_faults.py', 'test/guard/test_deadline.py')


@dataclass(frozen=True)
class Mutant:
    """One change that must not go unnoticed.

    Attributes:
        name: in words.
        file: below the package.
        before, after: text that occurs exactly once in it, and what takes its place.
        tests: that must notice.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...] = PURE


MUTANTS = (
    Mutant('<= becomes < in the deadline', 'guard/freshness.py',
           'age_ns <= limit_ns)', 'age_ns < limit_ns)'),
    Mutant('no guard against NaN', 'guard/odometry.py',
           'if not math.isfinite(v + w):\n            return self._doubt',
           'if False:\n            return self._doubt'),
    Mutant('no check for the future', 'guard/freshness.py',
           'if age_ns < -self._skew_ns:', 'if False:'),
    Mutant('max for min in D', 'guard/deadline.py',
           'shortest = min(tau_a, tau_b, cap)', 'shortest = max(tau_a, tau_b, cap)'),
    Mutant('D raised to the floor', 'guard/deadline.py',
           'return Deadline(max(0.0, shortest),',
           'return Deadline(max(robot.deadline_floor_s, shortest),'),
    Mutant('max for min in the judgement', 'guard/deadline.py',
           'limit_s = min(displacement_s(', 'limit_s = max(displacement_s('),
    Mutant('stopping forgotten in the judgement', 'guard/deadline.py',
           'limit_s = min(limit_s, max(0.0,', 'limit_s = max(limit_s, min(0.0,'),
    Mutant('the judgement raised to the floor', 'guard/deadline.py',
           'return whole_ns(limit_s)', 'return whole_ns(max(robot.deadline_floor_s, limit_s))'),
    Mutant('automatic liveliness', 'ros/qos.py',
           'profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC',
           'profile.liveliness = LivelinessPolicy.AUTOMATIC',
           ('test/faults/test_liveliness_faults.py::test_the_watchdog_itself_must_assert_that_it_lives',)),
    Mutant('depth 10', 'ros/qos.py', 'depth=1,', 'depth=10,', ('test/ros/test_qos.py',)),
    Mutant('a limit of 0.0', 'guard/speed_limit.py',
           'if not v_mps >= robot.v_floor_mps:\n        return None',
           'if not v_mps >= robot.v_floor_mps:\n        return 0.0'),
    Mutant('a repeated stamp goes through', 'guard/freshness.py',
           'if stamp_ns == watch.stamp_ns:', 'if False:'),
    Mutant('a zero stamp goes through', 'guard/freshness.py', 'if stamp_ns == 0:', 'if False:'),
    Mutant('the tick judges nothing', 'guard/freshness.py',
           'self.lapsed = why\n            self.standing.lapse()', 'self.lapsed = why'),
    Mutant('commands do not count', 'guard/odometry.py',
           'v, age_s = max(v, command_v),', 'v, age_s = max(v, 0.0),'),
)  # fmt: skip


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether the tests pass all the same; what was changed is put back."""
    path = folder / 'edge_inference_ros' / mutant.file
    text = path.read_text()
    if text.count(mutant.before) != 1:
        raise SystemExit(f'{mutant.name}: {mutant.before!r} is not in {mutant.file} exactly once')
    path.write_text(text.replace(mutant.before, mutant.after))
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *mutant.tests]
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': str(folder)},
            check=False,
            capture_output=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return False
    finally:
        path.write_text(text)
    if ended.returncode not in (0, 1):
        raise SystemExit(f'{mutant.name}: pytest could not run:\n{ended.stdout.decode()}')
    return ended.returncode == 0


def main() -> int:
    """Try every mutant, or those whose name holds a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('words', nargs='*', help='only mutants whose name holds one of these')
    words = parser.parse_args().words
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    alive = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entry in COPIED:
            source = ROOT / entry
            if source.is_dir():
                shutil.copytree(
                    source, folder / entry, ignore=shutil.ignore_patterns('__pycache__')
                )
            else:
                shutil.copy(source, folder / entry)
        for mutant in chosen:
            alive += (alive_now := survives(mutant, folder))
            sys.stdout.write(f'{"SURVIVED" if alive_now else "killed":9} {mutant.name}\n')
            sys.stdout.flush()
    sys.stdout.write(f'{len(chosen) - alive} of {len(chosen)} killed\n')
    return 1 if alive else 0


if __name__ == '__main__':
    sys.exit(main())
