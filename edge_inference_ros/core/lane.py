"""One thread per device, always working on the newest sample of the most critical job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import MonoNs
from edge_inference_ros.errors import Abandoned, BackendError, OutOfMemory, SampleError

PATIENCE = 10
"""A job that fails this often in a row will not get better by itself."""

TURN_S = 0.1
"""Between two questions, while a lane opens, whether anybody still wants it."""


@dataclass(slots=True)
class Tally:
    """What became of the samples a job was offered.

    posted = superseded + rejected + failed + done + at most one waiting and one being worked on.

    Attributes:
        superseded: replaced by a newer one before anybody looked at it.
        rejected: unusable, by ``SampleError``.
        failed: lost to an error that was not the sample's fault.
    """

    posted: int = 0
    superseded: int = 0
    rejected: int = 0
    failed: int = 0
    done: int = 0


@dataclass(eq=False, slots=True)
class Job:
    """A stream of samples, what to do with one, and how much it matters.

    Attributes:
        work: consumes one sample, on the lane's thread.
        priority: smaller is more critical.
        on_loss: told, on the lane's thread, why which sample was rejected or failed.
        waiting: the newest sample not yet started, with the time it was posted.
    """

    name: str
    work: Callable[[Any], None]
    priority: int = 0
    on_loss: Callable[[Exception, Any], None] = lambda _error, _sample: None
    tally: Tally = field(default_factory=Tally)
    waiting: tuple[Any, MonoNs] | None = None
    failures_in_row: int = 0


def most_critical(ready: Sequence[Job]) -> Job:
    """Smallest priority first, then the sample that has waited longest.

    Fixed priority rather than earliest deadline: when there is too much to do, earliest deadline
    first makes everything late, fixed priority keeps the critical job inside its bound.
    """
    return min(ready, key=lambda job: (job.priority, job.waiting[1] if job.waiting else 0))


class Lane:
    """Owns the only thread that touches a device: opens it, uses it, closes it.

    A CUDA context belongs to the thread that made it current, so ``open_jobs`` runs on the lane,
    and what it puts on its stack is closed there. Posting never blocks and never queues: a sample
    nobody has started is replaced by the next.

    Args:
        open_jobs: opens what the jobs need, on the lane's thread.
        choose: which of the jobs that have a sample goes next.
        on_failure: told, on the lane's thread, which error ended the lane.
        wanted: asked while the lane opens; once it says no, ``open`` raises ``Abandoned``.
    """

    def __init__(
        self,
        open_jobs: Callable[[ExitStack], Sequence[Job]],
        *,
        choose: Callable[[Sequence[Job]], Job] = most_critical,
        on_failure: Callable[[Job, BaseException], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._open_jobs = open_jobs
        self._choose = choose
        self._on_failure = on_failure
        self._wanted = wanted
        # An interrupt may be raised anywhere on the thread that opens and posts. What is written
        # in C, a bare lock and ``SimpleQueue``, is not left locked by it; a ``Condition``'s own
        # ``with`` and a ``Future`` would be, and the lane would wait for them for ever.
        self._lock = threading.Lock()
        self._bell = threading.Condition(self._lock)
        self._closed = False
        self._steps = 0
        self._jobs: Sequence[Job] | BaseException = Abandoned('the lane was not opened')
        self._opened: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._live, name='lane')

    @property
    def jobs(self) -> Sequence[Job]:
        """The jobs, once they are open. Raises what opening them raised."""
        if isinstance(self._jobs, BaseException):
            raise self._jobs
        return self._jobs

    @property
    def busy_with(self) -> int | None:
        """A number of the sample being worked on, another for each; None between two.

        Whoever looks now and then and finds the same number knows that nothing has moved on.
        """
        steps = self._steps
        return steps if steps % 2 else None

    def post(self, job: Job, sample: Any) -> None:
        """Leave ``sample`` for ``job``, replacing the one still waiting."""
        with self._lock:
            job.tally.posted += 1
            job.tally.superseded += job.waiting is not None
            job.waiting = sample, monotonic_ns()
            self._bell.notify()

    def reject(self, job: Job) -> None:
        """Count a sample that was unusable before it could be posted."""
        with self._lock:
            job.tally.posted += 1
            job.tally.rejected += 1

    def open(self) -> None:
        """Start the thread and wait until the jobs are open.

        Whatever ends the wait, an interrupt included, closes the lane.

        Raises:
            Abandoned: ``wanted`` said no meanwhile.
            Exception: what ``open_jobs`` raised.
        """
        try:
            self._thread.start()
            # In turns, because a signal that only shuts ROS down ends no wait.
            while not self._has_opened(TURN_S):
                self.checkpoint()
            _ = self.jobs  # raises what opening them raised
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish the sample in progress, close what was opened, end the thread. Idempotent.

        A lane that is still opening ends with the step it is in; see ``checkpoint``.
        """
        with self._lock:
            self._closed = True
            self._bell.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def checkpoint(self) -> None:
        """Call it between two long steps of opening: no later step is begun for nobody.

        Raises:
            Abandoned: the lane was closed meanwhile, or nobody wants it.
        """
        if self._closed or not self._wanted():
            raise Abandoned('nobody waits for the model any more')

    def __enter__(self) -> Lane:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _has_opened(self, within_s: float) -> bool:
        try:
            self._opened.get(timeout=within_s)
        except Empty:
            return False
        return True

    def _live(self) -> None:
        with ExitStack() as keep:
            try:
                self._jobs = jobs = self._open_jobs(keep)
            except BaseException as error:  # noqa: BLE001 - handed to whoever entered the lane
                self._jobs = error
                return
            finally:
                self._opened.put(None)
            try:
                self._serve(jobs)
            finally:
                self._drop(jobs)

    def _serve(self, jobs: Sequence[Job]) -> None:
        """Work until the lane is closed, or an error ends it."""
        while (taken := self._take(jobs)) is not None:
            job, sample = taken
            self._steps += 1
            end = self._work(job, sample)
            self._steps += 1
            if end is not None:
                self._on_failure(job, end)
                return

    def _drop(self, jobs: Sequence[Job]) -> None:
        """Count what nobody will start any more."""
        with self._lock:
            for job in jobs:
                job.tally.superseded += job.waiting is not None
                job.waiting = None

    def _work(self, job: Job, sample: Any) -> BaseException | None:
        """Do one sample; return the error that ends the lane, if it does."""
        try:
            job.work(sample)
        except SampleError as error:
            with self._lock:
                job.tally.rejected += 1
            job.on_loss(error, sample)
        except Exception as error:  # noqa: BLE001 - one lost sample must not end perception
            job.tally.failed += 1
            job.failures_in_row += 1
            job.on_loss(error, sample)
            fatal = isinstance(error, BackendError) and not isinstance(error, OutOfMemory)
            return error if fatal or job.failures_in_row >= PATIENCE else None
        else:
            job.tally.done += 1
            job.failures_in_row = 0
        return None

    def _take(self, jobs: Sequence[Job]) -> tuple[Job, Any] | None:
        with self._lock:
            self._bell.wait_for(lambda: self._closed or any(job.waiting for job in jobs))
            if self._closed:
                return None
            job = self._choose([job for job in jobs if job.waiting])
            assert job.waiting is not None  # noqa: S101 - choose() picks from what is ready
            (sample, _), job.waiting = job.waiting, None
            return job, sample
