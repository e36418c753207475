"""Which transport profile the middleware builds its shared memory from.

Fast DDS reads it once, before the first node of a process: with its own segment of 512 KiB most
camera images are lost. A segment that does not fit into ``/dev/shm`` is worse: the middleware goes
on without shared memory and says so in a line that means something else, and one that is full
ends the process by SIGBUS, without a word. So the room is looked at before.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from edge_inference_ros.core.share import share
from edge_inference_ros.errors import ConfigError

TRANSPORT = 'EDGE_INFERENCE_TRANSPORT'
"""Environment: the name of a profile in ``config/transport``, or ``default`` for none of ours."""

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Fast DDS before 3.0 reads only the first; later ones either."""

SHARED_MEMORY = Path('/dev/shm')  # noqa: S108 - where the middleware puts it, not our choice
ENLARGE = 'start the container with --shm-size=1g or --ipc=host; on a host, enlarge /dev/shm'

_TRACING_BYTES = 16 << 10
_MAKESHIFTS = ('shm_small', 'udp')
_OWN_BYTES = 512 << 10  # Fast DDS's segment without a profile
_PORTS_BYTES = 1 << 20  # the queues of a process's readers, and what it maps besides
_SEGMENT = re.compile(r'<segment_size>\s*(\d+)\s*</segment_size>')
_FAST_DDS = ('', 'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp')


class Choice(NamedTuple):
    """What the environment of a process must say, and what its operator must know.

    Attributes:
        settings: variables to set; none where the user chose a profile, or none of ours.
        warning: why it is not what was asked for, or why it will not do; empty when all is well.
    """

    settings: dict[str, str]
    warning: str = ''


def settings() -> dict[str, str]:
    """The settings of ``choose``, for whoever has nobody to warn."""
    return choose().settings


def choose(free_bytes: int | None = None) -> Choice:
    """Our profile, unless the user chose one, or a smaller one where it leaves no room for others.

    Whoever sends images to us needs as much room as we do, so twice the need must be free.

    Args:
        free_bytes: in ``/dev/shm``; looked up unless said.

    Raises:
        ConfigError: ``EDGE_INFERENCE_TRANSPORT`` names no profile.
    """
    name = os.environ.get(TRANSPORT) or 'shm'
    asked = None if name == 'default' else profile(name)
    if os.environ.get('RMW_IMPLEMENTATION', '') not in _FAST_DDS:
        return Choice({} if asked is None else _naming(asked))
    free = room_bytes() if free_bytes is None else free_bytes
    chosen = next(filter(None, (os.environ.get(v) for v in PROFILE_VARIABLES)), None)
    if chosen or asked is None:
        return Choice({}, _shortage(Path(chosen) if chosen else None, free))
    for path in (asked, *map(profile, _MAKESHIFTS)):
        if free >= 2 * need_bytes(path) or path.stem == _MAKESHIFTS[-1]:
            break
    if path == asked:
        return Choice(_naming(asked))
    return Choice(
        _naming(path),
        f'{SHARED_MEMORY} has {free >> 20} MiB free, and {asked.name} needs'
        f' {need_bytes(asked) >> 20} MiB for this process and as much for the driver: took'
        f' {path.name} instead, {_worth(path)}; {ENLARGE}',
    )


def is_makeshift() -> bool:
    """Whether this process runs with less shared memory than images need, for want of room."""
    chosen = os.environ.get(PROFILE_VARIABLES[0], '')
    return any(chosen == str(profile(name)) for name in _MAKESHIFTS)


def room_bytes(folder: Path = SHARED_MEMORY) -> int:
    """How much shared memory is free; 0 where there is none."""
    try:
        stat = os.statvfs(folder)
    except OSError:
        return 0
    return stat.f_bavail * stat.f_frsize


def require_room(folder: Path = SHARED_MEMORY) -> None:
    """Refuse a ``/dev/shm`` that is full to the last page: call it before rclpy is imported.

    rclpy's tracing (LTTng) writes to two pages there as it is imported, whatever the transport is,
    and a page that cannot be had ends the process by SIGBUS. Pages it got before will do.

    Raises:
        ImportError: in words, what the signal would not have said.
    """
    is_full = folder.is_dir() and room_bytes(folder) < _TRACING_BYTES
    if is_full and not any(folder.glob('lttng-ust-wait-*')):
        raise ImportError(f'{folder} is full, and importing rclpy would end by SIGBUS: {ENLARGE}')


def need_bytes(path: Path | None) -> int:
    """What a process reserves in ``/dev/shm`` with a profile, or with none; 0 of one without."""
    segment = segment_bytes(path)
    return segment + segment // 16 + _PORTS_BYTES if segment else 0


def segment_bytes(path: Path | None) -> int:
    """The size of one process's segment in a profile; Fast DDS's own without one."""
    if path is None:
        return _OWN_BYTES
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError):
        return _OWN_BYTES
    if match := _SEGMENT.search(text):
        return int(match.group(1))
    return 0 if '<useBuiltinTransports>false' in text else _OWN_BYTES


def profile(name: str = 'shm') -> Path:
    """Where the transport profile called ``name`` lies.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    folder = share('config/transport')
    path = folder / f'{name}.xml'
    if not path.is_file():
        known = ', '.join(['default', *sorted(path.stem for path in folder.glob('*.xml'))])
        raise ConfigError(f'{TRANSPORT}={name}: no such profile in {folder}; there are {known}')
    return path


def _naming(path: Path) -> dict[str, str]:
    return dict.fromkeys(PROFILE_VARIABLES, str(path))


def _worth(path: Path) -> str:
    if size := segment_bytes(path):
        return f'which holds {size >> 20} MiB of images'
    return 'with which images over 0.5 MB arrive in part only'


def _shortage(path: Path | None, free: int) -> str:
    """A word about a profile that is not ours to change."""
    if free >= need_bytes(path):
        return ''
    profile = "the middleware's own transport" if path is None else str(path)
    return (
        f'{SHARED_MEMORY} has {free >> 10} KiB free, and {profile} needs'
        f' {need_bytes(path) >> 10} KiB for this process: it may be killed by'
        f' SIGBUS; {ENLARGE}, or set {TRANSPORT}=udp'
    )
