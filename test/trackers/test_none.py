from types import SimpleNamespace

import numpy as np

from edge_inference_ros.trackers.none import Tracker


class Found(SimpleNamespace):
    def __len__(self):
        return self.count


def test_no_identity_is_claimed():
    for count in (3, 0):
        found = Found(count=count)
        tracked = Tracker().update(found, 5)

        assert tracked.found is found
        assert tracked.ids.tolist() == [-1] * count
        assert tracked.ids.dtype == np.int32
