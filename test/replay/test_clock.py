"""A recording lives by one clock: it is recognised, played by, and two are refused."""

from __future__ import annotations

import pytest
from support import bags

from edge_inference_ros.errors import BagError
from edge_inference_ros.replay import clock, definitions
from edge_inference_ros.replay.bags import Record, open_bag

TF, CLOCK = clock.TF, clock.CLOCK
DAY_NS = 86_400 * bags.SECOND_NS


def simulated(folder, count=6, *, near=(), with_clock=True, rate=1.0, first_ns=bags.SECOND_NS):
    """A bag of a simulation: received on the wall clock, stamped from one second on.

    Topics ``near`` are stamped by the wall clock.
    """
    rows = []
    for i in range(count):
        received_ns = bags.FIRST_NS + i * 10**8
        stamp_ns = first_ns + round(i * 10**8 * rate)
        if with_clock:
            rows.append(('/clock', CLOCK, received_ns - 10**6, clock_message(stamp_ns)))
        rows.append(('/image', bags.IMAGE, received_ns, bags.image(stamp_ns, value=i)))
        rows += [(name, bags.IMAGE, received_ns, bags.image(received_ns)) for name in near]
    return bags.write(folder, rows, reliable=True)


def clock_message(ns):
    time = bags.make('builtin_interfaces/msg/Time', *divmod(ns, bags.SECOND_NS))
    return definitions.encode(CLOCK, bags.make(CLOCK, time))


def look(path, *names):
    with open_bag(path) as bag:
        names = names or [n for n in bag.topics if n != '/clock']
        return clock.look(bag.records(names), {n for n in names if n != '/tf'})


def test_stamps_a_little_before_their_reception_are_on_its_clock(tmp_path):
    seen = look(bags.pictures(tmp_path / 'bag'))

    assert (list(seen.near), seen.far, seen.offset_ns) == (['/image'], {}, 0)


def test_stamps_of_a_simulation_are_on_another(tmp_path):
    seen = look(simulated(tmp_path / 'bag'))

    assert (seen.near, list(seen.far)) == ({}, ['/image'])
    assert seen.offset_ns == bags.FIRST_NS - bags.SECOND_NS


def test_a_simulation_recorded_by_its_own_clock_lives_on_one(tmp_path):
    rows = [('/image', bags.IMAGE, ns, bags.image(ns - 5)) for ns in range(10**9, 10**9 + 50, 10)]

    assert list(look(bags.write(tmp_path / 'bag', rows)).near) == ['/image']


def test_a_latched_message_of_long_ago_says_nothing(tmp_path):
    rows = [
        ('/map', bags.IMAGE, bags.FIRST_NS, bags.image(bags.FIRST_NS - DAY_NS)),
        *(
            ('/image', bags.IMAGE, bags.FIRST_NS + i, bags.image(bags.FIRST_NS + i))
            for i in (1, 2)
        ),
    ]

    assert not look(bags.write(tmp_path / 'bag', rows)).far


@pytest.mark.parametrize('stamp_ns', [0, 1])
def test_zero_stamps_say_nothing_and_transforms_do(tmp_path, stamp_ns):
    make = bags.make
    where = make(
        'geometry_msgs/msg/Transform', make('geometry_msgs/msg/Vector3', 0.0, 0.0, 0.0),
        make('geometry_msgs/msg/Quaternion', 0.0, 0.0, 0.0, 1.0),
    )  # fmt: skip
    rows = []
    for i in range(3):
        ns = stamp_ns * (i + 1) * bags.SECOND_NS
        row = make('geometry_msgs/msg/TransformStamped', bags.header(ns), 'base', where)
        rows.append(('/tf', TF, bags.FIRST_NS + i, definitions.encode(TF, make(TF, [row]))))

    assert list(look(bags.write(tmp_path / 'bag', rows)).far) == ['/tf'] * stamp_ns


@pytest.mark.parametrize('keep_stamps', [True, False])
def test_two_clocks_are_refused_by_the_topics_of_each(tmp_path, keep_stamps):
    seen = look(simulated(tmp_path / 'bag', near=['/wall']))

    with pytest.raises(BagError) as refused:
        seen.check('bag', keep_stamps=keep_stamps, own_clock=True)

    said = str(refused.value)
    assert '/wall was stamped at 2023-11-14 22:13:20 UTC' in said
    assert '/image at 1.0 s' in said
    assert 'with --topics: /wall; or /image' in said


def test_stamps_of_another_clock_are_not_renewed_but_kept(tmp_path):
    seen = look(simulated(tmp_path / 'bag'))

    seen.check('bag', keep_stamps=True, own_clock=True)
    with pytest.raises(
        BagError, match=r'/image was stamped at 1\.0 s but received at 2023.*--clock'
    ):
        seen.check('bag', keep_stamps=False, own_clock=True)


@pytest.mark.parametrize(
    ('first_ns', 'is_refused'), [(0, True), (1, True), (bags.FIRST_NS, False)]
)
def test_a_first_message_from_1970_is_not_waited_for(first_ns, is_refused):
    first = Record('/odd', bags.IMAGE, first_ns, b'')

    if not is_refused:
        clock.check_span('bag', first, bags.FIRST_NS + DAY_NS)
        return
    with pytest.raises(BagError, match=r'\(/odd\) was received at 0\.0 s, the last at 2023'):
        clock.check_span('bag', first, bags.FIRST_NS)
