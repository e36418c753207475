"""Where the files are that ship beside the code: models, configuration, launch files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edge_inference_ros.errors import ConfigError

_PACKAGE = 'edge_inference_ros'


def share(name: str) -> Path:
    """The shipped file or folder ``name``, such as 'models/street_tiny'.

    A source checkout wins over what is installed, so that an edited file is the one that is used.

    Raises:
        ConfigError: it is in none of the places; the message lists them.
    """
    places = _places()
    for place in places:
        if (path := place / name).exists():
            return path
    raise ConfigError(f'{name} is in none of {", ".join(map(str, places))}')


def locate(folder: str, name: str) -> Path:
    """``name`` among what ships in ``folder``; or itself, if it is a path (it has a slash).

    Raises:
        ConfigError: nothing of that name ships there; the message lists what does.
    """
    if os.sep in name:
        return Path(name).expanduser()
    try:
        return share(f'{folder}/{name}')
    except ConfigError as error:
        known = ', '.join(_known(folder, Path(name).suffix)) or 'none'
        raise ConfigError(f'{error}; there are {known}, or give a path (with a slash)') from None


def _known(folder: str, suffix: str) -> list[str]:
    """What ships in ``folder``: files of that suffix, or folders if it has none."""
    there = [path for place in _places() for path in (place / folder).glob(f'*{suffix}')]
    return sorted({path.name for path in there if suffix or path.is_dir()})


def _places() -> list[Path]:
    prefixes = [
        *filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
        sys.prefix,
    ]
    installed = [Path(prefix) / 'share' / _PACKAGE for prefix in dict.fromkeys(prefixes)]
    checkout = Path(__file__).parents[2]
    return [checkout, *installed] if (checkout / 'package.xml').is_file() else installed
