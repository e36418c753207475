"""A detector that finds coloured blocks, and labelled pictures of such blocks.

Every cell of 8 pixels answers one box of 16 around itself; how red it is says how surely it is a
person, how green, a car. So a test knows what is found, and can ruin exactly what it means to.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from support import bags

from edge_inference_ros.core.manifest import digest

onnx = pytest.importorskip('onnx', reason='onnx makes the networks of these tests')

WIDE, HIGH, CELL, SIDE = 96, 64, 8, 16
CLASSES = ('person', 'car')
BRIGHT, DIM = 255, 215
PLACES = [(x * CELL + 4, y * CELL + 4) for y in (1, 5) for x in (1, 4, 7, 10)]


def model(folder, *, gain=20.0, bias=-15.0, threshold=0.3, classes=CLASSES, noise=0.0):
    """A model folder; bias and threshold decide which blocks are bright enough."""
    helper, kind = onnx.helper, onnx.TensorProto
    rows, columns = HIGH // CELL, WIDE // CELL
    cells, numbers = rows * columns, {'person': 2, 'car': 1}
    weights = np.zeros((len(classes), 3, CELL, CELL), np.float32)
    for i, name in enumerate(classes):
        weights[i, numbers[name]] = gain / 255 / CELL**2
    weights += np.random.default_rng(0).normal(0, 1, weights.shape) * noise * weights.max()
    down, across = np.mgrid[:rows, :columns] * CELL + CELL / 2
    side = np.full(cells, SIDE)
    constants = {
        'weights': weights.astype(np.float32),
        'bias': np.full(len(classes), bias, np.float32),
        'flat': np.array([1, len(classes), cells]),
        'boxes': np.stack((across.ravel(), down.ravel(), side, side))[None].astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node('Cast', ['images'], ['floats'], to=kind.FLOAT),
        node('Transpose', ['floats'], ['planes'], perm=[0, 3, 1, 2]),
        node('Conv', ['planes', 'weights', 'bias'], ['grid'], strides=[CELL, CELL]),
        node('Reshape', ['grid', 'flat'], ['logits']),
        node('Sigmoid', ['logits'], ['scores']),
        node('Concat', ['boxes', 'scores'], ['output0'], axis=1),
    ]
    shape, out = [1, HIGH, WIDE, 3], [1, 4 + len(classes), cells]
    graph = helper.make_graph(
        nodes, 'blocks', [helper.make_tensor_value_info('images', kind.UINT8, shape)],
        [helper.make_tensor_value_info('output0', kind.FLOAT, out)],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    folder.mkdir(parents=True)
    onnx.save(made, str(folder / 'net.onnx'))
    said = {
        'schema': 1, 'name': folder.name, 'task': 'detect2d', 'licence': 'Apache-2.0',
        'made_by': 'a test', 'classes': list(classes),
        'input': {'tensor': 'images', 'shape': shape, 'order': 'bgr'},
        'outputs': [{'tensor': 'output0', 'shape': out}],
        'head': {'name': 'yolov8', 'score_threshold': threshold},
        'files': [{'path': 'net.onnx', 'sha256': digest(folder / 'net.onnx')}],
    }  # fmt: skip
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    return folder


def scenes(count, *, near=4, far=3, dim_near=False, seed=0):
    """Pictures (count, H, W, 3) and, of each, rows of class, box, ignored and distance.

    People stand at 1 m or at 10 m; the last place holds a car. ``dim_near`` makes the near ones
    darker than the rest.
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (count, HIGH, WIDE, 3), np.uint8)
    labels = []
    for image in images:
        rows = []
        for i, place in enumerate(PLACES[: near + far + 1]):
            car, close = i == near + far, i < near
            x, y = place[0] - SIDE // 2, place[1] - SIDE // 2
            image[y : y + SIDE, x : x + SIDE] = 0
            image[y : y + SIDE, x : x + SIDE, 1 if car else 2] = (
                DIM if close and dim_near else BRIGHT
            )
            rows.append((int(car), (x, y, x + SIDE, y + SIDE), False, 1.0 if close else 10.0))
        labels.append(rows)
    return images, labels


def split(folder, images, labels, classes=CLASSES):
    """The pictures as a labelled split."""
    folder.mkdir(parents=True)
    np.save(folder / 'images.npy', images)
    flat = [row for rows in labels for row in rows]
    np.savez(
        folder / 'labels.npz',
        offsets=np.cumsum([0] + [len(rows) for rows in labels]),
        class_id=np.array([row[0] for row in flat], np.int32),
        boxes_px=np.array([row[1] for row in flat], np.float32).reshape(-1, 4),
        ignored=np.array([row[2] for row in flat], bool),
        distance_m=np.array([row[3] for row in flat], np.float32),
    )
    (folder / 'split.json').write_text(json.dumps({'name': folder.name, 'classes': classes}))
    return folder


def coco(folder, images, labels):
    """The pictures as files, and their labels in COCO's format; the path of the latter."""
    cv2 = pytest.importorskip('cv2')
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / f'{i:03d}.png'), image)
    said = coco_labels(images, labels)
    path = folder / 'labels.json'
    path.write_text(json.dumps(said))
    return path


def coco_labels(images, labels):
    """Labels in COCO's format, categories numbered from 1 as COCO's are."""
    rows = [(i, *row) for i, rows in enumerate(labels) for row in rows]
    return {
        'images': [
            {'id': i, 'file_name': f'{i:03d}.png', 'width': WIDE, 'height': HIGH}
            for i in range(len(images))
        ],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
        'annotations': [
            {
                'id': n + 1, 'image_id': i, 'category_id': class_id + 1, 'iscrowd': int(ignored),
                'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1),
                'distance_m': distance_m,
            }
            for n, (i, class_id, (x1, y1, x2, y2), ignored, distance_m) in enumerate(rows)
        ],
    }  # fmt: skip


def bag(folder, images):
    """The pictures as a recording."""
    rows = []
    for i, image in enumerate(images):
        stamp_ns = bags.FIRST_NS + i * bags.SECOND_NS
        high, wide = image.shape[:2]
        msg = bags.make(
            bags.IMAGE, bags.header(stamp_ns), high, wide, 'bgr8', 0, 3 * wide, image.reshape(-1)
        )
        rows.append(('/image', bags.IMAGE, stamp_ns, bags.definitions.encode(bags.IMAGE, msg)))
    return bags.write(folder, rows)
