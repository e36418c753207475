"""The logic alone gives the same result on every run, and what decides is the node's own."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bags

from edge_inference_ros import cli
from edge_inference_ros.errors import BagError, ParameterError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay.bags import Record
from edge_inference_ros.replay.paces import logic, run
from edge_inference_ros.replay.paces.queue import Queue
from edge_inference_ros.replay.verdict import result

MS = 1_000_000
ODOMETRY = run.ODOMETRY


def frames(times_ms, late_ms=2):
    return [Record('/image', bags.IMAGE, (t + late_ms) * MS, bags.image(t * MS)) for t in times_ms]


def script(*durations_ms):
    return logic.Script(tuple(round(ms * MS) for ms in durations_ms))


def moving(stamp_ns, speed_mps):
    make = bags.make
    pose = make(
        'geometry_msgs/msg/Pose', make('geometry_msgs/msg/Point', 0.0, 0.0, 0.0),
        make('geometry_msgs/msg/Quaternion', 0.0, 0.0, 0.0, 1.0),
    )  # fmt: skip
    still = make('geometry_msgs/msg/Vector3', 0.0, 0.0, 0.0)
    twist = make(
        'geometry_msgs/msg/Twist', make('geometry_msgs/msg/Vector3', speed_mps, 0.0, 0.0), still
    )
    message = make(
        ODOMETRY, bags.header(stamp_ns, 'odom'), 'base_link',
        make('geometry_msgs/msg/PoseWithCovariance', pose, np.zeros(36)),
        make('geometry_msgs/msg/TwistWithCovariance', twist, np.zeros(36)),
    )  # fmt: skip
    return definitions.encode(ODOMETRY, message)


def drive(folder, count=60, *, speed_mps=0.0, period_ns=10**8):
    rows = []
    for i in range(count):
        ns = bags.FIRST_NS + i * period_ns
        rows.append(('/odom', ODOMETRY, ns + MS, moving(ns, speed_mps)))
        rows.append(('/image', bags.IMAGE, ns + 2 * MS, bags.image(ns, value=i % 256)))
    return bags.write(folder, rows)


def test_frames_wait_their_turn_and_the_newest_displaces(tmp_path):
    outcome = logic.play(frames([10, 20, 30, 40, 100]), script(25))

    assert [(one.stamp_ns // MS, one.ended_ns // MS) for one in outcome.done] == [
        (10, 37), (30, 62), (40, 87), (100, 127),
    ]  # fmt: skip
    assert outcome.counts == {'received': 5, 'superseded': 1, 'rejected': 0, 'done': 4}


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=30, unique=True).map(sorted),
    st.lists(st.integers(0, 90), min_size=1, max_size=4),
    st.sampled_from([0.5, 1.0, 2.0, 3.0]),
)
def test_every_frame_is_accounted_for_in_whole_nanoseconds(times, durations, rate):
    outcome = logic.play(frames(times), script(*durations), rate=rate)

    counts = outcome.counts
    assert counts['received'] == counts['done'] + counts['superseded']
    for before, after in zip(outcome.done, outcome.done[1:], strict=False):
        assert after.started_ns >= before.ended_ns
    for one in outcome.done:
        assert isinstance(one.ended_ns, int)
        assert one.arrived_ns - one.stamp_ns == 2 * MS  # as old as when it was recorded
        assert one.started_ns >= one.arrived_ns


def test_durations_are_used_in_turn_by_the_frames_that_are_worked_on():
    outcome = logic.play(frames([10, 20, 30, 40, 50, 60]), script(5, 15))

    assert [one.laps_ns['infer'] // MS for one in outcome.done] == [5, 15] * 3


def test_the_guard_refuses_what_is_too_old_for_the_speed(tmp_path):
    verdicts = {}
    for speed_mps in (0.0, 0.8):
        drive(tmp_path / f'{speed_mps}', speed_mps=speed_mps)
        report = run.run(
            tmp_path / f'{speed_mps}',
            run.Params(robot='indoor_amr', service_ms=(450.0,), odometry='/odom'),
        )
        assert report.guard.judged == report.frames.detected
        verdicts[speed_mps] = report.guard.forwarded

    assert verdicts[0.8] < verdicts[0.0]


def test_odometry_that_is_named_and_not_there_is_refused(tmp_path):
    drive(tmp_path / 'bag', speed_mps=0.5)

    with pytest.raises(BagError, match="no topic '/nope'; odometry is on /odom"):
        run.run(tmp_path / 'bag', run.Params(robot='indoor_amr', odometry='/nope'))


def test_odometry_nobody_can_read_is_no_information(tmp_path):
    robot = run.read_robot('indoor_amr')
    outcome = logic.play(frames(range(100, 3000, 100)), script(10))

    known = logic.guarded(outcome, [], robot)
    unknown = logic.guarded(outcome, [Record('/odom', ODOMETRY, 150 * MS, b'noise')], robot)

    assert known.sha256() == unknown.sha256()
    assert len(known.verdicts) == len(outcome.done)
    assert sum(known.states.values()) == (outcome.done[-1].ended_ns - 102 * MS) // (20 * MS) + 1


def test_two_runs_are_equal_bit_for_bit_in_another_process_too(tmp_path):
    bag = drive(tmp_path / 'bag', speed_mps=0.5)
    asked = ['--pace', 'logic', '--robot', 'indoor_amr', '--service-ms', '30', '170']
    texts = []
    for name in ('one', 'two'):
        code = 'import sys; from edge_inference_ros import cli; sys.exit(cli.main(sys.argv[1:]))'
        command = [sys.executable, '-c', code, 'replay', str(bag), *asked]
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, '--out', str(tmp_path / name)], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        texts.append((tmp_path / name / 'result.json').read_text())

    assert texts[0] == texts[1]
    assert json.loads(texts[0])['runs'][0]['frames']['received'] == 60


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'topic': '/nothing'}, "no topic '/nothing'"),
        ({'topic': '/text'}, r'/text is std_msgs/msg/Empty, without stamps'),
        ({'topic': ''}, 'which topic'),
        ({'robot': 'nobody'}, 'nobody'),
        ({'service_ms': (-1.0,)}, 'none below zero'),
        ({'service_ms': ()}, 'need some'),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path, changes, words):
    empty = definitions.encode('std_msgs/msg/Empty', bags.make('std_msgs/msg/Empty', 0))
    rows = [(name, bags.IMAGE, 5 + i, bags.image(i + 1)) for i, name in enumerate(('/a', '/b'))]
    bags.write(tmp_path / 'bag', [*rows, ('/text', 'std_msgs/msg/Empty', 9, empty)])
    if 'topic' not in changes:
        changes = {**changes, 'topic': '/a'}

    with pytest.raises((BagError, ParameterError, Exception), match=words) as refused:
        run.run(tmp_path / 'bag', run.Params(**changes))
    assert 'edge_inference_ros.errors' in type(refused.value).__module__


@pytest.mark.parametrize('stamps_ms', [[5, 5], [5, 4], [0, 1]])
def test_stamps_that_stand_still_give_no_result(tmp_path, stamps_ms):
    rows = [('/image', bags.IMAGE, 10 + i, bags.image(ms)) for i, ms in enumerate(stamps_ms)]
    bag = bags.write(tmp_path / 'bag', rows)

    with pytest.raises(BagError, match='INVALID INPUT'):
        run.run(bag, run.Params(out=str(tmp_path / 'out')))
    assert not (tmp_path / 'out').exists()


def test_a_recording_of_which_a_part_is_lost_gives_no_result(tmp_path):
    bag = bags.pictures(tmp_path / 'bag')
    (bag / 'metadata.yaml').unlink()

    with pytest.raises(BagError, match=r'INVALID INPUT.*recorder was killed'):
        run.run(bag, run.Params())


def test_a_step_that_is_misspelt_is_no_recording(capsys):
    assert cli.main(['replay', 'paly']) == 2
    assert 'did you mean play?' in capsys.readouterr().err


def test_a_result_is_read_as_it_was_written(tmp_path):
    bag = bags.pictures(tmp_path / 'bag', 80)
    run.run(bag, run.Params(out=str(tmp_path / 'out')))

    read = result.read(tmp_path / 'out')

    assert read.as_json() == (tmp_path / 'out/result.json').read_text()
    assert set(read.runs[0].latency_ns['sensor_to_output']) == {'p50', 'p95', 'max'}
    assert read.runs[0].latency_ns['sensor_to_output']['p50'] == 22 * MS


def test_a_frame_that_is_no_good_takes_no_time():
    def work(record):
        if record.time_ns == 2:
            raise logic.SampleError('bad')
        return {'infer': 5}

    queue = Queue(work)
    for at_ns in (1, 2, 3):
        queue.arrive(10 * at_ns, 10 * at_ns, Record('/a', bags.IMAGE, at_ns, b''))
    queue.finish()

    assert [one.ended_ns for one in queue.done] == [15, 35]
    assert queue.rejected == 1
