"""Where the files are that ship beside the code, and the models a person has added."""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
from pathlib import Path

from edge_inference_ros.errors import ConfigError

_PACKAGE = 'edge_inference_ros'
OWN_MODELS = 'EDGE_INFERENCE_MODELS'
_MODELS = 'models'
CATALOGUE = 'models/catalog.yaml'


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
    own = [own_models()] if name.startswith(f'{_MODELS}/') else []
    raise ConfigError(f'{name} is in none of {", ".join(map(str, [*places, *own]))}')


def locate(folder: str, name: str) -> Path:
    """``name`` among what ships in ``folder``; or itself, if it is a path (it has a slash).

    Of models, those a person has added are looked through after those that ship.

    Raises:
        ConfigError: nothing of that name is there; the message lists what is.
    """
    if os.sep in name:
        return Path(name).expanduser()
    if folder == _MODELS and name and not ships(folder, name) and (own_models() / name).is_dir():
        return own_models() / name
    try:
        return share(f'{folder}/{name}')
    except ConfigError as error:
        raise ConfigError(f'{error}; {_remedy(folder, name)}') from None


def _remedy(folder: str, name: str) -> str:
    """What whoever asked for ``name`` most likely wants."""
    if folder == _MODELS and name.endswith('.onnx'):
        return f'`edge_inference models add {name}` makes a model of an ONNX file'
    there = fetchable() if folder == _MODELS else []
    if name in there:
        return f'`edge_inference models get {name}` fetches it into {own_models()}'
    names = known(folder, Path(name).suffix)
    close = difflib.get_close_matches(name, names + there, 1)
    meant = f'did you mean {close[0]}? ' if close else ''
    return f'{meant}there are {", ".join(names) or "none"}, or give a path (with a slash)'


def fetchable() -> list[str]:
    """The models that ``models get`` fetches."""
    from edge_inference_ros.core.manifest import read_yaml  # with NumPy: help needs none

    return [str(name) for name in read_yaml(share(CATALOGUE), ConfigError)]


def ships(folder: str, name: str) -> bool:
    """Whether something of that name ships in ``folder``."""
    return any((place / folder / name).exists() for place in _places())


def own_models() -> Path:
    """The folder of the models a person has added; it may not be there yet.

    ``$EDGE_INFERENCE_MODELS``, else below ``$XDG_DATA_HOME``, which is ~/.local/share.
    """
    if folder := os.environ.get(OWN_MODELS):
        return Path(folder).expanduser()
    home = os.environ.get('XDG_DATA_HOME') or Path.home() / '.local' / 'share'
    return Path(home) / _PACKAGE / _MODELS


def cache(name: str) -> Path:
    """A folder for what can be made again: below ``$XDG_CACHE_HOME``, which is ~/.cache."""
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / _PACKAGE / name


def known(folder: str, suffix: str) -> list[str]:
    """What ships in ``folder``: files of that suffix, or folders if it has none."""
    folders = [place / folder for place in _places()]
    folders += [own_models()] if folder == _MODELS else []
    paths = [path for place in folders for path in place.glob(f'*{suffix}')]
    return sorted({path.name for path in paths if suffix or path.is_dir()})


def fingerprint(room: str) -> str:
    """Changes with the code of ``room`` of the package: nobody takes what older code made."""
    sha = hashlib.sha256()
    for file in sorted((Path(__file__).parents[1] / room).glob('*.py')):
        sha.update(file.read_bytes())
    return sha.hexdigest()[:8]


def _places() -> list[Path]:
    prefixes = [
        *filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
        sys.prefix,
    ]
    installed = [Path(prefix) / 'share' / _PACKAGE for prefix in dict.fromkeys(prefixes)]
    checkout = Path(__file__).parents[2]
    return [checkout, *installed] if (checkout / 'package.xml').is_file() else installed
