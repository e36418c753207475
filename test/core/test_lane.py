"""The lane keeps the newest sample, counts the rest and owns its thread."""

import _thread
import signal
import sys
import threading
from contextlib import ExitStack

import pytest

from edge_inference_ros.core.lane import PATIENCE, Job, Lane, most_critical
from edge_inference_ros.errors import Abandoned, BadImage, InferenceFailed, OutOfMemory

DEADLINE_S = 20.0


class Bench:
    """A lane whose work waits for a permit, so that a test decides what happens meanwhile."""

    def __init__(self, *priorities, work=None):
        self.seen, self.threads, self.failures = [], [], []
        self.permits = threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.ended = threading.Event()
        self.closed_on = None
        self._work = work or (lambda sample: None)
        self._priorities = priorities or (0,)
        self.lane = Lane(self._open, on_failure=self._failed)

    def _open(self, keep):
        self.opened_on = threading.get_ident()
        keep.callback(lambda: setattr(self, 'closed_on', threading.get_ident()))
        return [Job(f'job{p}', self._do, p) for p in self._priorities]

    def _do(self, sample):
        self.started.release()
        assert self.permits.acquire(timeout=DEADLINE_S)
        self.threads.append(threading.get_ident())
        self.seen.append(sample)
        self._work(sample)

    def _failed(self, job, error):
        self.failures.append((job.name, error))
        self.ended.set()

    def wait_started(self):
        assert self.started.acquire(timeout=DEADLINE_S)


def test_newest_wins_and_the_rest_are_counted():
    bench = Bench()
    with bench.lane as lane:
        (job,) = lane.jobs
        lane.post(job, 'first')
        bench.wait_started()
        for sample in ('old', 'older', 'newest'):
            lane.post(job, sample)
        bench.permits.release()
        bench.wait_started()
        bench.permits.release()

    assert bench.seen == ['first', 'newest']
    assert (job.tally.posted, job.tally.superseded, job.tally.done) == (4, 2, 2)


def test_what_nobody_started_before_closing_is_counted_as_superseded():
    bench = Bench()
    with bench.lane as lane:
        (job,) = lane.jobs
        lane.post(job, 'running')
        bench.wait_started()
        lane.post(job, 'waiting')
        threading.Timer(0.05, bench.permits.release).start()

    assert bench.seen == ['running']
    assert job.tally.posted == job.tally.done + job.tally.superseded == 2


def test_opening_working_and_closing_share_one_thread():
    bench = Bench()
    with bench.lane as lane:
        lane.post(lane.jobs[0], 1)
        bench.permits.release()
        bench.wait_started()

    assert bench.opened_on == bench.closed_on == bench.threads[0] != threading.get_ident()


def test_what_opening_raises_reaches_whoever_enters_and_closes_what_was_open():
    closed = threading.Event()

    def open_jobs(keep):
        keep.callback(closed.set)
        raise InferenceFailed('no device')

    with pytest.raises(InferenceFailed, match='no device'), Lane(open_jobs, on_failure=print):
        pass

    assert closed.is_set()


def test_an_unusable_sample_is_counted_and_the_next_one_is_worked_on():
    def work(sample):
        if sample == 'bad':
            raise BadImage('bad')

    bench = Bench(work=work)
    with bench.lane as lane:
        (job,) = lane.jobs
        for sample in ('bad', 'good'):
            lane.post(job, sample)
            bench.permits.release()
            bench.wait_started()
        lane.reject(job)

    assert (job.tally.rejected, job.tally.done, job.tally.posted) == (2, 1, 3)
    assert not bench.failures


def test_a_dead_runtime_ends_the_lane_and_is_reported():
    def work(_):
        raise InferenceFailed('device lost')

    bench = Bench(work=work)
    with bench.lane as lane:
        lane.post(lane.jobs[0], 1)
        bench.permits.release()
        assert bench.ended.wait(DEADLINE_S)

    assert [(name, str(error)) for name, error in bench.failures] == [('job0', 'device lost')]


@pytest.mark.parametrize('error', [OutOfMemory('full'), KeyError('a bug')])
def test_a_lost_sample_is_survived_until_patience_runs_out(error):
    def work(sample):
        if sample != 'good':
            raise error

    bench = Bench(work=work)
    with bench.lane as lane:
        (job,) = lane.jobs
        for sample in ['bad'] * (PATIENCE - 1) + ['good'] + ['bad'] * PATIENCE:
            lane.post(job, sample)
            bench.wait_started()
            bench.permits.release()
        assert bench.ended.wait(DEADLINE_S)

    assert (job.tally.failed, job.tally.done) == (2 * PATIENCE - 1, 1)


def test_the_most_critical_job_goes_first_and_equals_in_order_of_arrival():
    jobs = [Job(name, print, priority) for name, priority in (('a', 1), ('b', 0), ('c', 0))]
    for job, posted_ns in zip(jobs, (1, 3, 2), strict=True):
        job.waiting = 'sample', posted_ns

    assert most_critical(jobs).name == 'c'


def test_waiting_jobs_are_served_by_priority():
    bench = Bench(1, 0)
    with bench.lane as lane:
        low, high = lane.jobs
        lane.post(low, 'running')
        bench.wait_started()
        lane.post(low, 'low')
        lane.post(high, 'high')
        for _ in range(2):
            bench.permits.release()
            bench.wait_started()
        bench.permits.release()

    assert bench.seen == ['running', 'high', 'low']


def test_a_lane_that_is_never_used_closes():
    with ExitStack() as keep:
        keep.enter_context(Bench().lane)


def test_work_in_progress_has_a_number_of_its_own():
    numbers = []
    bench = Bench(work=lambda sample: numbers.append(bench.lane.busy_with))
    with bench.lane as lane:
        (job,) = lane.jobs
        assert lane.busy_with is None
        for sample in 'ab':
            lane.post(job, sample)
            bench.wait_started()
            bench.permits.release()

    assert len(set(numbers)) == len(bench.seen) == 2
    assert None not in numbers
    assert lane.busy_with is None


@pytest.fixture
def interruptible():
    """Whatever pytest runs under, an interrupt is a KeyboardInterrupt here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_it_opens_ends_with_the_step_it_is_in(interruptible):
    begun, steps, closed = threading.Event(), [], threading.Event()

    def open_jobs(keep):
        keep.callback(closed.set)
        begun.set()
        _thread.interrupt_main()
        wait_for(lambda: lane._closed)  # a step that no signal ends
        steps.append('first')
        lane.checkpoint()
        steps.append('second')

    lane = Lane(open_jobs, on_failure=print)
    with pytest.raises(KeyboardInterrupt):
        lane.open()

    assert steps == ['first']
    assert closed.is_set()
    assert not lane._thread.is_alive()


def test_an_interrupt_when_all_but_the_last_moment_of_opening_is_over_ends_the_thread(
    interruptible, monkeypatch
):
    lane = Lane(lambda keep: [Job('job', print)], on_failure=print)

    def interrupted(_):
        lane._opened.get()  # the lane has opened well and waits for samples
        raise KeyboardInterrupt

    monkeypatch.setattr(lane, '_has_opened', interrupted)
    with pytest.raises(KeyboardInterrupt):
        lane.open()

    assert not lane._thread.is_alive()


def test_a_lane_nobody_wants_any_more_is_abandoned():
    wanted = threading.Event()
    wanted.set()

    def open_jobs(keep):
        wanted.clear()
        wait_for(lambda: lane._closed)
        lane.checkpoint()

    lane = Lane(open_jobs, on_failure=print, wanted=wanted.is_set)
    with pytest.raises(Abandoned):
        lane.open()

    assert not lane._thread.is_alive()


def test_a_lane_that_was_never_opened_closes_and_closes_again():
    lane = Bench().lane

    lane.close()
    lane.close()


def test_the_lost_sample_is_named_with_its_error():
    lost = []
    lane = Lane(
        lambda keep: [Job('job', fail, on_loss=lambda *said: lost.append(said))],
        on_failure=print,
    )
    with lane:
        lane.post(lane.jobs[0], 'sample')
        wait_for(lambda: lost)

    ((error, sample),) = lost
    assert (repr(error), sample) == ("KeyError('sample')", 'sample')


def fail(sample):
    raise KeyError(sample)


def wait_for(condition):
    end = threading.Event()
    for _ in range(int(DEADLINE_S / 0.005)):
        if condition():
            return
        end.wait(0.005)
    pytest.fail(f'waited {DEADLINE_S:g} s in vain')


class Interrupted:
    """Runs something on a thread of its own and raises KeyboardInterrupt at its k-th moment.

    A moment is the begin or the end of any function, the standard library's too: there the
    interpreter looks for signals, whose handlers may raise. The first one is in the function
    ``within``.
    """

    def __init__(self, k, within, before=lambda: None):
        self._left, self._within, self._before = k, within, before
        self._armed = False

    def run(self, action):
        thread = threading.Thread(target=self._traced, args=(action,), daemon=True)
        thread.start()
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), 'it waits for ever'

    def _traced(self, action):
        sys.settrace(self._trace)
        try:
            action()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)

    def _trace(self, frame, event, _arg):
        self._armed = self._armed or frame.f_code.co_name == self._within
        self._left -= self._armed and event in {'call', 'return'}
        if self._left == 0:
            sys.settrace(None)
            self._before()
            raise KeyboardInterrupt
        return self._trace


@pytest.mark.parametrize('k', range(1, 40))
def test_an_interrupt_at_any_moment_of_opening_leaves_nobody_waiting(k, monkeypatch):
    monkeypatch.setattr('edge_inference_ros.core.lane.TURN_S', 0.001)
    interrupted = threading.Event()
    opened = []

    def open_jobs(_keep):
        interrupted.wait(DEADLINE_S)
        opened.append(True)
        return [Job('job', lambda _: None)]

    lane = Lane(open_jobs, on_failure=lambda *_: None)
    Interrupted(k, 'checkpoint', interrupted.set).run(lane.open)

    assert opened == [True]


@pytest.mark.parametrize('k', range(1, 12))
def test_an_interrupt_at_any_moment_of_posting_leaves_nobody_waiting(k):
    seen = []
    lane = Lane(lambda _: [Job('job', seen.append)], on_failure=lambda *_: None)
    lane.open()

    Interrupted(k, 'post').run(lambda: lane.post(lane.jobs[0], 'sample'))
    closing = threading.Thread(target=lane.close, daemon=True)
    closing.start()
    closing.join(DEADLINE_S)

    assert not closing.is_alive()
