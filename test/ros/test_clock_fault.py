"""An age that cannot be names the clock it comes from, each by what makes it so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_inference_ros.ros.clock_fault import IMPLAUSIBLE_S, clock_fault

S = 10**9
NOW = 1_764_000_000 * S
UP = 5_000 * S
OTHER = 'the driver uses another clock: '


@pytest.mark.parametrize(
    ('now_ns', 'stamp_ns', 'words', 'remedy'),
    [
        (NOW, NOW + S // 50, 'stamped 20.0 ms in the future', 'chrony, PTP), and check that all'),
        (NOW, UP - S // 10, 'stamped 1763995000.1 s in the past', 'since this computer started'),
        (NOW, 77 * S, 'stamped 1763999923.0 s in the past', 'counts from its own start'),
        (NOW, NOW - 3600 * S - S // 30, 'stamped 3600.0 s in the past', 'local time instead'),
        (NOW, NOW + 19_800 * S, 'stamped 19800000.0 ms in the future', 'local time instead'),
        (NOW, NOW - 3 * 86_400 * S, 'in the past', 'of a recording, play its clock too'),
        (NOW, NOW + 37 * S - S // 20, 'in the future', 'TAI, which PTP carries'),
        (NOW, NOW + 77 * S, 'in the future', 'synchronise it with this host'),
        (12 * S, NOW, 'in the future', 'while this node follows simulated time'),
        (0, NOW, 'in the future', 'while this node follows simulated time'),
    ],
)
def test_what_is_so_is_said_of_it(now_ns, stamp_ns, words, remedy):
    fault = clock_fault(now_ns - stamp_ns, stamp_ns, UP)

    assert words in fault.words
    assert remedy in fault.remedy
    assert fault.remedy.startswith(OTHER) is (fault.words != 'stamped 20.0 ms in the future')
    assert str(fault) == f'{fault.words}; {fault.remedy}'


@given(age_ns=st.integers(-(2**62), 2**62), stamp_ns=st.integers(0, 2**62))
def test_a_plausible_age_is_no_fault_and_every_other_is_one(age_ns, stamp_ns):
    fault = clock_fault(age_ns, stamp_ns, UP)

    assert (fault is None) is (0 <= age_ns <= IMPLAUSIBLE_S * S)
