"""One thread per device, always working on the newest sample of the most urgent job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from edge_inference_ros.core.latency import monotonic_ns
from edge_inference_ros.core.types import MonoNs
from edge_inference_ros.errors import SampleError


@dataclass
class Tally:
    """What became of the samples a job was offered."""

    posted: int = 0
    superseded: int = 0
    rejected: int = 0
    done: int = 0


@dataclass(eq=False)
class Job:
    """A stream of samples, what to do with one, and how soon.

    Attributes:
        work: consumes one sample, on the lane's thread.
        budget_ns: a sample should be started this long after it was posted.
        waiting: the newest sample not yet started, with the time it was posted.
    """

    name: str
    work: Callable[[Any], None]
    budget_ns: int
    tally: Tally = field(default_factory=Tally)
    waiting: tuple[Any, MonoNs] | None = None


def most_urgent(ready: Sequence[Job]) -> Job:
    """Earliest deadline first; ties go to the job listed first."""
    return min(ready, key=lambda job: job.waiting[1] + job.budget_ns if job.waiting else 0)


class Lane:
    """Owns the only thread that touches a device: opens it, uses it, closes it.

    A CUDA context belongs to the thread that made it current, so ``open_jobs`` runs on the lane,
    and what it puts on its stack is closed there. Posting never blocks and never queues: a sample
    nobody has started is replaced by the next.
    """

    def __init__(
        self,
        open_jobs: Callable[[ExitStack], Sequence[Job]],
        *,
        choose: Callable[[Sequence[Job]], Job] = most_urgent,
        on_failure: Callable[[Job, BaseException], None],
    ) -> None:
        self._open_jobs = open_jobs
        self._choose = choose
        self._on_failure = on_failure
        self._bell = threading.Condition()
        self._closed = False
        self._opened: Future[Sequence[Job]] = Future()
        self._thread = threading.Thread(target=self._live, name='lane')

    @property
    def jobs(self) -> Sequence[Job]:
        """The jobs, once they are open. Raises what opening them raised."""
        return self._opened.result()

    def post(self, job: Job, sample: Any) -> None:
        """Leave ``sample`` for ``job``, replacing the one still waiting."""
        with self._bell:
            job.tally.posted += 1
            job.tally.superseded += job.waiting is not None
            job.waiting = sample, monotonic_ns()
            self._bell.notify()

    def __enter__(self) -> Lane:
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._bell:
            self._closed = True
            self._bell.notify()
        self._thread.join()

    def _live(self) -> None:
        with ExitStack() as keep:
            try:
                jobs = self._open_jobs(keep)
            except BaseException as error:  # noqa: BLE001 - handed to whoever entered the lane
                self._opened.set_exception(error)
                return
            self._opened.set_result(jobs)
            self._work(jobs)

    def _work(self, jobs: Sequence[Job]) -> None:
        while (taken := self._take(jobs)) is not None:
            job, sample = taken
            try:
                job.work(sample)
            except SampleError:
                job.tally.rejected += 1
            except BaseException as error:  # noqa: BLE001 - reported, and the lane ends here
                self._on_failure(job, error)
                return
            else:
                job.tally.done += 1

    def _take(self, jobs: Sequence[Job]) -> tuple[Job, Any] | None:
        with self._bell:
            self._bell.wait_for(lambda: self._closed or any(job.waiting for job in jobs))
            if self._closed:
                return None
            job = self._choose([job for job in jobs if job.waiting])
            assert job.waiting is not None  # noqa: S101 - choose() picks from what is ready
            (sample, _), job.waiting = job.waiting, None
            return job, sample
