"""A profile that contradicts itself is refused with both of the values that do."""

import math

import pytest
from support.robots import robot

from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.robot import FORWARD, REVERSE, SIDE, RobotProfile


@pytest.mark.parametrize(
    ('said', 'words'),
    [
        ({'margin_m': 5.0}, 'margin_m = 5.0 must be < range_m = 4.0'),
        (
            {'range_reverse_m': 0.2},
            'margin_m = 0.3 must be < range_reverse_m = 0.2 (or 0: nothing looks back)',
        ),
        (
            {'range_side_m': 0.2},
            'margin_m = 0.3 must be < range_side_m = 0.2 (or 0: nothing looks there)',
        ),
        ({'deadline_floor_s': 0.6}, 'deadline_floor_s = 0.6 must be <= deadline_cap_s = 0.5'),
        ({'v_floor_mps': 2.0}, 'v_floor_mps = 2.0 must be <= v_cap_mps = 1.5'),
        ({'slope_rad': 0.5}, 'b_mps2 = 1.0 cannot stop the robot'),
    ],
)
def test_a_contradiction_is_named_with_both_values(said, words):
    with pytest.raises(ParameterError) as raised:
        RobotProfile(**said)

    assert words in str(raised.value)


@pytest.mark.parametrize('reverses', [False, True])
@pytest.mark.parametrize('strafes', [False, True])
def test_an_unknown_direction_is_every_one_the_robot_can_move_in(reverses, strafes):
    one = robot('amr', reverses=reverses, strafes=strafes)

    assert one.anywhere == FORWARD + reverses * REVERSE + strafes * SIDE


def test_up_to_twenty_times_its_caps_a_robot_is_believed():
    one = robot('amr', v_cap_mps=1.5, w_cap_radps=0.5)
    fastest, quickest = 20 * 1.5, 20 * 0.5 + 30.0

    assert one.is_believable(fastest, quickest)
    assert not one.is_believable(math.nextafter(fastest, math.inf), 0.0)
    assert not one.is_believable(0.0, math.nextafter(quickest, math.inf))
    assert not one.is_believable(math.nan, 0.0)
    assert not one.is_believable(0.0, math.nan)
