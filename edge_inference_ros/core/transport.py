"""Which transport profile the middleware builds its shared memory from.

Fast DDS reads it once, before the first node of a process: with its own segment of 512 KiB most
camera images are lost.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_inference_ros.core.share import share
from edge_inference_ros.errors import ConfigError

TRANSPORT = 'EDGE_INFERENCE_TRANSPORT'
"""Environment: the name of a profile in ``config/transport``, or ``default`` for none of ours."""

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Fast DDS before 3.0 reads only the first; later ones either."""


def settings() -> dict[str, str]:
    """What the environment of a process must say: our profile, unless the user chose one.

    Raises:
        ConfigError: ``EDGE_INFERENCE_TRANSPORT`` names no profile.
    """
    name = os.environ.get(TRANSPORT) or 'shm'
    if name == 'default' or any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return {}
    return dict.fromkeys(PROFILE_VARIABLES, str(profile(name)))


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
