"""The limit and the lock are one decision, and the limit is heard first."""

import gc

import pytest
from support.watchdog import Rig, S

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(ros):
    return Rig(ros).start()


def until_locked(rig, locked, **detection):
    """What was heard until the lock said so, detecting or, without arguments, in silence."""
    rig.until(lambda: rig.heard and rig.heard[-1][0] == 'lock', what='a lock')
    start = len(rig.heard)

    def said():
        if detection:
            rig.drive(0.0)
            rig.detect(**detection)
        return ('lock', locked) in rig.heard[start:]

    rig.until(said, what=f'lock {locked}')
    return rig.heard[start : start + rig.heard[start:].index(('lock', locked)) + 1]


def test_the_limit_is_metres_per_second_and_is_heard_before_the_release(rig):
    heard = until_locked(rig, False, age_s=0.02)

    limits = [value for what, value in heard if what == 'limit']
    assert limits == sorted(limits)
    assert limits[-1] == 1.5
    assert not rig.limits[-1].percentage
    stamp = rig.limits[-1].header.stamp
    assert abs(stamp.sec * S + stamp.nanosec - rig.now_ns()) < 60 * S


def test_the_age_of_what_arrives_lowers_the_limit(rig):
    rig.until_valid(age_s=0.3)

    rig.until(lambda: rig.limits, what='a limit')
    assert rig.limit < 0.9


def test_after_a_stall_the_first_thing_heard_is_the_limit_that_holds_now(rig):
    rig.until_valid(age_s=0.02)
    rig.until(lambda: rig.limit == 1.5 and not rig.locked, what='full speed')

    rig.clock.advance(1.0)
    until_locked(rig, True)
    rig.detect(age_s=0.6)
    heard = until_locked(rig, False, age_s=0.02)

    released = heard.index(('lock', False))
    limits = [value for what, value in heard[:released] if what == 'limit']
    assert limits
    assert max(limits) <= 0.35  # what 0.5 s, the longest age of use, allows


def test_a_limit_that_stands_is_said_again_before_every_release(rig):
    rig.until_valid(age_s=0.02)
    rig.until(lambda: not rig.locked, what='the release')
    rig.node.trigger_deactivate()
    rig.until(lambda: rig.locked, what='the lock')
    start = len(rig.heard)

    rig.activate()
    rig.until_valid(age_s=0.02)
    rig.until(lambda: not rig.locked, what='the release')

    again = rig.heard[start:]
    assert 'limit' in [what for what, _ in again[: again.index(('lock', False))]]


def test_the_limit_is_said_twice_a_second_for_who_has_forgotten_it(rig):
    rig.until_valid(age_s=0.02)
    rig.until(lambda: rig.limits, what='a limit')
    rig.next_beats()
    said = len(rig.limits)
    rig.clock.advance(0.3)
    rig.drive(0.0, since_s=0.1)
    rig.detect(age_s=0.02)
    rig.clock.advance(0.3)

    rig.until(lambda: len(rig.limits) > said, what='the limit again')


def test_a_limit_that_stands_is_not_said_at_every_tick(rig):
    rig.until_valid(age_s=0.02)
    rig.until(lambda: rig.limit == 1.5 and not rig.locked, what='full speed')
    rig.next_beats()
    said = len(rig.limits)

    rig.next_beats(20)  # 20 ms of the 500 after which it is said again

    assert len(rig.limits) - said <= 1


def test_nothing_is_told_between_two_heartbeats_while_nothing_changes(rig):
    rig.until_valid(age_s=0.02)
    rig.next_beats()
    beats, seen = len(rig.beats), len(rig.diagnostics)

    # The clock stands; each row of diagnostics is several ticks of the node's own timer.
    rig.ros.until(lambda: len(rig.diagnostics) > seen + 2, what='ticks to pass')

    assert len(rig.beats) == beats


def test_where_no_speed_is_low_enough_it_locks_though_every_source_is_valid(ros):
    rig = Rig(ros, v_floor_mps=1.0).start()

    rig.until_valid(age_s=0.4)  # which would allow 0.55 m/s
    rig.next_beats()

    assert rig.row().message == 'VALID'
    assert rig.row('perception').message == 'SPEED_INFEASIBLE'
    assert rig.row('perception').level == b'\x02'
    assert rig.summary()['limit_mps'] == 'none'
    assert rig.locked
    assert not rig.limits


def test_nothing_is_said_of_speed_while_the_answer_is_to_stop(rig):
    rig.until_valid(age_s=0.02)
    rig.clock.advance(1.0)
    until_locked(rig, True)
    said = len(rig.limits)

    rig.clock.advance(5.0)
    rig.next_beats(5)

    assert len(rig.limits) == said
    assert rig.locked


def test_an_optional_source_that_is_late_lowers_no_limit(ros):
    from vision_msgs.msg import Detection2DArray

    rig = Rig(ros, topics=['detections', 'others'], optional=['others']).start()
    others = ros.publisher(Detection2DArray, 'others', readers=1)
    for _ in range(10):
        rig.drive(0.0)
        others.publish(rig.detection(age_s=0.45)[0])
        rig.next_beats()
    assert rig.source('others').get('OK')

    rig.until_valid(age_s=0.02)
    rig.until(lambda: rig.limits, what='a limit')

    assert rig.limit == 1.5


def test_a_message_without_a_stamp_does_not_count_as_an_age(rig):
    rig.until_valid(age_s=0.02)
    rig.detect(stamp_ns=0)
    rig.next_beats()

    assert rig.limit == 1.5


def test_what_was_started_with_the_activation_ends_with_it(ros):
    rig = Rig(ros)
    unconfigured = [len(list(entities)) for entities in _entities(rig.node)]
    rig.configure()
    before = [len(list(entities)) for entities in _entities(rig.node)]
    rig.activate()
    assert [len(list(entities)) for entities in _entities(rig.node)] != before

    rig.node.trigger_deactivate()

    assert [len(list(entities)) for entities in _entities(rig.node)] == before
    rig.node.trigger_cleanup()
    assert [len(list(entities)) for entities in _entities(rig.node)] == unconfigured


def _entities(node):
    return node.timers, node.subscriptions, node.publishers


def test_the_collector_never_looks_again_at_what_lives_when_it_is_active(ros):
    gc.unfreeze()

    Rig(ros).start()

    assert gc.get_freeze_count() > 0
