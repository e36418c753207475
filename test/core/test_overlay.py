"""Labels can be read: none covers another."""

import itertools

import cv2
import numpy as np
import pytest

from edge_inference_ros.core import overlay

SHAPE = (480, 640)


def patches(places, sizes):
    """x1 y1 x2 y2 of every label that was placed."""
    return [
        (x, y - height, x + width, y)
        for (x, y), (width, height) in (
            (place, size) for place, size in zip(places, sizes, strict=True) if place
        )
    ]


def cover(one, other):
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )  # fmt: skip


@pytest.mark.parametrize('count', [2, 5, 30, 300])
def test_labels_of_small_neighbouring_boxes_do_not_cover_each_other(count):
    rng = np.random.default_rng(count)
    corners = rng.uniform((200, 200), (200 + 4 * count, 200 + count), (count, 2))
    boxes = [(x, y, x + 9, y + 15) for x, y in corners.tolist()]
    sizes = [(110, 14)] * count

    places = overlay.places_of(boxes, sizes, SHAPE)
    placed = patches(places, sizes)

    assert not any(itertools.starmap(cover, itertools.combinations(placed, 2)))
    assert all(x1 >= 0 and y1 >= 0 and x2 <= 640 and y2 <= 480 for x1, y1, x2, y2 in placed)
    assert len(placed) >= min(count, 10)


def test_a_box_alone_has_its_label_above():
    assert overlay.places_of([(50, 60, 90, 100)], [(80, 12)], SHAPE) == [(50, 60)]


@pytest.mark.parametrize('box', [(-30, -30, 20, 20), (600, 440, 660, 500)])
def test_a_label_stays_inside_the_picture_though_its_box_does_not(box):
    ((x, bottom),) = overlay.places_of([box], [(80, 12)], SHAPE)

    assert 0 <= x <= 640 - 80
    assert 12 <= bottom <= 480


def test_at_the_upper_edge_the_label_goes_below():
    first, second = overlay.places_of(
        [(50, 0, 90, 40), (50, 1, 90, 41)], [(80, 12)] * 2, SHAPE
    )  # fmt: skip

    assert first != second


def test_a_label_larger_than_the_picture_is_left_out_and_counted():
    picture = np.zeros((40, 200, 3), np.uint8)
    said = []
    write = cv2.putText

    def put(picture, text, *rest):
        said.append(text)
        return write(picture, text, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, 'putText', put)
        overlay.draw(picture, [((5, 5, 20, 20), 0, 'x' * 90)], caption='ages')

    assert said == ['ages; 1 labels had no room']
    assert picture[5, 5].any()  # the box itself is there


def test_a_label_can_be_read_on_the_colour_of_every_class():
    def luma(bgr):
        return float(np.dot(bgr, (0.114, 0.587, 0.299)))

    for index in range(80):
        back = overlay.colour(index)
        assert abs(luma(back) - luma(overlay.ink(back))) > 70.0, (index, back)
