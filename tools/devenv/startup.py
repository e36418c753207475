"""Makes every interpreter of the environment a ROS 2 one, without activating anything.

This file is copied into the environment and imported by a ``.pth`` file at interpreter start.
The loader reads LD_LIBRARY_PATH once, before Python runs, so an interpreter that was started
without it starts itself again, once; its children inherit the variable and do not.

The wheels bring a bootstrapper that does nearly the same. It is told that it has run, because
it believes a mark left by the interpreter of *another* environment, orders the folders at
random, looks up ``python`` on PATH again and says nothing to the ament index.
"""

import os
import sys
from pathlib import Path

PREFIX = Path(sys.prefix)
SITE = Path(__file__).parent


def environment(old: 'os._Environ[str] | dict[str, str]') -> 'dict[str, str]':
    """Return a copy of an environment in which this prefix is found by the loader and the index.

    Our libraries come first, our share folder last: a colcon workspace lies above us.
    """
    libraries = [str(PREFIX / 'lib'), *sorted(str(path) for path in SITE.glob('ros_*.libs'))]
    index = _without(old.get('AMENT_PREFIX_PATH'), [str(PREFIX)])
    return {
        **old,
        'LD_LIBRARY_PATH': ':'.join(
            [*libraries, *_without(old.get('LD_LIBRARY_PATH'), libraries)]
        ),
        'AMENT_PREFIX_PATH': ':'.join([*index, str(PREFIX)]),
        '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1',
    }


def start() -> None:
    """Set the index, and start again if the loader has not been told of our libraries."""
    wanted = environment(os.environ)
    libraries = wanted['LD_LIBRARY_PATH'].split(':')
    told = os.environ.get('LD_LIBRARY_PATH', '').split(':')
    if not set(libraries) <= set(told):
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, wanted)  # noqa: S606 - ourselves again
    del wanted['LD_LIBRARY_PATH']
    os.environ.update(wanted)


def _without(value: 'str | None', entries: 'list[str]') -> 'list[str]':
    return [entry for entry in (value or '').split(':') if entry and entry not in entries]


if __name__ != '__main__' and PREFIX in SITE.parents:
    start()
