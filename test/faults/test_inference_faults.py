"""Inference that is slow, fails or hangs, around a null backend that plays it."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from support.models import HEIGHT_PX, WIDTH_PX, scripted_model
from support.sensor_messages import ORIGIN, cloud, cloud_of, image

from edge_inference_ros.backends import null
from edge_inference_ros.core.lane import PATIENCE, Job, Lane
from edge_inference_ros.core.manifest import load
from edge_inference_ros.core.pipeline import Pipeline, open_pipeline
from edge_inference_ros.core.types import Image
from edge_inference_ros.errors import BackendUnavailable, ConfigError, ModelError, SampleError
from edge_inference_ros.sensors import cloud as cloud_sensor
from edge_inference_ros.sensors import image as image_sensor


def worked(job_work, samples, **options):
    """Post ``samples`` one by one to a lane, each when the one before is done with."""
    ended, done = threading.Event(), threading.Semaphore(0)

    def work(sample):
        try:
            job_work(sample)
        finally:
            done.release()

    lane = Lane(lambda keep: [Job('job', work)], on_failure=lambda *_: ended.set(), **options)
    with lane:
        (job,) = lane.jobs
        for sample in samples:
            lane.post(job, sample)
            if not done.acquire(timeout=20.0):
                break
            if job.failures_in_row >= PATIENCE:
                assert ended.wait(20.0)
                break
    return job, ended.is_set()


@pytest.mark.fault('E4')
@pytest.mark.parametrize('slower', [2, 5])
def test_a_slow_engine_skips_and_never_queues(tmp_path, figure, slower):
    period_ns = 33_000_000
    service_ns = slower * period_ns
    manifest = load(scripted_model(tmp_path / 'slow', durations_ms=[service_ns / 1e6]))
    clock, next_frame, ages = 0, 0, []
    enough = threading.Event()

    def pass_(seconds):
        nonlocal clock, next_frame
        end = clock + round(seconds * 1e9)
        while next_frame * period_ns <= end:
            lane.post(job, next_frame * period_ns)
            next_frame += 1
        clock = end

    engine = null.open(manifest, manifest.file('null', '').path, sleep=pass_)

    def work(stamp_ns):
        if len(ages) >= 50:
            enough.set()
            return
        engine.run()
        ages.append(clock - stamp_ns)

    lane = Lane(lambda keep: [Job('slow', work)], on_failure=print)
    with lane:
        (job,) = lane.jobs
        lane.post(job, 0)
        assert enough.wait(20.0)

    figure('age', max(ages) / 1e6, 'ms')
    figure('T + C', (period_ns + service_ns) / 1e6, 'ms')
    assert max(ages) <= period_ns + service_ns
    assert job.tally.superseded > 0


@pytest.mark.fault('E6')
def test_what_fails_loses_its_frame_and_ten_in_a_row_end_the_lane(figure):
    def decode(sample):
        if sample:
            raise RuntimeError('a bug in decode')

    job, ended = worked(decode, [1, 1, 1, 0] * 10)
    assert not ended
    assert (job.tally.failed, job.tally.done) == (30, 10)

    job, ended = worked(decode, [1] * 40)
    figure('lost before the lane ends', job.tally.failed, 'frames')
    assert ended
    assert job.tally.failed == PATIENCE


@pytest.mark.fault('I4')
def test_pictures_of_any_size_follow_one_another(tmp_path):
    from contextlib import ExitStack

    manifest = load(scripted_model(tmp_path / 'eye'))
    with ExitStack() as keep:
        pipeline: Pipeline = open_pipeline(manifest, keep, backend='null')
        for width, height in ((96, 64), (640, 480), (33, 97), (1, 1), (1920, 1080), (96, 64)):
            picture = Image(ORIGIN, np.zeros((height, width, 3), np.uint8), 'bgr')
            boxes = pipeline(picture).tracked.found.boxes_px
            assert (boxes >= 0).all()
            assert (boxes <= [width, height, width, height]).all()
    assert (WIDTH_PX, HEIGHT_PX) == (96, 64)


@pytest.mark.fault('I2')
@pytest.mark.parametrize(
    'claim', [(0, 0), (0, 5), (100_000, 1000), (2**31, 2**31), (2**32 - 1, 1)]
)
def test_a_claim_allocates_nothing(figure, claim):
    import tracemalloc

    width, height = claim
    msg = image(data=b'few')
    msg.width, msg.height, msg.step = width, height, 3 * width
    tracemalloc.start()
    try:
        with pytest.raises(SampleError):
            image_sensor.view(msg, ORIGIN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    figure('memory', peak / 2**20, 'MiB')
    assert peak < 16 * 2**20


@pytest.mark.fault('C2')
def test_points_that_are_nowhere_are_left_out(figure):
    rng = np.random.default_rng(8)
    points = np.zeros(figure.tries(1000, 100_000), [(axis, '<f4') for axis in 'xyz'])
    for axis in 'xyz':
        odd = [np.nan, np.inf, -np.inf, 1e38, 0.0, 5.0]
        points[axis] = rng.choice(np.array(odd, np.float32), len(points))

    seen = cloud_sensor.xyz(cloud_sensor.view(cloud_of(points), ORIGIN))
    kept = cloud_sensor.chosen(seen, cloud_sensor.finite(seen))

    assert np.isfinite(kept).all()
    assert len(kept) == sum(all(np.isfinite(list(point))) for point in points.tolist())
    assert not cloud_sensor.finite(np.full((5, 3), np.nan, np.float32)).any()


@pytest.mark.fault('C4')
def test_a_cloud_beyond_the_limit_is_refused_from_its_header():
    msg = cloud(width=5)
    msg.width, msg.row_step = cloud_sensor.POINTS_LIMIT + 1, 16 * (cloud_sensor.POINTS_LIMIT + 1)

    with pytest.raises(SampleError, match='at most'):
        cloud_sensor.view(msg, ORIGIN)


class Payload:
    """Unpickling it would leave a trace."""

    ran = False

    def __reduce__(self):
        return setattr, (Payload, 'ran', True)


@pytest.mark.fault('B3')
@pytest.mark.parametrize('backend', ['null', 'ort', 'openvino'])
def test_weights_that_are_a_pickle_are_not_run(tmp_path, backend):
    from edge_inference_ros.core import registry

    folder = scripted_model(tmp_path / 'trap')
    path = folder / 'script.json'
    path.write_bytes(pickle.dumps(Payload()))
    try:
        runtime = registry.load('backends', backend)
    except (BackendUnavailable, ConfigError) as error:
        pytest.skip(str(error))

    with pytest.raises((ModelError, BackendUnavailable)):
        runtime.open(load(folder), path)

    assert not Payload.ran
