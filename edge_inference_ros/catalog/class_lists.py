"""Class names that many networks share, by the name of the set they were labelled for."""

from __future__ import annotations

import difflib
from pathlib import Path

from edge_inference_ros.errors import ConfigError

COCO80 = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog',
    'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella',
    'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite',
    'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich',
    'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch',
    'potted plant', 'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse', 'remote',
    'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book',
    'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush',
)  # fmt: skip
"""The 80 things of COCO, in the order of its category numbers."""

LISTS = {'coco80': COCO80}


def chosen(names: tuple[str, ...], file: str) -> tuple[str, ...]:
    """The class names a person gave: the name of a list, names, and those of a file, one a line.

    Raises:
        ConfigError: the file cannot be read, or the only name is nearly that of a list.
    """
    if len(names) == 1 and names[0] in LISTS:
        names = LISTS[names[0]]
    elif len(names) == 1 and (close := difflib.get_close_matches(names[0], LISTS, 1, 0.8)):
        raise ConfigError(f'--classes {names[0]}: did you mean the list {close[0]}?')
    if file:
        try:
            text = Path(file).read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f'--classes-file {file}: {error}') from error
        names += tuple(line.strip() for line in text.splitlines() if line.strip())
    return names
