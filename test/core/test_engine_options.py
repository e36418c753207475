from __future__ import annotations

import pytest

from edge_inference_ros.core.engine_options import EngineOptions, profile
from edge_inference_ros.core.params import check
from edge_inference_ros.errors import ParameterError


def test_the_defaults_are_within_their_own_ranges():
    check(EngineOptions())


def test_a_profile_is_read_tensor_by_tensor():
    said = profile('images=1x3x8x8/1x3x16x16/1x3x32x32; points=1x4/100x4/9000x4;')

    assert said == {
        'images': ((1, 3, 8, 8), (1, 3, 16, 16), (1, 3, 32, 32)),
        'points': ((1, 4), (100, 4), (9000, 4)),
    }


@pytest.mark.parametrize(
    'wrong',
    ['images', 'images=1x2', 'images=1/2', 'images=2/1/3', 'images=1x1/2/3', '=1/1/1', 'a=x/x/x'],
)
def test_a_profile_that_makes_no_sense_is_refused_with_an_example(wrong):
    with pytest.raises(ParameterError, match='MIN/OPT/MAX'):
        profile(wrong)
