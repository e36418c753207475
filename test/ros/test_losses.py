from edge_inference_ros.errors import BadImage, BadStamp
from edge_inference_ros.ros.losses import Losses


def fail(error):
    raise error


def fail_elsewhere(error):
    raise error


def raised(error, *, by=fail):
    try:
        by(error)
    except Exception as caught:  # noqa: BLE001 - any will do
        return caught


def test_each_is_counted_by_its_type_and_told_once_for_each_place():
    losses = Losses()
    errors = [
        raised(BadImage('7 bytes')),
        raised(BadImage('8 bytes')),
        raised(BadImage('9 bytes'), by=fail_elsewhere),
        raised(BadStamp('zero')),
        KeyError('never raised'),
        KeyError('never raised'),
    ]

    assert [losses.add(error) for error in errors] == [True, False, True, True, True, False]
    assert losses.values() == {'lost_BadImage': '3', 'lost_BadStamp': '1', 'lost_KeyError': '2'}
    assert losses.newest is errors[-1]
