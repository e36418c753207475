"""cv_bridge and sensor_msgs_py, beside the way of a sample and never on it.

Pictures for people leave through cv_bridge, encodings that ``sensors/image.py`` does not read
come in through it, and clouds that we make are built by sensor_msgs_py. Where one of them is
missing, or cannot be loaded, our own path gives the same bytes. What a robot's distribution built
against another numpy ends in any exception there is; that is a warning, not an end.
"""

from __future__ import annotations

import array
import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image as ImageMsg
from sensor_msgs.msg import PointCloud2, PointField

from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import BadImage
from edge_inference_ros.ros import messages

XYZ = 'xyz'


@lru_cache
def load(name: str) -> tuple[Any, str]:
    """A module of ROS's own tools, or None and the reason why it cannot be had.

    Args:
        name: such as 'cv_bridge' or 'sensor_msgs_py.point_cloud2'.
    """
    try:
        return importlib.import_module(name), ''
    except ModuleNotFoundError as error:
        if error.name == name.partition('.')[0]:
            return None, ''  # it is not installed, which is no fault
        return None, f'{name} cannot be loaded: {error}'
    except Exception as error:  # noqa: BLE001 - a wrong numpy raises whatever it likes
        return None, f'{name} cannot be loaded: {type(error).__name__}: {error}'


def warnings() -> list[str]:
    """Why what is installed cannot be used, for the log; empty when all is well."""
    reasons = (load(name)[1] for name in ('cv_bridge', 'sensor_msgs_py.point_cloud2'))
    return [f'{why}; going on without it (see docs/jetson.md, numpy)' for why in reasons if why]


def bgr_image(header: Any, pixels: NDArray[np.uint8]) -> ImageMsg:
    """``pixels`` (H, W, 3) bgr as a message with ``header``; the message owns its copy."""
    tools, _ = load('cv_bridge')
    if tools is None:
        return messages.bgr_image(header, pixels)
    return tools.CvBridge().cv2_to_imgmsg(pixels, encoding='bgr8', header=header)


def view(msg: Any, origin: Origin) -> Image:
    """See an image of any encoding cv_bridge knows; it copies and converts every frame.

    Raises:
        BadImage: cv_bridge does not know it either.
    """
    tools, _ = load('cv_bridge')
    try:
        pixels = tools.CvBridge().imgmsg_to_cv2(msg, desired_encoding='bgr8')
    except Exception as error:
        # Its C++ half raises cv2.error and RuntimeError besides its own CvBridgeError.
        raise BadImage(f'encoding {msg.encoding!r}; cv_bridge: {error}') from error
    return Image(origin, np.asarray(pixels, np.uint8), 'bgr')


class AnyImage:
    """Our own reader where it knows the encoding, else cv_bridge, if it is there.

    Args:
        own: the module ``sensors.image``.
        say: takes a word on what an encoding costs, once each.
    """

    def __init__(self, own: Any, say: Callable[[str], object]) -> None:
        self._own, self._say = own, say
        self._said: set[str] = set()

    def __call__(self, msg: Any, origin: Origin) -> Image:
        """See ``msg`` as a picture. Raises ``BadImage``."""
        own = self._own
        if msg.encoding in own.LAYOUTS or load('cv_bridge')[0] is None:
            image: Image = own.view(msg, origin)
            return image
        own.refuse_depth(msg.encoding)
        image = view(msg, origin)
        if msg.encoding not in self._said:
            self._said.add(msg.encoding)
            self._say(
                f'encoding {msg.encoding!r} comes in through cv_bridge: a copy and a conversion'
                f' of {len(msg.data)} bytes for each frame; bgr8 and rgb8 cost nothing'
            )
        return image


def xyz_cloud(header: Any, points_m: NDArray[np.float32]) -> PointCloud2:
    """(N, 3) float32 points in metres, in the frame of ``header``, as a message; one copy."""
    fields = [
        PointField(name=axis, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, axis in enumerate(XYZ)
    ]
    tools, _ = load('sensor_msgs_py.point_cloud2')
    if tools is not None:
        return tools.create_cloud(header, fields, points_m)
    step = 4 * len(XYZ)
    return PointCloud2(
        header=header,
        height=1,
        width=len(points_m),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(points_m),
        data=array.array('B', np.ascontiguousarray(points_m, '<f4').tobytes()),
        is_dense=False,
    )
