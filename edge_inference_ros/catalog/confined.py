"""Calls a function of ours in a process that may take only so much: for files from elsewhere.

A parser written in C++ trusts the sizes a file claims. Whatever a hostile one makes it do, memory
filled, a loop without end, a crash, happens in a child that is ended for it, and is an error with
a name here. ChildLimits are not a sandbox: the child may do what its user may, except write files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_inference_ros.core import onnx_file
from edge_inference_ros.errors import EdgeInferenceError, ModelError

_TOP = Path(__file__).parents[2]
_FEW_THREADS = {'OPENBLAS_NUM_THREADS': '1', 'MALLOC_ARENA_MAX': '2'}  # each reserves addresses


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the child may take.

    Attributes:
        memory_bytes: address space besides what it has when it starts; 0 sets no limit, for
            CUDA reserves more than there is memory.
        cpu_s: processor time of all its threads.
        wall_s: time.
    """

    memory_bytes: int = 2 << 30
    cpu_s: int = 60
    wall_s: float = 120.0


def limits_for(path: Path) -> ChildLimits:
    """What a child that reads an ONNX file may take: a few copies of it, and a runtime's needs.

    Raises:
        ModelError: there is no such file, or it is too large.
    """
    return ChildLimits(memory_bytes=(2 << 30) + 6 * onnx_file.size_bytes(path))


def call(
    target: str, argument: Mapping[str, Any], what: str, limits: ChildLimits | None = None
) -> Any:
    """The answer of the function ``target`` to ``argument``, both of JSON, from a child.

    Args:
        target: 'module:function', within this package.
        argument: what the function is called with.
        what: is being looked at; errors begin with it.
        limits: of the child.

    Raises:
        EdgeInferenceError: what the function raised.
        ModelError: it raised something else, died, or wanted more than it may have.
    """
    limits = limits or ChildLimits()
    asked = json.dumps([target, dict(argument), dataclasses.asdict(limits)])
    path = os.pathsep.join(filter(None, [str(_TOP), os.environ.get('PYTHONPATH')]))
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, '-m', __name__],
            input=asked.encode(),
            capture_output=True,
            timeout=limits.wall_s,
            env={**os.environ, **_FEW_THREADS, 'PYTHONPATH': path},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f'{what}: reading it took more than {limits.wall_s:g} s') from error
    if done.returncode:
        raise ModelError(f'{what}: {_cause(done.returncode, done.stderr, limits)}')
    answer = json.loads(done.stdout)
    if 'error' in answer:
        kinds = {kind.__name__: kind for kind in _descendants(EdgeInferenceError)}
        raise kinds.get(answer['error'], ModelError)(answer['text'])
    if 'foreign' in answer:
        raise ModelError(f'{what}: {answer["foreign"]}')
    return answer['value']


def _descendants(kind: type[EdgeInferenceError]) -> Iterator[type[EdgeInferenceError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _cause(status: int, output: bytes, limits: ChildLimits) -> str:
    if status == -signal.SIGXCPU:
        return f'reading it took more than {limits.cpu_s} s of processor time'
    last = output.decode(errors='replace').strip().rpartition('\n')[2]
    name = signal.Signals(-status).name if status < 0 else f'status {status}'
    return f'its reader ended with {name}; it may want too much memory, or be made to harm: {last}'


def _serve() -> None:
    """In the child: one question from stdin, one answer to what stdout was."""
    answer = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print is no answer
    target, argument, limits = json.load(sys.stdin)
    module, _, name = target.partition(':')
    function = getattr(import_module(module), name)
    _confine(ChildLimits(**limits))
    try:
        reply = {'value': function(**argument)}
    except EdgeInferenceError as error:
        reply = {'error': type(error).__name__, 'text': str(error)}
    except MemoryError:
        reply = {'foreign': 'reading it took too much memory'}
    except Exception as error:  # noqa: BLE001 - every failure is an answer
        reply = {'foreign': f'{type(error).__name__}: {error}'}
    with answer:
        json.dump(reply, answer)


def _confine(limits: ChildLimits) -> None:
    if limits.memory_bytes:
        pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[0])
        most = pages * resource.getpagesize() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))


if __name__ == '__main__':
    _serve()
