"""Training examples that are made ahead of time, in an order that a resumed run repeats."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

T = TypeVar("T")
WORKERS = max(1, min(8, (os.cpu_count() or 2) - 1))


class _Numbered(IterableDataset[T]):
    """make(start), make(start + 1), ...; each of n workers makes every n-th of them."""

    def __init__(self, make: Callable[[int], T], start: int) -> None:
        """Number the examples from `start` on."""
        self.make, self.start = make, start

    def __iter__(self) -> Iterator[T]:
        worker = get_worker_info()
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return (self.make(i) for i in count(self.start + first, stride))


def _exit_at_once(worker: int) -> None:
    """Make a worker exit without waiting for the thread that sends its tensors.

    If Python shuts down while that thread is inside torch, the process is aborted ("terminate called").
    """
    atexit.register(os._exit, 0)


def prefetch_with_workers(make: Callable[[int], T], workers: int = WORKERS) -> Callable[[int], T]:
    """Let worker processes make the next examples ahead of time.

    Args:
        make: returns example number i. It goes to other processes, so it must be defined at module level, or be a
            `functools.partial` of such a function.
        workers: number of processes; 0 makes each example when it is asked for.

    Returns:
        A function that returns what `make` does, to be called with i, i + 1, i + 2, ... from any i.

    Example:
        >>> squares = prefetch_with_workers(lambda i: i * i, workers=0)
        >>> squares(3), squares(4)
        (9, 16)
    """
    source: Iterator[T] | None = None
    expected = 0

    def following(i: int) -> T:
        nonlocal source, expected
        if source is None:
            loader = DataLoader(
                _Numbered(make, i),
                batch_size=None,
                num_workers=workers,
                worker_init_fn=_exit_at_once,
                multiprocessing_context="spawn" if workers else None,
                prefetch_factor=4 if workers else None,
            )
            source = iter(loader)
        elif i != expected:
            raise ValueError(f"Number {expected} comes next, not {i}.")
        expected = i + 1
        return next(source)

    return following


def prefetch_with_thread(make: Callable[[int], T]) -> Callable[[int], T]:
    """Let a thread make the next example while the current one is trained on, on cores that torch leaves idle.

    Args:
        make: returns example number i; called in order, in one thread only.

    Returns:
        A function that returns what `make` does, to be called with i, i + 1, i + 2, ... from any i.

    Example:
        >>> squares = prefetch_with_thread(lambda i: i * i)
        >>> squares(3), squares(4)
        (9, 16)
    """
    thread = ThreadPoolExecutor(1)
    waiting: dict[int, Future[T]] = {}

    def following(i: int) -> T:
        example = waiting.pop(i) if i in waiting else thread.submit(make, i)
        waiting[i + 1] = thread.submit(make, i + 1)
        return example.result()

    return following
