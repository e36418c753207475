"""Which message types we can name, check and decode without ROS.

A bag brings definitions of its own. They are compared with ours and never executed: decoders are
generated Python code, and a recording is somebody else's text.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from edge_inference_ros.errors import BagError

HEADER = 'std_msgs/msg/Header'

# vision_msgs 4.x and nav2_msgs are not among the types rosbags knows.
_EXTRA = {
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/BoundingBox2D': (
        'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n'
    ),
    'vision_msgs/msg/BoundingBox3D': 'geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/msg/ObjectHypothesisWithPose': (
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n'
    ),
    'vision_msgs/msg/Detection2D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox2D bbox\nstring id\n'
    ),
    'vision_msgs/msg/Detection2DArray': (
        'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n'
    ),
    'vision_msgs/msg/Detection3D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox3D bbox\nstring id\n'
    ),
    'vision_msgs/msg/Detection3DArray': (
        'std_msgs/Header header\nvision_msgs/Detection3D[] detections\n'
    ),
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name\n',
    'vision_msgs/msg/LabelInfo': (
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n'
    ),
    'nav2_msgs/msg/SpeedLimit': ('std_msgs/Header header\nbool percentage\nfloat64 speed_limit\n'),
}


@cache
def typestore() -> Typestore:
    """Every type we can decode: the common interfaces, vision_msgs and SpeedLimit."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in _EXTRA.items():
        store.register(get_types_from_msg(text, name))
    return store


def decodable(msgtype: str) -> Typestore:  # noqa: ARG001 - the signature of ``learn``
    """What messages are held against that are to be decoded here."""
    return typestore()


@cache
def installed() -> Typestore:
    """What the ROS distribution that runs here says its types are; filled as they are asked for.

    Between distributions a type may gain a field: ``sensor_msgs/msg/Range`` has one more in
    Jazzy than in Humble. What is recorded or played here has the fields of what runs here.
    """
    return get_typestore(Stores.EMPTY)


def learn(msgtype: str, share: Path | None = None) -> Typestore:
    """Make ``msgtype``, as it is installed, known to ``installed()``; return that.

    Where nothing is installed, what we can decode stands in.

    Args:
        msgtype: such as ``sensor_msgs/msg/Image``.
        share: look for ``.msg`` files of packages here first.

    Raises:
        BagError: neither installed nor known.
    """
    store = installed()
    if msgtype not in store.fielddefs:
        definition = _read(msgtype, share)
        for needed in (n for _, fields in definition.values() for n in _named(fields)):
            if needed not in definition:
                learn(needed, share)
        store.register(definition)
    return store


def described(msgtype: str) -> tuple[str, str]:
    """How a recording made here describes ``msgtype``: its definition, and its RIHS01.

    Raises:
        BagError: it is not installed.
    """
    store = learn(msgtype)
    package, _, name = msgtype.partition('/msg/')
    text, _ = store.generate_msgdef(msgtype, ros_version=2)
    with suppress(
        OSError, ValueError, LookupError, TypeError, StopIteration
    ):  # Humble writes no hashes down
        path = _share(package) / package / 'msg' / f'{name}.json'
        rows = json.loads(path.read_text(encoding='utf-8'))['type_hashes']
        return text, next(row['hash_string'] for row in rows if row['type_name'] == msgtype)
    return text, store.hash_rihs01(msgtype)


def _read(msgtype: str, share: Path | None) -> Any:
    """What the package's ``.msg`` file says of a type."""
    package, _, name = msgtype.partition('/msg/')
    places = [place for place in (share, _share(package)) if place]
    for path in (place / package / 'msg' / f'{name}.msg' for place in places):
        with suppress(FileNotFoundError, NotADirectoryError):
            return get_types_from_msg(path.read_text(encoding='utf-8'), msgtype)
    if msgtype not in typestore().fielddefs:
        looked = ' or '.join(str(place / package / 'msg' / f'{name}.msg') for place in places)
        raise BagError(f'{msgtype}: no definition at {looked}; is the package installed?')
    return {msgtype: typestore().fielddefs[msgtype]}


def _share(package: str) -> Path:
    """Where the installed message package ``package`` keeps its definitions."""
    with suppress(ImportError, LookupError, OSError):
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(package)).parent
    return Path(sys.prefix) / 'share'


def is_stamped(msgtype: str) -> bool:
    """Whether the message begins with a header, so that its stamp is at a fixed place."""
    known = installed().fielddefs.get(msgtype) or typestore().fielddefs.get(msgtype)
    return bool(known) and _first_type(known) == HEADER


def check_hash(msgtype: str, type_hash: str, store: Typestore | None = None) -> None:
    """Refuse a type of another hash, where that is all the bag says of it.

    A type without a hash, on either side, passes.

    Raises:
        BagError: both have one, and they differ.
    """
    store = store or typestore()
    if not type_hash.startswith('RIHS01_') or msgtype not in store.fielddefs:
        return
    ours = ''
    with suppress(Exception):  # types that have no hash: rosbags knows no wide strings
        ours = str(store.hash_rihs01(msgtype))
    if ours and ours != type_hash:
        raise BagError(
            f'{msgtype}: the bag was recorded with another type of that name ({type_hash[:19]}…'
            f' instead of {ours[:19]}…) and brings no definition of it that we read; it cannot be'
            ' decoded'
        )


def has_hash(msgtype: str, type_hash: str, store: Typestore | None = None) -> bool:
    """Whether ``type_hash`` (RIHS01) says that a type is the one ``store`` holds."""
    store = store or typestore()
    if not type_hash or msgtype not in store.fielddefs:
        return False
    with suppress(Exception):  # types that have no hash: rosbags knows no wide strings
        return str(store.hash_rihs01(msgtype)) == type_hash
    return False


def check_same(msgtype: str, text: str, store: Typestore | None = None) -> None:
    """Hold a bag's own definition of a type against the one ``store`` holds.

    Args:
        msgtype: a type; one that ``store`` does not hold passes.
        text: its definition in the bag; an empty one passes.
        store: by default, the types we can decode.

    Raises:
        BagError: the fields differ, or ``text`` is no definition.
    """
    store = store or typestore()
    ours = store.fielddefs.get(msgtype)
    if ours is None or not text:
        return
    try:
        theirs = get_types_from_msg(text, msgtype)
    except Exception as error:  # the parser of untrusted text raises what it stumbles over
        raise BagError(f'{msgtype}: the definition in the bag is not one: {error}') from error
    for name, (_, fields) in theirs.items():
        known = store.fielddefs.get(name)
        if known is not None and _plain(fields) != _plain(known[1]):
            raise BagError(
                f'{name}: the bag was recorded with other fields ({_words(fields)}) than the'
                f' type has ({_words(known[1])}); it cannot be decoded'
            )


def decode(msgtype: str, data: bytes) -> Any:
    """The message in ``data``.

    Raises:
        BagError: a type we do not know, or bytes that are not a message of it.
    """
    if msgtype not in typestore().fielddefs:
        raise BagError(f'{msgtype}: not a type we can decode')
    try:
        return typestore().deserialize_cdr(data, msgtype)
    except Exception as error:  # the decoder of untrusted bytes raises what it stumbles over
        raise BagError(f'{len(data)} bytes are not a {msgtype}: {error}') from error


def encode(msgtype: str, message: Any) -> bytes:
    """``message`` as a bag or the wire has it."""
    return bytes(typestore().serialize_cdr(message, msgtype))


def _first_type(definition: Any) -> str:
    _, fields = definition
    name: Any = fields[0][1][1] if fields else ''
    return name if isinstance(name, str) else ''


def _named(fields: Any) -> list[str]:
    """Names of the message types among ``fields``, inside arrays too."""
    return [name for _, kind in fields for name in _leaf(kind)]


def _leaf(kind: Any) -> list[str]:
    node, detail = kind
    if node.name == 'NAME':
        return [detail]
    return _leaf(detail[0]) if node.name in ('ARRAY', 'SEQUENCE') else []


def _plain(fields: Any) -> list[Any]:
    return [(name.lower(), kind) for name, kind in fields]


def _words(fields: Any) -> str:
    return ', '.join(name for name, _ in fields)
