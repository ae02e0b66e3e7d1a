"""A job queue: one job at a time beside the notebook, with a way to cancel it.

A generation takes this way: `page.Studio` submits a job, which calls `session.Session.generate` in the worker thread
with `JobQueue.cancelled`. `live_generation` hands the event on to `generation.generate_codes`, and the sampling loop
(`musicgen.sampling`) checks it after every step. Without a thread (Colab), the kernel's interrupt stops the job.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Job = Callable[[], object]


class JobQueue:
    """A queue that runs one job at a time, in a worker thread or in the caller's thread.

    Args:
        blocking: run jobs in the caller's thread, which `submit` then blocks.
        on_busy: called with True before a job runs, and with False when no job is left.
        on_error: called with the exception of a job that failed or was interrupted. The next job runs all the same.

    Attributes:
        blocking: as given.
        cancelled: set by `cancel`, cleared before each job. A job hands it to what it calls.

    Example:
        >>> names = []
        >>> jobs = JobQueue(blocking=True)
        >>> jobs.submit(lambda: names.append("first"))
        True
        >>> names
        ['first']
    """

    def __init__(
        self,
        *,
        blocking: bool = False,
        on_busy: Callable[[bool], object] = lambda busy: None,
        on_error: Callable[[BaseException], object] = lambda error: None,
    ) -> None:
        self.blocking = blocking
        self.cancelled = threading.Event()
        self._on_busy, self._on_error = on_busy, on_error
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: deque[Job] = deque()
        self._worker: threading.Thread | None = None

    def submit(self, job: Job, *, queue: bool = False) -> bool:
        """Run a job, unless another one runs.

        Args:
            job: a function without arguments; what it returns is ignored.
            queue: if another job runs, run this one after it.

        Returns:
            Whether the job runs or waits. False: another job runs, and this one was refused.
        """
        with self._lock:
            if self._busy:
                if queue:
                    self._waiting.append(job)
                return queue
            self._busy = True
        self.cancelled.clear()
        self._on_busy(True)
        if self.blocking:
            self._work(job)
        else:
            self._worker = threading.Thread(target=self._work, args=(job,), daemon=True, name="studio")
            self._worker.start()
        return True

    def cancel(self) -> None:
        """Stop the running job. Waiting jobs are not cancelled; they run next."""
        self.cancelled.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the worker has no job left, or for `timeout_s` seconds."""
        if self._worker is not None:
            self._worker.join(timeout_s)

    def _work(self, job: Job) -> None:
        """Run a job, and then those that were queued meanwhile."""
        try:
            while True:
                self._attempt(job)
                with self._lock:
                    if not self._waiting:
                        return self._rest()
                    job = self._waiting.popleft()
                self.cancelled.clear()
        except BaseException:  # interrupted between two jobs: the queue stays usable
            with self._lock:
                self._rest()
            raise

    def _attempt(self, job: Job) -> None:
        try:
            job()
        except (Exception, KeyboardInterrupt) as error:
            self._on_error(error)

    def _rest(self) -> None:
        self._on_busy(False)
        self._busy = False
