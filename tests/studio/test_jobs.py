"""The job queue: one job at a time, errors that stop nothing, and cancelling."""

from __future__ import annotations

import threading

import pytest

from expotion_lite.studio.jobs import JobQueue


@pytest.mark.parametrize("blocking", [True, False])
def test_a_second_job_waits_or_is_refused(blocking):
    jobs, order, accepted = JobQueue(blocking=blocking), [], []

    def first():
        accepted.append(jobs.submit(lambda: order.append("refused")))
        accepted.append(jobs.submit(lambda: order.append("queued"), queue=True))
        order.append("first")

    assert jobs.submit(first)
    jobs.wait(10)
    assert accepted == [False, True] and order == ["first", "queued"]


def test_busy_lasts_until_no_job_is_left():
    busy, during = [], []
    jobs = JobQueue(blocking=True, on_busy=busy.append)
    jobs.submit(lambda: jobs.submit(lambda: during.append(list(busy)), queue=True))
    assert during == [[True]] and busy == [True, False]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_a_failed_job_is_reported_and_the_next_one_runs(error):
    errors, done = [], []
    jobs = JobQueue(blocking=True, on_error=errors.append)

    def fail():
        raise error

    jobs.submit(fail)
    jobs.submit(lambda: done.append(True))
    assert errors == [error] and done == [True]


def test_an_interrupt_between_two_jobs_leaves_the_queue_usable():
    """The callback of an error stands for any place outside of a job."""
    done = []
    jobs = JobQueue(blocking=True, on_error=lambda error: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        jobs.submit(lambda: 1 / 0)
    assert jobs.submit(lambda: done.append(True)) and done == [True]


def test_cancel_is_for_the_running_job_only():
    started, cancelled = threading.Event(), []
    jobs = JobQueue()

    def work():
        started.set()
        cancelled.append(jobs.cancelled.wait(10))

    jobs.submit(work)
    jobs.submit(lambda: cancelled.append(jobs.cancelled.is_set()), queue=True)
    assert started.wait(10)
    jobs.cancel()
    jobs.wait(10)
    assert cancelled == [True, False]
