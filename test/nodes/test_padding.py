"""Padding is named when an export without it would save work."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import scripted_model

from edge_inference_ros.core.manifest import load
from edge_inference_ros.heads._fit import fit
from edge_inference_ros.nodes import padding


@pytest.fixture(scope='module')
def square(tmp_path_factory):
    spec = load(scripted_model(tmp_path_factory.mktemp('model'))).input
    axes = {'nchw': (1, 3, 640, 640), 'nhwc': (1, 640, 640, 3)}
    return replace(spec, shape=axes[spec.layout], fit='letterbox')


def test_a_wide_camera_in_a_square_network_is_told_the_export_that_needs_no_padding(square):
    said = padding.advice(square, width_px=1280, height_px=720)

    assert said.startswith('44% of the network')
    assert 'an export of 640x384 sees the same and does 40% less work' in said


@pytest.mark.parametrize('size', [(640, 640), (640, 600), (1200, 1080)])
def test_little_padding_is_not_worth_a_word(square, size):
    assert padding.advice(square, width_px=size[0], height_px=size[1]) == ''


def test_what_is_stretched_has_no_padding(square):
    stretched = replace(square, fit='stretch')

    assert padding.share(stretched, width_px=1280, height_px=720) == 0.0
    assert padding.advice(stretched, width_px=1280, height_px=720) == ''


@given(width=st.integers(64, 4000), height=st.integers(64, 4000))
def test_the_share_is_that_of_the_pixels_painted(square, width, height):
    placed = fit(square, width_px=width, height_px=height)
    seen = placed.seen_width_px * placed.seen_height_px / (640 * 640)

    assert padding.share(square, width_px=width, height_px=height) == pytest.approx(
        1 - seen, abs=0.01
    )


@given(width=st.integers(64, 4000), height=st.integers(64, 4000))
def test_an_export_that_is_advised_holds_the_whole_picture_at_the_same_scale(
    square, width, height
):
    if said := padding.advice(square, width_px=width, height_px=height):
        wide, high = map(int, said.partition('an export of ')[2].split()[0].split('x'))
        placed = fit(square, width_px=width, height_px=height)
        assert wide % 32 == high % 32 == 0
        assert placed.seen_width_px <= wide <= 640
        assert placed.seen_height_px <= high <= 640
