"""sensor_msgs/Image as a picture, without copying it.

Nothing here imports ROS: a message is whatever has the right attributes, so the same code reads
live messages, bag records and the plain objects of a unit test.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import BadImage

MESSAGE = 'sensor_msgs/msg/Image'
ORDERS = {'rgb8': 'rgb', 'bgr8': 'bgr'}


def view(msg: Any, origin: Origin) -> Image:
    """See ``msg`` as an image that shares its memory.

    Raises:
        BadImage: an encoding we do not read, or sizes that do not agree.
    """
    if msg.encoding not in ORDERS:
        raise BadImage(f'encoding {msg.encoding!r}; we read {", ".join(ORDERS)}')
    if msg.step < 3 * msg.width or len(msg.data) < msg.height * msg.step:
        raise BadImage(
            f'{msg.width}x{msg.height} with step {msg.step} does not fit in {len(msg.data)} bytes'
        )
    # Strides, not reshape: a padded row would make reshape copy the picture.
    pixels = np.ndarray((msg.height, msg.width, 3), np.uint8, msg.data, 0, (msg.step, 3, 1))
    return Image(origin, pixels, ORDERS[msg.encoding])
