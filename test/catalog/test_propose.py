"""What a network is, is concluded from its tensors and metadata, and never evaluated."""

import pytest

from edge_inference_ros.catalog.propose import cells, layout_of, readings
from edge_inference_ros.errors import ConfigError

BIG = 8400  # cells of 640x640


def propose(outputs, **said):
    """The likeliest reading."""
    return readings(outputs, **said)[0]


def tensor(name, *shape, dtype='float32'):
    return {'tensor': name, 'shape': list(shape), 'dtype': dtype}


NMS = (
    tensor('scores', 1, 100),
    tensor('classes', 1, 100, dtype='int32'),
    tensor('boxes', 1, 100, 4),
    tensor('count', 1, 1, dtype='int32'),
)


@pytest.mark.parametrize(
    ('outputs', 'known', 'head', 'classes'),
    [
        ([tensor('o', 1, 84, BIG)], 0, 'yolov8', 80),
        ([tensor('o', 1, 84, BIG)], 80, 'yolov8', 80),
        ([tensor('o', 1, 5, BIG)], 1, 'yolov8', 1),
        ([tensor('o', 1, 3 * BIG, 85)], 0, 'yolov5', 80),
        ([tensor('o', 1, 3 * BIG, 6)], 0, 'yolov5', 1),
        ([tensor('o', 1, 84, 34_000)], 0, 'yolov8', 80),
        ([tensor('o', 1, 300, 84)], 80, 'scored_boxes', 80),
        ([tensor('o', 1, BIG, 85)], 0, 'yolox', 80),
        ([tensor('o', 1, BIG, 6)], 1, 'yolox', 1),
        ([tensor('o', 1, BIG, 6)], 80, 'yolo_end2end', 0),
        ([tensor('o', 1, BIG + 100, 85)], 80, 'yolox', 80),
        ([tensor('o', 1, BIG, 84)], 80, 'scored_boxes', 80),
        ([tensor('o', 1, 300, 6)], 80, 'yolo_end2end', 0),
        ([tensor('l', 1, 300, 80), tensor('b', 1, 300, 4)], 0, 'detr', 80),
        ([tensor('b', 1, 300, 4), tensor('l', 1, 300, 92)], 91, 'detr', 91),
        (NMS, 5, 'efficient_nms', 0),
    ],
)
def test_the_head_follows_from_the_shapes(outputs, known, head, classes):
    found = propose(outputs, height_px=640, width_px=640, classes=known)

    assert (found.head, found.classes) == (head, classes)


def test_a_head_that_was_said_is_taken_and_what_fits_too_is_told():
    outputs = [tensor('o', 1, BIG, 6)]

    end2end = propose(outputs, height_px=640, width_px=640, classes=1, head='yolo_end2end')
    other = propose(outputs, height_px=640, width_px=640, classes=1, head='detr')
    odd = propose([tensor('o', 1, 7)], height_px=640, width_px=640, head='mine')

    assert end2end.why.startswith('[1, boxes, 6]')
    assert other.why.startswith('as said, although yolox fits')
    assert (odd.head, odd.why) == ('mine', 'as said')


def test_outputs_are_put_into_the_order_the_head_wants():
    pair = [tensor('boxes', 1, 300, 4), tensor('logits', 1, 300, 7)]

    assert propose(pair, height_px=640, width_px=640).outputs == ('logits', 'boxes')
    assert propose(NMS, height_px=640, width_px=640).outputs == (
        'count', 'boxes', 'scores', 'classes',
    )  # fmt: skip


@pytest.mark.parametrize('pair', [('boxes', 'logits'), ('logits', 'boxes')])
def test_where_both_are_four_wide_the_name_decides(pair):
    outputs = [tensor(name, 1, 300, 4) for name in pair]

    assert propose(outputs, height_px=640, width_px=640).outputs == ('logits', 'boxes')


@pytest.mark.parametrize(
    ('width', 'known', 'scores'), [(80, 80, 'sigmoid'), (92, 91, 'softmax'), (80, 0, 'sigmoid')]
)
def test_one_logit_too_many_is_no_object(width, known, scores):
    outputs = [tensor('logits', 1, 300, width), tensor('boxes', 1, 300, 4)]

    found = propose(outputs, height_px=640, width_px=640, classes=known)

    assert found.options == {'scores': scores}


@pytest.mark.parametrize(('shape', 'head'), [((84, 8401), 'yolov8'), ((8401, 85), 'yolov5')])
def test_boxes_of_unusual_strides_are_told_by_the_named_classes(shape, head):
    found = propose([tensor('o', 1, *shape)], height_px=640, width_px=640, classes=80)

    assert (found.head, found.classes) == (head, 80)
    assert 'of no usual strides' in found.why


def test_two_strides_are_a_grid_too():
    found = propose([tensor('o', 1, 84, cells(320, 320, (16, 32)))], height_px=320, width_px=320)

    assert found.head == 'yolov8'


def test_the_strides_of_a_grid_are_found():
    found = propose(
        [tensor('o', 1, cells(640, 640, (8, 16, 32, 64)), 7)], height_px=640, width_px=640
    )

    assert found.options == {'strides': '8-16-32-64'}


@pytest.mark.parametrize(
    ('outputs', 'known', 'words'),
    [
        ([tensor('o', 1, 84, BIG)], 79, '79 classes are named, the network has 80 '),
        ([tensor('o', 1, 80, 80, 255)], 0, '--head'),
        ([tensor('o', 1, 1000)], 0, 'classification'),
        ([tensor('o', 2, 84, BIG)], 0, 'export with batch 1'),
        ([tensor('o', 1, 116, BIG), tensor('masks', 1, 32, 160, 160)], 0, 'segmentation'),
        (
            [tensor('a', 1, 80, 80, 85), tensor('b', 1, 40, 40, 85), tensor('c', 1, 20, 20, 85)],
            0,
            'without its decoding',
        ),
        ([tensor('o', 1, 84, 8401)], 0, 'strides 8-16-32, .*, 16-32 make 8400,.*--head'),
        (NMS[:3], 0, '--head'),
    ],
)
def test_what_fits_no_head_is_refused_with_its_shapes(outputs, known, words):
    with pytest.raises(ConfigError, match=words) as caught:
        propose(outputs, height_px=640, width_px=640, classes=known)
    assert str(outputs[0]['shape']) in str(caught.value)


@pytest.mark.parametrize(
    ('shape', 'layout'),
    [
        ((1, 3, 96, 128), 'nchw'),
        ((1, 96, 128, 3), 'nhwc'),
        ((1, 3, 96, 3), 'nchw'),
        ((1, 96), 'nchw'),
    ],
)
def test_the_layout_of_pictures_shows_where_three_is(shape, layout):
    assert layout_of(shape) == layout
