"""Model folders made on the spot."""

from __future__ import annotations

import json

import yaml

from edge_inference_ros.core.manifest import digest

CLASSES = ('person', 'car')
WIDTH_PX, HEIGHT_PX = 96, 64
BOX = (10.0, 8.0, 30.0, 40.0)
"""x1 y1 x2 y2 in network pixels of the one object every scripted model finds."""


def scripted_model(folder, *, score=0.75, class_id=1, **script):
    """A folder whose network, run by the null backend, finds one car at ``BOX`` in every frame.

    ``script`` is what ``backends/null.py`` reads; ``outputs`` there replaces the one object.
    """
    folder.mkdir(exist_ok=True)
    x1, y1, x2, y2 = BOX
    column = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    found = [[0, row, 5, value] for row, value in enumerate(column)]
    found.append([0, 4 + class_id, 5, score])
    path = folder / 'script.json'
    path.write_text(json.dumps({'outputs': {'output0': [found]}, **script}))
    said = {
        'schema': 1,
        'name': folder.name,
        'task': 'detect2d',
        'licence': 'Apache-2.0',
        'made_by': 'a test',
        'classes': list(CLASSES),
        'input': {'tensor': 'images', 'shape': [1, HEIGHT_PX, WIDTH_PX, 3]},
        'outputs': [{'tensor': 'output0', 'shape': [1, 6, 126]}],
        'head': {'name': 'yolov8', 'score_threshold': 0.5},
        'files': [{'path': path.name, 'sha256': digest(path), 'backends': ['null']}],
    }
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    return folder
