import numpy as np

from edge_inference_ros.core.scratch import Scratch


def test_the_same_memory_is_lent_every_time():
    scratch = Scratch(np.float32)

    large = scratch(3, 4)
    small = scratch(2, 2)

    assert np.shares_memory(large, small)
    assert (large.shape, small.shape, small.dtype) == ((3, 4), (2, 2), np.float32)


def test_asking_for_more_allocates_once():
    scratch = Scratch(np.uint8)
    scratch(5)

    assert np.shares_memory(scratch(50), scratch(50))
    assert scratch().shape == ()
