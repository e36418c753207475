"""Breaks the code on purpose, one small change at a time, and asks whether a test notices.

``python -m tools.mutate`` works through ``TARGETS``; ``python -m tools.mutate deadline`` through
one of them, and with ``--part 2/8`` through the second eighth of it. Each mutant runs in a process
of its own, its source put in the place of the module's, with the tests that are to catch it. A
mutant that survives is printed unless docs/safety.md says, on a line
``module.function | before -> after | why``, that it means the same.

Why not a tool off the shelf: mutmut 3.8 leaves decorated functions alone, and half of our laws are
properties; cosmic-ray 8 starts an interpreter with pytest for each of two thousand mutants.

The processes are forked from this one, which has loaded pytest and hypothesis but none of the
package, at most ``--jobs`` at a time, each with a limit on its processor time.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import math
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
JUSTIFIED = ROOT / 'docs' / 'safety.md'
FRESHNESS = [
    'test_freshness.py',
    'test_deception.py',
    'test_freshness_random.py',
    'test_freshness_replay.py',
]
GUARD = {
    'commands': ['test_odometry.py', 'test_deception.py', 'test_freshness_random.py'],
    'deadline': ['test_deadline.py', 'test_deadline_properties.py'],
    'drift': ['test_drift.py', 'test_drift_slowly.py'],
    'freshness': FRESHNESS,
    'heading': ['test_heading.py', 'test_deception.py', 'test_freshness_random.py'],
    'legs': ['test_odometry.py', 'test_deception.py', 'test_freshness_random.py'],
    'odometry': [
        'test_deception.py',
        'test_odometry.py',
        'test_heading.py',
        'test_poses.py',
        'test_freshness_random.py',
    ],
    'pose_history': ['test_pose_history.py'],
    'poses': ['test_poses.py', 'test_poses_slowly.py', 'test_deception.py'],
    'robot': ['test_robot.py', 'test_deadline.py', 'test_deadline_properties.py'],
    'speed_limit': ['test_speed_limit.py'],
    'standing': ['test_standing.py', 'test_freshness.py'],
    'timeline': ['test_timeline.py', 'test_freshness.py', 'test_deception.py'],
    'verdict': ['test_freshness.py'],
    'watch': ['test_freshness.py', 'test_deception.py'],
}
NODES = {
    'watchdog': ['test_watchdog*.py'],
    'fresh': ['test_fresh.py'],
}
TARGETS = {
    **{f'guard.{name}': sorted(tests) for name, tests in GUARD.items()},
    **{f'nodes.{name}': sorted(tests) for name, tests in NODES.items()},
}
CPU_S, WALL_S, QUICK_S = 60, 900, 0.3
LOADED = ('pytest', 'hypothesis', 'hypothesis.internal.conjecture.engine', 'numpy')

_OPPOSITE: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.And: ast.Or,
    ast.Or: ast.And, ast.LShift: ast.RShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_NAMES = {'min': 'max', 'max': 'min'}
_SKIPPED_CALLS = {'param', 'NewType'}
_SKIPPED_FIELDS = {'annotation', 'returns', 'decorator_list', 'bases', 'type_params'}

_ROW = re.compile(r'[a-z_]+\.\S+ \| .+ -> .+ \| ')

Way = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Mutant:
    """One change to one module, and the whole changed source."""

    module: str
    where: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> str:
        """How docs/safety.md names it."""
        return f'{self.module.split(".")[1]}.{self.where} | {self.change}'


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of one module, named as in ``TARGETS``."""
    source = _source(module)
    for where, way in _places(ast.parse(source)):
        for variant in range(3):
            tree = ast.parse(source)
            parent, field, index = _follow(tree, way)
            old = getattr(parent, field) if index is None else getattr(parent, field)[index]
            before, new = _text(old), _changed(copy.deepcopy(old), variant)
            if new is None:
                break
            _put(parent, field, index, ast.copy_location(new, old))
            changed = ast.unparse(ast.fix_missing_locations(tree))
            yield Mutant(module, where, old.lineno, f'{before} -> {_text(new)}', changed)


def _source(module: str) -> str:
    return (ROOT / 'edge_inference_ros' / f'{module.replace(".", "/")}.py').read_text()


def _places(tree: ast.AST) -> Iterator[tuple[str, Way]]:
    """Where something can be changed: the enclosing function, and the way down to it."""
    todo: list[tuple[ast.AST, str, Way]] = [(tree, '', ())]
    while todo:
        node, where, way = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            where = f'{where}.{node.name}'.strip('.')
        for step, child in _children(node):
            if where and _changed(copy.deepcopy(child), 0) is not None:
                yield where, (*way, step)
            todo.append((child, where, (*way, step)))


def _children(node: ast.AST) -> Iterator[tuple[tuple[str, int | None], ast.AST]]:
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED_FIELDS:
            continue
        listed = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in listed:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield (field, index), child


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Raise) or (
        isinstance(called, ast.Name) and called.id in _SKIPPED_CALLS
    )


def _follow(tree: ast.AST, way: Way) -> tuple[Any, str, int | None]:
    node: Any = tree
    for field, index in way[:-1]:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node, *way[-1]


def _put(parent: Any, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _changed(node: Any, variant: int) -> Any:
    """The node, changed in the way number ``variant``; None when there is no such way."""
    for kind, change in _CHANGES:
        if isinstance(node, kind):
            return change(node, variant)
    return None


def _swap(node: Any, variant: int) -> Any:
    operators = node.ops if isinstance(node, ast.Compare) else [node.op]
    if variant >= len(operators) or type(operators[variant]) not in _OPPOSITE:
        return None
    operators[variant] = _OPPOSITE[type(operators[variant])]()
    if not isinstance(node, ast.Compare):
        node.op = operators[0]
    return node


def _without(node: ast.UnaryOp, variant: int) -> Any:
    return node.operand if variant == 0 and isinstance(node.op, (ast.Not, ast.USub)) else None


def _other_number(node: ast.Constant, variant: int) -> Any:
    if variant or not isinstance(node.value, (bool, int, float)):
        return None
    return ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)


def _other_name(node: ast.Call, variant: int) -> Any:
    if variant or not isinstance(node.func, ast.Name) or node.func.id not in _NAMES:
        return None
    node.func.id = _NAMES[node.func.id]
    return node


def _one_way(node: Any, variant: int) -> Any:
    if variant > 1:
        return None
    node.test = ast.Constant(bool(variant))
    return node


def _nothing(node: Any, variant: int) -> Any:
    if variant or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call)):
        return None
    return ast.Pass()


_CHANGES: list[tuple[Any, Any]] = [
    ((ast.Compare, ast.BinOp, ast.BoolOp), _swap),
    (ast.UnaryOp, _without),
    (ast.Constant, _other_number),
    (ast.Call, _other_name),
    ((ast.If, ast.IfExp), _one_way),
    ((ast.AugAssign, ast.Expr), _nothing),
]


def _text(node: ast.AST) -> str:
    text = ast.unparse(node).split('\n')[0].replace(' | ', ' or_bits ')
    return text if len(text) <= 90 else f'{text[:87]}...'


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the changed source where the module would have been."""

    def __init__(self, module: str, source: str) -> None:
        self._name, self._source = f'edge_inference_ros.{module}', source

    def find_spec(self, fullname: str, *_: Any) -> Any:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: Any) -> None:
        exec(compile(self._source, f'<mutant of {self._name}>', 'exec'), module.__dict__)  # noqa: S102


class _Quickly:
    """Begins with the tests that caught most so far, and says which of the quick ones did.

    Hypothesis draws the same few examples every time, and does not shrink.
    """

    def __init__(self, caught: Mapping[str, int], told: int) -> None:
        self._caught, self._told = caught, told
        self._since_s = 0.0

    def pytest_runtest_setup(self) -> None:
        self._since_s = time.process_time()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: -self._caught.get(item.nodeid, 0))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and time.process_time() - self._since_s < QUICK_S:
            os.write(self._told, report.nodeid.encode())

    def pytest_configure(self) -> None:
        hypothesis = importlib.import_module('hypothesis')
        hypothesis.settings.register_profile(
            'mutants',
            database=None,
            derandomize=True,
            deadline=None,
            max_examples=40,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.settings.load_profile('mutants')


def survivors(every: list[Mutant], *, jobs: int, cpu_s: int = CPU_S) -> Iterator[Mutant]:
    """The mutants on which every test passes, as they are found; one that hangs is caught too."""
    for name in LOADED:
        importlib.import_module(name)
    todo, caught = every[::-1], Counter[str]()
    running: dict[int, tuple[Mutant, int]] = {}
    while todo or running:
        while todo and len(running) < jobs:
            mutant = todo.pop()
            child, heard = _fork(mutant, caught, cpu_s)
            running[child] = mutant, heard
        child, status = os.wait()
        mutant, heard = running.pop(child)
        with open(heard) as said:  # noqa: PTH123 - a descriptor, no path
            caught.update([said.read()])
        if status == 0:
            yield mutant


def _fork(mutant: Mutant, caught: Mapping[str, int], cpu_s: int) -> tuple[int, int]:
    """Run the tests of ``mutant`` in a process of their own; it exits with pytest's code.

    Returns:
        The process, and where it says which test caught the mutant.
    """
    heard, told = os.pipe()
    if child := os.fork():
        os.close(told)
        return child, heard
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        signal.alarm(WALL_S)  # one that waits uses no processor
        os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)  # two at once must not meet
        code = _try(mutant, _Quickly(caught, told))
    finally:
        os._exit(code)


def _try(mutant: Mutant, plugin: _Quickly) -> int:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    sys.meta_path.insert(0, _Instead(mutant.module, mutant.source))
    folder = ROOT / 'test' / mutant.module.split('.', maxsplit=1)[0]
    tests = [str(path) for name in TARGETS[mutant.module] for path in folder.glob(name)]
    options = ['-x', '-q', '-m', 'not faults', '-p', 'no:cacheprovider', '--assert=plain']
    pytest = importlib.import_module('pytest')
    return int(pytest.main([*options, *tests], plugins=[plugin]))


def justified() -> dict[str, str]:
    """Why some mutants mean the same as the code, by key."""
    rows = [line for line in JUSTIFIED.read_text().splitlines() if _ROW.match(line)]
    return dict(line.rsplit(' | ', 1) for line in rows)


def main() -> int:
    """Try every mutant; 1 if one survives without a reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('modules', nargs='*', help=f'of {", ".join(TARGETS)}; default: all')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--part', default='1/1', help='K/N: of N equal parts, try only the K-th')
    parser.add_argument('--like', default='', help='try only those whose line holds this text')
    options = parser.parse_args()
    if not os.nice(0):
        os.nice(10)
    sys.dont_write_bytecode = True
    part, parts = map(int, options.part.split('/'))
    results = []
    chosen = options.modules or ['']
    for module in [name for name in TARGETS if any(part in name for part in chosen)]:
        every = list(mutants(module))[part - 1 :: parts]
        tried = [mutant for mutant in every if options.like in mutant.key]
        results.append(_report(module, tried, jobs=options.jobs))
    return int(not all(results))


def _report(module: str, every: list[Mutant], *, jobs: int) -> bool:
    """Try one module; whether every survivor has a reason. Unchanged, it must pass its tests."""
    if not any(survivors([Mutant(module, '', 0, 'nothing', _source(module))], jobs=1)):
        _say(f'{module}: its tests fail as it is')
        return False
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = 3 + 2 * math.ceil(spent.ru_utime + spent.ru_stime)  # of all so far: enough for one
    reasons = justified()
    alive = strange = 0
    for mutant in survivors(every, jobs=jobs, cpu_s=cpu_s):
        alive += 1
        if mutant.key not in reasons:
            strange += 1
            _say(f'  line {mutant.line}: {mutant.key}')
    _say(
        f'{module}: {len(every)} mutants, {len(every) - alive} killed,'
        f' {alive - strange} equivalent, {strange} unexplained'
    )
    return not strange


def _say(line: str) -> None:
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()


if __name__ == '__main__':
    sys.exit(main())
