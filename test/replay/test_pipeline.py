"""The queue played in thought does what the lane does, and the table is the live one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import bags
from support.models import scripted_model

from edge_inference_ros.core import registry
from edge_inference_ros.errors import BagError, ConfigError, SampleError
from edge_inference_ros.replay import pipeline
from edge_inference_ros.replay.bags import Record

MS = 1_000_000


def frame(at_ms):
    return Record('/image', bags.IMAGE, 0, bags.image(at_ms * MS))


def through(times_ms, service_ms, *, bad=(), rate=1.0):
    def work(record):
        at = work.count
        work.count += 1
        if at in bad:
            raise SampleError('bad')
        return {'infer': float(service_ms)}

    work.count = 0
    return pipeline.through([frame(t) for t in times_ms], work, rate)


def slow_depth_one(times, service):
    """(stamp, finished) by stepping through every millisecond; counts what was displaced."""
    waiting, busy_until, current, done, displaced = None, None, None, [], 0
    for now in range(max(times) + service * (len(times) + 1) + 1):
        if busy_until == now:
            done.append((current, now))
            busy_until = None
        if busy_until is None and waiting is not None:
            current, waiting, busy_until = waiting, None, now + service
        if now in times:
            if busy_until is None:
                current, busy_until = now, now + service
            else:
                displaced += waiting is not None
                waiting = now
    return done, displaced


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=25, unique=True), st.integers(1, 80))
def test_the_queue_agrees_with_stepping_through_every_millisecond(times, service):
    times = sorted(times)

    seen = through(times, service)

    done, displaced = slow_depth_one(times, service)
    ended = [o.stamp_ns / MS + o.laps_ms['sensor_to_output'] for o in seen.outputs]
    assert [o.stamp_ns // MS for o in seen.outputs] == [stamp for stamp, _ in done]
    assert ended == pytest.approx([end for _, end in done])
    assert seen.counts['superseded'] == displaced


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=25, unique=True),
    st.integers(1, 80),
    st.sets(st.integers(0, 25)),
)
def test_every_frame_is_accounted_for(times, service, bad):
    counts = through(sorted(times), service, bad=bad).counts

    assert counts['received'] == len(times)
    assert counts['received'] == counts['done'] + counts['superseded'] + counts['rejected']


def test_at_three_times_the_load_age_stays_within_two_services():
    seen = through(range(1, 1001, 10), 30)

    assert max(o.laps_ms['sensor_to_output'] for o in seen.outputs) <= 60
    assert seen.counts['superseded'] > 60


def test_a_rate_makes_the_same_frames_come_faster():
    assert through(range(1, 400, 40), 30).counts['superseded'] == 0
    assert through(range(1, 400, 40), 30, rate=4.0).counts['superseded'] > 0


@pytest.mark.parametrize('times', [[5, 5], [9, 3], [0, 1]])
def test_stamps_that_do_not_increase_are_invalid_input(times):
    with pytest.raises(BagError, match='INVALID INPUT: /image has a stamp of'):
        through(times, 1)


def test_a_bag_through_a_scripted_network_gives_the_whole_table(tmp_path):
    model = scripted_model(tmp_path / 'model', durations_ms=[1])
    bag = bags.pictures(tmp_path / 'bag', 12)

    report = pipeline.run(
        pipeline.Params(
            bag=str(bag), model=str(model), backend='null', tracker='none', out=str(tmp_path / 'o')
        )
    )

    assert report.frames.adds_up
    assert report.frames.published == 12
    assert [row.stage for row in report.latency][:2] == [
        'sensor_to_output',
        'sensor_to_output, corrected',
    ]
    assert [row.stage for row in report.latency][2:] == [
        'wait', 'view', 'prepare', 'infer', 'decode', 'track',
    ]  # fmt: skip
    assert (tmp_path / 'o' / 'report.json').exists()
    assert (tmp_path / 'o' / 'latency.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('out', [False, True])
def test_nothing_is_looked_up_while_frames_are_timed(tmp_path, monkeypatch, out):
    """Finding a plug-in walks over all that is installed: 12 ms a frame, once, in every figure."""
    model = scripted_model(tmp_path / 'model')
    asked = {'backend': 'null', 'tracker': 'none', 'model': str(model)}
    looked_up = []
    monkeypatch.setattr(registry, 'entry_points', lambda **kind: looked_up.append(kind) or ())

    counts = []
    for count in (3, 12):
        bag = bags.pictures(tmp_path / f'bag{count}', count)
        looked_up.clear()
        folder = str(tmp_path / f'out{count}') if out else ''
        pipeline.run(pipeline.Params(bag=str(bag), out=folder, **asked))
        counts.append(len(looked_up))

    assert counts[0] == counts[1] > 0


def test_a_recording_that_was_cut_says_so_in_its_report(tmp_path):
    bag = bags.pictures(tmp_path / 'bag', 12, compression='storage')
    (bag / 'metadata.yaml').unlink()

    report = pipeline.run(
        pipeline.Params(bag=str(bag), model=str(scripted_model(tmp_path / 'm')), backend='null')
    )

    assert report.notes == ('There is no metadata.yaml: the recorder was killed.',)


def test_a_frame_that_lies_is_rejected_and_the_rest_go_on(tmp_path):
    model = scripted_model(tmp_path / 'model')
    good = [('/image', bags.IMAGE, i, bags.image(i * 10**8)) for i in range(1, 6)]
    lying = bags.make(
        bags.IMAGE, bags.header(3 * 10**8), 4000, 6000, 'bgr8', 0, 18, np.zeros(0, np.uint8)
    )
    good[2] = (*good[2][:3], bags.definitions.encode(bags.IMAGE, lying))
    bag = bags.write(tmp_path / 'bag', good)

    report = pipeline.run(
        pipeline.Params(bag=str(bag), model=str(model), backend='null', tracker='none')
    )

    assert report.frames.rejected == 1
    assert report.frames.detected == 4


@pytest.mark.parametrize(
    ('changes', 'error', 'words'),
    [
        ({'bag': ''}, ConfigError, 'needs --bag'),
        ({'bag': '/nowhere'}, BagError, '/nowhere: no such file'),
        ({'topic': '/other'}, BagError, "no topic '/other'"),
        ({'model': '/nowhere/model'}, ConfigError, '/nowhere/model'),
        ({'backend': 'warp'}, ConfigError, 'warp'),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path, changes, error, words):
    said = {
        'bag': str(bags.pictures(tmp_path / 'bag')),
        'model': str(scripted_model(tmp_path / 'model')),
        'backend': 'null',
        'tracker': 'none',
    }

    with pytest.raises((error, Exception), match=words) as caught:
        pipeline.run(pipeline.Params(**{**said, **changes}))
    assert 'edge_inference_ros.errors' in type(caught.value).__module__
