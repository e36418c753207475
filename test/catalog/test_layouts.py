"""Layouts that exporters write: each is read right or refused with the reason, none read wrong.

The networks are small and untrained, but their boxes lie where their cells are and their numbers
have the ranges and the metadata of the real exporters.
"""

from __future__ import annotations

import pytest

from edge_inference_ros.catalog.add import AddParams, add_model
from edge_inference_ros.core.manifest import load
from edge_inference_ros.errors import ConfigError, ModelError

pytest.importorskip('onnxruntime', reason='opens the networks')
foreign = pytest.importorskip('support.foreign', reason='onnx makes the networks')

NAMES = {'names': "{0: 'person', 1: 'car', 2: 'dog'}"}
ULTRALYTICS = {**NAMES, 'task': 'detect', 'imgsz': '[96, 128]', 'stride': '32', 'batch': '1'}
YOLOX = {'order': 'bgr', 'scale': 1.0, 'rounding': 'down'}
STRETCHED = {'fit': 'stretch'}

READ = {
    'Ultralytics v5': ('yolov5', ULTRALYTICS, 'yolov5', {}, {}),
    'Ultralytics v8, 9, 11, 12': ('yolov8', ULTRALYTICS, 'yolov8', {}, {}),
    'Ultralytics v10, 26 raw': ('yolov8', {**ULTRALYTICS, 'end2end': 'False'}, 'yolov8', {}, {}),
    'Ultralytics v10, 26 end to end': (
        'yolo_end2end', {**ULTRALYTICS, 'end2end': 'True'}, 'yolo_end2end', {}, {},
    ),
    'Ultralytics with nms=True': (
        'end2end nms', {**ULTRALYTICS, 'args': "{'nms': True}"}, 'yolo_end2end', {}, {},
    ),
    'Ultralytics RT-DETR': (
        'rtdetr chosen',
        {**ULTRALYTICS, 'head': 'RTDETRDecoder', 'end2end': 'False'},
        'yolo_end2end',
        {'unit': 'fraction', 'box': 'centre'},
        STRETCHED,
    ),
    'chosen centres in fractions, no metadata': (
        'rtdetr chosen',
        NAMES,
        'yolo_end2end',
        {'unit': 'fraction', 'box': 'centre'},
        STRETCHED,
    ),
    'Ultralytics RT-DETR before 8.4': (
        'rtdetr ultralytics',
        {**ULTRALYTICS, 'head': 'RTDETRDecoder'},
        'scored_boxes',
        {'unit': 'fraction', 'suppression': 'done'},
        STRETCHED,
    ),
    'RT-DETR in one tensor, no metadata': (
        'rtdetr ultralytics', NAMES, 'scored_boxes',
        {'unit': 'fraction', 'suppression': 'done'}, STRETCHED,
    ),
    'YOLOv8 with the boxes first': (
        'yolov8 rows', NAMES, 'scored_boxes', {'unit': 'px', 'suppression': 'needed'}, {},
    ),
    'YOLOX raw': ('yolox', NAMES, 'yolox', {'strides': '8-16-32'}, YOLOX),
    'YOLOX --decode_in_inference': (
        'yolox decoded', NAMES, 'yolox', {'strides': '8-16-32', 'boxes': 'px'}, YOLOX,
    ),
    'YOLOv6': ('yolov6', NAMES, 'yolov5', {}, {}),
    'chosen rows, no metadata': ('yolo_end2end', NAMES, 'yolo_end2end', {}, {}),
    'chosen rows in fractions': (
        'end2end fractions', NAMES, 'yolo_end2end', {'unit': 'fraction'}, {},
    ),
    'DeepStream, unsuppressed rows': (
        'deepstream', NAMES, 'yolo_end2end', {'suppression': 'needed'}, {},
    ),
    'EfficientNMS': ('efficient_nms', NAMES, 'efficient_nms', {}, {}),
    'EfficientNMS in fractions': (
        'efficient_nms fractions', NAMES, 'efficient_nms', {'unit': 'fraction'}, {},
    ),
    'RT-DETR, D-FINE, Deformable DETR': ('detr', NAMES, 'detr', {'scores': 'sigmoid'}, STRETCHED),
    'the same with its sigmoid': (
        'detr probability', NAMES, 'detr', {'scores': 'probability'}, STRETCHED,
    ),
    'DETR, with no object': (
        'detr', {'names': "['person', 'car']"}, 'detr', {'scores': 'softmax'}, STRETCHED,
    ),
}  # fmt: skip

REFUSED = {
    'logits': ('yolov8 logits', NAMES, ModelError, 'no probabilities'),
    'fractions where pixels belong': (
        'yolov8 fractions', NAMES, ModelError, 'reach no further than 1.* another unit',
    ),
    'pixels where fractions belong': (
        'detr pixels', NAMES, ModelError, 'they are pixels, no fractions',
    ),
    'segmentation': ('yolov8', {**NAMES, 'task': 'segment'}, ConfigError, 'task = segment'),
    'pose': ('yolov8', {**NAMES, 'task': 'pose'}, ConfigError, 'export the detect variant'),
    'oriented boxes': ('yolov8', {**NAMES, 'task': 'obb'}, ConfigError, 'task = obb'),
    'keypoints nobody names': (
        'yolov8 keypoints', {}, ModelError, 'no probabilities',
    ),
    'too few names': ('yolov8 keypoints', NAMES, ConfigError, '3 classes are named, .* has 11'),
}  # fmt: skip


def added(tmp_path, layout, metadata):
    network = foreign.network(tmp_path / 'net.onnx', layout, metadata=metadata)
    return add_model(network, AddParams(folder=str(tmp_path / 'shelf')))


@pytest.mark.parametrize('exporter', READ)
def test_what_an_exporter_writes_is_proposed_right(tmp_path, exporter):
    layout, metadata, head, options, usual = READ[exporter]

    added(tmp_path, layout, metadata)

    made = load(tmp_path / 'shelf' / 'net')
    assert (made.head.name, made.head.options) == (head, options)
    shown = {'order': 'rgb', 'fit': 'letterbox', 'scale': 1 / 255, 'rounding': 'nearest', **usual}
    assert {key: getattr(made.input, key) for key in shown} == pytest.approx(shown)


@pytest.mark.parametrize('exporter', REFUSED)
def test_what_no_head_reads_right_is_refused_with_what_was_seen(tmp_path, exporter):
    layout, metadata, error, words = REFUSED[exporter]

    with pytest.raises(error, match=words):
        added(tmp_path, layout, metadata)
    assert not (tmp_path / 'shelf' / 'net').exists()


def test_every_layout_of_the_exporters_is_tried():
    tried = {row[0] for row in (*READ.values(), *REFUSED.values())}

    assert tried == set(foreign.LAYOUTS)
