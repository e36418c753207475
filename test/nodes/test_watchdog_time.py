"""Clocks that drift, leap, sleep, or are simulated."""

import time

import pytest
from support.watchdog import Rig, S

pytestmark = pytest.mark.ros


class Simulation:
    """A /clock that the test turns."""

    def __init__(self, ros, **params):
        from rosgraph_msgs.msg import Clock as ClockMsg

        self.ros, self.ns = ros, 1000 * S
        self.rig = Rig(ros, use_sim_time=True, **params)
        self.msg = ClockMsg()
        self.publisher = ros.publisher(ClockMsg, '/clock', readers=1)
        self.to(self.ns)

    def to(self, ns):
        """Turn it to ``ns``; heard."""
        self.ns = ns
        self.msg.clock.sec, self.msg.clock.nanosec = divmod(ns, S)
        clock = self.rig.node.get_clock()

        def heard():
            self.publisher.publish(self.msg)
            return clock.now().nanoseconds == ns

        self.ros.until(heard, what='simulated time')

    def run(self, count, *, step_s=0.1, ahead_s=0.0, frame_id='camera'):
        """So many steps, each with odometry and a detection stamped ``ahead_s`` of the clock."""
        for _ in range(count):
            self.to(self.ns + int(step_s * S))
            self.rig.drive(0.0, since_s=0.01)
            self.rig.detect(stamp_ns=self.ns + int(ahead_s * S), frame_id=frame_id)


def test_ages_are_counted_on_the_simulated_clock(ros):
    sim = Simulation(ros)
    sim.rig.start()
    sim.rig.drive(0.0)

    sim.rig.detect(stamp_ns=sim.ns - S // 5)

    assert float(sim.rig.until_verdict('OK')['age_ms']) == 200.0


def test_a_simulated_clock_at_ten_hertz_makes_no_stamp_one_from_the_future(ros):
    sim = Simulation(ros)
    sim.rig.start()
    sim.run(2)

    sim.run(8, ahead_s=0.095)

    assert 'FUTURE' not in sim.rig.source()
    assert sim.rig.row().message == 'VALID'


def test_a_stamp_beyond_the_step_is_from_the_future_and_nobody_speaks_of_chrony(ros):
    sim = Simulation(ros)
    sim.rig.start()
    sim.run(3)

    sim.rig.detect(stamp_ns=sim.ns + int(0.11 * S))

    words = sim.rig.until_verdict('FUTURE')['clock']
    assert 'chrony' not in words
    assert '/clock' in words


@pytest.mark.parametrize('back', [True, False], ids=['earlier', 'later'])
def test_a_second_recording_may_call_its_frame_otherwise(ros, back):
    sim = Simulation(ros)
    sim.rig.start()
    sim.run(4)

    sim.to(sim.ns - 100 * S if back else sim.ns + 10_000 * S)
    sim.rig.next_beats()

    def trusted():
        sim.run(1, frame_id='another_camera')
        return sim.rig.row().message == 'VALID'

    ros.until(trusted, what='VALID')


def test_time_may_not_change_its_source_while_the_watchdog_counts_on_it(ros):
    from rclpy.parameter import Parameter

    rig = Rig(ros).start()

    (answer,) = rig.node.set_parameters([Parameter('use_sim_time', value=True)])

    assert not answer.successful
    assert 'use_sim_time cannot change while configured' in answer.reason


def test_what_was_held_in_a_suspend_is_stale_after_it(ros):
    rig = Rig(ros).start().until_valid(age_s=0.02)

    rig.clock.advance(3600.0)  # what CLOCK_BOOTTIME shows of an hour's sleep
    rig.until(lambda: rig.row().message == 'STALE', what='STALE')
    rig.next_beats()

    assert rig.locked
    assert float(rig.source()['age_ms']) > 3.6e6
    assert rig.source()['expires_at_ns'] == '0'


def test_the_watchdog_reads_the_clock_that_goes_on_in_a_suspend(ros, monkeypatch):
    node = Rig(ros).configure().node
    asked = []
    monkeypatch.setattr(time, 'clock_gettime_ns', lambda clock: asked.append(clock) or 7)

    now = node._read_clocks()

    assert now.mono_ns == 7
    assert asked == [time.CLOCK_BOOTTIME]


def test_the_wall_clock_set_back_makes_nothing_younger(ros):
    rig = Rig(ros).start().until_valid(age_s=0.02)
    data, _ = rig.detection(age_s=0.0)
    before = len(rig.fresh)

    rig.clock.advance(0.6)  # so long it is on its way
    rig.clock.set_wall(-0.6)
    rig.next_beats()
    rig.detector.publish(data)
    rig.until_verdict('STALE_AGE')

    assert len(rig.fresh) == before


@pytest.mark.parametrize('ppm', [100, -100])
def test_a_sensor_clock_that_drifts_is_named_in_heartbeat_and_diagnostics(ros, ppm):
    rig = Rig(ros, range_reverse_m=4.0).start()
    rig.drive(0.0)
    start_ns = rig.clock.mono_ns
    for window in range(7):
        passed_ns = window * 10 * S
        rig.clock.advance((start_ns + passed_ns - rig.clock.mono_ns) / S)
        rig.detect(stamp_ns=rig.now_ns() - S // 20 - passed_ns * ppm // 1_000_000)

    def said():
        reports = [row for report in rig.diagnostics for row in report.status]
        return [item.value for row in reports for item in row.values if item.key == 'clock']

    assert f'by {abs(ppm)} ppm' in rig.source()['clock']
    assert ('fall behind' if ppm > 0 else 'run ahead') in rig.source()['clock']
    ros.until(said, what='the drift in a report')
    assert f'by {abs(ppm)} ppm' in said()[0]
